"""A classifier that begins as a language model."""

import dataclasses
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from outcomes import assert_same_bits

from lstm_jax import trace
from lstm_jax.cells import CELLS
from lstm_jax.data import datasets
from lstm_jax.data.config import OF_FILES, DataConfig
from lstm_jax.data.splits import digest_texts
from lstm_jax.errors import UserError
from lstm_jax.inference import Predictor
from lstm_jax.trained import load_trained
from lstm_jax.training import loop
from lstm_jax.training.checkpoints import read_best
from lstm_jax.training.classification import _unfreeze_steps
from lstm_jax.training.clock import Clock
from lstm_jax.training.config import from_dict
from lstm_jax.training.finished import load_language_model
from lstm_jax.training.logbook import read_metrics
from lstm_jax.training.loop import train_and_evaluate
from lstm_jax.training.pretrained import NOTHING, check_held_out, read_pretrained
from lstm_jax.training.run import set_up
from lstm_jax.training.workdir import Workdir, read_json, write_json

SHARED = {"model.bidirectional": False, "model.hidden_size": 5}
LANGUAGE_MODEL = {
    **SHARED,
    "task": "language_model",
    "data.max_length": 400,
    "data.num_buckets": 8,
    "data.ngram_order": 0,
    "model.word_dropout_rate": 0.0,
    "language_model.window": 6,
    "language_model.num_sampled": 16,
    "train.epochs": 1,
}
CLASSIFIER = {
    **SHARED,
    "data.num_buckets": 1,
    "model.pooling": "last_mean_max",
    "optim.layer_decay": 0.5,
    "optim.unfreeze_epochs": 0.5,
    "train.adversarial_norm": 1.0,
}


@pytest.fixture(scope="module", params=[False, True], ids=["forward", "backward"])
def backward(request):
    return request.param


@pytest.fixture(scope="module")
def language_model(tiny_config, tmp_path_factory, backward):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("language_model")
    config = tiny_config({**LANGUAGE_MODEL, "model.backward": backward})
    train_and_evaluate(config, folder)
    return folder


@pytest.fixture(scope="module")
def config(tiny_config, language_model, backward):
    changes = {"model.pretrained": str(language_model), "model.backward": backward}
    return tiny_config({**CLASSIFIER, **changes})


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    """The folder of a classifier that nothing interrupted."""
    folder = tmp_path_factory.mktemp("classifier")
    train_and_evaluate(config, folder)
    return folder


def flat(tree):
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(name): np.asarray(leaf) for name, leaf in leaves}


def test_it_begins_with_the_words_and_the_layers(
    config, language_model, tmp_path, monkeypatch
):
    def refuse(*args, **kwargs):
        raise AssertionError("words were learned")

    monkeypatch.setattr(datasets, "train_tokenizer", refuse)
    run, snapshot = set_up(config, Workdir(tmp_path), Clock())
    run.checkpoints.close()
    run.logbook.close()
    theirs = load_language_model(language_model).params
    ours = jax.device_get(snapshot.state.params)
    for name in ("embedding", "layers"):
        assert_same_bits(flat(ours[name]), flat(theirs[name]))
    assert ours.keys() == {"embedding", "layers", "logits", "ngrams"}
    words = (language_model / "tokenizer.json").read_text()
    assert (tmp_path / "tokenizer.json").read_text() == words


def test_going_on_needs_no_language_model(
    config, trained, language_model, tmp_path, monkeypatch
):
    folder = tmp_path / "classifier"
    save = loop._save

    def stop(run, snapshot):
        save(run, snapshot)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_save", stop)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(config, folder)
    gone = language_model.rename(language_model.with_name("gone"))
    try:
        summary = train_and_evaluate(config, folder)
    finally:
        gone.rename(language_model)
    first, second = (read_best(Workdir(f).checkpoints) for f in (trained, folder))
    assert_same_bits(flat(first), flat(second))
    assert summary["pretrained"] == read_json(trained / "summary.json")["pretrained"]


