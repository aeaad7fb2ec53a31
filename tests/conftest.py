"""Settings that every test runs under.  The first import of jax is below them."""

import os
import subprocess
import sys

import pytest

# Several devices; and programs that run once are worth neither LLVM's passes nor the
# newer of XLA's ways to write loops, nor parts compiled side by side, nor the lines of
# code that they came from: with all, compiling takes twice the time.  Those of
# commands, in processes of their own, are compiled as a user's are.
_FLAGS = {
    "xla_force_host_platform_device_count": "8",
    "xla_backend_optimization_level": "0",
    "xla_cpu_parallel_codegen_split_count": "1",
}
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
_OLD_LOOPS = "xla_cpu_use_fusion_emitters"


def _is_known(flag):
    """XLA ends the process at a flag that it does not know, and versions differ."""
    environment = os.environ | {"XLA_FLAGS": f"--{flag}=false", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", "import jax; jax.devices()"]
    return not subprocess.run(command, env=environment, capture_output=True).returncode


_given = os.environ.get("XLA_FLAGS", "")
# The workers of xdist are given it.
if _OLD_LOOPS not in _given and _is_known(_OLD_LOOPS):
    _FLAGS[_OLD_LOOPS] = "false"
_added = [f"--{flag}={value}" for flag, value in _FLAGS.items() if flag not in _given]
os.environ["XLA_FLAGS"] = " ".join([_given, *_added]).strip()

import hypothesis  # noqa: E402

# The same few examples on every machine: a failure in CI is a failure at home.
hypothesis.settings.register_profile(
    "default-ci", deadline=None, max_examples=12, derandomize=True
)
hypothesis.settings.load_profile("default-ci")


@pytest.fixture(scope="session")
def make_small_disk(tmp_path_factory):
    """Make file systems of eight megabytes; None where that needs another user."""
    made = []

    def make():
        folder = tmp_path_factory.mktemp("small")
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True).returncode:
            return None
        made.append(folder)
        return folder

    yield make
    for folder in made:
        # Once the threads of saves that failed have let go of it.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(make_small_disk):
    """A file system of eight megabytes, to fill up."""
    return make_small_disk() or pytest.skip("a file system to fill up needs root")
