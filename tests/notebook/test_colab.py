"""The notebook runs from its first cell to its last, at the versions that Colab has."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "colab.ipynb"
SHORT = """
from configs import offline

def get_config():
    config = offline.get_config()
    config.name = "short"
    config.data.max_length, config.data.num_buckets = 64, 1
    config.train.epochs = 2
    return config
"""
KEPT = ("lstm_jax", "configs", "notebooks", "train.py", "pyproject.toml", "README.md")


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_it_is_kept_without_outputs():
    for cell in cells(NOTEBOOK):
        assert not cell.get("outputs") and not cell.get("execution_count")


def test_its_settings_can_be_set_from_outside():
    tagged = [
        c for c in cells(NOTEBOOK) if "parameters" in c["metadata"].get("tags", ())
    ]
    assert len(tagged) == 1
    names = {line.split(" = ")[0] for line in tagged[0]["source"] if " = " in line}
    assert names == {"SOURCE", "CONFIG", "KEEP_IN_DRIVE"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository, which the installation may write into."""
    folder = tmp_path_factory.mktemp("colab") / "lstm_jax"
    folder.mkdir()
    for name in KEPT:
        path = ROOT / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, folder / name)
    (folder / "configs" / "short.py").write_text(SHORT)
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python with the packages of a Colab runtime."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    versions = ROOT / "notebooks" / "colab-versions.txt"
    install = [folder / "bin" / "pip", "install", "--quiet", "-r", versions]
    subprocess.run(install, check=True)
    return folder / "bin" / "python"


@pytest.fixture
def execute(checkout, python):
    """Run the notebook; what its cells showed."""
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    for name in ("XLA_FLAGS", "PYTHONPATH"):
        environment.pop(name, None)

    def run(output):
        command = [python, "-m", "papermill", "colab.ipynb", output]
        command += ["-p", "CONFIG", "short", "--no-progress-bar", "-k", "python3"]
        done = subprocess.run(
            command,
            cwd=checkout / "notebooks",
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.dumps([c.get("outputs") for c in cells(output)])

    return run


@pytest.mark.slow
def test_it_runs_at_colabs_versions_and_goes_on(execute, tmp_path):
    shown = execute(tmp_path / "first.ipynb")
    assert "jax 0.7.2 and flax 0.11.2 as they were" in shown
    assert "image/png" in shown and shown.count("<iframe srcdoc=") == 2
    assert "A film I will not forget." in shown
    assert "nothing was trained again" not in shown
    assert "nothing was trained again" in execute(tmp_path / "again.ipynb")
