"""The command lstm-jax, on an exported model."""

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from trained import TEXTS, make_trained

from lstm_jax import Ensemble, load
from lstm_jax.cli import model as cli_model
from lstm_jax.cli import predict
from lstm_jax.cli.main import main
from lstm_jax.cli.marks import printable
from lstm_jax.export import export_model
from lstm_jax.inference import Predictor

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", params=[1, 0], ids=["two classes", "three classes"])
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "model.zip"
    settings = {"model.num_logits": request.param, "model.cell": "rnn"}
    export_model(make_trained(**settings, **{"model.bidirectional": False}), path)
    return str(path)


@pytest.fixture(scope="module")
def one_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "model.zip"
    settings = {"model.cell": "rnn", "model.bidirectional": False}
    export_model(make_trained(**settings), path)
    return str(path)


@pytest.fixture(scope="module")
def expected(model):
    return load(model).probabilities(TEXTS)


@pytest.fixture
def run(capsys):
    """Run a command in this process: its status, stdout and stderr."""

    def run(*argv):
        try:
            status = main([*map(str, argv)])
        except SystemExit as stopped:
            status = stopped.code
        return status, *capsys.readouterr()

    return run


def process(*argv, environ=None, **how):
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "lstm_jax", *map(str, argv)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    environment |= environ or {}
    return subprocess.Popen(command, env=environment, **how)


def test_json_lines_hold_every_class_in_order(run, model, expected):
    status, out, err = run("predict", "--model", model, "--format", "json", *TEXTS)
    assert (status, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    names = load(model).label_names
    assert [list(row["probabilities"]) for row in rows] == [list(names)] * len(TEXTS)
    found = [list(row["probabilities"].values()) for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    said = [names[n] for n in expected.argmax(axis=1)]
    assert [row["label"] for row in rows] == said
    best = [row["probability"] for row in rows]
    np.testing.assert_allclose(best, expected.max(axis=1), atol=1e-6)


def test_csv_can_be_read_again(run, model, expected):
    texts = [*TEXTS, 'a "quote",\nand a line', "another\rkind of line"]
    status, out, _ = run("predict", "--model", model, "--format", "csv", *texts)
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert status == 0 and [row["text"] for row in rows] == texts
    column = f"p({load(model).label_names[1]})"
    found = [float(row[column]) for row in rows[: len(TEXTS)]]
    np.testing.assert_allclose(found, expected[:, 1], atol=1e-6)


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_several_models_are_averaged(command, run, one_model, tmp_path):
    other = str(tmp_path / "other.zip")
    settings = {"model.cell": "rnn", "model.bidirectional": False}
    export_model(make_trained(**settings, **{"data.vocab_size": 12}), Path(other))
    both = Ensemble([load(one_model), load(other)])
    flags = ["--model", one_model, "--model", other, "--format", "json"]
    if command == "predict":
        _, out, _ = run(command, *flags, *TEXTS)
        rows = [json.loads(line)["probabilities"]["good"] for line in out.splitlines()]
        np.testing.assert_allclose(rows, both.probabilities(TEXTS)[:, 1], atol=1e-6)
    else:
        path = tmp_path / "labelled.csv"
        with path.open("w", newline="") as file:
            rows = [("text", "label"), *((text, "good") for text in TEXTS)]
            csv.writer(file).writerows(rows)
        _, out, _ = run(command, *flags, "--data", path)
        loss = -np.log(both.probabilities(TEXTS)[:, 1]).mean()
        assert json.loads(out)["loss"] == pytest.approx(loss, abs=1e-6)


def test_text_is_a_line_each_that_steers_no_terminal(run, model):
    texts = ["great\nfilm", "\x1b[31mred\x07", "x " * 500, ""]
    status, out, _ = run("predict", "--model", model, *texts)
    assert status == 0 and len(out.splitlines()) == 4
    assert "\x1b" not in out and "\x07" not in out
    assert max(map(len, out.splitlines())) < 90
    assert printable("a\n\x1b") == "a\n\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "kind", ["csv", "tsv", "one column.csv", "jsonl", "txt", "stdin"]
)
def test_texts_from_everywhere(kind, run, model, expected, tmp_path, monkeypatch):
    path = tmp_path / f"reviews.{kind}"
    flags = ["--file", path, "--text-column", "review"]
    if kind == "one column.csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["review"], *([text] for text in TEXTS)])
    elif kind in ("csv", "tsv"):
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if kind == "tsv" else ",")
            writer.writerows([["id", "review"], *enumerate(TEXTS)])
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"review": t}) + "\n" for t in TEXTS))
    elif kind == "txt":
        path.write_text("\n\n".join(TEXTS))
    else:
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(TEXTS)))
        flags = []
    status, out, _ = run("predict", "--model", model, "--format", "json", *flags)
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [row["text"].strip() for row in rows] == [text.strip() for text in TEXTS]
    best = [row["probability"] for row in rows]
    np.testing.assert_allclose(best, expected.max(axis=1), atol=1e-6)


