import dataclasses
import importlib.util
import json
from pathlib import Path

import pytest

from lstm_jax.data.config import DataConfig
from lstm_jax.errors import UserError
from lstm_jax.training.config import (
    Config,
    OptimConfig,
    default_config,
    differences,
    from_dict,
    names,
)
from lstm_jax.training.workdir import read_json, write_json

CONFIG_FILES = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))


def nested(changes):
    """The defaults with ``changes``."""
    settings = dataclasses.asdict(Config())
    for name, value in changes.items():
        *groups, last = name.split(".")
        place = settings
        for group in groups:
            place = place[group]
        place[last] = value
    return settings


def refused(changes):
    """Return the message that refuses the defaults with ``changes``."""
    with pytest.raises(UserError) as error:
        from_dict(nested(changes))
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["model.hiden_size", "seeds", "data.model", "optim.x"])
def test_an_unknown_setting_is_named_with_those_there_are(name):
    message = refused({name: 1})
    assert message.startswith(f"{name}: no such setting; expected one of ")
    group = name.rpartition(".")[0]
    known = [n for n in names(dataclasses.asdict(Config())) if n.startswith(group)]
    assert any(n in message for n in known)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("model.hidden_size", 64.0, "int"),
        ("model.hidden_size", "64", "int"),
        ("model.hidden_size", True, "int"),
        ("model.bidirectional", 1, "bool"),
        ("optim.learning_rate", "1e-3", "float"),
        ("optim.learning_rate", None, "float"),
        ("data.train_file", 3, "str"),
        ("name", None, "str"),
        ("seed", 0.5, "int"),
    ],
)
def test_a_wrong_type_is_named_with_the_right_one(name, value, kind):
    message = refused({name: value})
    assert message.startswith(f"{name}: expected {kind}, got {value!r}")


def test_a_value_in_a_groups_place_is_refused():
    assert refused({"model": 3}).startswith("model: expected a group of settings")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("seed", 2**31),
        ("name", ""),
        ("name", "a/b"),
        ("name", ".."),
        ("name", "x" * 201),
        ("data.train_file", "a\0b"),
        ("data.text_column", "\ud800"),
        ("data.max_length", 10**7),
        ("model.hidden_size", 10**6),
        ("model.num_layers", 2**40),
        ("model.unroll", 2**63),
        ("train.epochs", 10**12),
        ("train.batch_size", 10**9),
        ("train.checkpoint_every_steps", 2**31),
        ("train.on_save_error", "ignore"),
        ("train.on_nonfinite", "ignore"),
        ("optim.accumulation_steps", 2**63),
        ("data.source", "imdb"),
        ("data.truncate", "middle"),
        ("data.validation_fraction", 0.0),
        ("data.validation_fraction", 1.0),
        ("data.vocab_size", 3),
        ("data.max_length", 0),
        ("data.ngram_order", 4),
        ("data.num_buckets", 0),
        ("data.num_buckets", 65),
        ("model.cell", "elman"),
        ("model.pooling", "median"),
        ("model.dtype", "float16"),
        ("model.implementation", "magic"),
        ("model.embedding_size", 0),
        ("model.hidden_size", 0),
        ("model.num_layers", 0),
        ("model.unroll", -1),
        ("model.head_size", -1),
        ("model.num_logits", 2),
        ("model.word_dropout_rate", 1.0),
        ("model.embedding_dropout_rate", -0.1),
        ("model.layer_dropout_rate", float("nan")),
        ("model.head_dropout_rate", 2.0),
        ("optim.optimizer", "lion"),
        ("optim.schedule", "linear"),
        ("optim.learning_rate", 0.0),
        ("optim.learning_rate", float("nan")),
        ("optim.learning_rate", float("inf")),
        ("optim.warmup_fraction", 1.0),
        ("optim.weight_decay", -0.1),
        ("optim.momentum", 1.0),
        ("optim.clip_norm", -1.0),
        ("optim.ema_decay", 1.0),
        ("optim.accumulation_steps", 0),
        ("train.epochs", 0),
        ("train.batch_size", 0),
        ("train.eval_batch_size", -5),
        ("train.monitor", "f1"),
        ("train.patience", -1),
        ("train.log_every_steps", 0),
        ("train.checkpoint_every_steps", -1),
        ("train.keep_checkpoints", 0),
    ],
)
def test_a_value_out_of_range_is_named_with_the_range(name, value):
    message = refused({name: value})
    assert message.startswith(f"{name}: expected ")
    assert message.endswith(f"got {value!r}")


