"""One step, on a tiny model and random reviews, outside of any run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.data.batches import make_batch
from lstm_jax.data.config import DataConfig
from lstm_jax.data.datasets import load_datasets
from lstm_jax.models.build import build_classifier, example_inputs
from lstm_jax.models.config import ModelConfig
from lstm_jax.training.state import create_state, evaluation_params
from lstm_jax.training.steps import (
    classifier_loss,
    make_eval_step,
    make_train_step,
)

WIDTH, NGRAM_WIDTH = 8, 16
KEY = jax.random.key(7)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(20)]
    path = tmp_path_factory.mktemp("steps") / "reviews.csv"
    lines = [f"{' '.join(rng.choice(words, 1 + i % 7))},{i % 2}" for i in range(20)]
    path.write_text("\n".join(["text,label", *lines]))
    config = DataConfig(
        source="files", train_file=str(path), max_length=WIDTH, ngram_order=2
    )
    return load_datasets(config, num_logits=1, text_dir=path.parent)


def classifier(data, **settings):
    # The cell is the one that compiles fastest: a step knows nothing of it.
    small = {"cell": "rnn", "bidirectional": False, "embedding_size": 5}
    sizes = {**small, "hidden_size": 4, **settings}
    return build_classifier(
        ModelConfig(**sizes),
        vocab_size=data.text.tokenizer.get_vocab_size(),
        num_classes=2,
        num_ngrams=len(data.text.ngrams.keys),
    )


def batch_of(data, rows, width=WIDTH):
    return make_batch(data.train, np.array(rows), width, NGRAM_WIDTH)


def first_state(model, optimizer, *, average=False, seed=0):
    init = jax.jit(model.init)
    params = init(jax.random.key(seed), *example_inputs(model))["params"]
    return create_state(params, optimizer, average=average)


def assert_close(ours, theirs, tolerance=1e-6):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance),
        ours,
        theirs,
    )


# The update of plain SGD is the gradient itself.
SGD = optax.sgd(0.5)


@pytest.fixture(scope="module")
def plain(data):
    """A model without dropout, its jitted step, and its first state."""
    model = classifier(data)
    step = jax.jit(make_train_step(classifier_loss(model), SGD, KEY))
    return model, step, first_state(model, SGD)


@pytest.fixture(scope="module")
def random_step(data):
    """A jitted step with dropout everywhere, and its first state."""
    model = classifier(
        data,
        word_dropout_rate=0.2,
        embedding_dropout_rate=0.2,
        head_dropout_rate=0.2,
    )
    step = make_train_step(classifier_loss(model), SGD, KEY, ema_decay=0.9)
    return model, jax.jit(step), first_state(model, SGD, average=True)


ROWS = [3, 0, 5, 9, 1, 7, -1, -1]


def test_accumulated_parts_move_as_the_whole_batch(data, plain):
    model, step, state = plain
    # Three parts of two rows: one has two fillers, so its mean is of nothing.
    batch = batch_of(data, [3, 0, -1, 9, 1, -1])
    accumulate = make_train_step(classifier_loss(model), SGD, KEY, accumulation_steps=3)
    whole, sums = step(state, batch)
    in_parts, sums_in_parts = jax.jit(accumulate)(state, batch)
    assert_close(in_parts.params, whole.params)
    assert_close(sums_in_parts, sums)
    assert int(in_parts.step) == 1


def test_fillers_change_nothing(data, plain):
    model, step, state = plain
    filled, real = batch_of(data, ROWS), batch_of(data, ROWS[:6])
    moved, sums = step(state, filled)
    expected, expected_sums = step(state, real)
    assert_close(moved.params, expected.params)
    assert_close(sums, expected_sums)
    assert float(sums.count) == 6
    evaluate = jax.jit(make_eval_step(model))
    sums, logits = evaluate(state.params, filled)
    assert_close((sums, logits[:6]), evaluate(state.params, real))


def test_a_step_moves_against_the_mean_gradient_of_the_loss(data, plain):
    model, step, state = plain
    batch = batch_of(data, ROWS[:6])

    def mean_loss(params):
        inputs = (batch.token_ids, batch.lengths, batch.ngram_ids, batch.ngram_values)
        # The network and the n-grams are each trained by their own loss.
        parts = model.apply({"params": params}, *inputs, method="parts")
        labels = jnp.asarray(batch.labels, jnp.float32)
        losses = [optax.sigmoid_binary_cross_entropy(x[:, 0], labels) for x in parts]
        return sum(losses).mean()

    gradient = jax.jit(jax.grad(mean_loss))(state.params)
    expected = jax.tree.map(lambda p, g: p - 0.5 * g, state.params, gradient)
    assert_close(step(state, batch)[0].params, expected)


def test_one_step_changes_every_parameter(data, random_step):
    _, step, state = random_step
    # Of both labels, but not as many: the gradients do not cancel out.
    moved, _ = step(state, batch_of(data, ROWS))
    before = jax.tree.leaves_with_path(state.params)
    for (path, old), new in zip(before, jax.tree.leaves(moved.params), strict=True):
        assert (np.asarray(old) != np.asarray(new)).any(), jax.tree_util.keystr(path)
    assert int(moved.step) == int(state.step) + 1


@pytest.mark.parametrize(("taken", "rate"), [(0, 0.1), (11, 12 / 21), (999, 0.9)])
def test_the_average_moves_slowly_and_faster_at_first(data, random_step, taken, rate):
    _, step, state = random_step
    offset = jax.tree.map(lambda p: p + 1.0, state.params)
    state = state._replace(step=jnp.asarray(taken, jnp.int32), average=offset)
    moved, _ = step(state, batch_of(data, ROWS))
    expected = jax.tree.map(
        lambda a, p: rate * a + (1 - rate) * p, offset, moved.params
    )
    assert_close(moved.average, expected, 1e-5)
    assert evaluation_params(moved) is moved.average


def test_without_an_average_the_parameters_themselves_are_evaluated(data, plain):
    _, step, state = plain
    moved, _ = step(state, batch_of(data, ROWS))
    assert moved.average == ()
    assert evaluation_params(moved) is moved.params


def test_a_step_is_a_function_of_the_key_and_the_number_of_the_step(data, random_step):
    model, step, state = random_step
    batch = batch_of(data, ROWS)
    moved, sums = step(state, batch)
    again, sums_again = step(state, batch)
    jax.tree.map(np.testing.assert_array_equal, moved, again)
    assert float(sums.loss) == float(sums_again.loss)
    later = state._replace(step=jnp.asarray(1, jnp.int32))
    assert float(step(later, batch)[1].loss) != float(sums.loss)
    other_key = make_train_step(
        classifier_loss(model), SGD, jax.random.key(8), ema_decay=0.9
    )
    assert float(jax.jit(other_key)(state, batch)[1].loss) != float(sums.loss)


def test_the_parts_of_a_batch_have_dropout_of_their_own(data):
    model = classifier(data, embedding_dropout_rate=0.5)
    state = first_state(model, SGD)
    step = jax.jit(
        make_train_step(classifier_loss(model), SGD, KEY, accumulation_steps=2)
    )
    # Both parts hold the same reviews: only their dropout can tell them apart.
    sums = [step(state, batch_of(data, rows))[1] for rows in ([3, 3], [3, -1])]
    assert float(sums[0].loss) != pytest.approx(2 * float(sums[1].loss), rel=1e-4)


def test_a_second_step_of_the_same_shape_compiles_nothing(data, plain):
    _, step, state = plain
    state, _ = step(state, batch_of(data, ROWS))
    compiled = step._cache_size()
    for rows in (ROWS[::-1], range(8)):
        state, _ = step(state, batch_of(data, rows))
    assert step._cache_size() == compiled


def test_eight_reviews_are_learned_by_heart(data):
    model, optimizer = classifier(data, cell="lstm"), optax.adam(0.05)
    step = jax.jit(make_train_step(classifier_loss(model), optimizer, KEY))
    batch, state = batch_of(data, range(8)), first_state(model, optimizer)
    for _ in range(60):
        state, sums = step(state, batch)
    assert float(sums.correct) == 8
    assert float(sums.loss) / 8 < 0.1


class SteepModel:
    """Its loss is finite at w = 0, and its gradient is not."""

    def apply(self, variables, token_ids, *inputs, **how):
        root = jnp.sqrt(variables["params"]["w"])
        return jnp.broadcast_to(root, (1, len(token_ids), 1))

    def combine(self, parts):
        return parts[0]


def test_a_gradient_that_is_not_finite_shows_in_the_loss(data):
    optimizer = optax.sgd(0.1)
    step = make_train_step(classifier_loss(SteepModel()), optimizer, KEY)
    for w, finite in [(0.0, False), (1.0, True)]:
        state = create_state({"w": jnp.array(w)}, optimizer, average=False)
        _, sums = jax.jit(step)(state, batch_of(data, [0, 1, 2]))
        assert bool(jnp.isfinite(sums.loss)) == finite


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_step_that_is_not_finite_can_be_skipped(data, broken):
    """All but the count of steps stays, to the bit; the next step is as ever."""
    model, optimizer = classifier(data), optax.adamw(0.1)
    options = {"ema_decay": 0.9, "skip_nonfinite": True}
    loss = classifier_loss(model)
    step = jax.jit(make_train_step(loss, optimizer, KEY, **options))
    plain_step = jax.jit(
        make_train_step(classifier_loss(model), optimizer, KEY, ema_decay=0.9)
    )
    batch = batch_of(data, ROWS)
    state, _ = step(first_state(model, optimizer, average=True), batch)
    if broken == "loss":
        bad, hit = batch._replace(weights=batch.weights * np.inf), state
    else:
        # Of such weights the loss is finite, the norm of the gradient is not.
        huge = jax.tree.map(lambda x: x * 1e30, state.params["logits"])
        bad, hit = batch, state._replace(params={**state.params, "logits": huge})
    moved, sums = step(hit, bad)
    assert not np.isfinite(float(sums.loss))
    assert int(moved.step) == int(state.step) + 1
    for name in ("params", "opt_state", "average"):
        ours, theirs = getattr(moved, name), getattr(hit, name)
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    if broken == "loss":
        after, sums = step(moved, batch)
        assert_close(after, plain_step(moved, batch)[0])
        assert np.isfinite(float(sums.loss))
    # Without the setting, it would be spoilt.
    spoilt, _ = plain_step(hit, bad)
    assert not np.array_equal(
        spoilt.params["logits"]["kernel"], hit.params["logits"]["kernel"]
    )
