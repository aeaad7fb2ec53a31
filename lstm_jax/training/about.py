"""What a run leaves for those who use its model: how a text is read, and its data."""

from typing import Any

import jax

from lstm_jax.data.corpus import Corpus
from lstm_jax.data.datasets import Text, save_text
from lstm_jax.errors import UserError
from lstm_jax.training.workdir import Workdir, read_json, write_json


def leave_text(
    workdir: Workdir, corpus: Corpus, text: Text, origin: dict[str, Any] | None = None
) -> None:
    """Write ``about.json`` and the files of ``text``, once, by the first host.

    ``origin`` is what is told of the language model that the run begins as.
    """
    if jax.process_index() > 0 or workdir.tokenizer.exists():
        return
    about = {
        "label_names": list(corpus.label_names),
        "dataset": corpus.name,
        "notice": corpus.notice,
        **({"pretrained": origin} if origin else {}),
    }
    write_json(workdir.about, about)
    save_text(text, workdir.path)


def check_text(workdir: Workdir) -> None:
    """Look that a run that goes on still has the words that it learned.

    Raises:
      UserError: it has not; others in their place would be read in silence.
    """
    if workdir.is_started() and not workdir.tokenizer.exists():
        raise UserError(
            f"{workdir.tokenizer}: expected the words of the run, got nothing there; "
            "restore the file"
        )


def read_origin(workdir: Workdir) -> dict[str, Any]:
    """What ``leave_text`` wrote of the language model, nothing where there was none."""
    if not workdir.about.exists():
        return {}
    return read_json(workdir.about).get("pretrained", {})
