import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import vanishing
from lstm_jax import CELLS, unroll

LENGTH, BATCH = 12, 5


def make(task, length, batch):
    """A batch in NumPy; compiled as a whole, since many small programs take longer."""
    compiled = jax.jit(vanishing.TASKS[task].make, static_argnums=(1, 2))
    return [np.asarray(a) for a in compiled(jax.random.key(0), length, batch)]


def test_the_adding_task_asks_for_the_sum_of_one_number_of_each_half():
    xs, targets = make("adding", LENGTH, BATCH)
    assert xs.shape == (LENGTH, BATCH, 2)
    for b in range(BATCH):
        marked = [t for t in range(LENGTH) if xs[t, b, 1] == 1]
        assert [t >= LENGTH // 2 for t in marked] == [False, True]
        assert sum(xs[t, b, 1] for t in range(LENGTH)) == 2
        assert float(targets[b]) == pytest.approx(
            sum(float(xs[t, b, 0]) for t in marked)
        )
    assert 0 <= xs.min() and xs.max() <= 1


def test_the_copy_task_asks_for_the_symbols_after_the_delimiter():
    xs, symbols = make("copy", LENGTH, BATCH)
    for b in range(BATCH):
        shown = [int(t) for t in xs[:, b].argmax(axis=-1)]
        wanted = [int(s) for s in symbols[:, b]]
        blanks = [vanishing.BLANK] * (LENGTH - 1), [vanishing.BLANK] * 10
        assert shown == [*wanted, *blanks[0], vanishing.DELIMITER, *blanks[1]]
        assert set(wanted) <= set(range(8))
    assert xs.shape[0] == vanishing.TASKS["copy"].num_steps(LENGTH)


def test_the_baselines_are_the_losses_without_memory():
    _, sums = make("adding", 10, 20_000)
    ones = np.ones((1, 20_000, 1), np.float32)
    loss, recall = jax.jit(vanishing.measure_adding)(ones, sums)
    assert float(loss) == pytest.approx(
        vanishing.TASKS["adding"].baseline(100), rel=0.02
    )
    assert recall == 1
    xs, symbols = make("copy", LENGTH, 500)
    logits = np.full((*xs.shape[:2], 9), -1e9, np.float32)
    logits[:-10, :, vanishing.BLANK] = 0.0
    logits[-10:, :, :8] = 0.0
    loss, recall = jax.jit(vanishing.measure_copy)(logits, symbols)
    assert float(loss) == pytest.approx(vanishing.TASKS["copy"].baseline(LENGTH))
    assert float(recall) == pytest.approx(1 / 8, abs=0.02)


@pytest.mark.parametrize("name", vanishing.RATES)
def test_gradient_norms_are_those_of_the_jacobian(name):
    cell = CELLS[name](3)
    params = jax.jit(cell.init, static_argnums=1)(jax.random.key(1), 2)
    readout = np.array([0.3, -1.0, 0.5], np.float32)[: cell.output_size]
    xs, targets = make("adding", 6, 2)

    def last(xs):
        y = unroll(cell, params, xs)[1][-1]
        return y, y

    jacobian, y = jax.jit(jax.jacobian(last, has_aux=True))(xs)
    errors = np.asarray(y) @ readout - targets
    squares = np.zeros(6)
    for b in range(2):
        gradient = (
            2 * errors[b] * jnp.einsum("h,htd->td", readout, jacobian[b, :, :, b])
        )
        squares += np.sum(np.asarray(gradient) ** 2, axis=-1) / 2
    gradient = jax.jit(partial(vanishing.input_gradients, cell))
    gradients = gradient(params, readout, xs, targets)
    norms = vanishing.norms_by_lag(gradients)
    np.testing.assert_allclose(norms, np.sqrt(squares)[::-1], rtol=1e-5)


def test_chrono_biases_remember_for_1_to_t_steps():
    params = {"w_hh": jnp.zeros((200, 800)), "b": jnp.zeros(800)}
    new = vanishing.chrono_biases(jax.random.key(1), "lstm", params, 50)
    b_i, b_f, *others = np.split(np.asarray(new["b"]), 4)
    times = np.exp(b_f)
    assert 1 <= times.min() < 5 and 45 < times.max() <= 49
    np.testing.assert_array_equal(b_i, -b_f)
    np.testing.assert_array_equal(others, np.zeros((2, 200)))


def test_an_lstm_learns_to_add():
    run = vanishing.Run(
        "adding", 10, "lstm", "chrono", 1.0, 0, 1e-2, 2000, hidden_size=16
    )
    result = vanishing.train(run)
    assert result["outcome"] == "solved" and result["loss"] < 0.01
    assert result["steps"] == result["curve"][-1][0] < 2000


def test_a_warm_up_comes_to_its_end_before_the_length_that_counts(monkeypatch):
    """Of the two verdicts that it is given: the curve is of the last stage alone."""
    lengths, verdicts = [], ["not solved", "solved", "not solved", "solved"]
    learn = vanishing.train_steps
    monkeypatch.setattr(
        vanishing,
        "train_steps",
        lambda run, *rest: lengths.append(run.length) or learn(run, *rest),
    )
    monkeypatch.setattr(vanishing, "judge", lambda *scores: verdicts.pop(0))
    sizes = {"hidden_size": 4, "batch_size": 2, "eval_every": 3, "warm_up": 5}
    run = vanishing.Run("copy", 8, "gru", "chrono", 1.0, 7, 1e-2, 30, **sizes)
    result = vanishing.train(run)
    assert lengths == [5, 5, 8, 8]
    assert (result["outcome"], result["steps"]) == ("solved", 12)
    assert [row[0] for row in result["curve"]] == [9, 12]


@pytest.mark.parametrize("last", ["solved", "not solved"])
def test_a_warm_up_that_takes_all_steps_is_said_not_to_have_reached_the_length(
    last, monkeypatch
):
    verdicts = ["not solved", last]
    monkeypatch.setattr(vanishing, "judge", lambda *scores: verdicts.pop(0))
    sizes = {"hidden_size": 4, "batch_size": 2, "eval_every": 3, "warm_up": 5}
    run = vanishing.Run("copy", 80, "gru", "chrono", 1.0, 7, 1e-2, 6, **sizes)
    result = vanishing.train(run)
    assert (result["outcome"], result["steps"]) == ("not reached", 6)
    baseline = vanishing.TASKS["copy"].baseline(5)
    assert result["loss"] == pytest.approx(result["ratio"] * baseline, rel=0.01)


def test_runs_of_a_time_without_a_setting_are_known_again(tmp_path, computed):
    study = vanishing.quick_study()
    vanishing.drive(study, tmp_path)
    log = tmp_path / "records.jsonl"
    log.write_text(log.read_text().replace(', "warm_up": null', ""))
    assert log.read_text().count("warm_up") == 1
    computed.clear()
    vanishing.drive(study, tmp_path)
    assert computed == []


FIT = {
    "outcome": "solved",
    "loss": 0.1,
    "curve": [[2, 0.9, 1, 1, 1], [4, 0.05, 1, 1, 1]],
}
LINE = {"lower_quartile": 0.1, "median": 0.2, "upper_quartile": 0.3}


@pytest.fixture
def computed(monkeypatch):
    """What the study computes, in place of computing it."""
    done = []
    study = vanishing.quick_study()
    line = {k: [v] * (study.lags // study.stride + 1) for k, v in LINE.items()}
    monkeypatch.setattr(vanishing, "train", lambda run: done.append(run) or FIT)
    monkeypatch.setattr(vanishing, "study_case", lambda _, c: done.append(c) or line)
    return done


def test_a_killed_study_goes_on_where_it_stood(tmp_path, computed):
    study = vanishing.quick_study()
    whole = vanishing.drive(study, tmp_path)
    assert computed == [*study.cases, *study.runs]
    log = tmp_path / "records.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-1]) + lines[-1][:30])
    assert vanishing.drive(study, tmp_path) == whole
    assert computed == [*study.cases, *study.runs, study.runs[-1]]


def test_the_pictures_are_drawn_from_the_file(tmp_path, computed):
    vanishing.write_json(
        vanishing.drive(vanishing.quick_study(), tmp_path), tmp_path / "r"
    )
    vanishing.draw(json.loads((tmp_path / "r").read_text()), tmp_path)
    assert len(computed) == len(
        [*vanishing.quick_study().cases, *vanishing.quick_study().runs]
    )
    assert {p.name for p in tmp_path.glob("*.png")} == {
        "vanishing.png",
        "long_tasks.png",
    }


def test_a_case_is_three_curves_over_the_lags():
    study = vanishing.quick_study()
    case = next(c for c in study.cases if c.cell == "rnn")
    curves = vanishing.study_case(study, case)
    low, median, high = np.array(list(curves.values()))
    assert median.shape == (study.lags // study.stride + 1,)
    assert (low <= median).all() and (median <= high).all()
