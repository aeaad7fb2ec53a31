"""``python train.py`` as a user meets it: exit codes, messages, and where files go."""

import errno
import importlib
import json
import operator
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
from absl.testing import flagsaver
from outcomes import assert_same_bits, checkpoint, saved_steps

import train
from lstm_jax import host
from lstm_jax.errors import UserError
from lstm_jax.host import host_settings, may_have_accelerator, prepare_host
from lstm_jax.training.config import Config
from lstm_jax.training.interruption import Interruption
from lstm_jax.training.lock import locked
from lstm_jax.training.workdir import Workdir

ROOT = Path(__file__).parents[2]
HIT = Path(__file__).with_name("hit.py")
MISTAKEN = Path(__file__).with_name("mistakes.py")
LSTM = ["--config", str(ROOT / "configs" / "lstm.py")]
BROKEN_CONFIG = "def get_config(:\n"

# The arguments of a mistake, and what its one line must say.
MISTAKES = {
    "unknown setting": (
        [*LSTM, "--config.model.hiden_size=3"],
        ["--config.model.hiden_size: no such setting", "model.hidden_size"],
    ),
    "setting of another group": (
        [*LSTM, "--config.train.seed=3"],
        ["--config.train.seed: no such setting; did you mean seed?"],
    ),
    "cuDNN without a GPU": (
        [*LSTM, "--config.model.implementation=cudnn"],
        ['model.implementation: expected "auto" where there is no NVIDIA GPU, got'],
    ),
    "wrong type": ([*LSTM, "--config.train.epochs=many"], ["train.epochs", "many"]),
    "bad range": (
        [*LSTM, "--config.optim.learning_rate=-1"],
        ["optim.learning_rate: expected a number > 0.0, got -1.0"],
    ),
    "missing config file": (["--config=no/such/config.py"], ["no/such/config.py"]),
    "broken config file": (["--config={broken}"], ["broken.py"]),
    "config of another kind": (
        [f"--config={ROOT / 'README.md'}"],
        ["--config: expected a file of Python (.py), got", "README.md"],
    ),
    "nobody to join": (
        [*LSTM, "--distributed"],
        ["--distributed: expected a TPU pod, a Slurm job, or --coordinator_address"],
    ),
    "hosts that do not join": (
        [*LSTM, "--process_id=0"],
        ["--process_id: expected it with --distributed, got it alone"],
    ),
    "no config": ([], ["--config: expected a file"]),
    "unknown flag": ([*LSTM, "--wrkdir=here"], ["wrkdir"]),
    "no flag": ([*LSTM, "here"], ["expected flags only, got 'here'"]),
    "missing data file": (
        [*LSTM, "--config.data.source=files", "--config.data.train_file=gone.csv"],
        ["data.train_file: expected a file to read", "gone.csv"],
    ),
    "workdir in use": (
        [*LSTM, "--workdir={used}"],
        ["expected a folder that no other process uses, got one of process {pid} on"],
    ),
    "workdir without a name": (
        [*LSTM, "--workdir="],
        ["--workdir: expected a folder, got ''"],
    ),
    "workdir is a file": ([*LSTM, "--workdir={broken}"], ["--workdir", "broken.py"]),
}


