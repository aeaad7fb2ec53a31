"""Time a forward pass and a training step of an LSTM on a GPU.

    python benchmarks/gpu.py

Ours with each of its implementations ("x1": with one step in an iteration of the loop),
Flax, and torch with cuDNN, on the model of ``benchmarks/step.py``: the same numbers,
checked to be equal first.  One process for the libraries of JAX, which compile side by
side, and then one for torch.
Medians go to ``results/speed/gpu.json``, and with ``benchmarks/speed_table.py`` into
README.  Ours classifies in float32 with the embedding folded into the LSTM, as its
``Predictor`` does.  Needs the ``[bench]`` extra, and JAX and torch with CUDA.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rows import keep, read
from speed.case import Case, draw

from lstm_jax.kernels.pallas import LARGEST_SIZE

OUTPUT = Path(__file__).resolve().parent.parent / "results" / "speed" / "gpu.json"
CASES = (
    Case(512, 256, 10_000, 128, 128),
    Case(512, 256, 10_000, 1024, 1024, dtype="bfloat16"),
    Case(512, 256, 10_000, 1024, 1024),
    Case(32, 256, 10_000, 128, 128),
    Case(128, 1024, 10_000, 512, 512),
    Case(512, 256, 10_000, 128, 128, dtype="bfloat16"),
    Case(128, 200, 10_000, 64, 32),
    Case(64, 256, 20_000, 256, 256),
    Case(512, 256, 10_000, 512, 512, masked=True),
    Case(32, 1024, 10_000, 1024, 1024),
)
LIBRARIES = (
    *("ours, fused", "ours, fused x1", "ours, scan", "ours, cudnn", "ours, pallas"),
    "flax.linen",
)
TORCH = "torch"
THREADS = 12  # that compile
RUNS = 3  # before a program is timed
SECONDS = 0.15  # about, that each program is timed
SHOWN = 16  # logits that are written, for another process to compare
TOLERANCES = {"float32": 2e-3, "bfloat16": 2e-2}  # TF32 products, and rounding


def main() -> None:
    """Time all, as JAX's process or as torch's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="libraries; all but torch by default")
    parser.add_argument("--cases", nargs="*", type=int, default=range(len(CASES)))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    libraries = arguments.only or LIBRARIES
    print(f"{_gpu()}: {', '.join(libraries)}", flush=True)
    cases = [CASES[number] for number in arguments.cases]
    for case, rows in zip(cases, prepare_all(cases, libraries), strict=True):
        check_equal(case, rows, known_logits(arguments.output, case))
        save(arguments.output, case, time_case(case, rows))
    if not arguments.only:
        # A process of its own: both libraries would take most of the memory.
        again = [sys.executable, __file__, "--only", TORCH, "--cases"]
        again += [*map(str, arguments.cases), "--output", str(arguments.output)]
        subprocess.run(again, check=True)


def prepare_all(
    cases: Sequence[Case], libraries: Sequence[str]
) -> list[list[dict[str, Any]]]:
    """What is to be timed of each case, compiled side by side."""
    numbers = [draw(case) for case in cases]
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [
            [
                pool.submit(prepare, library, case, arrays)
                for library in libraries
                if can(library, case)
            ]
            for case, arrays in zip(cases, numbers, strict=True)
        ]
        return [[row.result() for row in rows] for rows in waiting]


def can(library: str, case: Case) -> bool:
    """Whether a library does a case."""
    if library == "ours, pallas":
        return case.hidden <= LARGEST_SIZE
    return library != "ours, cudnn" or case.dtype == "float32"


def time_case(case: Case, prepared: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All libraries on one case; those that failed are told with the reason."""
    rows = []
    for row in prepared:
        shown = {k: v for k, v in row.items() if k not in ("programs", "logits")}
        if "failed" not in row:
            for what in ("infer", "train"):
                shown[f"{what}_ms"] = time_program(getattr(row["programs"], what))
            rate = 3 * case.gigaflops / shown["train_ms"]
            shown["teraflops_per_second"] = round(rate, 2)
        print(f"{case.name}: {json.dumps(shown)}", flush=True)
        rows.append(shown)
    return rows


def prepare(library: str, case: Case, arrays: Any) -> dict[str, Any]:
    """Compile and run once; a library that cannot is told with its reason."""
    row: dict[str, Any] = {"library": library, "machine": _machine()}
    try:
        peers = "torch_peer" if library == TORCH else "jax_peers"
        make_programs = importlib.import_module(f"speed.{peers}").make_programs
        programs: Any = make_programs(library, case, arrays)
        logits = programs.infer().astype(np.float64)
        losses = [programs.train() for _ in range(2)]
    except Exception as error:  # whatever it is, the others are timed
        return row | {"failed": " ".join(str(error).split())[:300]}
    said = {"first_logits": logits[:SHOWN].round(6).tolist(), "losses": losses}
    return (
        row
        | {"version": programs.name, **said}
        | {
            "logits": logits,
            "programs": programs,
        }
    )


def known_logits(path: Path, case: Case) -> list[float]:
    """The first logits that another process has found, none where there was none."""
    rows = read(path).get(case.name, {"rows": []})["rows"]
    return next((row["first_logits"] for row in rows if "first_logits" in row), [])


def check_equal(case: Case, rows: list[dict[str, Any]], known: list[float]) -> None:
    """Mark those that do not compute what the first one does.

    All logits are those of the first row, and some those of another process.
    """
    able = [row for row in rows if "failed" not in row]
    for row in able:
        errors = [relative_error(row["logits"], able[0]["logits"])]
        if known:
            errors.append(relative_error(row["logits"][: len(known)], known))
        row["largest_difference"] = float(f"{max(errors):.2g}")
        if not max(errors) < TOLERANCES[case.dtype]:
            row["failed"] = f"logits that differ by {max(errors):.2g}"


def relative_error(a: Any, b: Any) -> float:
    """The norm of the difference over that of b."""
    return float(np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b))


def time_program(program: Any) -> float:
    """Milliseconds, the median."""
    seconds: list[float] = []
    while len(seconds) < RUNS + 5 or (sum(seconds) < SECONDS and len(seconds) < 100):
        begun = time.perf_counter()
        program()
        seconds.append(time.perf_counter() - begun)
    return round(1e3 * statistics.median(seconds[RUNS:]), 3)


def save(path: Path, case: Case, rows: list[dict[str, Any]]) -> None:
    """Add rows to a case of the file of results, in place of older ones."""
    old = read(path).get(case.name, {"rows": []})["rows"]
    new = {row["library"] for row in rows}
    kept = [row for row in old if row["library"] not in new]
    keep(path, case.name, {"rows": kept + rows})


def _machine() -> dict[str, str]:
    versions = {name: version(name) for name in ("jax", "torch")}
    return {"gpu": _gpu(), **versions}


def _gpu() -> str:
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
