"""Write README's table of results from the files in ``results/``.

    python benchmarks/results_table.py

``results/imdb/*.json`` are ``summary.json`` files, one a run, as are those of language
models; what is averaged comes from ``subsets.json``, which ``benchmarks/subsets.py``
wrote, and ``baselines.json`` is what ``benchmarks/baselines.py`` did.
"""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import pages

ROOT = Path(__file__).resolve().parent.parent
# What one has, the configs to run, which of them are averaged and tested, and how long
# undisturbed runs take, by the words a second and seconds an epoch that were measured.
_CHOICES = [
    ("labels, and minutes", ("lstm",), ("lstm",), "2.8 minutes"),
    ("labels, and an evening", ("lm_labelled", "lstm_ngram"), ("lstm_ngram",), "2½ h"),
    (
        "unlabelled reviews, and a night",
        ("lm", "finetune_ngram"),
        ("finetune_ngram",),
        "3½ h",
    ),
    (
        "two nights: the same from both ends, averaged",
        ("lm", "finetune_ngram", "lm_backward", "finetune_ngram_backward"),
        ("finetune_ngram", "finetune_ngram_backward"),
        "7 h",
    ),
    (
        "a GPU: larger ones from both ends, averaged",
        ("lm_large", "finetune_large", "lm_large_backward", "finetune_large_backward"),
        ("finetune_large", "finetune_large_backward"),
        "11 minutes (H100)",
    ),
]
HEADS = ("model", "test accuracy", "validation", "runs", "minutes a run", "parameters")


def tables() -> dict[str, str]:
    """By the name of their marks."""
    return {"results": make_table(), "choose": make_choices()}


def make_choices() -> str:
    """What to run, by what one has."""
    scores = {(name,): runs for name, runs in _runs().items()} | _averaged()
    rows = [
        [
            title,
            ", ".join(f"`{name}`" for name in configs),
            spread(scores[scored], "test"),
            time,
        ]
        for title, configs, scored, time in _CHOICES
    ]
    return pages.table(["you have", "configs", "test accuracy", "time"], rows)


def make_table() -> str:
    """The table, networks first."""
    rows = [_network_row(name, runs) for name, runs in sorted(_runs().items())]
    rows += [_averaged_row(names, runs) for names, runs in _averaged().items()]
    rows += [_baseline_row(name, b) for name, b in _read("baselines.json").items()]
    return pages.table(HEADS, rows)


def _runs() -> dict[str, list[dict[str, Any]]]:
    runs = defaultdict(list)
    for path in sorted((ROOT / "results" / "imdb").glob("*.json")):
        runs[path.stem.rsplit("-seed", 1)[0]].append(json.loads(path.read_text()))
    return runs


def _averaged() -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Scores of the runs that were averaged, by their configs."""
    runs = defaultdict(list)
    for title, record in _read("subsets.json").items():
        names = tuple(name.rsplit("-seed", 1)[0] for name in title.split(" + "))
        if len(names) > 1:
            val = {"accuracy": record["val"]}
            runs[names].append({"test": record["test"]["all"], "val": val})
    return runs


def _read(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "results" / name).read_text())


def _network_row(name: str, runs: list[dict[str, Any]]) -> list[str]:
    title = f"`configs/{name}.py`"
    if runs[0].get("pretrained"):
        first, _ = _begun_as(runs[0])
        title = f"`configs/{first}.py`, then {title}"
    minutes = statistics.mean(map(_seconds, runs)) / 60
    return [
        title,
        f"**{spread(runs, 'test')}**",
        spread(runs, "val"),
        _seeds(runs),
        f"{minutes:.1f}",
        f"{runs[0]['num_parameters']:,}",
    ]


def _seconds(run: dict[str, Any]) -> float:
    """Of the run, and of the language model that it began as."""
    before = _begun_as(run)[1]["seconds"]["total"] if run.get("pretrained") else 0.0
    return run["seconds"]["total"] + before


def _begun_as(run: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The config and the summary of the language model that a run began as.

    Told by its perplexity: some backward ones ran as the config of the forward ones.
    """
    for path in sorted((ROOT / "results" / "language_models").glob("*.json")):
        before = json.loads(path.read_text())
        if before["perplexity"] == run["pretrained"]["perplexity"]:
            return path.stem.rsplit("-seed", 1)[0], before
    raise LookupError(f"no language model in results/ for {run['pretrained']}")


def _averaged_row(names: tuple[str, ...], runs: list[dict[str, Any]]) -> list[str]:
    *first, last = (f"`{name}`" for name in names)
    title = f"mean of {', '.join(first)} and {last}"
    return [
        *(title, f"**{spread(runs, 'test')}**", spread(runs, "val"), _seeds(runs)),
        *("", ""),
    ]


def _baseline_row(name: str, scores: dict[str, Any]) -> list[str]:
    found = [f"{scores[split]:.2%}" for split in ("test", "val")]
    return [name, *found, "no randomness", f"{scores['seconds'] / 60:.1f}", ""]


def _seeds(runs: list[dict[str, Any]]) -> str:
    return f"{len(runs)} seeds" if len(runs) > 1 else "single run"


def spread(runs: list[dict[str, Any]], split: str) -> str:
    """Mean and standard deviation of the accuracy; each, of fewer than three."""
    values = [100 * run[split]["accuracy"] for run in runs]
    if len(values) < 3:
        return ", ".join(f"{value:.2f}" for value in values) + "%"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}%"


if __name__ == "__main__":
    pages.write(tables())
