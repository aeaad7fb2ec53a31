"""The model that a command line names, and asking it many texts."""

import argparse
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from lstm_jax.ensemble import Ensemble
from lstm_jax.errors import UserError
from lstm_jax.inference import Predictor
from lstm_jax.paths import expand

# Texts that are judged together, and how many times so many at once: some become
# numbers while others are computed.
_PART, _AT_ONCE = 1024, 2
# Fewer are done before a bar could be read.
_FEWEST_FOR_BAR = 512


def load_predictor(options: argparse.Namespace) -> Predictor:
    """Load what ``--workdir`` or ``--model`` names.

    Raises:
      UserError: they name several models.
    """
    names = options.model or options.workdir
    if len(names) > 1:
        raise UserError(
            f"{options.command}: expected one model, got {len(names)}; "
            "predict and evaluate take several, and average them"
        )
    return _load(options)[0]


def load_predictors(options: argparse.Namespace) -> Predictor | Ensemble:
    """Load what they name, once or several times."""
    found = _load(options)
    return found[0] if len(found) == 1 else Ensemble(found)


def _load(options: argparse.Namespace) -> list[Predictor]:
    if options.model:
        return [Predictor.from_file(expand(x, "--model")) for x in options.model]
    return [Predictor.from_workdir(expand(x, "--workdir")) for x in options.workdir]


def judge(
    predictor: Predictor | Ensemble, texts: list[str], *, bar: bool
) -> Generator[tuple[list[str], np.ndarray], None, None]:
    """Give texts and their logits, in order, part by part.

    With ``bar`` a bar on stderr, where that is a terminal.
    """
    parts = [texts[n : n + _PART] for n in range(0, len(texts), _PART)]
    show = bar and len(texts) >= _FEWEST_FOR_BAR and sys.stderr.isatty()
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        with tqdm(total=len(texts), unit=" texts", disable=not show) as progress:
            for part, logits in zip(
                parts, pool.map(predictor.logits, parts), strict=True
            ):
                yield part, logits
                progress.update(len(part))
    finally:
        pool.shutdown(cancel_futures=True)
