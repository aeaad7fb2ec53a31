"""The tables of a report: what came out, at what cost, with which settings."""

from html import escape
from typing import Any

from lstm_jax.report.page import in_columns, table

# What the tables take from summary.json.
NUMBERS = (
    *("val", "test", "counts", "validation_by_group", "best_epoch", "epochs_run"),
    *("seconds", "device", "num_parameters", "vocab_size", "reviews_per_second"),
    *("padding_share", "seed", "commit", "versions"),
)


def results(summary: dict[str, Any], settings: dict[str, Any]) -> str:
    """Quality and cost."""
    tables = in_columns(
        table("Quality", _quality(summary)), table("Cost", _cost(summary))
    )
    text = (
        f"One run with seed {summary['seed']}; other seeds give other numbers. Best "
        f"is the epoch with the best {settings['train']['monitor']} on the validation "
        f"reviews; the test reviews, if any, were read once, after it was chosen."
    )
    return f'{tables}<p class="soft">{escape(text)}</p>\n'


def _quality(summary: dict[str, Any]) -> dict[str, str]:
    val, test, counts = summary["val"], summary["test"], summary["counts"]
    held_out = "whole groups" if summary["validation_by_group"] else "single reviews"
    return {
        "validation accuracy": f"{val['accuracy']:.2%}",
        "validation loss": f"{val['loss']:.4f}",
        "test accuracy": "no test split" if test is None else f"{test['accuracy']:.2%}",
        "test loss": "no test split" if test is None else f"{test['loss']:.4f}",
        "best epoch": f"{summary['best_epoch']} of {summary['epochs_run']}",
        "reviews to train on": f"{counts['train']:,}",
        "reviews to validate on": f"{counts['val']:,} ({held_out} held out)",
        "reviews to test on": f"{counts['test']:,}",
    }


def _cost(summary: dict[str, Any]) -> dict[str, str]:
    seconds = summary["seconds"]
    return {
        "device": summary["device"],
        "parameters": f"{summary['num_parameters']:,}",
        "vocabulary": f"{summary['vocab_size']:,} tokens",
        "epochs": f"{summary['epochs_run']}",
        "time in all": f"{seconds['total']:,.1f} s",
        "time in training steps": f"{seconds['train']:,.1f} s",
        "time compiling": f"{seconds['compile']:,.1f} s",
        "training speed": f"{summary['reviews_per_second']:,.1f} reviews a second",
        "padding": f"{summary['padding_share']:.1%} of all positions",
    }


def settings_tables(settings: dict[str, Any]) -> str:
    """A table for each group, after one for what is in none."""
    groups = {name: v for name, v in settings.items() if isinstance(v, dict)}
    single = {name: v for name, v in settings.items() if name not in groups}
    tables = [table("run", _shown(single))]
    tables += [table(name, _shown(group)) for name, group in groups.items()]
    return in_columns(*tables)


def _shown(group: dict[str, Any]) -> dict[str, str]:
    """Values as Python writes them, so that "" and "1" can be told from none and 1."""
    return {name: repr(value) for name, value in group.items()}


def reproduction(summary: dict[str, Any], command: str) -> str:
    """The command, and the versions that it ran with."""
    commit = summary["commit"] or "not known: the code was not in a git checkout"
    versions = table("Versions", {**summary["versions"], "commit": commit})
    return f"<pre><code>{escape(command)}</code></pre>\n{in_columns(versions)}"
