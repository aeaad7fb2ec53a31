"""The same training on one device, on eight, and on two hosts."""

import json

import jax
import numpy as np
import pytest
from jax.sharding import AxisType
from outcomes import assert_same_bits, checkpoint, timeless

from lstm_jax.data.batches import make_batch, ngram_width, plan_epoch
from lstm_jax.data.datasets import load_datasets
from lstm_jax.errors import UserError
from lstm_jax.training import classification, devices
from lstm_jax.training.devices import local_rows, make_data_mesh, put_batch
from lstm_jax.training.loop import train_and_evaluate
from lstm_jax.training.predictions import load_predictions

NUM_STEPS = 50


def one_device_mesh(*batch_sizes):
    first = jax.devices()[:1]
    return jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,), devices=first)


def batches(config, data, mesh):
    """Batches of one epoch after another."""
    epoch, size = 0, config.train.batch_size
    while True:
        lengths, widths = data.train.lengths, data.widths
        plan = plan_epoch(lengths, widths, size, seed=config.seed, epoch=epoch)
        for rows, width in zip(plan.rows, plan.widths.tolist(), strict=True):
            order = data.text.ngrams.order
            ngrams = ngram_width(width, config.data.max_length, order)
            yield put_batch(mesh, make_batch(data.train, rows, width, ngrams))
        epoch += 1


def losses_of(config, data):
    """The loss of each of the first steps."""
    learner = classification.make_learner(config, data)
    state, losses = learner.first_state, []
    for batch, _ in zip(
        batches(config, data, learner.mesh), range(NUM_STEPS), strict=False
    ):
        state, sums = learner.train_step(state, batch)
        losses.append(float(sums.loss) / float(sums.count))
    return learner.mesh, np.array(losses)


def test_all_seeds_share_one_program(tiny_config, small, tmp_path):
    def program(seed, folder):
        config = tiny_config({**small, "model.word_dropout_rate": 0.2, "seed": seed})
        data = load_datasets(config.data, num_logits=1, text_dir=folder)
        learner = classification.make_learner(config, data)
        batch = next(batches(config, data, learner.mesh))
        key_data = learner.train_step.args[0]
        lowered = learner.train_step.func.lower(key_data, learner.first_state, batch)
        return key_data.tolist(), lowered.as_text()

    (one_key, one), (other_key, other) = (program(n, tmp_path / str(n)) for n in (0, 1))
    assert one_key != other_key
    assert one == other


def test_eight_devices_train_as_one(tiny_config, small, tmp_path, monkeypatch):
    config = tiny_config(
        {
            **small,
            "model.word_dropout_rate": 0.2,
            "optim.accumulation_steps": 2,
            "train.batch_size": 16,
            "train.eval_batch_size": 16,
            "train.epochs": 17,
        }
    )
    data = load_datasets(config.data, num_logits=1, text_dir=tmp_path)
    mesh, losses = losses_of(config, data)
    assert mesh.size == 8
    monkeypatch.setattr(classification, "make_data_mesh", one_device_mesh)
    mesh, expected = losses_of(config, data)
    assert mesh.size == 1
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-5)
    assert expected[-10:].mean() < 0.9 * expected[:10].mean()


def test_every_device_gets_its_own_rows_and_all_parameters(
    tiny_config, small, tmp_path
):
    sizes = {"train.batch_size": 16, "train.eval_batch_size": 8}
    config = tiny_config({**small, **sizes})
    data = load_datasets(config.data, num_logits=1, text_dir=tmp_path)
    mesh = make_data_mesh(16, 8)
    whole = make_batch(data.train, np.arange(16), 24, 48)
    for array, expected in zip(put_batch(mesh, whole), whole, strict=True):
        shards = array.addressable_shards
        assert [shard.data.shape[0] for shard in shards] == [2] * 8
        for shard in shards:
            np.testing.assert_array_equal(shard.data, expected[shard.index])
    first_state = classification.make_learner(config, data).first_state
    for leaf in jax.tree.leaves(first_state):
        assert leaf.sharding.is_fully_replicated
        assert leaf.sharding.num_devices == 8


