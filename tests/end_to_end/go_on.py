"""Train in the folder named, from the config.json given; no report.

A program of its own, to be killed.  With ``--die-at=module:function:n`` it kills itself
before the n-th call of a function, where no outsider could hit it surely.
"""

import argparse
import faulthandler
import importlib
import json
import os
import signal
import sys
from pathlib import Path

from lstm_jax.training.config import from_dict
from lstm_jax.training.interruption import Interrupted, handle_signals
from lstm_jax.training.loop import train_and_evaluate


def die_at(place):
    module_name, path, count = place.split(":")
    owner = importlib.import_module(module_name)
    *owners, name = path.split(".")
    for part in owners:
        owner = getattr(owner, part)
    real, calls = getattr(owner, name), []

    def dying(*args, **kwargs):
        calls.append(name)
        if len(calls) == int(count):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(owner, name, dying)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--die-at", default="")
    arguments = parser.parse_args()
    faulthandler.dump_traceback_later(800, exit=True)  # where it hangs, if it does
    if arguments.die_at:
        die_at(arguments.die_at)
    config = from_dict(json.loads(arguments.config.read_text()))
    try:
        with handle_signals() as interruption:
            train_and_evaluate(config, arguments.folder, interruption)
    except Interrupted as stopped:
        sys.exit(stopped.exit_code)


if __name__ == "__main__":
    main()
