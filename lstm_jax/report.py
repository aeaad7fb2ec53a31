"""One page about a finished run, which holds everything that it shows."""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from lstm_jax.plots import write_plots
from lstm_jax.training.workdir import Workdir, read_json

_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1b1b1b; --soft: #595959;
  --line: #d0d0d0; --panel: #f5f5f5; --alarm: #9a3b00; --alarm-panel: #fff1e6; }
@media (prefers-color-scheme: dark) { :root { --page: #161616; --text: #ececec;
  --soft: #b0b0b0; --line: #444444; --panel: #232323; --alarm: #ffb27d;
  --alarm-panel: #3a2113; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--page);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.5rem 0 1rem; }
h2 { font-size: 1.25rem; margin: 2rem 0 0.75rem; }
p { max-width: 44rem; }
.notice { border-left: 0.4rem solid var(--alarm); background: var(--alarm-panel);
  color: var(--alarm); font-weight: 600; padding: 0.75rem 1rem; max-width: none; }
.soft, figcaption { color: var(--soft); font-size: 0.9rem; }
figure { margin: 0 0 1.5rem; max-width: 50rem; }
figcaption { margin-top: 0.5rem; }
img { display: block; width: 100%; height: auto; background: #ffffff; }
.tables { columns: 24rem 2; column-gap: 2rem; }
table { border-collapse: collapse; width: 100%; margin: 0 0 1.5rem;
  table-layout: fixed; break-inside: avoid; }
caption { text-align: left; font-weight: 600; padding: 0.25rem 0; }
th, td { border-top: 1px solid var(--line); padding: 0.3rem 0.5rem 0.3rem 0;
  text-align: left; vertical-align: top; font-weight: 400; }
th { color: var(--soft); width: 60%; }
td { font-variant-numeric: tabular-nums; }
pre { background: var(--panel); padding: 0.75rem 1rem; overflow-x: auto;
  overflow-wrap: normal; margin: 0 0 1.5rem; }
"""

# The page needs nothing from anywhere, and browsers are told to hold it to that.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(folder: Path, command: str) -> Path:
    """Write ``<folder>/report.html``, and the pictures in it as ``write_plots`` does.

    Args:
      folder: of a finished run.
      command: a shell line that does the run again.

    Returns:
      The page: one file that can be mailed or archived; it fetches nothing.

    Raises:
      UserError: ``folder`` holds no finished run.
    """
    workdir = Workdir(folder)
    pictures = write_plots(folder)
    summary, settings = read_json(workdir.summary), read_json(workdir.config)
    body = [
        _heading(summary),
        _section("Results", _results(summary, settings)),
        _section("Training", "".join(_picture(p, summary) for p in pictures)),
        _section("Settings", _settings(settings)),
        _section("Reproduce", _reproduction(summary, command)),
    ]
    workdir.report.write_text(_page(_title(summary), body), encoding="utf-8")
    return workdir.report


def _page(title: str, body: list[str]) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{"".join(body)}</main>
</body>
</html>
"""


def _title(summary: dict[str, Any]) -> str:
    return f"{summary['config_name']} on {summary['dataset']}"


def _heading(summary: dict[str, Any]) -> str:
    heading = f"<h1>{escape(_title(summary))}</h1>\n"
    if not summary["notice"]:
        return heading
    notice = f"<strong>Note:</strong> {escape(summary['notice'])}."
    return f'{heading}<p class="notice" role="note">{notice}</p>\n'


def _section(heading: str, content: str) -> str:
    return f"<section>\n<h2>{escape(heading)}</h2>\n{content}</section>\n"


def _table(caption: str, rows: Mapping[str, Any]) -> str:
    """Rows of a name and a value; here alone are they escaped."""
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>\n'
        for name, value in rows.items()
    )
    return f"<table>\n<caption>{escape(caption)}</caption>\n{lines}</table>\n"


def _tables(*tables: str) -> str:
    return f'<div class="tables">\n{"".join(tables)}</div>\n'


def _results(summary: dict[str, Any], settings: dict[str, Any]) -> str:
    tables = _tables(
        _table("Quality", _quality(summary)), _table("Cost", _cost(summary))
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


def _picture(path: Path, summary: dict[str, Any]) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    alt, caption = _words(path.stem, summary)
    return (
        f'<figure>\n<img src="data:image/png;base64,{data}" alt="{escape(alt)}">\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>\n"
    )


def _words(what: str, summary: dict[str, Any]) -> tuple[str, str]:
    """What stands for a picture where it is not seen, and what stands below it."""
    if what == "learning_rate":
        alt = "Line chart: the learning rate over epochs."
        return alt, "The learning rate at each logged step."
    best = summary["val"][what]
    shown = f"{best:.2%}" if what == "accuracy" else f"{best:.4f}"
    alt = (
        f"Line chart: {what} of training and validation over {summary['epochs_run']} "
        f"epochs; at the best epoch, {summary['best_epoch']}, validation is at {shown}."
    )
    caption = (
        "Training: the mean since the last point, while the weights move and with "
        "dropout, if any. Validation: after each epoch, without dropout."
    )
    return alt, caption


def _settings(settings: dict[str, Any]) -> str:
    """A table for each group, after one for what is in none."""
    groups = {name: v for name, v in settings.items() if isinstance(v, dict)}
    single = {name: v for name, v in settings.items() if name not in groups}
    tables = [_table("run", _shown(single))]
    tables += [_table(name, _shown(group)) for name, group in groups.items()]
    return _tables(*tables)


def _shown(group: dict[str, Any]) -> dict[str, str]:
    """Values as Python writes them, so that "" and "1" can be told from none and 1."""
    return {name: repr(value) for name, value in group.items()}


def _reproduction(summary: dict[str, Any], command: str) -> str:
    commit = summary["commit"] or "not known: the code was not in a git checkout"
    versions = _table("Versions", {**summary["versions"], "commit": commit})
    return f"<pre><code>{escape(command)}</code></pre>\n{_tables(versions)}"
