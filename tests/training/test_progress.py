import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_jax.training.progress import Progress, Tally


def after(values, monitor):
    progress = Progress()
    for value in values:
        val = {"loss": 0.0, "accuracy": 0.0, monitor: value}
        progress = progress.after_epoch(val, monitor)
    return progress


@given(st.lists(st.floats(0, 2), min_size=1, max_size=12))
@pytest.mark.parametrize(("monitor", "best"), [("loss", min), ("accuracy", max)])
def test_best_is_the_first_epoch_of_the_best_value(monitor, best, values):
    progress = after(values, monitor)
    first = values.index(best(values)) + 1
    assert progress.epochs == len(values)
    assert progress.best_epoch == first
    assert progress.best_val[monitor] == best(values)
    assert progress.stale_epochs == len(values) - first


@pytest.mark.parametrize(
    ("values", "epochs", "patience", "finished"),
    [
        ([], 3, 0, False),
        ([0.3, 0.4, 0.5], 9, 0, False),
        ([0.3, 0.4, 0.5], 9, 3, False),
        ([0.3, 0.4, 0.5], 9, 2, True),
        ([0.3, 0.4, 0.2], 9, 2, False),
        ([0.3, 0.2, 0.1], 3, 0, True),
        ([0.3, 0.3], 9, 1, True),
    ],
)
def test_a_run_ends_with_its_epochs_or_its_patience(values, epochs, patience, finished):
    progress = after(values, "loss")
    assert progress.finished(epochs=epochs, patience=patience) is finished


def test_progress_survives_json_with_every_bit():
    progress = dataclasses.replace(
        after([1 / 3, 0.1 + 0.2], "loss"),
        step=123,
        train_seconds=1e-9 / 7,
        total_seconds=2 / 3,
        compile_seconds=0.1,
        tally=Tally(loss=2 / 3, correct=5.0, count=7.0, tokens=2**40, seconds=1 / 7),
    )
    again = Progress.from_json(json.loads(json.dumps(progress.to_json())))
    assert again == progress
    assert isinstance(again.tally, Tally)


def test_a_tally_gives_means_over_reviews_and_tokens_a_second():
    tally = Tally()
    tally = tally.plus(loss=3.0, correct=2.0, count=4.0, tokens=90, seconds=0.5)
    tally = tally.plus(loss=1.0, correct=1.0, count=1.0, tokens=10, seconds=1.5)
    assert tally.means() == {
        "loss": pytest.approx(4 / 5),
        "accuracy": pytest.approx(3 / 5),
        "tokens_per_second": pytest.approx(50),
    }


def test_an_empty_tally_has_means_too():
    assert Tally().means() == {"loss": 0, "accuracy": 0, "tokens_per_second": 0}


def test_waiting_for_input_is_a_share_of_the_steps():
    progress = Progress(train_seconds=8.0, wait_seconds=2.0)
    assert progress.input_wait_share == 0.25
    assert Progress().input_wait_share == 0
    assert Progress.from_json(progress.to_json()).wait_seconds == 2