def test_reviews_without_a_label_are_learned_from(
    config, trained, tmp_path, monkeypatch, capsys
):
    read, seen = datasets.load_corpus, ("a great film .", "dull plot") * 10

    def with_more(_, *, unlabelled):
        return read(config.data)._replace(unlabelled=seen if unlabelled else ())

    monkeypatch.setattr(datasets, "load_corpus", with_more)
    # Files have none; only of IMDB's may be asked.
    imdb = {name: getattr(DataConfig(), name) for name in OF_FILES}
    more = {"source": "imdb_reviews", "num_unlabelled": 12}
    data = dataclasses.replace(config.data, **imdb, **more)
    summary = train_and_evaluate(dataclasses.replace(config, data=data), tmp_path)
    without = read_json(trained / "summary.json")
    assert summary["counts"] == without["counts"] | {"unlabelled": 12}
    assert "train, 12 unlabelled, " in capsys.readouterr().out
    rows = read_metrics(Workdir(tmp_path).metrics)
    last = [row for row in rows if row["split"] == "train"][-1]
    steps = -(-(summary["counts"]["train"] + 12) // config.train.batch_size)
    assert last["step"] == config.train.epochs * steps
    first, second = (read_best(Workdir(f).checkpoints) for f in (trained, tmp_path))
    words = [flat(tree["embedding"])["['embedding']"] for tree in (first, second)]
    assert np.isfinite(words[1]).all() and (words[0] != words[1]).any()


def test_it_is_told_where_it_began(trained, language_model, capsys):
    theirs = read_json(language_model / "summary.json")
    told = read_json(trained / "summary.json")["pretrained"]
    names = ("config_name", "seed", "commit", "perplexity")
    assert told == {name: theirs[name] for name in names if name in theirs}
    assert {"seed", "perplexity"} <= told.keys()


def test_a_language_model_that_still_learns_is_refused(
    config, tiny_config, language_model, backward, tmp_path
):
    unfinished = tmp_path / "unfinished"
    shutil.copytree(language_model, unfinished)
    (unfinished / "summary.json").unlink()
    changes = {"model.pretrained": str(unfinished), "model.backward": backward}
    with pytest.raises(UserError, match="expected the folder of a finished language"):
        train_and_evaluate(tiny_config({**CLASSIFIER, **changes}), tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "other"),
    [("data.validation_fraction", 0.3), ("data.group_column", "")],
)
def test_reviews_that_the_language_model_has_read_validate_nothing(
    name, other, tiny_config, language_model, backward, tmp_path
):
    changes = {"model.pretrained": str(language_model), "model.backward": backward}
    changes[name] = other
    # The same file, written otherwise.
    file = Path(tiny_config().data.train_file)
    changes["data.train_file"] = f"{file.parent}/../{file.parent.name}/{file.name}"
    with pytest.raises(UserError, match=f"^{name}: expected .* as in .* got "):
        train_and_evaluate(tiny_config({**CLASSIFIER, **changes}), tmp_path)


def test_the_same_settings_with_other_movies_are_refused(
    config, tiny_config, language_model, backward, tmp_path
):
    """The file of groups may have changed, or the data be prepared without movies."""
    other = tmp_path / "language_model"
    shutil.copytree(language_model, other)
    summary = read_json(other / "summary.json")
    assert len(summary["held_out"]) == 16
    write_json(other / "summary.json", summary | {"held_out": "0" * 16})
    changes = {"model.pretrained": str(other), "model.backward": backward}
    with pytest.raises(UserError, match="^model.pretrained: .* read some of them; "):
        train_and_evaluate(tiny_config({**CLASSIFIER, **changes}), tmp_path / "run")
    assert not (tmp_path / "run/tokenizer.json").exists()
    pretrained = read_pretrained(config)
    assert pretrained.held_out == summary["held_out"]


def test_the_same_reviews_are_known_in_another_file(
    tiny_config, language_model, backward, tmp_path
):
    copy = shutil.copy(tiny_config().data.train_file, tmp_path / "elsewhere.csv")
    changes = {"model.pretrained": str(language_model), "model.backward": backward}
    changes |= {"data.train_file": str(copy), "data.validation_fraction": 0.3}
    with pytest.raises(UserError, match="^model.pretrained: .* read some of them; "):
        train_and_evaluate(tiny_config({**CLASSIFIER, **changes}), tmp_path / "run")


