"""Print how fast this process multiplies: 10^9 operations a second, all devices.

The largest of a few products of float32 matrices, each device with a batch of its own,
as a training step has it.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

SIZES = (512, 1024, 2048)
RUNS = 9


def main() -> None:
    """Print it in the form of ``worker.py``."""
    print("=> " + json.dumps(round(max(map(measure, SIZES)), 1)), flush=True)


def measure(size: int) -> float:
    """Of square matrices, one pair a device; the best of a few runs."""
    devices = jax.devices()
    split = NamedSharding(Mesh(devices, ("batch",)), PartitionSpec("batch"))
    shape = (len(devices), size, size)
    a = jax.device_put(jax.random.normal(jax.random.key(0), shape), split)
    product = jax.jit(lambda a: jnp.einsum("bij,bjk->bik", a, a), out_shardings=split)
    seconds = min(_seconds(lambda: product(a)) for _ in range(RUNS))
    return 2 * len(devices) * size**3 / 1e9 / seconds


def _seconds(run: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
