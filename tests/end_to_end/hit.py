"""``train.py``, hit by a signal when it comes to a place for the n-th time.

The place is in ``HIT``, as ``lstm_jax.training.loop:evaluate:2:SIGTERM``; the signal
comes before the call.  Several places are separated by blanks.
"""

import importlib
import os
import signal
import sys

import train


def hit(place):
    module_name, name, count, sent = place.split(":")
    module = importlib.import_module(module_name)
    *owners, name = name.split(".")
    for owner in owners:
        module = getattr(module, owner)
    real, calls = getattr(module, name), []

    def hitting(*args, **kwargs):
        calls.append(name)
        if len(calls) == int(count):
            os.kill(os.getpid(), getattr(signal, sent))
        return real(*args, **kwargs)

    setattr(module, name, hitting)


if __name__ == "__main__":
    for place in os.environ["HIT"].split():
        hit(place)
    sys.exit(train.main(sys.argv))
