"""What a run leaves for those who use its model: how a text is read, and its data."""

import jax

from lstm_jax.data.corpus import Corpus
from lstm_jax.data.datasets import Text, save_text
from lstm_jax.training.workdir import Workdir, write_json


def leave_text(workdir: Workdir, corpus: Corpus, text: Text) -> None:
    """Write ``about.json`` and the files of ``text``, once, by the first host."""
    if jax.process_index() > 0 or workdir.tokenizer.exists():
        return
    about = {
        "label_names": list(corpus.label_names),
        "dataset": corpus.name,
        "notice": corpus.notice,
    }
    write_json(workdir.about, about)
    save_text(text, workdir.path)