def test_settings_that_do_not_go_together_are_refused():
    message = refused({"train.batch_size": 10, "optim.accumulation_steps": 4})
    assert "train.batch_size: expected a multiple of optim.accumulation_steps" in (
        message
    )
    assert message.endswith("(4), got 10")
    message = refused({"optim.momentum": 0.9})
    assert message.startswith("optim.momentum: expected 0.0 where optim.optimizer is ")
    message = refused({"data.text_column": "label"})
    assert message.startswith("data.text_column: expected another column than ")
    message = refused({"data.group_column": "label"})
    assert message.startswith("data.group_column: expected another column than ")
    groups = {"data.group_column": "film", "data.validation_groups": "films.txt"}
    message = refused(groups)
    assert message.startswith('data.validation_groups: expected "" with data.group_col')
    message = refused({"data.source": "files"})
    assert message.startswith("data.train_file: expected a path")
    for name in ("train_file", "test_file", "text_column", "group_column"):
        message = refused({f"data.{name}": "mine"})
        assert message.startswith(
            f'data.source: expected "files" with data.{name}, got'
        )
    message = refused({"data.num_unlabelled": 8})
    assert message.startswith("data.num_unlabelled: expected 0 where train.adversarial")
    shifts = {"data.num_unlabelled": 8, "train.adversarial_norm": 1.0}
    message = refused({**shifts, "data.source": "synthetic_reviews"})
    assert message.startswith("data.num_unlabelled: expected 0 where data.source is 's")
    message = refused({"model.inputs": "one_hot", "train.adversarial_norm": 1.0})
    assert message.startswith("train.adversarial_norm: expected 0.0 where model.inputs")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("data.max_length", 200), ("data.truncate", "tail"), ("data.num_buckets", 2)),
        *(("model.pooling", "last"), ("model.num_logits", 0)),
        ("model.ngram_share", 0.8),
    ],
)
def test_what_a_language_model_does_not_read_is_not_ignored(name, value):
    alone = {"task": "language_model", "model.bidirectional": False}
    from_dict(nested(alone))
    message = refused({**alone, name: value})
    assert message.startswith(f"{name}: expected ")
    assert message.endswith(f'where task is "language_model", got {value!r}')


def test_more_words_than_can_be_drawn_are_refused():
    alone = {"task": "language_model", "model.bidirectional": False}
    many = {**alone, "data.vocab_size": 400_001}
    assert refused(many).startswith("data.vocab_size: expected at most 400000 where ")
    from_dict(nested({**many, "language_model.num_sampled": 0}))
    from_dict({"data": {"vocab_size": 400_001}})


def test_an_integer_will_do_for_a_float():
    rate = from_dict({"optim": {"learning_rate": 1}}).optim.learning_rate
    assert type(rate) is float and rate == 1


def test_what_is_left_out_has_its_default():
    assert from_dict({}) == Config()
    assert from_dict(default_config().to_dict()) == Config()


def test_a_config_cannot_be_changed():
    config = from_dict({})
    for part in (config, config.data, config.model, config.optim, config.train):
        name = dataclasses.fields(part)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, "other")


def test_a_config_file_cannot_invent_a_setting():
    with pytest.raises(AttributeError):
        default_config().model.hiden_size = 3


@pytest.mark.parametrize("path", CONFIG_FILES, ids=lambda path: path.name)
def test_every_config_file_loads_and_survives_config_json(path, tmp_path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = from_dict(module.get_config().to_dict())
    write_json(tmp_path / "config.json", dataclasses.asdict(config))
    assert from_dict(read_json(tmp_path / "config.json")) == config
    assert module.__doc__ and module.get_config.__doc__


def test_there_are_config_files():
    assert {"lstm.py", "offline.py"} <= {path.name for path in CONFIG_FILES}


def test_differences_name_what_was_changed_added_and_removed():
    old = dataclasses.asdict(Config())
    new = json.loads(json.dumps(old))
    assert differences(old, new) == []
    new["model"]["hidden_size"] = 7
    new["seed"] = 5
    del new["optim"]["momentum"]
    new["train"]["new"] = "x"
    assert differences(old, new) == [
        "model.hidden_size: 64 -> 7",
        "optim.momentum: 0.0 -> None",
        "seed: 0 -> 5",
        "train.new: None -> 'x'",
    ]


@pytest.mark.parametrize("name", ["train_file", "test_file"])
def test_files_of_another_source_are_not_ignored(name):
    with pytest.raises(UserError, match='data.source: expected "files" .*imdb_reviews'):
        DataConfig(**{name: "reviews.csv"})


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_a_decay_that_nobody_reads_is_refused(optimizer):
    message = refused({"optim.optimizer": optimizer, "optim.weight_decay": 0.3})
    assert message.startswith("optim.weight_decay: expected 0.0 where")
    for unread in (0.0, 0.01):
        OptimConfig(optimizer=optimizer, weight_decay=unread)