def test_empty_lines_of_standard_input_are_told(run, one_model, monkeypatch, caplog):
    monkeypatch.setattr(sys, "stdin", io.StringIO("great film\n\nawful film\n \n"))
    status, out, _ = run("predict", "--model", one_model, "--format", "json")
    assert status == 0 and len(out.splitlines()) == 2
    assert caplog.messages == ["standard input: 2 of 4 lines are empty and left out"]


def test_an_ending_of_no_kind_names_that_of_texts_alone(run, one_model, tmp_path):
    (tmp_path / "notes.md").write_text("great film\n")
    flags = ("--model", one_model, "--file", tmp_path / "notes.md")
    status, _, err = run("predict", *flags)
    assert status == 2 and ".ndjson or .txt, got" in err


STDIN = {
    "closed": (None, "error: standard input: expected texts, got a closed one"),
    "UTF-16": (
        "great film\n".encode("utf-16"),
        "error: standard input: expected UTF-8",
    ),
    "Latin-1": (
        b"gr\xe9at film\n",
        "standard input, line 1: expected UTF-8, got the b",
    ),
}


def test_the_bar_is_closed_before_a_failure_is_told(monkeypatch):
    closed = []

    def judge(predictor, texts, *, bar):
        try:
            yield texts, np.zeros((len(texts), 1), np.float32)
        finally:
            closed.append(True)

    def write(judged, names):
        assert next(judged)["label"] == names[0] and not closed
        raise KeyboardInterrupt

    monkeypatch.setattr(predict, "judge", judge)
    monkeypatch.setattr(predict, "_WRITERS", {"text": write})
    monkeypatch.setattr(predict, "_read", lambda options: TEXTS)
    predictor = SimpleNamespace(label_names=("bad", "good"))
    monkeypatch.setattr(predict, "load_predictors", lambda options: predictor)
    # What is caught keeps alive all that was under way.
    with pytest.raises(KeyboardInterrupt) as caught:
        predict.run(SimpleNamespace(format="text"))
    assert closed and caught.tb


@pytest.mark.parametrize("kind", STDIN)
@pytest.mark.parametrize("command", ["predict", "explain"])
def test_standard_input_is_utf8_or_it_is_told(
    kind, command, run, one_model, monkeypatch, caplog
):
    content, said = STDIN[kind]
    stdin = None
    if content is not None:  # as Python opens it where the locale says so
        stdin = io.TextIOWrapper(io.BytesIO(content), encoding="ascii")
    monkeypatch.setattr(sys, "stdin", stdin)
    text = ["-"] if command == "explain" else []
    status, out, err = run(command, "--model", one_model, "--format", "json", *text)
    told = "".join([err, *caplog.messages])
    assert told.startswith(said) and told.strip().count("\n") == 0
    assert (status, "\\ufffd" in out) == (
        (0, True) if kind == "Latin-1" else (2, False)
    )


def test_many_texts_keep_their_order(run, model, tmp_path, monkeypatch, expected):
    monkeypatch.setattr(cli_model, "_PART", 100)
    order = np.random.default_rng(0).integers(len(TEXTS), size=777)
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps({"text": TEXTS[n]}) + "\n" for n in order))
    flags = ("--model", model, "--file", path, "--format", "json")
    status, out, err = run("predict", *flags)
    found = [json.loads(line)["probability"] for line in out.splitlines()]
    np.testing.assert_allclose(found, expected[order].max(axis=1), atol=1e-6)
    assert status == 0 and err == ""  # a bar is for a terminal


