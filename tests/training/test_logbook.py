import json
import os

import pytest
from tensorboardX.proto.event_pb2 import Event

from lstm_jax.errors import UserError
from lstm_jax.training.logbook import Logbook, read_metrics
from lstm_jax.training.workdir import Workdir


@pytest.fixture
def workdir(tmp_path):
    return Workdir(tmp_path)


def write_steps(workdir, steps, *, start=0, loss=1.0):
    logbook = Logbook(workdir, step=start, active=True)
    for step in steps:
        values = {"loss": loss / step, "accuracy": 0.5, "learning_rate": 0.1}
        logbook.write("train", step, 1 + step // 10, **values)
    logbook.close()


def scalars(workdir):
    """Every (tag, step, value) in the event files, read by their format alone."""
    found = []
    for path in sorted(workdir.path.glob("events.out.tfevents.*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            size = int.from_bytes(data[place : place + 8], "little")
            event = Event.FromString(data[place + 12 : place + 12 + size])
            place += 16 + size
            found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
    return found


def test_a_measurement_is_one_line_and_one_event_a_value(workdir):
    logbook = Logbook(workdir, step=0, active=True)
    logbook.write("val", 7, 2, loss=1 / 3, accuracy=0.75)
    # Seen at once, not when the run ends.
    (line,) = workdir.metrics.read_text().splitlines()
    expected = {"split": "val", "step": 7, "epoch": 2, "loss": 1 / 3, "accuracy": 0.75}
    assert json.loads(line) == expected
    logbook.close()
    assert read_metrics(workdir.metrics) == [expected]
    assert scalars(workdir) == [
        ("val/loss", 7, pytest.approx(1 / 3)),
        ("val/accuracy", 7, 0.75),
    ]


def test_a_resumed_run_drops_the_lines_after_its_checkpoint(workdir):
    write_steps(workdir, [2, 4, 6, 8])
    write_steps(workdir, [6, 8, 10], start=5, loss=3.0)
    lines = read_metrics(workdir.metrics)
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10]
    assert [line["loss"] * line["step"] for line in lines] == pytest.approx(
        [1, 1, 3, 3, 3]
    )


def test_the_line_of_the_checkpoints_own_step_stays(workdir):
    write_steps(workdir, [2, 4, 6])
    write_steps(workdir, [], start=4)
    assert [line["step"] for line in read_metrics(workdir.metrics)] == [2, 4]


def test_a_run_without_a_checkpoint_starts_an_empty_file(workdir):
    write_steps(workdir, [2, 4])
    write_steps(workdir, [2], loss=5.0)
    (line,) = read_metrics(workdir.metrics)
    assert line["loss"] == 2.5


def test_a_torn_last_line_is_left_out_and_written_over(workdir):
    write_steps(workdir, [2, 4])
    with workdir.metrics.open("a") as file:
        file.write('{"split": "train", "st')
    assert [line["step"] for line in read_metrics(workdir.metrics)] == [2, 4]
    write_steps(workdir, [6], start=4)
    lines = [json.loads(line) for line in workdir.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]


GOOD = {"split": "val", "step": 3, "epoch": 1, "loss": 0.5, "accuracy": 0.5}
BAD = {
    "torn": b'{"split": "train", "st',
    "not UTF-8": b'{"split": "\xff"}',
    "NUL": b"\0" * 99,
    "deep": b"[" * 100_000,
    "a list": b"[1, 2]",
    "no step": b'{"split": "val", "epoch": 1}',
    "no split": json.dumps({**GOOD, "split": None}).encode(),
    "no loss": json.dumps({**GOOD, "loss": "low"}).encode(),
    "no rate": json.dumps({**GOOD, "split": "train"}).encode(),
    "half a step": json.dumps({**GOOD, "step": 2.5}).encode(),
    "no epoch": json.dumps({**GOOD, "epoch": 0}).encode(),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_line_costs_no_other(kind, workdir, caplog):
    write_steps(workdir, [2, 4, 6])
    first, *rest = workdir.metrics.read_bytes().splitlines()
    workdir.metrics.write_bytes(b"\n".join([first, BAD[kind], *rest, b""]))
    assert [line["step"] for line in read_metrics(workdir.metrics)] == [2, 4, 6]
    (warning,) = caplog.messages
    assert warning.startswith(f"{workdir.metrics}, line 2: expected a measurement, got")
    assert len(warning) < len(str(workdir.metrics)) + 200 and "\n" not in warning
    # It is not ours to throw away, as those of steps that come again are.
    write_steps(workdir, [6, 8], start=5)
    assert [line["step"] for line in read_metrics(workdir.metrics)] == [2, 4, 6, 8]
    assert workdir.metrics.read_bytes().splitlines()[:2] == [first, BAD[kind]]


def test_a_file_that_cannot_be_read_is_told_in_a_line(workdir):
    workdir.metrics.mkdir()
    with pytest.raises(UserError, match="metrics.jsonl: expected a file of measure"):
        read_metrics(workdir.metrics)


def test_kept_lines_keep_every_bit(workdir):
    write_steps(workdir, [3, 7])
    before = workdir.metrics.read_text()
    write_steps(workdir, [], start=7)
    assert workdir.metrics.read_text() == before


def test_a_missing_file_has_no_metrics(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_a_passive_logbook_writes_nothing(workdir, capsys):
    logbook = Logbook(workdir, step=0, active=False)
    logbook.write("train", 1, 1, loss=1.0)
    logbook.say("hello")
    with logbook.progress_bar(total=3, done=0, title="epoch") as bar:
        bar.update()
    logbook.close()
    assert list(workdir.path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_what_is_said_goes_to_the_terminal(workdir, capsys):
    logbook = Logbook(workdir, step=0, active=True)
    logbook.say("epoch 1/3")
    logbook.close()
    assert capsys.readouterr().out == "epoch 1/3\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("which", ["lines", "events"])
def test_on_a_full_disk_a_measurement_fails_and_nothing_waits(workdir, which):
    logbook = Logbook(workdir, step=0, active=True)
    if which == "lines":
        logbook._lines = open("/dev/full", "w")
    else:
        logbook._events._writer._py_recordio_writer._writer = open("/dev/full", "wb")
    for step in range(30):  # more than a queue would take
        with pytest.raises(OSError, match="No space left"):
            logbook.write("train", step, 1, loss=0.5)
    logbook.close()