def test_a_language_model_that_does_not_say_what_it_held_out_is_told(
    config, tmp_path, caplog
):
    pretrained = read_pretrained(config)
    check_held_out(NOTHING, ["a"], ["b"])
    mine = pretrained._replace(source=digest_texts(["a"]), held_out=digest_texts(["b"]))
    check_held_out(mine, ["a"], ["b"])
    assert not caplog.text
    check_held_out(pretrained._replace(source="", held_out=""), ["a"], ["b"])
    assert "model.pretrained: a run of an earlier version" in caplog.text


def test_a_language_model_of_other_reviews_is_told(
    config, tiny_config, language_model, backward, tmp_path, caplog
):
    """It may have read what is held out: of a file that has grown since, say."""
    lines = Path(tiny_config().data.train_file).read_text().splitlines()
    more = tmp_path / "more.csv"
    more.write_text("\n".join([*lines, lines[-1]]))
    changes = {"model.pretrained": str(language_model), "model.backward": backward}
    changes |= {"data.train_file": str(more), "optim.unfreeze_epochs": 0.0}
    train_and_evaluate(tiny_config({**CLASSIFIER, **changes}), tmp_path / "run")
    assert "model.pretrained: a language model of other reviews than" in caplog.text


def test_parts_that_rounding_would_never_move_are_told():
    changed = {"train": {"epochs": 1}, "optim": {"unfreeze_epochs": 0.4}}
    config = from_dict(changed)
    assert _unfreeze_steps(config, 10) == 4
    with pytest.raises(UserError, match="the last of 3 steps, got 0.4, .* after 4$"):
        _unfreeze_steps(config, 3)


def test_its_folder_is_all_that_a_classifier_needs(trained, language_model):
    texts = ["a lovely film", "the worst plot of them", ""]
    expected = Predictor.from_workdir(trained).logits(texts)
    gone = language_model.rename(language_model.with_name("gone"))
    try:
        found = Predictor.from_workdir(trained).logits(texts)
    finally:
        gone.rename(language_model)
    np.testing.assert_array_equal(found, expected)


def test_the_gates_are_those_of_its_direction(trained, backward):
    predictor, run = Predictor.from_workdir(trained), load_trained(trained)
    (ids,) = predictor.token_ids(["the film was lovely, and when they know"])
    seen = predictor.gates_of_ids(ids)
    vectors = run.params["embedding"]["embedding"][ids][:, None]
    layer = jax.tree.map(jax.numpy.asarray, run.params["layers"]["layer_0"])
    cell = CELLS["lstm"](5)
    expected = trace(cell, layer, jax.numpy.asarray(vectors), reverse=backward)
    for name, values in expected.items():
        np.testing.assert_allclose(seen[name], values[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("data.vocab_size", 30),
        ("data.tokens", "words"),
        ("model.cell", "gru"),
        ("model.embedding_size", 7),
        ("model.hidden_size", 6),
        ("model.num_layers", 2),
        ("model.bidirectional", True),
    ],
)
def test_another_model_than_the_language_model_is_refused(
    name, other, tiny_config, tmp_path, language_model, backward
):
    changes = {"model.pretrained": str(language_model), name: other}
    # What reads both ways has no other direction to set.
    changes["model.backward"] = backward and name != "model.bidirectional"
    with pytest.raises(UserError, match=f"^{name}: expected .* as in .* got "):
        train_and_evaluate(tiny_config({**CLASSIFIER, **changes}), tmp_path)


def test_the_other_direction_is_refused(config, tiny_config, language_model, backward):
    changes = {"model.pretrained": str(language_model)}
    changes["model.backward"] = not backward
    with pytest.raises(UserError, match=f"model.backward: expected {backward}, as in"):
        read_pretrained(tiny_config({**CLASSIFIER, **changes}))


@pytest.mark.parametrize("what", ["nothing", "a classifier"])
def test_what_is_no_language_model_is_refused(what, tiny_config, tmp_path, trained):
    there = {"nothing": tmp_path / "missing", "a classifier": trained}[what]
    config = tiny_config({**CLASSIFIER, "model.pretrained": str(there)})
    expected = {"nothing": "a finished language", "a classifier": "language_model"}
    expected = expected[what]
    with pytest.raises(UserError, match=f"^model.pretrained: expected .*{expected}"):
        train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run/tokenizer.json").exists()