@pytest.fixture(scope="module")
def refusals(process_environment, tmp_path_factory):
    """(stdout, stderr, exit code) of every mistake."""
    folder = tmp_path_factory.mktemp("mistakes")
    broken, used = folder / "broken.py", folder / "used"
    broken.write_text(BROKEN_CONFIG)

    def fill_in(mistake):
        arguments, _ = MISTAKES[mistake]
        filled = [a.format(broken=broken, used=used) for a in arguments]
        if any(a.startswith("--workdir") for a in filled):
            return filled
        return [*filled, f"--workdir={folder / mistake}"]

    with locked(Workdir(used)):
        done = subprocess.run(
            [sys.executable, str(MISTAKEN)],
            cwd=ROOT,
            env=process_environment(),
            input=json.dumps([fill_in(mistake) for mistake in MISTAKES]),
            capture_output=True,
            text=True,
            timeout=240,
        )
    assert done.returncode == 0, done.stderr
    return dict(zip(MISTAKES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line(mistake, refusals):
    out, err, code = refusals[mistake]
    assert code == 2, err
    assert "Traceback" not in err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    for said in MISTAKES[mistake][1]:
        assert said.replace("{pid}", str(os.getpid())) in err
    assert out == ""


CHANGED = (
    "from lstm_jax.training.config import default_config\n"
    "def get_config():\n"
    "    config = default_config()\n"
)
# A config file that a user may write, and what its one line must say after its name.
BAD_CONFIGS = {
    "syntax": (
        "def get_config(:",
        ", line 1: expected a config file that runs, got Sy",
    ),
    "name": (
        "a = 1\nb = aa",
        ", line 2: expected a config file that runs, got NameErr",
    ),
    "import": (
        "import jaxx.numpy",
        ", line 1: expected a config file that runs, got Mod",
    ),
    "bytes": ("\0", ": expected a config file that runs, got SyntaxError"),
    "exit": (
        "import sys\nsys.exit()",
        ", line 2: expected a config file that runs, got S",
    ),
    "raises": (
        "def get_config():\n  raise ValueError('a\\nb')",
        "line 2: expected a con",
    ),
    "deep": ("def get_config():\n  return get_config()", "RecursionError"),
    "no function": ("get_confg = dict", "no attribute 'get_config'"),
    "an argument": ("def get_config(size):\n  return {}", "missing 1 required"),
    "nothing": ("def get_config():\n  {}", ": expected get_config() to return a"),
    "a dict": ("def get_config():\n  return {}", "default_config(), got dict; con"),
    "misspelt": (CHANGED + "    config.model.hiden = 3", ", line 4: expected a con"),
    "a type": (CHANGED + "    config.seed = 'a'", ", line 4: expected a config file"),
}


@pytest.mark.parametrize("kind", BAD_CONFIGS)
@pytest.mark.parametrize("more", [[], ["--config.seed=3"]], ids=["as it is", "changed"])
def test_a_config_file_that_fails_is_told_in_one_line(
    kind, more, tmp_path, caplog, monkeypatch
):
    content, said = BAD_CONFIGS[kind]
    path = tmp_path / "my config.py"
    path.write_text(content)
    # Left by a file before: a module that is loaded again keeps its functions.
    monkeypatch.delitem(sys.modules, "config_config", raising=False)
    # Where ml_collections looks for the settings that are changed.
    monkeypatch.setattr(sys, "argv", ["train.py", f"--config={path}", *more])
    with flagsaver.flagsaver(), pytest.raises(UserError) as error:
        train.read_flags(sys.argv)
    message = str(error.value)
    assert message.startswith(str(path)) and "\n" not in message
    assert len(message) < len(str(path)) + 400
    assert more or said in message
    assert "command line" not in message and not caplog.records


def test_a_flag_that_is_wrong_is_not_blamed_on_the_config():
    argv = ["train.py", "--num_processes=two", *LSTM]
    with flagsaver.flagsaver(), pytest.raises(UserError, match="--num_processes=two"):
        train.read_flags(argv)


def test_a_home_folder_that_is_not_there_is_told_in_one_line():
    train.flags.FLAGS.mark_as_parsed()
    with (
        flagsaver.flagsaver(workdir="~nosuchuser/run"),
        pytest.raises(UserError, match="--workdir: expected a path, got '~nosuchuser"),
    ):
        train.run(Config(), "python train.py", Interruption())


class Outcome:
    def __init__(self, workdir, process):
        self.workdir = workdir
        self.out, self.err = process.communicate(timeout=240)
        self.code, self.steps = process.returncode, saved_steps(workdir)


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """A PYTHONPATH on which importing TensorFlow fails, also after a restart."""
    folder = tmp_path_factory.mktemp("path")
    block = "import sys\nsys.modules['tensorflow'] = None\n"
    (folder / "sitecustomize.py").write_text(block)
    return f"{folder}{os.pathsep}{ROOT}"


@pytest.fixture(scope="module")
def finished(train_command, small_flags, tmp_path_factory, without_tensorflow):
    workdir = tmp_path_factory.mktemp("finished")
    process = train_command(
        *small_flags, f"--workdir={workdir}", PYTHONPATH=without_tensorflow
    )
    return Outcome(workdir, process)


def test_a_run_trains_through_without_tensorflow(finished):
    assert finished.code == 0, finished.err
    assert "Traceback" not in finished.err
    summary = json.loads((finished.workdir / "summary.json").read_text())
    assert summary["epochs_run"] == 3


def test_a_run_says_what_came_out_and_where_it_is(finished):
    summary = json.loads((finished.workdir / "summary.json").read_text())
    last = finished.out.strip().splitlines()
    assert last[-1].startswith(f"Results are in {finished.workdir}")
    assert f"best epoch {summary['best_epoch']} of 3" in last[-2]
    assert f"accuracy {summary['test']['accuracy']:.2%}" in last[-3]
    assert "(19 reviews)" in last[-3]
    assert f"accuracy {summary['val']['accuracy']:.2%}" in last[-4]


def test_a_changed_setting_is_in_config_json(finished):
    settings = json.loads((finished.workdir / "config.json").read_text())
    assert settings["model"]["hidden_size"] == 4
    assert settings["optim"]["learning_rate"] == 0.03


LOOP = "lstm_jax.training.loop"
# What ends one run again and again, in this order: the place that it comes to for the
# n-th time since it went on, and what happens there.
BLOWS = {
    "a full disk": f"{LOOP}:_save:1:FILL",
    "a signal": f"{LOOP}:_count:2:SIGTERM",
    "two signals": f"{LOOP}:_count:3:TWICE",
    "a kill": f"{LOOP}:_count:4:SIGKILL",
}
# The same for a disk that is full when something else is about to be written.
FULL = {
    "about.json": f"{LOOP}:set_up:1:FILL",
    "tokenizer.json": "lstm_jax.training.about:save_text:1:FILL",
    "metrics.jsonl": f"{LOOP}:_count:1:FILL",
    "checkpoints": f"{LOOP}:_save:1:FILL",
    "checkpoints again": f"{LOOP}:_save:2:FILL",
    "predictions.npz": "lstm_jax.training.classification:save_predictions:1:FILL",
    "summary.json": f"{LOOP}:summarize:1:FILL",
    "explanations.npz": "lstm_jax.report:write_report:1:FILL",
    "plots/loss.png": "lstm_jax.report.write:draw_findings:1:FILL",
    "report.html": "lstm_jax.report.write:page:1:FILL",
}


@pytest.mark.parametrize("place", [*BLOWS.values(), *FULL.values()])
def test_a_blow_has_its_place(place):
    module, name, *_ = place.split(":")
    assert callable(operator.attrgetter(name)(importlib.import_module(module)))


@pytest.fixture(scope="module")
def hit_again_and_again(train_command, process_environment, small_flags):
    """Start one run until all blows have ended it, then once more without any."""

    def start(workdir, place):
        room = str(workdir.parent)
        return subprocess.Popen(
            [sys.executable, HIT, *small_flags, f"--workdir={workdir}"],
            cwd=ROOT,
            env=process_environment(HIT=place, ROOM=room),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(workdir, blows):
        outcomes = {}
        for what, place in blows.items():
            outcomes[what] = Outcome(workdir, start(workdir, place))
            (workdir.parent / "filler").unlink(missing_ok=True)
        command = train_command(*small_flags, f"--workdir={workdir}")
        return {**outcomes, "nothing": Outcome(workdir, command)}

    return run


@pytest.fixture(scope="module")
def ended(hit_again_and_again, make_small_disk, tmp_path_factory):
    """The outcome of each blow; without that of the disk where none can be made."""
    disk, blows = make_small_disk(), dict(BLOWS)
    if disk is None:
        del blows["a full disk"]
    folder = disk or tmp_path_factory.mktemp("ended")
    return hit_again_and_again(folder / "run", blows)


def test_a_run_goes_on_when_nobody_reads_what_it_prints(
    process_environment, small_flags, tmp_path
):
    """As after ``2>&1 | head -1``."""
    running = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *small_flags, f"--workdir={tmp_path}"],
        cwd=ROOT,
        env=process_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert running.stdout.readline()
    running.stdout.close()
    assert running.wait(300) == 0
    assert (tmp_path / "report.html").exists()


def test_a_run_without_a_device_is_told_in_one_line(
    train_command, small_flags, tmp_path
):
    flags = [*small_flags, f"--workdir={tmp_path / 'run'}"]
    running = train_command(*flags, JAX_PLATFORMS="nonsense")
    out, err = running.communicate(timeout=300)
    assert (running.returncode, out) == (2, ""), err
    assert (
        "error: JAX_PLATFORMS=nonsense: expected a device to compute on, got: " in err
    )
    assert "Traceback" not in err and not (tmp_path / "run").exists()


def test_a_signal_is_answered_by_how_to_go_on(ended):
    outcome = ended["a signal"]
    assert (outcome.code, outcome.steps) == (143, [2]), outcome.err
    last = outcome.err.strip().splitlines()[-1]
    assert last.startswith("Stopped by SIGTERM; step 2 is saved. To go on: python ")
    assert last.endswith(f"--workdir={outcome.workdir}")
    assert "Traceback" not in outcome.err


def test_a_second_signal_ends_a_run_at_once(ended):
    outcome = ended["two signals"]
    assert (outcome.code, outcome.steps) == (130, [2, 3]), outcome.err
    assert outcome.err.strip().endswith("a second one stops at once.")
    assert "Traceback" not in outcome.err


def assert_told_of_a_full_disk(outcome, name):
    """In one line, but for progress bars and what the run says of its devices."""
    assert outcome.code == 2, outcome.err
    lines = [line for line in re.split("[\r\n]+", outcome.err) if line.strip()]
    said, *more = (x for x in lines if not re.match("INFO: |epoch [0-9]", x))
    assert more == [], outcome.err
    assert said.startswith("error: ") and f"{outcome.workdir / name}" in said
    assert "No space left on device" in said
    assert said.endswith("the same command goes on")


def test_a_full_disk_ends_a_run_in_one_line(ended):
    if "a full disk" not in ended:
        pytest.skip("a file system to fill up needs root")
    outcome = ended["a full disk"]
    assert_told_of_a_full_disk(outcome, "checkpoints")
    assert outcome.steps == []


def test_a_killed_run_says_nothing(ended):
    outcome = ended["a kill"]
    assert outcome.code == -signal.SIGKILL
    assert outcome.steps[-1] in (5, 6)  # the last save may have been cut off


def test_whatever_has_ended_a_run_the_same_command_goes_on(ended, finished, measured):
    outcome = ended["nothing"]
    assert_finished_alike(outcome, finished, measured)


def assert_finished_alike(outcome, finished, measured):
    assert outcome.code == 0, outcome.err
    assert measured(outcome.workdir) == measured(finished.workdir)
    assert outcome.steps == finished.steps
    for part in ("state", "best"):
        folders = (outcome.workdir, finished.workdir)
        assert_same_bits(*(checkpoint(folder, part) for folder in folders))
    ours, theirs = (set(os.listdir(f)) for f in (outcome.workdir, finished.workdir))
    assert {x for x in ours - theirs if "events" not in x} == set()


@pytest.mark.slow
def test_a_disk_may_be_full_whenever_something_is_written(
    hit_again_and_again, small_disk, finished, measured
):
    ended = hit_again_and_again(small_disk / "run", FULL)
    assert_finished_alike(ended.pop("nothing"), finished, measured)
    for name, outcome in ended.items():
        assert_told_of_a_full_disk(outcome, name.split()[0])


@pytest.mark.parametrize(
    ("cores", "devices"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (64, 8)]
)
def test_the_host_has_one_device_a_core_up_to_eight(cores, devices):
    flags = host_settings({}, cores)["XLA_FLAGS"]
    assert flags == f"--xla_force_host_platform_device_count={devices}"


def test_the_users_own_flags_are_kept():
    flags = host_settings({"XLA_FLAGS": "--xla_dump_to=here"}, 2)["XLA_FLAGS"]
    assert flags.split() == [
        "--xla_dump_to=here",
        "--xla_force_host_platform_device_count=2",
    ]
    own = {"XLA_FLAGS": "--xla_force_host_platform_device_count=5"}
    assert "XLA_FLAGS" not in host_settings(own, 2)
    allocator = {"MALLOC_TRIM_THRESHOLD_": "7", "GLIBC_TUNABLES": "glibc.x=1"}
    assert not set(allocator) & set(host_settings(allocator, 2))


@pytest.mark.parametrize(("platforms", "may"), [("cpu", False), ("cuda,cpu", True)])
def test_the_users_choice_of_platform_is_heeded(platforms, may):
    assert may_have_accelerator({"JAX_PLATFORMS": platforms}) is may


def test_a_process_is_prepared_once(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execv", lambda *args: started.append(args))
    monkeypatch.setattr(os, "environ", {"JAX_PLATFORMS": "cpu"})
    monkeypatch.setattr(host, "count_cores", lambda: 2)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "train.py", "--x=1"])
    prepare_host()
    assert started == [(sys.executable, [sys.executable, "-u", "train.py", "--x=1"])]
    assert os.environ["XLA_FLAGS"] == "--xla_force_host_platform_device_count=2"
    prepare_host()
    assert len(started) == 1


def test_a_process_with_an_accelerator_is_left_alone(monkeypatch):
    environ = {"JAX_PLATFORMS": "cuda"}
    monkeypatch.setattr(os, "execv", lambda *args: pytest.fail("restarted"))
    monkeypatch.setattr(os, "environ", environ)
    prepare_host()
    assert environ == {"JAX_PLATFORMS": "cuda"}


def test_importing_the_package_leaves_the_process_alone(process_environment):
    code = "import os; before = dict(os.environ); import lstm_jax, lstm_jax.host; "
    code += "assert dict(os.environ) == before"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=process_environment(), capture_output=True)
    assert done.returncode == 0, done.stderr


