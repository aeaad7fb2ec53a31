"""Time the whole job: from a command to a validation accuracy, ours and peers'.

    python benchmarks/job.py [--only NAME ...] [--config.data....=... for all]

Each command runs in a process of its own, one after another, on the real reviews; what
counts is the clock on the wall from its start: imports, loading, compilation, training
and the evaluations on the way.  All read the same tokens, from the same cache.  It is
stopped once it has reached every target.  Several turns, each reported: ours finds its
programs compiled from the second on.  Writes
``results/speed/job.json``; ``benchmarks/speed_table.py`` puts it into README.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "results" / "speed" / "job.json"
TARGETS = (0.85, 0.87)
TUTORIAL = ("--config", "configs/keras_lstm_200.py")
ENTRANTS = {
    "Keras, as its tutorial": ("benchmarks/published.py", *TUTORIAL),
    "torch, as its tutorials": (
        *("benchmarks/published.py", *TUTORIAL),
        *("--library", "torch"),
    ),
    "torch, batches by length": (
        *("benchmarks/published.py", *TUTORIAL),
        *("--library", "torch", "--by_length"),
    ),
    "ours, the same model": ("train.py", *TUTORIAL),
    "ours, lstm_quick": ("train.py", "--config", "configs/lstm_quick.py"),
}
# What train.py and benchmarks/published.py print after the validation of an epoch.
_EPOCH = re.compile(
    r"epoch (\d+)(?:/\d+: validation .*accuracy (?P<percent>[\d.]+)%"
    r"|: \{.*'val': \{.*'accuracy': (?P<share>[\d.]+))"
)


def main() -> None:
    """Time every entrant, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=ENTRANTS, choices=list(ENTRANTS))
    parser.add_argument("--turns", type=int, default=3)
    arguments, settings = parser.parse_known_args()
    done = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    for name in arguments.only:
        turns = [run(ENTRANTS[name], settings) for _ in range(arguments.turns)]
        done[name] = summarize(turns)
        print(json.dumps({name: done[name]}), flush=True)
        save(done)


def save(done: dict[str, Any]) -> None:
    """Write the results, in the order of ``ENTRANTS``."""
    ordered = {name: done[name] for name in ENTRANTS if name in done}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(ordered, indent=1) + "\n")


def run(command: tuple[str, ...], settings: list[str]) -> list[dict[str, float]]:
    """Run until every target is reached; each epoch's accuracy, and when it came."""
    epochs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        options = ["--workdir", f"{folder}/work"]
        if "published.py" in command[0]:
            options += ["--output", folder]
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command, *settings, *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line)
            if found := read_epoch(line):
                epochs.append(found | {"seconds": time.perf_counter() - begun})
                if found["accuracy"] >= max(TARGETS):
                    break
        process.kill()
        process.wait()
    if not epochs:
        sys.exit("".join(said) + f"expected epochs from {command}, got none")
    return epochs


def read_epoch(line: str) -> dict[str, float] | None:
    """The number and the validation accuracy of an epoch, where a line has them.

    >>> read_epoch("epoch 2/10: validation loss 0.34, accuracy 85.56% (best)")
    {'epoch': 2, 'accuracy': 0.8556}
    >>> read_epoch("epoch 1: {'eval_seconds': 1.0, 'val': {'accuracy': 0.81}}")
    {'epoch': 1, 'accuracy': 0.81}
    """
    found = _EPOCH.search(line)
    if not found:
        return None
    percent = found["percent"]
    accuracy = round(float(percent) / 100, 4) if percent else float(found["share"])
    return {"epoch": int(found[1]), "accuracy": accuracy}


def summarize(turns: list[list[dict[str, float]]]) -> dict[str, Any]:
    """How long each turn took to each target, and the best of all."""
    return {
        "seconds_to": {
            f"{target:.0%}": [_reached(epochs, target) for epochs in turns]
            for target in TARGETS
        },
        "best_accuracy": max(e["accuracy"] for epochs in turns for e in epochs),
        "turns": [
            [{k: round(v, 4) for k, v in epoch.items()} for epoch in epochs]
            for epochs in turns
        ],
    }


def _reached(epochs: list[dict[str, float]], target: float) -> float | None:
    seconds = [e["seconds"] for e in epochs if e["accuracy"] >= target]
    return round(seconds[0], 1) if seconds else None


if __name__ == "__main__":
    main()