@pytest.mark.parametrize(
    ("sizes", "count"), [((16, 8), 8), ((12, 8), 4), ((10, 8), 2), ((9, 8), 1)]
)
def test_one_host_uses_as_many_devices_as_the_batches_split_over(sizes, count):
    assert make_data_mesh(*sizes).size == count


def test_several_hosts_refuse_a_batch_that_does_not_split(monkeypatch):
    monkeypatch.setattr(devices.jax, "process_count", lambda: 2)
    with pytest.raises(UserError, match=r"multiples of .* devices \(8\), got \(12, 8"):
        make_data_mesh(12, 8)


@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_the_hosts_share_out_the_rows_of_a_batch(hosts, monkeypatch):
    rows = np.random.default_rng(0).permutation(16)
    monkeypatch.setattr(devices.jax, "process_count", lambda: hosts)
    shares = []
    for host in range(hosts):
        monkeypatch.setattr(devices.jax, "process_index", lambda host=host: host)
        shares.append(local_rows(rows))
    assert {len(share) for share in shares} == {16 // hosts}
    np.testing.assert_array_equal(np.concatenate(shares), rows)


@pytest.fixture(scope="module")
def together(two_hosts, tmp_path_factory):
    """A run on two hosts that nothing interrupts, and what they printed."""
    folder = tmp_path_factory.mktemp("two")
    codes, printed, errors = two_hosts(folder, "", "")
    assert codes == [0, 0], errors
    return folder, printed


def test_two_hosts_train_as_one(together, tiny_config, small, measured, tmp_path):
    two, printed = together
    # The first host speaks, the others are silent.
    assert "Results are in" in printed[0]
    said = [x for x in printed[1].splitlines() if not x.startswith("[Gloo]")]
    assert said == []
    train_and_evaluate(tiny_config(small), tmp_path / "one")
    ours, theirs = measured(two), measured(tmp_path / "one")
    files = ("config.json", "tokenizer.json", "summary.json", "checkpoints/15")
    files += ("examples.json", "explanations.npz", "plots/gates.png", "report.html")
    assert all((two / name).exists() for name in files)
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    for line, expected in zip(ours, theirs, strict=True):
        assert line["split"] == expected["split"]
        for name in {"loss", "accuracy", "learning_rate"} & set(expected):
            near = pytest.approx(expected[name], rel=1e-5, abs=1e-5)
            assert line[name] == near, (line, expected)
    ours, theirs = (
        load_predictions(f / "predictions.npz") for f in (two, tmp_path / "one")
    )
    for split, expected in zip(ours[:2], theirs[:2], strict=True):
        np.testing.assert_array_equal(split.labels, expected.labels)
        np.testing.assert_allclose(split.logits, expected.logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_two_hosts_that_were_stopped_end_as_those_that_were_not(
    two_hosts, together, measured, tmp_path
):
    whole, _ = together
    hit = "lstm_jax.training.loop:_count:{}:SIGTERM"
    # One of them gets the signal, in the first epoch and in the second.
    for places in [("", hit.format(2)), (hit.format(1), "")]:
        codes, _, errors = two_hosts(tmp_path, *places)
        assert codes == [143, 143], errors
    codes, _, errors = two_hosts(tmp_path, "", "")
    assert codes == [0, 0], errors
    assert measured(tmp_path) == measured(whole)
    summaries = [
        json.loads((f / "summary.json").read_text()) for f in (tmp_path, whole)
    ]
    assert timeless(summaries[0]) == timeless(summaries[1])
    for part in ("state", "best"):
        assert_same_bits(checkpoint(tmp_path, part), checkpoint(whole, part))
    ours, theirs = (f / "predictions.npz" for f in (tmp_path, whole))
    assert ours.read_bytes() == theirs.read_bytes()
