"""Time the training steps of a config, compilation apart.

    python benchmarks/time_training.py --config configs/keras_lstm_200.py --steps 50

Takes the steps of a first epoch, in their order, each prepared, put on the devices,
computed and waited for as ``train.py`` does it.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lstm_jax.host import count_cores, prepare_host

if __name__ == "__main__":
    prepare_host()

import jax
import numpy as np
from absl import flags
from ml_collections import config_flags
from published_flags import read_config, report_mistakes

from lstm_jax.training.clock import Clock
from lstm_jax.training.config import Config
from lstm_jax.training.run import Run, set_up
from lstm_jax.training.workdir import Workdir

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file under configs/.")
_STEPS = flags.DEFINE_integer("steps", 50, "How many steps to time.")


def main(argv: list[str]) -> None:
    """Print one JSON object."""
    config = read_config(_CONFIG, argv)
    print(json.dumps(time_config(config, _STEPS.value), indent=2))


def time_config(config: Config, count: int) -> dict[str, Any]:
    """Time ``count`` steps."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        run, snapshot = set_up(config, Workdir(Path(folder)), clock)
        seconds = _time_steps(run, snapshot.state, count)
        run.checkpoints.close()
        run.logbook.close()
    steps = run.task.steps_per_epoch
    return {
        "config_name": config.name,
        "steps_timed": count,
        "steps_an_epoch": steps,
        "seconds_a_step": round(float(np.median(seconds)), 5),
        # Batches are not of one length: the mean, unlike the median, adds up.
        "seconds_an_epoch": round(float(np.mean(seconds)) * steps, 2),
        "seconds_compiling": round(clock.stamp(snapshot.progress).compile_seconds, 2),
        "device": f"{run.task.mesh.size} x {jax.devices()[0].device_kind}",
        "cores": count_cores(),
        "jax": jax.__version__,
    }


def _time_steps(run: Run, state: Any, count: int) -> list[float]:
    """Seconds of each step; the first of each shape is taken once more before it."""
    batches, seconds, compiled = run.task.batches(0), [], set()
    for index in range(count):
        while True:
            begun = time.perf_counter()
            batch, _ = batches(index)
            state, sums = run.task.train_step(state, batch)
            jax.device_get(sums)
            elapsed = time.perf_counter() - begun
            if batch.token_ids.shape in compiled:
                break
            compiled.add(batch.token_ids.shape)
        seconds.append(elapsed)
    return seconds


if __name__ == "__main__":
    sys.exit(report_mistakes(main, sys.argv))
