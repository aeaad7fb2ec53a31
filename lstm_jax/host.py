"""Prepare the process for training on a CPU, before JAX starts.

Two things make a recurrent network faster on a CPU, and both must be set before JAX
starts or even before the process does:

* One XLA device a core.  A scan is a chain of small products; splitting each of
  them over the cores costs more than it gains, splitting the batch does not.
* An allocator that keeps its memory.  Each step frees and takes the same large
  buffers; by default glibc hands them back to the kernel in between, and every
  page is faulted in again.

This module imports nothing but the standard library, and importing ``lstm_jax``
never calls it: only programs do.
"""

import importlib.util
import os
import sys
from collections.abc import Mapping

_DONE = "LSTM_JAX_HOST_PREPARED"
_DEVICE_FLAG = "--xla_force_host_platform_device_count"
_MAX_DEVICES = 8  # more would leave each too few rows of a usual batch
_ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def prepare_host() -> None:
    """Start this program again, once, with the settings in its environment.

    Does nothing the second time, or where a GPU or TPU may be used.  A variable
    that the user has set stays as it is.
    """
    if os.environ.get(_DONE) or may_have_accelerator(os.environ):
        return
    settings = host_settings(os.environ, count_cores())
    os.environ.update(settings | {_DONE: "1"})
    if sys.platform == "linux":
        # The C library reads its settings only when a process starts.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def host_settings(environ: Mapping[str, str], cores: int) -> dict[str, str]:
    """The variables to add to ``environ`` on a machine with so many cores.

    >>> host_settings({}, cores=3)["XLA_FLAGS"]
    '--xla_force_host_platform_device_count=2'
    """
    settings = {k: v for k, v in _ALLOCATOR.items() if k not in environ}
    flags = environ.get("XLA_FLAGS", "")
    if _DEVICE_FLAG not in flags:
        devices = min(1 << (cores.bit_length() - 1), _MAX_DEVICES)
        settings["XLA_FLAGS"] = f"{flags} {_DEVICE_FLAG}={devices}".strip()
    return settings


def may_have_accelerator(environ: Mapping[str, str]) -> bool:
    """Whether JAX may find a GPU or TPU, told without starting JAX."""
    platforms = environ.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms != "cpu"
    plugins = importlib.util.find_spec("jax_plugins")
    return plugins is not None or importlib.util.find_spec("libtpu") is not None


def count_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