def test_evaluate(run, model, tmp_path, expected):
    names, path = load(model).label_names, tmp_path / "reviews.tsv"
    labels = (expected.argmax(axis=1) + [0, 0, 0, 1, 0]) % len(names)
    spelled = [names[0].upper(), names[1].title(), *map(str, range(2, 9))]
    rows = [
        f"{' '.join(text.split())}\t{spelled[n]}\n"
        for text, n in zip(TEXTS, labels, strict=True)
    ]
    path.write_text("review\tverdict\n" + "".join(rows))
    flags = ("--model", model, "--data", path)
    flags += ("--text-column", "review", "--label-column", "verdict")
    status, out, _ = run("evaluate", *flags, "--format", "json")
    found = json.loads(out)
    assert (status, found["count"], found["accuracy"]) == (0, 5, 0.8)
    assert np.array(found["confusion"]).trace() == 4
    status, out, _ = run("evaluate", *flags)
    assert status == 0 and re.search(r"accuracy +80\.00%", out)
    assert ("F1, macro" in out) == (len(names) > 2)
    path.write_text("review\tverdict\nfine\tawesome\n")
    status, out, err = run("evaluate", *flags)
    assert (status, out) == (2, "")
    assert "reviews.tsv: expected labels of" in err and "line 2: 'awesome'" in err


def test_names_of_classes_steer_no_terminal(run, one_model, tmp_path, monkeypatch):
    names = ("bad\x1b[31m", "good\x07")
    monkeypatch.setattr(Predictor, "label_names", property(lambda self: names))
    data = tmp_path / "reviews.tsv"
    data.write_text("text\tlabel\nfine\tgood\ndull\tbad\n")
    flags = {"predict": ["fine"], "explain": ["fine"], "evaluate": ["--data", data]}
    for command, more in flags.items():
        status, out, err = run(command, "--model", one_model, *more)
        assert status == 0, err
        assert not {"\x1b", "\x07"} & set(out), command
        assert re.search(r"(bad|good)\ufffd", out), command


def test_explain_in_words(run, model, expected):
    status, out, err = run("explain", "--model", model, TEXTS[1])
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    said = load(model).label_names[int(expected[1].argmax())]
    assert out.startswith(f"{said}, {expected[1].max():.1%}\n")
    assert re.search(r"\w\{(\++|-+)\}", out) and "Integrated gradients add up" in out


def test_explain_as_json_and_as_a_page(run, model, tmp_path, expected):
    text = "A great <b>film</b>, & awful"
    page = tmp_path / "why.html"
    flags = ("--model", model, "--format", "json", "--html", page)
    status, out, err = run("explain", *flags, text)
    found = json.loads(out)
    assert status == 0 and str(page) in err
    read = [w for w in found["words"] if w["so_far"]]
    assert read[-1]["so_far"] == pytest.approx(found["probabilities"], abs=1e-6)
    total = sum(w["gradient"] for w in found["words"]) + found["gradients"]["gap"]
    assert total == pytest.approx(found["gradients"]["total"], abs=1e-6)
    html = page.read_text(encoding="utf-8")
    assert "<b>" not in html and "&lt;" in html and "data:image/png" in html
    assert "http" not in html.replace("http-equiv", "")


def test_explain_in_a_terminal_has_colours(one_model):
    for wanted in (True, False):
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
        variables.pop("NO_COLOR", None)
        if not wanted:
            variables["NO_COLOR"] = "1"
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "lstm_jax", "--no-prepare-host", "explain"]
        command += ["--model", one_model, "great awful"]
        done = subprocess.run(command, env=variables, stdout=theirs, timeout=300)
        os.close(theirs)
        out = os.read(ours, 1 << 16).decode()
        os.close(ours)
        assert done.returncode == 0 and ("\x1b[" in out) == wanted


