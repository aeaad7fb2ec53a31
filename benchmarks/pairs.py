r"""Language models of both directions, then classifiers from them, a pair a seed.

    python benchmarks/pairs.py --language_model lm_large --classifier finetune_large \
        --seeds 0 1 2 --at_once 6 --seconds 560 [--config.data....=... ...]

Stops in good order after ``--seconds``; the same command goes on.  The settings are
those of all runs.  Each run has a folder below ``--workdir`` and a file of what it
printed; ``benchmarks/subsets.py`` compares them, alone and averaged.  Runs at once
share the memory of a GPU; on a CPU, one at a time has all cores.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
_LOOK = 0.5  # seconds between looks at the runs


class Job(NamedTuple):
    """One run, and what it prints to."""

    command: list[str]
    log: Path


def main() -> int:
    """Run what is not there yet; 75 ("try again") when time was up, else 0 or 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--language_model", default="lm")
    parser.add_argument("--classifier", default="finetune")
    parser.add_argument("--workdir", type=Path, default=Path("runs/pairs"))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--at_once", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    arguments, settings = parser.parse_known_args()
    deadline = time.monotonic() + arguments.seconds
    arguments.workdir.mkdir(parents=True, exist_ok=True)
    for stage in stages(arguments, settings):
        if code := run(stage, arguments.at_once, deadline):
            return code
    return 0


def stages(arguments: argparse.Namespace, settings: list[str]) -> list[list[Job]]:
    """The language models; when they are through, the classifiers."""

    def job(name: str, folder: str, *more: str) -> Job:
        """The command that a user would type."""
        path = (arguments.workdir / folder).absolute()
        words = [sys.executable, "train.py", "--config", f"configs/{name}.py"]
        words += [f"--workdir={path}", *more, *settings]
        return Job(words, path.with_name(f"{folder}.log"))

    models, classifiers = [], []
    for direction in ("", "_backward"):
        model = arguments.language_model + direction
        models.append(job(model, model))
        begin = (arguments.workdir / model).absolute()
        for seed in arguments.seeds:
            name = arguments.classifier + direction
            more = f"--config.seed={seed}", f"--config.model.pretrained={begin}"
            classifiers.append((seed, job(name, f"{name}-seed{seed}", *more)))
    # Both of a pair before the next seed, should the time be short.
    classifiers.sort(key=lambda found: found[0])
    return [models, [job for _, job in classifiers]]


def run(jobs: list[Job], at_once: int, deadline: float) -> int:
    """Run all, some at once; 0, or 75 when time was up, or 1 when one has failed."""
    waiting, running = list(jobs), []
    share = 0.9 / max(1, min(at_once, len(jobs)))
    try:
        while waiting or running:
            if time.monotonic() >= deadline:
                print("Time is up; the same command goes on.", flush=True)
                return 75
            while waiting and len(running) < at_once:
                running.append(start(waiting.pop(0), share))
            time.sleep(_LOOK)
            # Asked once: one that ends between two questions would be passed over.
            codes = [process.poll() for _, process in running]
            for (job, _), code in zip(running, codes, strict=True):
                if code:
                    print(f"{job.log}: exit status {code}", flush=True)
                    return 1
            asked = zip(running, codes, strict=True)
            running = [one for one, code in asked if code is None]
    finally:
        stop([process for _, process in running])
    return 0


def start(job: Job, share: float) -> tuple[Job, subprocess.Popen]:
    """Start a run, with a share of a GPU's memory unless the user has set one."""
    print(" ".join(job.command), flush=True)
    memory = {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{share:.3f}"}
    with job.log.open("a", encoding="utf-8") as log:
        return job, subprocess.Popen(
            job.command, cwd=ROOT, env=memory | os.environ, stdout=log, stderr=log
        )


def stop(processes: list[subprocess.Popen]) -> None:
    """Let each save where it is, and wait for that."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
