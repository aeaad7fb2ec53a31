"""Times one library in a process of its own, on command.

Reads lines ``infer N`` or ``train N`` and answers each with the seconds of N runs, as
JSON; before the first it has compiled, and has said what its logits and losses are.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]
sys.path[:0] = [str(Path(__file__).resolve().parent.parent.parent)]

_MODULES = {"torch": "torch_peer", "keras": "keras_peer"}


def main() -> None:
    """Make the programs, then time what is asked for."""
    library, number = sys.argv[1], int(sys.argv[2])
    import importlib

    from speed.case import CASES, draw

    name = _MODULES.get(library.split()[0], "jax_peers")
    make_programs = importlib.import_module(f"speed.{name}").make_programs
    programs = make_programs(library, CASES[number], draw(CASES[number]))
    begun = time.perf_counter()
    logits = programs.infer()
    losses = [programs.train() for _ in range(3)]
    seconds = time.perf_counter() - begun
    ready = {"logits": logits.tolist(), "losses": losses, "name": programs.name}
    _say(ready | {"compile_seconds": seconds})
    for line in sys.stdin:
        what, count = line.split()
        _say(_time(getattr(programs, what), int(count)))


def _time(program: Callable[[], Any], count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        begun = time.perf_counter()
        program()
        seconds.append(time.perf_counter() - begun)
    return seconds


def _say(value: Any) -> None:
    print("=> " + json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
