"""Put the page together."""

from html import escape
from pathlib import Path
from typing import Any

from lstm_jax.drafts import draft_of
from lstm_jax.explain_run import explain_run
from lstm_jax.explanations import Explanations
from lstm_jax.plots import draw_findings, load_findings
from lstm_jax.report.captions import picture
from lstm_jax.report.mistakes import mistakes
from lstm_jax.report.numbers import NUMBERS, reproduction, results, settings_tables
from lstm_jax.report.page import notice, page, section
from lstm_jax.training.workdir import Workdir, read_json

# The sections with pictures, and which stand in them.
_SECTIONS = {
    "Training": ("loss", "accuracy", "learning_rate"),
    "Predictions": ("confusion", "roc", "precision_recall", "calibration", "lengths"),
    "What the model has learned": ("words", "gates"),
}


def write_report(folder: Path, command: str) -> Path:
    """Write ``<folder>/report.html``, and the pictures in it as ``write_plots`` does.

    Args:
      folder: of a finished run.  What ``explain_run`` finds out about its model is
        left there too.
      command: a shell line that does the run again.

    Returns:
      The page: one file that can be mailed or archived; it fetches nothing.

    Raises:
      UserError: ``folder`` holds no finished run.
    """
    workdir = Workdir(folder)
    explanations = explain_run(folder)
    found = load_findings(folder)
    files = {path.stem: path for path in draw_findings(found, workdir.plots)}
    summary = read_json(workdir.summary, *NUMBERS)
    settings = read_json(workdir.config, "data", "train")
    body = [_heading(summary), section("Results", results(summary, settings))]
    for heading, names in _SECTIONS.items():
        shown = [picture(files[name], found) for name in names if name in files]
        if shown:
            body.append(section(heading, "".join(shown)))
    body += _mistakes(workdir, explanations, found.label_names)
    body.append(section("Settings", settings_tables(settings)))
    body.append(section("Reproduce", reproduction(summary, command)))
    # A review may hold half of a character, which no file can.
    text = page(_title(summary), body).encode("utf-8", errors="replace")
    # Whole or not at all: the page of before knows the command of the run.
    with draft_of(workdir.report) as draft:
        draft.write_bytes(text)
    return workdir.report


def _title(summary: dict[str, Any]) -> str:
    return f"{summary['config_name']} on {summary['dataset']}"


def _heading(summary: dict[str, Any]) -> str:
    heading = f"<h1>{escape(_title(summary))}</h1>\n"
    said = summary["notice"]
    return heading + notice(escape(said)) if said else heading


def _mistakes(
    workdir: Workdir, explanations: Explanations | None, label_names: list[str]
) -> list[str]:
    """The section of the worst mistakes, where they are known."""
    if explanations is None or not label_names:
        return []
    examples = read_json(workdir.examples, "mistakes")["mistakes"]
    content = mistakes(examples, explanations.mistakes, label_names)
    return [section("Worst mistakes", content)]