def test_help_is_no_mistake(train_command):
    process = train_command("--help", "--noprepare_host")
    printed, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "--config" in printed and "--workdir" in printed
    assert "Traceback" not in printed + err


LACKING = {
    "disk": (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "room to write"),
    "quota": (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "a.txt"), "a.txt: "),
    "memory": (MemoryError(), "fit into memory"),
    "device memory": (
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nwhile ..."),
        "fit into memory",
    ),
}


@pytest.mark.parametrize("what", LACKING)
def test_a_machine_too_small_is_told_in_one_line(what, monkeypatch, capsys):
    error, said = LACKING[what]

    def run(*args):
        raise error

    monkeypatch.setattr(train, "read_flags", lambda argv: "config")
    monkeypatch.setattr(train, "_DISTRIBUTED", SimpleNamespace(value=False))
    monkeypatch.setattr(train, "run", run)
    assert train.main(["train.py"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and said in err
    # Not after advice to change the settings, with which it would not.
    assert ("the same command goes on" in err) == (what in ("disk", "quota"))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "odd"), RuntimeError("odd")])
def test_an_error_of_ours_is_not_hidden(error, monkeypatch):
    def run(*args):
        raise error

    monkeypatch.setattr(train, "read_flags", lambda argv: "config")
    monkeypatch.setattr(train, "_DISTRIBUTED", SimpleNamespace(value=False))
    monkeypatch.setattr(train, "run", run)
    with pytest.raises(type(error), match="odd"):
        train.main(["train.py"])


def test_what_only_the_end_of_a_run_needs_does_not_hold_up_its_start():
    seen = "import sys, train; print(sorted({'matplotlib', 'PIL'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", seen], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_process_is_prepared_before_jax_is_imported():
    """Else JAX is imported twice: once by the process that starts again."""
    code = "import runpy, sys; runpy.run_path('lstm_jax/host.py'); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "jax" not in done.stdout.split(), done.stderr
    before = (ROOT / "train.py").read_text().partition('prepare_host"]()')[0]
    assert not re.search(r"^(import|from) (jax|lstm_jax)", before, re.MULTILINE)
