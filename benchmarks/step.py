"""Time a forward pass and a training step of an LSTM, ours and its peers'.

    python benchmarks/step.py [--only "ours, fused" torch] [--cases 0 1]

Each library runs in a process of its own; the processes take turns on the same
numbers, after their logits and losses have been found equal.  A peer is timed as its
users start it and, a second time, with the allocator settings that ``train.py`` gives
ours (``lstm_jax/host.py``); ours as ``train.py`` starts it and as a plain import.
Ours classifies with the embedding folded into the LSTM, as its ``Predictor`` does.
Medians go to ``results/speed/step.json``, and with ``benchmarks/speed_table.py`` into
README.  Needs the ``[bench]`` extra and a machine with nothing else to do.

    python benchmarks/step.py --flags

times ours alone, with each of a few flags of XLA that may make a CPU faster, and writes
``results/speed/flags.json``.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rows import keep, name_cpu
from speed.case import CASES, Case

from lstm_jax.host import count_cores, host_settings

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "results" / "speed"
WORKER = Path(__file__).resolve().parent / "speed" / "worker.py"
ROUNDS = 3
ROUND_SECONDS = 0.5  # about, of each program of each worker
PLAIN_ONLY = ("haiku", "equinox")  # have neither lengths nor a dtype of the products
# Other products than XLA's own choice, and wider vectors than it prefers.
FLAGS = {
    "oneDNN": (
        "--xla_cpu_use_onednn=true --xla_cpu_experimental_onednn_fusion_type="
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
    ),
    "no YNNPACK": "--xla_cpu_experimental_ynn_fusion_type=",
    "wide vectors": "--xla_cpu_prefer_vector_width=512",
}
LIBRARIES = (
    *("ours, fused", "ours, scan"),
    *("flax.linen", "flax.nnx", "haiku", "equinox"),
    *("keras jax", "keras tensorflow", "torch"),
)


class Entrant(NamedTuple):
    """A library, and how its process is started.

    Attributes:
      library: one of ``LIBRARIES``.
      start: "tuned" has our allocator settings, "plain" none; ours tuned has one
        device a core as well, as ``train.py`` gives it.  A key of ``FLAGS`` is tuned
        with those flags.
    """

    library: str
    start: str

    def environ(self) -> dict[str, str]:
        """Of its process."""
        added = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
        if self.start != "plain":
            own, flag = os.environ.get("XLA_FLAGS", ""), FLAGS.get(self.start, "")
            flags = {"XLA_FLAGS": f"{own} {flag}".strip()}
            added |= host_settings({**os.environ, **flags}, count_cores())
            if not self.library.startswith("ours"):
                added.pop("XLA_FLAGS", None)
        if self.library.startswith("keras"):
            added["KERAS_BACKEND"] = self.library.split()[1]
        return os.environ | added


class Worker:
    """A process that times one library."""

    def __init__(self, entrant: Entrant, case_number: int):
        """Start it and wait until it has compiled."""
        self.entrant = entrant
        command = [sys.executable, str(WORKER), entrant.library, str(case_number)]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(
            command, env=entrant.environ(), text=True, **pipes
        )
        self.ready = self._listen()
        self.seconds: dict[str, list[float]] = {"infer": [], "train": []}

    def run(self, what: str) -> None:
        """Time a program, once the caches are its own again."""
        known = self.seconds[what]
        count = round(ROUND_SECONDS / statistics.median(known)) if known else 1
        assert self._process.stdin
        self._process.stdin.write(f"{what} {max(count, 3) + 1}\n")
        self._process.stdin.flush()
        known += self._listen()[1:]

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _listen(self) -> Any:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("=> "):
                return json.loads(line[3:])
        raise SystemExit(f"{self.entrant}: ended with {self._process.wait()}")


def main() -> None:
    """Time every case, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=LIBRARIES)
    parser.add_argument("--starts", nargs="*", default=("tuned", "plain"))
    parser.add_argument("--flags", action="store_true")
    parser.add_argument("--cases", nargs="*", type=int, default=range(len(CASES)))
    arguments = parser.parse_args()
    for number in arguments.cases:
        if arguments.flags:
            entrants = [Entrant("ours, fused", s) for s in ("tuned", *FLAGS)]
            save("flags", CASES[number], time_case(number, entrants))
            continue
        # One start after the other: all at once, the large cases fill the memory.
        rows = [
            row
            for start in arguments.starts
            for row in time_case(number, pick(CASES[number], arguments.only, start))
        ]
        save("step", CASES[number], rows)


def pick(case: Case, libraries: Sequence[str], start: str) -> list[Entrant]:
    """Those that can do a case."""
    able = [x for x in libraries if is_plain(case) or x not in PLAIN_ONLY]
    return [Entrant(library, start) for library in able]


def save(name: str, case: Case, rows: list[dict[str, Any]]) -> None:
    """Add a case to a file of results."""
    keep(OUTPUT / f"{name}.json", case.name, {"machine": _machine(), "rows": rows})


def is_plain(case: Case) -> bool:
    """Whether a case asks for neither lengths nor another dtype."""
    return not case.masked and case.dtype == "float32"


def time_case(number: int, entrants: list[Entrant]) -> list[dict[str, Any]]:
    """All entrants in turns; the first round warms up and is left out."""
    workers = [Worker(entrant, number) for entrant in entrants]
    check_equal(workers, 1e-3 if CASES[number].dtype == "float32" else 3e-2)
    for turn in range(ROUNDS + 1):
        for worker in workers:
            for what in ("infer", "train"):
                if turn == 1:
                    worker.seconds[what] = worker.seconds[what][-1:]
                worker.run(what)
    for worker in workers:
        worker.stop()
    return [_row(worker, CASES[number]) for worker in workers]


def check_equal(workers: list[Worker], tolerance: float) -> None:
    """Refuse to time programs that do not compute the same."""
    first = workers[0].ready
    for worker in workers[1:]:
        for what in ("logits", "losses"):
            # Torch has two biases where others have one, and Adam moves both: after
            # the first step losses may differ.
            loose = [1, 5, 5] if what == "losses" else 1
            error = np.abs(np.subtract(worker.ready[what], first[what]))
            allowed = tolerance * (np.abs(first[what]) + 0.1) * loose
            assert (error <= allowed).all(), f"{what} of {worker.entrant}: {error}"


def _row(worker: Worker, case: Case) -> dict[str, Any]:
    medians = {k: statistics.median(v) for k, v in worker.seconds.items()}
    row = {
        "library": worker.entrant.library,
        "start": worker.entrant.start,
        "version": worker.ready["name"],
        "infer_ms": round(1e3 * medians["infer"], 2),
        "train_ms": round(1e3 * medians["train"], 2),
        "gigaflops_per_second": round(3 * case.gigaflops / medians["train"], 1),
        "runs": len(worker.seconds["train"]),
        "compile_seconds": round(worker.ready["compile_seconds"], 2),
    }
    print(f"{case.name}: {json.dumps(row)}", flush=True)
    return row


def _machine() -> dict[str, Any]:
    return {
        "cores": count_cores(),
        "cpu": name_cpu(),
        "python": platform.python_version(),
        "largest_product_gigaflops_per_second": _largest_product(),
    }


def _largest_product() -> float:
    """What XLA reaches on a large product, started as ours is; 10^9 operations."""
    environ = Entrant("ours, fused", "tuned").environ()
    command = [sys.executable, str(WORKER.with_name("largest_product.py"))]
    said = subprocess.run(
        command, env=environ, text=True, stdout=subprocess.PIPE, check=True
    )
    return float(said.stdout.partition("=> ")[2])


if __name__ == "__main__":
    main()
