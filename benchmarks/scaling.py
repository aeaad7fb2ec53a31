"""How time and memory of a gradient grow with steps, batch, width and devices.

    python benchmarks/scaling.py

One LSTM layer of ours, forward and backward, in a process prepared as ``train.py``
prepares its own.  Time is the median of a few runs; memory is what the compiled
program asks for beside its arguments and results.  Writes
``results/speed/scaling.json``; ``benchmarks/speed_table.py`` puts it into
``docs/speed.md``.
"""

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
OUTPUT = ROOT / "results" / "speed" / "scaling.json"
RUNS = 7


class Point(NamedTuple):
    """What is run."""

    steps: int = 400
    batch: int = 32
    hidden: int = 128
    devices: int = 1
    chunk_size: int | None = None


def root_of(steps: int) -> int:
    """The divisor of ``steps`` that is nearest to its root; no chunk is left over.

    >>> root_of(1600), root_of(4000)
    (40, 50)
    """
    divisors = [n for n in range(1, steps + 1) if steps % n == 0]
    return min(divisors, key=lambda n: abs(math.log(n * n / steps)))


STEPS = (100, 200, 400, 800, 1600, 4000)
POINTS = {
    "steps": [Point(steps=n) for n in STEPS],
    "steps, chunks of the root": [Point(steps=n, chunk_size=root_of(n)) for n in STEPS],
    "batch": [Point(batch=n) for n in (8, 16, 32, 64, 128, 256)],
    "hidden": [Point(hidden=n, steps=100) for n in (32, 64, 128, 256, 512)],
    "devices": [Point(batch=64, devices=n) for n in (1, 2)],
}


def main() -> None:
    """Measure every point."""
    measured: dict[str, list[dict[str, Any]]] = {}
    for name, points in POINTS.items():
        measured[name] = [measure(point) for point in points]
        OUTPUT.parent.mkdir(parents=True, exist_ok=True)
        OUTPUT.write_text(json.dumps(measured, indent=1) + "\n")


def measure(point: Point) -> dict[str, Any]:
    """Seconds and bytes of a gradient."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from lstm_jax import lstm, unroll

    cell = lstm(point.hidden)
    mesh = Mesh(jax.devices()[: point.devices], ("batch",))
    split = NamedSharding(mesh, PartitionSpec(None, "batch"))
    whole = NamedSharding(mesh, PartitionSpec())
    shape = (point.steps, point.batch, point.hidden)
    xs = jax.device_put(jax.random.normal(jax.random.key(0), shape), split)
    params = jax.device_put(cell.init(jax.random.key(1), point.hidden), whole)

    def loss(params: Any, xs: Any) -> Any:
        # Of the last step alone: all of ys would be as long as T, whatever is kept.
        last = unroll(cell, params, xs, chunk_size=point.chunk_size)[0]
        return (last.h * last.h).sum()

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, xs).compile()
    memory = gradient.memory_analysis()
    if memory is None:
        sys.exit("expected a compiler that reports the memory of a program, got none")
    row = point._asdict() | {
        "milliseconds": round(1e3 * _median(lambda: gradient(params, xs)), 2),
        "temporary_megabytes": round(memory.temp_size_in_bytes / 1e6, 1),
    }
    print(json.dumps(row), flush=True)
    return row


def _median(run: Callable[[], Any]) -> float:
    import jax

    seconds = []
    for _ in range(RUNS + 2):
        begun = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[2:])


if __name__ == "__main__":
    from lstm_jax.host import prepare_host

    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    prepare_host()
    main()
