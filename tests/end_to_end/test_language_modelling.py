"""A language model, trained by the loop that trains classifiers, and what it writes."""

import dataclasses
import json
import math
import os
import signal

import jax
import numpy as np
import pytest
from absl.testing import flagsaver
from outcomes import assert_same_bits, checkpoint, saved_steps, timeless

import train
from lstm_jax import generation
from lstm_jax.cli import generate as cli_generate
from lstm_jax.cli.main import main
from lstm_jax.data.corpus import Reviews
from lstm_jax.data.streams import END_ID
from lstm_jax.data.tokenizer import UNKNOWN_ID, encode
from lstm_jax.errors import UserError
from lstm_jax.generation import generate
from lstm_jax.trained import load_trained
from lstm_jax.training import language_modelling, loop
from lstm_jax.training.finished import load_language_model
from lstm_jax.training.interruption import Interrupted, Interruption, handle_signals
from lstm_jax.training.loop import train_and_evaluate

SETTINGS = {
    "task": "language_model",
    "data.max_length": 400,
    "data.num_buckets": 8,
    "data.ngram_order": 0,
    "model.bidirectional": False,
    "model.word_dropout_rate": 0.0,
    "model.hidden_size": 5,
    "language_model.window": 6,
    "language_model.num_sampled": 16,
    "language_model.weight_dropout_rate": 0.1,
    "language_model.vocabulary_dropout_rate": 0.1,
    "language_model.activation_penalty": 0.1,
    "language_model.change_penalty": 0.1,
    "optim.learning_rate": 0.1,
    "train.epochs": 12,
}


