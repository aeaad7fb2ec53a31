"""What each ingredient of ``configs/finetune.py`` brings: runs with one of them off.

    python benchmarks/ablation.py --pretrained runs/lm [--config.data....=... ...]

Each run has a folder below ``--workdir``, so that the same command goes on after it was
stopped.  ``nothing`` is run first: the others are compared with it, review by review.
Writes ``results/ablation.json`` and README's table.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import compare
import numpy as np
import readme_tables
import rows
import subsets
import subsets_table

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "results" / "ablation.json"
_WHOLE = "nothing"
_AGAINST = "right where the whole is wrong, and the other way round"
# What is off, and how; the first is the config as it is.
VARIANTS: dict[str, tuple[str, ...]] = {
    _WHOLE: (),
    # What begins with nothing has no layers to be careful with.  With shifts, its loss
    # stayed at that of chance for 400 steps; without, it still did.
    "the language model and shifted words": (
        "model.pretrained=",
        "train.adversarial_norm=0.0",
        "optim.layer_decay=1.0",
        "optim.unfreeze_epochs=0.0",
    ),
    "shifted words": ("train.adversarial_norm=0.0",),
    "layers that begin to move one after the other": ("optim.unfreeze_epochs=0.0",),
    "lower layers that move less": ("optim.layer_decay=1.0",),
    "the moving average of the weights": ("optim.ema_decay=0.0",),
    "whole reviews (400 words instead)": ("data.max_length=400",),
    "last output and maximum (the mean alone)": ("model.pooling=mean",),
}


def main() -> None:
    """Run what is not there yet; write each run, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workdir", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--pretrained", default="runs/lm")
    parser.add_argument("--only", nargs="*", default=VARIANTS, choices=list(VARIANTS))
    arguments, settings = parser.parse_known_args()
    for name in dict.fromkeys((_WHOLE, *arguments.only)):
        row = measure(name, arguments.workdir, arguments.pretrained, settings)
        rows.keep(OUTPUT, name, row)
    readme_tables.write(tables())


def measure(
    name: str, workdir: Path, pretrained: str, settings: list[str]
) -> dict[str, Any]:
    """Train, go on, or leave it as it is; what came out."""
    folder = folder_of(workdir, name)
    summary = rows.train_once(command(name, folder, pretrained) + settings, folder)
    names = ("val", "test", "best_epoch", "seed")
    row = {key: summary[key] for key in names}
    row["against_whole"] = subsets.mcnemar(right(folder), right(folder_of(workdir)))
    print(json.dumps({name: row}), flush=True)
    return row


def folder_of(workdir: Path, name: str = _WHOLE) -> Path:
    """Where a variant is trained."""
    return workdir / "-".join(re.findall(r"\w+", name))


def right(folder: Path) -> np.ndarray:
    """Which test reviews a run gets right."""
    return subsets.right_by_mean([compare.read_test(str(folder))])


def command(name: str, folder: Path, pretrained: str) -> list[str]:
    """What a user would type."""
    words = [sys.executable, "train.py", "--config", "configs/finetune.py"]
    words += [f"--workdir={folder.absolute()}"]
    words += [f"--config.model.pretrained={Path(pretrained).absolute()}"]
    return words + [f"--config.{setting}" for setting in VARIANTS[name]]


def tables() -> dict[str, str]:
    """By the name of their marks."""
    found = rows.read(OUTPUT)
    return {"ablation": make_table(found)} if found else {}


def make_table(found: dict[str, Any]) -> str:
    """A row a variant, in the order of ``VARIANTS``."""
    lines = [
        f"| left out | test accuracy | validation | {_AGAINST} |",
        "|---|---|---|---|",
    ]
    for name in VARIANTS:
        if name in found:
            row = found[name]
            cells = [f"{row[split]['accuracy']:.2%}" for split in ("test", "val")]
            against = row["against_whole"]
            cells.append("" if name == _WHOLE else subsets_table.against(against))
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
