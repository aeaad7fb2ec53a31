"""``train.py``, hit when it comes to a place for the n-th time.

The place is in ``HIT``, as ``lstm_jax.training.loop:evaluate:2:SIGTERM``; the signal
comes before the call.  Several places are separated by blanks.

Besides signals there are ``TWICE``, SIGINT and once more a little later, and ``FILL``:
the file system of the folder in ``ROOM`` is full from then on.
"""

import importlib
import os
import signal
import sys
import time
from pathlib import Path

from lstm_jax.host import prepare_host

if __name__ == "__main__" and "--noprepare_host" not in sys.argv:
    prepare_host()

import train


def blow(sent):
    """Do to this process what ``sent`` says."""
    if sent == "FILL":
        fill(Path(os.environ["ROOM"]))
    elif sent == "TWICE":
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(2)  # for the save that is under way
        time.sleep(60)  # nothing but the second signal ends this
    else:
        os.kill(os.getpid(), getattr(signal, sent))


def fill(folder):
    """Leave no room in the file system of a folder."""
    with (folder / "filler").open("ab", 0) as file:
        for size in (2**16, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


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
            blow(sent)
        return real(*args, **kwargs)

    setattr(module, name, hitting)


if __name__ == "__main__":
    for place in os.environ["HIT"].split():
        hit(place)
    sys.exit(train.main(sys.argv))