MISTAKES = {
    "no command": ([], "the following arguments are required: COMMAND"),
    "another command": (["prdict"], "invalid choice: 'prdict'"),
    "no model": (
        ["predict", "x"],
        "one of the arguments --workdir --model is",
    ),
    "both": (["predict", "--workdir", "a", "--model", "b", "x"], "not allowed with"),
    "several to explain": (
        ["explain", "--model", "a.zip", "--model", "b.zip", "x"],
        "explain: expected one model, got 2; predict and evaluate take several",
    ),
    "several to serve": (
        ["serve", "--workdir", "a", "--workdir", "b", "--port", "0"],
        "serve: expected one model, got 2",
    ),
    "no such folder": (["predict", "--workdir", "nowhere", "x"], "got no config.json"),
    "no such file": (["predict", "--model", "nowhere.zip", "x"], "nowhere.zip"),
    "texts and a file": (
        ["predict", "--model", "m.zip", "--file", "a.csv", "x"],
        "expected texts or --file, got both",
    ),
    "another ending": (
        ["predict", "--model", "m.zip", "--file", "a.xlsx"],
        "--file: expected a file that ends in",
    ),
    "no text": (["explain", "--model", "m.zip"], "arguments are required: TEXT"),
    "a port that is none": (
        ["serve", "--model", "m.zip", "--port", "70000"],
        "expected 0 to 65535, got '70000'",
    ),
    "a run to export": (
        ["export", "--workdir", "nowhere", "--output", "m.zip"],
        "got no config.json",
    ),
    "nobody's folder": (
        ["predict", "--workdir", "~nosuchuser", "x"],
        "--workdir: expected a",
    ),
    "nobody's model": (
        ["explain", "--model", "~nosuchuser/m", "x"],
        "--model: expected a p",
    ),
    "nobody's texts": (
        ["predict", "--model", "m.zip", "--file", "~nosuchuser/a.csv"],
        "--file: expected a path, got '~nosuchuser/a.csv': no such home",
    ),
    "nobody's lines": (
        ["predict", "--model", "m.zip", "--file", "~nosuchuser/a.txt"],
        "--file: expected a path",
    ),
    "nobody's data": (
        ["evaluate", "--model", "m.zip", "--data", "~nosuchuser/a.csv"],
        "--data: expected a path",
    ),
    "nobody's report": (
        ["report", "--workdir", "~nosuchuser/a"],
        "--workdir: expected a pat",
    ),
    "a folder to export to": (
        ["export", "--workdir", "a", "--output", "."],
        "--output: expected a file to write, got '.'",
    ),
    "an empty file": (["predict", "--model", "m.zip", "--file", ""], "got ''"),
    "texts and an empty file": (
        ["predict", "--model", "m.zip", "--file", "", "x"],
        "expected texts or --file, got both",
    ),
    "an empty host": (
        ["serve", "--model", "m.zip", "--host", ""],
        "--host: expected an address of this machine, got ''",
    ),
    "nobody's file": (
        ["export", "--workdir", "a", "--output", "~nosuchuser/m.zip"],
        "--output: expected a path",
    ),
    "no finished run": (["report", "--workdir", "nowhere"], "expected a finished run"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line(kind, run):
    argv, message = MISTAKES[kind]
    status, out, err = run(*argv)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and message in err and err.count("\n") == 1


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom lstm_jax.cli.main import main\n"
        "try:\n  main(['predict', '--help'])\nexcept SystemExit as e: print(e.code)\n"
        "print([m for m in ('flax', 'optax', 'orbax', 'tokenizers', "
        "'tensorflow_datasets', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[-2:] == ["0", "[]"] and "example:" in done.stdout


@pytest.mark.parametrize(
    "command", ["predict", "evaluate", "explain", "export", "report", "serve"]
)
def test_every_command_has_an_example(command, run):
    status, out, _ = run(command, "--help")
    assert status == 0 and f"example:\n  lstm-jax {command} --workdir" in out


@pytest.fixture
def judging(one_model, tmp_path):
    """A process that has begun to judge many texts."""
    path = tmp_path / "many.txt"
    path.write_text("great film\n" * 50_000)
    flags = ("--model", one_model, "--file", path, "--format", "json")
    running = process(
        *("--no-prepare-host", "predict", *flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that runs the tests in the background lets them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout.readline()
    yield running
    running.kill()


def test_a_reader_that_has_enough_ends_it_quietly(judging):
    judging.stdout.close()
    assert judging.stderr.read() == b""
    assert judging.wait(300) == 141


def test_what_the_terminal_cannot_say_is_a_question_mark(one_model):
    flags = ("--no-prepare-host", "predict", "--model", one_model)
    done = process(
        *(*flags, "great \N{SNOWMAN} " + "film " * 40),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        environ={"PYTHONIOENCODING": "latin-1"},
    )
    out, err = done.communicate(timeout=300)
    assert (done.returncode, err) == (0, b"")
    assert b"great ? film" in out and out.endswith(b" ?\n")


def test_a_file_of_csv_is_utf8_whatever_the_terminal(one_model, tmp_path):
    flags = ("--no-prepare-host", "predict", "--model", one_model, "--format", "csv")
    with (tmp_path / "out.csv").open("wb") as file:
        done = process(
            *(*flags, "great \N{SNOWMAN}"),
            stdout=file,
            environ={"PYTHONIOENCODING": "latin-1"},
        )
        assert done.wait(timeout=300) == 0
    assert "great \N{SNOWMAN}" in (tmp_path / "out.csv").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name == "nt", reason="asks a shell to close it")
def test_a_closed_standard_output_is_told(one_model):
    flags = ("--no-prepare-host", "predict", "--model", one_model, "great")
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "lstm_jax"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([*command, *flags], env=environment, capture_output=True)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"error: expected a standard output")


def test_a_line_break_at_the_end_of_standard_input_is_no_word(
    run, one_model, monkeypatch
):
    """As ``echo`` adds one: it is no part of a review."""
    given = io.TextIOWrapper(io.BytesIO(f"{TEXTS[1]}\n".encode()))
    monkeypatch.setattr(sys, "stdin", given)
    flags = ("explain", "--model", one_model, "--format", "json")
    _, piped, _ = run(*flags, "-")
    _, direct, _ = run(*flags, TEXTS[1])
    assert json.loads(piped) == json.loads(direct)


def test_the_rest_of_standard_input_is_all_explained(run, one_model, monkeypatch):
    """Positions are those of what was given."""
    given = io.TextIOWrapper(io.BytesIO(b"\n  great film \r\n\n"), newline="")
    monkeypatch.setattr(sys, "stdin", given)
    _, out, _ = run("explain", "--model", one_model, "--format", "json", "-")
    assert json.loads(out)["text"] == "\n  great film \r\n"


def test_a_page_without_a_name_is_refused(run, one_model):
    status, _, err = run("explain", "--model", one_model, "--html", "", "great")
    assert status == 2 and err.startswith("error: --html: expected a file to write")


def test_a_dash_is_standard_input(run, one_model, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("great film\ndull"))
    status, out, _ = run("predict", "--model", one_model, "--format", "csv", "-")
    assert status == 0
    texts = [row["text"] for row in csv.DictReader(io.StringIO(out))]
    assert texts == ["great film", "dull"]


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_half_characters_of_the_command_line_are_replaced(kind, run, one_model):
    """What is no UTF-8 comes as such; a strict reader of JSON refuses it."""
    status, out, _ = run("predict", "--model", one_model, "--format", kind, "caf\udce9")
    assert status == 0 and ("caf\\ufffd" if kind == "json" else "caf\ufffd") in out


def test_a_long_word_leaves_the_table_readable(run, one_model):
    _, out, _ = run("explain", "--model", one_model, f"great {'x' * 600} film")
    table = out[out.index("\nword ") :].splitlines()
    (row,) = [line for line in table if line.startswith("(xxxxxxx…xxxxxxx) ")]
    assert len(row) < 60


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_not_among_the_lines(terminal, run, one_model, tmp_path, monkeypatch):
    path = tmp_path / "many.txt"
    path.write_text("great film\n" * 600)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    status, _, err = run("predict", "--model", one_model, "--file", path)
    assert status == 0 and ("texts/s" in err) == (not terminal)


@pytest.mark.parametrize("kind", ["rocm", "nonsense"])
def test_a_device_that_is_not_there_is_nothing_wrong_with_the_model(kind, one_model):
    done = process(
        *("--no-prepare-host", "predict", "--model", one_model, "great"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        environ={"JAX_PLATFORMS": kind},
    )
    out, err = done.communicate(timeout=300)
    assert (done.returncode, out) == (2, b"")
    (line,) = [x for x in err.decode().splitlines() if x.startswith("error: ")]
    assert line.startswith(f"error: JAX_PLATFORMS={kind}: expected a device to compute")
    assert "Traceback" not in err.decode()


def test_a_text_without_spaces_is_shown_from_its_beginning(run, one_model):
    _, out, _ = run("predict", "--model", one_model, "x" * 200 + " film")
    assert out.endswith(f"  {'x' * 59} …\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_no_room_for_what_is_printed_is_one_line(one_model):
    with open("/dev/full", "wb") as full:
        flags = ("--no-prepare-host", "predict", "--model", one_model)
        done = process(*flags, "great", stdout=full, stderr=subprocess.PIPE)
        _, err = done.communicate(timeout=300)
    assert done.returncode == 2
    assert err.startswith(b"error: standard output: expected room to write, got: ")
    assert err.count(b"\n") == 1


def test_ctrl_c_ends_it_in_one_line(judging):
    judging.send_signal(signal.SIGINT)
    _, err = judging.communicate(timeout=300)
    assert (judging.returncode, err) == (130, b"Stopped.\n")
