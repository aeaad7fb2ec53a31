"""What ``pip install -e .`` leaves a user with."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_clone_does_not_hide_the_package_from_scripts_beside_it(tmp_path):
    """The clone is a folder of the package's name, and no package."""
    (tmp_path / "lstm_jax").mkdir()
    code = "import importlib.util as u; print(u.find_spec('lstm_jax').origin)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(ROOT / "lstm_jax" / "__init__.py")
