"""Whole runs on pretrained and frozen vectors, and on one-hot words."""

import json

import numpy as np
import orbax.checkpoint as ocp
import pytest

from lstm_jax.errors import UserError
from lstm_jax.training import loop
from lstm_jax.training.loop import train_and_evaluate

NOT_IN_FILE = "plot"


@pytest.fixture(scope="module")
def vector_file(tmp_path_factory):
    rng = np.random.default_rng(0)
    words = "the a film scene it's was great awful lovely boring superb dull".split()
    lines = [f"{w} {' '.join(map(str, rng.normal(size=6).round(3)))}" for w in words]
    path = tmp_path_factory.mktemp("vectors") / "glove.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def settings(small, vector_file):
    return {
        **small,
        "model.embedding_file": str(vector_file),
        "model.train_embedding": False,
        "model.recurrent_dropout_rate": 0.1,
        "model.input_dropout_rate": 0.1,
        "train.epochs": 2,
    }


def saved(folder, what):
    step = max(int(p.name) for p in (folder / "checkpoints").iterdir())
    with ocp.StandardCheckpointer() as reader:
        return reader.restore(folder.absolute() / f"checkpoints/{step}/{what}")


def read_vector(vector_file, word):
    for line in vector_file.read_text().splitlines():
        if line.startswith(f"{word} "):
            return np.array(line.split()[1:], np.float32)
    raise KeyError(word)


def test_frozen_vectors_stay_those_of_the_file_and_resume_exactly(
    tiny_config, small, vector_file, tmp_path, measured, monkeypatch, caplog
):
    config = tiny_config(settings(small, vector_file))
    with caplog.at_level("INFO", logger="lstm_jax"):
        train_and_evaluate(config, tmp_path / "whole")
    assert "vectors for 12 of " in caplog.text
    assert "stay the random" not in caplog.text

    def stop(run, snapshot):
        save(run, snapshot)
        raise KeyboardInterrupt

    save = loop._save
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_save", stop)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(config, tmp_path / "broken")
    # The checkpoint holds the vectors: the file is needed no more.
    moved = vector_file.rename(tmp_path / "moved.txt")
    train_and_evaluate(config, tmp_path / "broken")
    vector_file.write_bytes(moved.read_bytes())
    assert measured(tmp_path / "broken") == measured(tmp_path / "whole")

    vocab = json.loads((tmp_path / "whole/tokenizer.json").read_text())["model"][
        "vocab"
    ]
    state = saved(tmp_path / "whole", "state")
    for params in (
        state["params"],
        state["average"],
        saved(tmp_path / "whole", "best"),
    ):
        table = params["embedding"]["embedding"]
        np.testing.assert_array_equal(
            table[vocab["great"]], read_vector(vector_file, "great")
        )
        assert np.abs(table[vocab[NOT_IN_FILE]]).min() > 0


def test_random_vectors_that_nothing_trains_are_told(
    tiny_config, small, tmp_path, caplog
):
    changes = {**small, "model.train_embedding": False, "train.epochs": 1}
    train_and_evaluate(tiny_config(changes), tmp_path)
    assert "vectors stay the random ones" in caplog.text


def test_a_wrong_dimension_ends_in_one_line(tiny_config, small, vector_file, tmp_path):
    changes = {**settings(small, vector_file), "model.embedding_size": 7}
    with pytest.raises(UserError, match=r"expected 7 numbers .* got 6$"):
        train_and_evaluate(tiny_config(changes), tmp_path)


@pytest.mark.parametrize(
    "name", ["model.embedding_file", "data.validation_groups", "data.test_file"]
)
def test_every_file_is_looked_for_before_any_data_is_read(name, tiny_config, tmp_path):
    empty = tmp_path / "empty.csv"
    empty.touch()  # which reading it would tell
    changes = {"data.train_file": str(empty), "data.group_column": ""}
    changes[name] = str(tmp_path / "gone.csv")
    with pytest.raises(UserError, match=f"{name}: expected a file to read, got .*gone"):
        train_and_evaluate(tiny_config(changes), tmp_path / "run")


def test_one_hot_words_are_learned(tiny_config, small, tmp_path, measured):
    changes = {
        **small,
        "model.inputs": "one_hot",
        "model.embedding_dropout_rate": 0.0,
        "train.epochs": 4,
    }
    train_and_evaluate(tiny_config(changes), tmp_path)
    losses = [x["loss"] for x in measured(tmp_path) if x["split"] == "train"]
    assert losses[-1] < losses[0]
    best = saved(tmp_path, "best")
    assert "embedding" not in best
    assert best["layers"]["layer_0"]["w_ih"].shape[1] == 4
