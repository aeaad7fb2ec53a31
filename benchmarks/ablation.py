"""What each ingredient of a config brings: runs with one of them off.

    python benchmarks/ablation.py lstm --seeds 0 1 2 [--config.data....=... ...]
    python benchmarks/ablation.py finetune --pretrained runs/lm
    python benchmarks/ablation.py lstm_best --pretrained runs/lm_labelled

Each run has a folder below ``--workdir``, so that the same command goes on after it was
stopped.  ``nothing`` is run first: the others are compared with it, seed by seed and
review by review.  Writes ``results/ablation.json`` and README's tables.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import compare
import numpy as np
import pages
import rows
import subsets
from results_table import spread

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "results" / "ablation.json"
_WHOLE = "nothing"
_KEPT = ("val", "test", "best_epoch", "device", "versions", "commit")  # of a summary
# Of what begins as a language model.
_OF_A_LANGUAGE_MODEL: dict[str, tuple[str, ...]] = {
    "shifted words": ("train.adversarial_norm=0.0",),
    "layers that begin to move one after the other": ("optim.unfreeze_epochs=0.0",),
    "lower layers that move less": ("optim.layer_decay=1.0",),
    "the moving average of the weights": ("optim.ema_decay=0.0",),
    "whole reviews (400 words instead)": ("data.max_length=400",),
    "last output and maximum (the mean alone)": ("model.pooling=mean",),
}
# By config: what is off, and how; the first of each is the config as it is.
VARIANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "lstm": {
        _WHOLE: (),
        "the n-grams": ("data.ngram_order=0",),
        "the network": ("model.ngram_share=1.0",),
        "trigrams": ("data.ngram_order=2",),
        "trigrams and bigrams": ("data.ngram_order=1",),
        "the moving average of the weights": ("optim.ema_decay=0.0",),
    },
    "lstm_words": {
        _WHOLE: (),
        "dropout of words": ("model.word_dropout_rate=0.0",),
        "dropout of their numbers": ("model.embedding_dropout_rate=0.0",),
        "dropout before the logit": ("model.head_dropout_rate=0.0",),
        "all three": (
            "model.word_dropout_rate=0.0",
            "model.embedding_dropout_rate=0.0",
            "model.head_dropout_rate=0.0",
        ),
        "the moving average of the weights": ("optim.ema_decay=0.0",),
        "the backward direction": ("model.bidirectional=False",),
        "the maximum of the outputs (the mean alone)": ("model.pooling=mean",),
        "mean and maximum (the last output instead)": ("model.pooling=last",),
        "half of the 400 words of a review": ("data.max_length=200",),
    },
    "finetune": {
        _WHOLE: (),
        # What begins with nothing has no layers to be careful with.  With shifts, its
        # loss stayed at that of chance for 400 steps; without, it still did.
        "the language model and shifted words": (
            "model.pretrained=",
            "train.adversarial_norm=0.0",
            "optim.layer_decay=1.0",
            "optim.unfreeze_epochs=0.0",
        ),
        **_OF_A_LANGUAGE_MODEL,
    },
    "lstm_best": {
        _WHOLE: (),
        "dropout of words": ("model.word_dropout_rate=0.0",),
        **_OF_A_LANGUAGE_MODEL,
    },
}


class Point(NamedTuple):
    """One run."""

    config: str
    left_out: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return "-".join(re.findall(r"\w+", " ".join(map(str, self))))

    @property
    def whole(self) -> "Point":
        """The run with nothing left out."""
        return self._replace(left_out=_WHOLE)


def main() -> None:
    """Run what is not there yet; write each run, then the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("config", choices=list(VARIANTS))
    parser.add_argument("--workdir", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--pretrained", help="of those that begin as a language model")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--only", nargs="*", help="what to leave out")
    arguments, settings = parser.parse_known_args()
    only = arguments.only or VARIANTS[arguments.config]
    for seed in arguments.seeds:
        for left_out in dict.fromkeys((_WHOLE, *only)):
            point = Point(arguments.config, left_out, seed)
            row = measure(point, arguments.workdir, arguments.pretrained, settings)
            rows.keep(OUTPUT, point.name, row)
    pages.write(tables())


def measure(
    point: Point, workdir: Path, pretrained: str | None, settings: list[str]
) -> dict[str, Any]:
    """Train, go on, or leave it as it is; what came out."""
    folder = workdir / point.name
    summary = rows.train_once(command(point, folder, pretrained) + settings, folder)
    row = point._asdict() | {key: summary[key] for key in _KEPT}
    whole = right(workdir / point.whole.name)
    row["against_whole"] = subsets.mcnemar(right(folder), whole)
    print(json.dumps(row), flush=True)
    return row


def right(folder: Path) -> np.ndarray:
    """Which test reviews a run gets right."""
    return subsets.right_by_mean([compare.read_test(str(folder))])


def command(point: Point, folder: Path, pretrained: str | None) -> list[str]:
    """What a user would type."""
    words = [sys.executable, "train.py", "--config", f"configs/{point.config}.py"]
    words += [f"--workdir={folder.absolute()}", f"--config.seed={point.seed}"]
    if pretrained:
        words += [f"--config.model.pretrained={Path(pretrained).absolute()}"]
    settings = VARIANTS[point.config][point.left_out]
    return words + [f"--config.{setting}" for setting in settings]


def tables() -> dict[str, str]:
    """By the name of their marks."""
    found = list(rows.read(OUTPUT).values())
    return {
        f"ablation-{config}": make_table(config, found)
        for config in VARIANTS
        if any(row["config"] == config for row in found)
    }


def make_table(config: str, found: list[dict[str, Any]]) -> str:
    """A row for what was left out, in the order of ``VARIANTS``."""
    rows = []
    for left_out in VARIANTS[config]:
        runs = [r for r in found if (r["config"], r["left_out"]) == (config, left_out)]
        if runs:
            cells = [spread(runs, split) for split in ("test", "val")]
            gains = "" if left_out == _WHOLE else ", ".join(map(gain, runs))
            rows.append([left_out, *cells, gains])
    heads = "left out", "test accuracy", "validation", "points on test (McNemar's p)"
    return pages.table(heads, rows)


def gain(run: dict[str, Any]) -> str:
    """Points more than the whole of the same seed, and McNemar's test."""
    alone = run["against_whole"]
    points = 100 * (alone["only_ours"] - alone["only_theirs"]) / run["test"]["count"]
    chance = f"p = {alone['p']:.1g}" if alone["p"] else "p < 1e-300"
    return f"{points:+z.2f}".replace("-", "−") + f" ({chance})"


if __name__ == "__main__":
    main()
