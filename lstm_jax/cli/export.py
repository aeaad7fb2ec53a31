"""``lstm-jax export``: one file that predicts without the code that trained it."""

import argparse
import sys

from lstm_jax.errors import UserError
from lstm_jax.export import PLATFORMS, export_model
from lstm_jax.export_onnx import export_onnx
from lstm_jax.paths import expand
from lstm_jax.trained import load_trained


def run(options: argparse.Namespace) -> None:
    """Write the file and say where it is."""
    path = expand(options.output, "--output")
    if not path.name:
        raise UserError(f"--output: expected a file to write, got {options.output!r}")
    export, what_for = _EXPORTS[options.format]
    export(load_trained(expand(options.workdir, "--workdir")), path)
    print(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, for {what_for}", file=sys.stderr
    )


_EXPORTS = {
    "stablehlo": (export_model, f"lstm-jax --model on {', '.join(PLATFORMS)}"),
    "onnx": (export_onnx, "ONNX runtimes"),
}