@pytest.fixture(scope="module")
def config(tiny_config):
    return tiny_config(SETTINGS)


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    """The folder and the summary of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("language_model")
    return folder, train_and_evaluate(config, folder)


@pytest.mark.parametrize(("column", "told"), [("film", False), ("", True)])
def test_a_random_split_of_the_texts_is_told(
    column, told, tiny_config, tmp_path, caplog
):
    config = tiny_config({**SETTINGS, "data.group_column": column})
    language_modelling.load_texts(config, loop.Workdir(tmp_path))
    assert ("Validation is a random split" in caplog.text) == told


def counts(folder):
    """How often each word stands in the validation texts, ends of texts and all."""
    config = load_language_model(folder).config
    texts = language_modelling.load_texts(config, loop.Workdir(folder))
    words = np.concatenate([np.append(ids, END_ID) for ids in texts.val])
    return np.bincount(words, minlength=texts.text.tokenizer.get_vocab_size())


def test_it_learns_what_follows_what(trained):
    folder, summary = trained
    found = counts(folder)
    chances = found[found > 0] / found.sum()
    # Knowing how often each word stands in these very texts, but not where.
    by_frequency = -(chances * np.log(chances)).sum()
    assert summary["val"]["loss"] < by_frequency
    assert summary["perplexity"] == pytest.approx(math.exp(summary["val"]["loss"]))
    assert summary["test"] is None and "test" not in summary["counts"]


def test_the_test_split_is_not_read(config, tmp_path, monkeypatch):
    """Other test texts change nothing: neither the words nor the weights."""
    load = language_modelling.load_plain
    seen = []

    def spoilt(*args, **kwargs):
        corpus = load(*args, **kwargs)
        seen.append(Reviews(["zzz yyy"] * 9, np.zeros(9, np.int32)))
        return corpus._replace(test=seen[-1])

    texts = language_modelling.load_texts(config, loop.Workdir(tmp_path))
    monkeypatch.setattr(language_modelling, "load_plain", spoilt)
    other = language_modelling.load_texts(config, loop.Workdir(tmp_path))
    assert seen
    assert other.text.tokenizer.to_str() == texts.text.tokenizer.to_str()
    for a, b in zip(other.train + other.val, texts.train + texts.val, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("header", ["text", "text,label"])
def test_texts_of_ones_own_need_no_label(header, config, tmp_path):
    """Without a column for it, or of one class alone; and no test split is read."""
    ending = ",same" if "label" in header else ""
    rows = [f"a film of scene {i}{ending}" for i in range(30)]
    (tmp_path / "texts.csv").write_text("\n".join([header, *rows]))
    (tmp_path / "test.csv").write_text("text\n")
    files = {"train_file": str(tmp_path / "texts.csv"), "group_column": ""}
    data = dataclasses.replace(
        config.data, source="files", test_file=str(tmp_path / "test.csv"), **files
    )
    own = dataclasses.replace(config, data=data)
    texts = language_modelling.load_texts(own, loop.Workdir(tmp_path / "run"))
    assert (len(texts.train), len(texts.val)) == (24, 6)
    assert texts.corpus.label_names == () and texts.corpus.test is None


def test_unlabelled_texts_are_read_unless_told_otherwise(config, tmp_path, monkeypatch):
    load = language_modelling.load_plain

    def with_more(data, *, unlabelled):
        more = ("unheard of", "unseen") if unlabelled else ()
        return load(data, unlabelled=False)._replace(unlabelled=more)

    monkeypatch.setattr(language_modelling, "load_plain", with_more)
    own = dataclasses.replace(config.language_model, unlabelled=False)
    few = dataclasses.replace(config, language_model=own)
    found = [
        language_modelling.load_texts(settings, loop.Workdir(tmp_path / name))
        for name, settings in (("all", config), ("few", few))
    ]
    assert len(found[0].train) == len(found[1].train) + 2
    has = [t.text.tokenizer.token_to_id("unseen") is not None for t in found]
    assert has == [True, False]


def progress_of(folder):
    path = folder / "checkpoints" / str(saved_steps(folder)[-1])
    return json.loads((path / "progress" / "metadata").read_text())


@pytest.mark.parametrize("place", [("_count", 4), ("_save", 3)])
def test_an_interrupted_run_goes_on_to_the_bit(
    place, config, trained, measured, tmp_path, monkeypatch
):
    name, count = place
    real, calls = getattr(loop, name), []

    def hitting(*args):
        calls.append(name)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(loop, name, hitting)
        with handle_signals() as interruption, pytest.raises(Interrupted):
            train_and_evaluate(config, tmp_path, interruption)
    assert not (tmp_path / "summary.json").exists()
    if not progress_of(tmp_path)["epochs"]:
        with pytest.raises(
            UserError, match="expected a run that has finished an epoch"
        ):
            load_language_model(tmp_path)
    summary = train_and_evaluate(config, tmp_path)
    folder, unbroken = trained
    clock = {"words_per_second"}
    assert {k: v for k, v in timeless(summary).items() if k not in clock} == {
        k: v for k, v in timeless(unbroken).items() if k not in clock
    }
    assert measured(tmp_path) == measured(folder)
    step = saved_steps(folder)[-1]
    for part in ("state", "best"):
        ours, theirs = (checkpoint(f, part, step) for f in (tmp_path, folder))
        assert_same_bits(ours, theirs)


def test_the_command_draws_and_says_how_it_ended(config, trained, capsys):
    folder, summary = trained
    train.flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(workdir=str(folder)):
        train.run(config, "python train.py", Interruption())
    said = capsys.readouterr().out
    assert f"perplexity {summary['perplexity']:.1f}, next word right" in said
    assert str(folder / "plots") in said
    assert {path.stem for path in (folder / "plots").glob("*.png")} >= {"loss"}


def test_the_carry_is_in_the_checkpoint(trained):
    state = checkpoint(trained[0], "state", saved_steps(trained[0])[-1])
    carries = [name for name in state if "carry" in name]
    assert len(carries) == 2
    assert all(np.abs(state[name]).max() > 0 for name in carries)


def test_a_classifier_is_not_read_from_it(trained):
    with pytest.raises(UserError, match="lstm-jax generate uses it"):
        load_trained(trained[0])


def test_no_language_model_is_read_from_a_classifier(unbroken):
    with pytest.raises(UserError, match='expected a run with task="language_model"'):
        load_language_model(unbroken.folder)


def test_a_text_of_the_same_length_is_not_compiled_again(trained):
    model = load_language_model(trained[0])
    compiled = set()
    for seed in range(3):
        generate(model, "the film", key=jax.random.key(seed), length=7)
        compiled.add(generation._write._cache_size())
    assert len(compiled) == 1


def test_a_home_folder_that_is_not_there_is_told_in_a_line(capsys):
    assert main(["generate", "--workdir", "~nosuchuser/run"]) == 2
    assert (
        "--workdir: expected a path, got '~nosuchuser/run'" in capsys.readouterr().err
    )


def test_a_sample_as_large_as_the_vocabulary_is_all_of_it(
    trained, tiny_config, tmp_path
):
    _, summary = trained
    assert summary["sampled_words"] == 16 < summary["vocab_size"]
    more = {"language_model.num_sampled": summary["vocab_size"], "train.epochs": 1}
    assert (
        train_and_evaluate(tiny_config({**SETTINGS, **more}), tmp_path)["sampled_words"]
        == 0
    )


def test_words_of_all_hosts_are_counted(config, tmp_path, monkeypatch):
    task = language_modelling.make_language_modelling(config, loop.Workdir(tmp_path))
    window, count = task.batches(1)(0)
    monkeypatch.setattr(language_modelling, "local_slice", lambda size: slice(0, 4))
    monkeypatch.setattr(language_modelling, "put_batch", lambda mesh, tree: tree)
    mine, same = task.batches(1)(0)
    assert same == count == int(window.weights.sum()) > mine.weights.sum()
    for ours, theirs in zip(mine, window, strict=True):
        np.testing.assert_array_equal(ours, theirs[:4])


def test_without_chance_the_likeliest_words_are_written(trained):
    model = load_language_model(trained[0])
    text = generate(model, "the film", key=jax.random.key(0), length=8, temperature=0.0)
    variables = {"params": model.params}
    words = [END_ID, *encode(model.tokenizer, ["the film"])[0]]
    for _ in range(8):
        _, hs, _ = model.module.apply(variables, np.array([words]))
        scores = np.array(model.module.apply(variables, hs[-1, 0], method="scores"))
        scores[UNKNOWN_ID] = -np.inf
        words.append(int(scores.argmax()))
        if words[-1] == END_ID:
            break
    expected = [model.tokenizer.id_to_token(w) for w in words[1:] if w != END_ID]
    assert text.replace(" ", "") == "".join(expected)


def test_the_same_key_writes_the_same(trained):
    model = load_language_model(trained[0])

    def write(seed):
        return generate(model, key=jax.random.key(seed), length=30, temperature=1.0)

    texts = [write(seed) for seed in range(4)]
    assert texts[0] == write(0)
    assert len(set(texts)) > 1
    assert not any("[UNK]" in text or "[PAD]" in text for text in texts)
    with pytest.raises(ValueError, match="length, temperature: expected 0 or more"):
        generate(model, key=jax.random.key(0), length=-1)


def test_backward_it_writes_what_comes_before(tiny_config, tmp_path, capsys):
    config = tiny_config({**SETTINGS, "model.backward": True, "train.epochs": 1})
    train_and_evaluate(config, tmp_path)
    capsys.readouterr()
    command = ["generate", "--workdir", str(tmp_path), "--prompt", "the film"]
    assert main([*command, "--length", "5", "--temperature", "1", "--count", "2"]) == 0
    first, second = capsys.readouterr().out.split("\n" + "-" * 20 + "\n")
    assert first.strip().endswith("the film") and second.strip().endswith("the film")
    assert first != second
    assert json.loads((tmp_path / "config.json").read_text())["model"]["backward"]


@pytest.mark.parametrize(
    "flag", [("--length", "-1"), ("--temperature", "hot"), ("--count", "1e3")]
)
def test_a_flag_that_is_no_number_is_told_in_a_line(flag, trained, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["generate", "--workdir", str(trained[0]), *flag])
    assert stopped.value.code == 2
    assert flag[0] in capsys.readouterr().err


def test_what_could_steer_a_terminal_is_not_printed(trained, capsys, monkeypatch):
    """Any mark can be a word of a vocabulary, which may come from somebody else."""
    monkeypatch.setattr(
        cli_generate, "generate", lambda *args, **kwargs: "a\x1b[2J film"
    )
    assert main(["generate", "--workdir", str(trained[0])]) == 0
    assert capsys.readouterr().out == "a\ufffd[2J film\n"
