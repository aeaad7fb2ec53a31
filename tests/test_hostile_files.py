"""Files from strangers: no code is run, and nothing huge is allocated."""

import ast
import contextlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
import tensorstore as ts

import lstm_jax
from lstm_jax import arrays
from lstm_jax.data.ngrams import NGrams, load_ngrams, save_ngrams
from lstm_jax.data.tokenizer import load_tokenizer, train_tokenizer
from lstm_jax.data.word_vectors import read_word_vectors
from lstm_jax.errors import UserError
from lstm_jax.explanations import load_explanations
from lstm_jax.trained import load_trained
from lstm_jax.training import checkpoints
from lstm_jax.training.checkpoints import Checkpoints, Snapshot, read_best
from lstm_jax.training.predictions import load_predictions
from lstm_jax.training.progress import Progress
from lstm_jax.training.state import TrainState
from lstm_jax.training.workdir import read_json

LOADERS = [load_ngrams, load_predictions, load_explanations]
GOOD = NGrams(2, 9, np.array([3, 5, 8]), np.array([[0.5], [-1], [2]], np.float32))


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def refused(call, *arguments):
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("load", LOADERS)
def test_nothing_is_unpickled(load, tmp_path):
    attack = np.array([Attack(tmp_path / "attacked")], object)
    names = ("order", "base", "keys", "ratios", "val_logits", "word_counts", "words")
    np.savez(tmp_path / "a.npz", **dict.fromkeys(names, attack))
    assert "objects, not numbers" in refused(load, tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(attack.dumps())
    refused(load, tmp_path / "b.npz")
    assert not (tmp_path / "attacked").exists()
    np.load(tmp_path / "a.npz", allow_pickle=True)["keys"]
    assert (tmp_path / "attacked").exists()  # it does work where it is let


def npy(shape, dtype, data):
    header = str({"descr": dtype, "fortran_order": False, "shape": shape})
    header = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("shape", [(2**40,), (2**62, 2**62), (3, 2**33)])
def test_a_shape_without_the_bytes_for_it_is_refused(load, shape, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for name in ("order", "keys", "val_logits", "words"):
            file.writestr(f"{name}.npy", npy(shape, "<i8", b"few"))
    assert "fewer bytes than its shape" in refused(load, tmp_path / "a.npz")


@pytest.mark.parametrize("load", LOADERS)
def test_any_number_of_nothing_is_refused(load, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for name in ("order", "keys", "val_logits", "words"):
            file.writestr(f"{name}.npy", npy((10**10,), "|V0", b""))
    assert "(10000000000,) of nothing" in refused(load, tmp_path / "a.npz")


PREDICTED = {
    "val_logits": np.zeros((3, 1), np.float32),
    "val_labels": np.zeros(3, np.int32),
    "val_lengths": np.zeros(3, np.int32),
    "word_counts": np.zeros(5, np.int64),
}


@pytest.mark.parametrize(
    "change",
    [
        {"val_labels": np.zeros(2, np.int32)},
        {"val_logits": np.zeros(3, np.float32)},
        {"val_lengths": np.zeros(3, np.float32)},
        {"val_labels": np.array(["a", "b", "c"])},
    ],
)
def test_predictions_that_do_not_fit_together_are_refused(change, tmp_path):
    np.savez(tmp_path / "a.npz", **PREDICTED)
    load_predictions(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **{**PREDICTED, **change})
    assert "of val that do not fit" in refused(load_predictions, tmp_path / "a.npz")


def test_a_file_that_unfolds_to_too_much_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", keys=np.zeros(10**6))
    assert (tmp_path / "a.npz").stat().st_size < 10_000
    monkeypatch.setattr(arrays, "MOST_BYTES", 10**6)
    assert "more than 1,000,000 bytes" in refused(load_ngrams, tmp_path / "a.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"order": np.int64(7)},
        {"keys": np.array([3.0, 5.0, 8.0])},
        {"keys": np.array([5, 3, 8])},
        {"keys": np.array([[3, 5, 8]])},
        {"ratios": np.zeros((2, 1), np.float32)},
        {"ratios": np.full((3, 1), np.nan, np.float32)},
        {"base": np.array([1, 2])},
    ],
)
def test_arrays_that_are_no_ngrams_are_refused(change, tmp_path):
    save_ngrams(GOOD, tmp_path / "a.npz")
    load_ngrams(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **{**GOOD._asdict(), **change})
    refused(load_ngrams, tmp_path / "a.npz")


def split(pattern):
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Removed",
        "invert": True,
    }


def replaced(pattern, by):
    return {"type": "Replace", "pattern": {"String": pattern}, "content": by}


def in_sequence(depth, normalizer):
    for _ in range(depth):
        normalizer = {"type": "Sequence", "normalizers": [normalizer] * 2}
    return normalizer


# What a stranger may have put into a tokenizer, by field.
ODD_FIELDS = {
    "a text that grows": {"normalizer": in_sequence(5, replaced("a", "a" * 99))},
    "deep": {"normalizer": in_sequence(9, {"type": "Lowercase"})},
    "long": {"normalizer": {"type": "Prepend", "prepend": "a" * 10**6}},
    "none": {"normalizer": None},
    "a pattern without end": {"pre_tokenizer": split(r"(?:a|a)*(?:a|a)*b")},
    "a pattern that grows": {"pre_tokenizer": split(r"(?:(?:a{99}){99}){99}")},
    "words without cuts": {"pre_tokenizer": None},
    "words of other runs": {"pre_tokenizer": split(r"\w+(?:'\w+)*")},
    "a post-processor": {"post_processor": {"type": "ByteLevel"}},
    "a decoder": {"decoder": {"type": "Fuse"}},
    "padding": {"padding": {"strategy": {"Fixed": 2**40}}},
    "truncation": {"truncation": {"max_length": 3}},
    "tokens besides": {"added_tokens": [{"id": 2, "content": "a", "special": True}]},
    "a version": {"version": "2.0"},
    "what nobody knows": {"more\n" * 99: 1},
}
ODD_MODELS = {
    "of the kind BPE": {"type": "BPE", "merges": []},
    "of the kind None": None,
    "another model": {"type": "WordLevel", "unk_token": "film"},
    "other numbers than 0": {"vocab": {"film": 0, "[UNK]": 1, "[PAD]": 2}},
    "not 0, 1, 2": {"vocab": {"[PAD]": 0, "[UNK]": 1, "film": 2**31}},
    "no words and numbers": {"vocab": {"[PAD]": False, "[UNK]": True}},
    "half a surrogate": {"vocab": {"[PAD]": 0, "[UNK]": 1, "\ud800": 2}},
}


@pytest.fixture
def tokenizer(tmp_path):
    """One of ours to spoil, as JSON; what is done to it is read again."""
    good = json.loads(train_tokenizer(["a film", "a plot"], 9).to_str())

    def load(change):
        (tmp_path / "tokenizer.json").write_text(json.dumps({**good, **change}))
        return load_tokenizer(tmp_path / "tokenizer.json")

    return load


@pytest.mark.parametrize("kind", ODD_FIELDS)
def test_a_tokenizer_with_rules_of_a_stranger_is_refused(kind, tokenizer):
    (field,) = ODD_FIELDS[kind]
    message = refused(tokenizer, ODD_FIELDS[kind])
    assert f"one whose {field!r:.40} is not what" in message and len(message) < 500
    tokenizer({})  # without it, it is one


@pytest.mark.parametrize("said", ODD_MODELS)
def test_a_tokenizer_that_would_give_other_ids_is_refused(said, tokenizer):
    model = {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {}}
    model = ODD_MODELS[said] and {**model, **ODD_MODELS[said]}
    assert said in refused(tokenizer, {"model": model})


def test_a_tokenizer_of_ours_is_not_refused(tmp_path):
    train_tokenizer(["a film", "a plot"], 9).save(str(tmp_path / "t.json"))
    load_tokenizer(tmp_path / "t.json")
    # A file of gigabytes is not even read.
    with (tmp_path / "t.json").open("r+b") as file:
        file.truncate(2**33)
    assert "more than" in refused(load_tokenizer, tmp_path / "t.json")


def test_a_line_without_end_is_not_read_into_memory(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("film 0.5 0.25\n" + "x" * 50_000 + "\n")
    message = refused(read_word_vectors, path, {"film": 1}, 2)
    assert "line 2: expected a word and 2 numbers, got a line of more than" in message


@pytest.mark.parametrize("content", ["[" * 100_000, "\x00", '{"a": 1e999', "\ud800"])
def test_json_that_is_none_is_refused(content, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert "expected JSON, got" in refused(read_json, path)


@pytest.mark.parametrize("content", ["[]", "null", '"text"', json.dumps(["a"] * 999)])
def test_json_that_is_no_object_is_refused(content, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(content)
    message = refused(read_json, path)
    assert "expected an object of JSON, got" in message
    assert len(message) < len(str(path)) + 120
    assert "expected JSON, got" in refused(read_json, tmp_path)  # a folder


@pytest.fixture
def saved(tmp_path):
    """A checkpoint to spoil."""
    params = {"table": jax.random.normal(jax.random.key(0), (5, 3))}
    state = TrainState(np.int32(4), params, (), ())
    writer = Checkpoints(tmp_path / "checkpoints", keep=2)
    writer.save(Snapshot(state, jax.device_get(params), Progress(step=4, best_epoch=1)))
    writer.close()
    return tmp_path / "checkpoints"


def claim_shape(folder, shape):
    """Let a checkpoint say that an array of it is as large as that."""
    store = ts.KvStore.open(f"file://{folder / '4' / 'best'}/|ocdbt:").result()
    said = json.loads(store.read("table/.zarray").result().value)
    said |= {"shape": shape, "chunks": shape, "fill_value": 0}
    store.write("table/.zarray", json.dumps(said).encode()).result()


def test_a_checkpoint_that_claims_terabytes_is_refused(saved):
    assert read_best(saved)["table"].shape == (5, 3)
    claim_shape(saved, [2**20, 2**20])
    assert "that would become 4,398,046,511,104" in refused(read_best, saved)


def test_what_compresses_well_is_not_refused(saved, monkeypatch):
    claim_shape(saved, [100, 3])
    monkeypatch.setattr(checkpoints, "_MOST_BYTES", 10)
    message = refused(read_best, saved)
    assert "would become" not in message  # only the digest is another


def test_no_module_unpickles_or_evaluates():
    folder = Path(lstm_jax.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {getattr(node, "module", None), *(a.name for a in node.names)}
                assert not names & {"pickle", "dill", "joblib", "marshal", "shelve"}
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "np.lib.format.read_array"), path
                if called in ("np.load", "numpy.load"):
                    assert "allow_pickle=False" in ast.unparse(node), path


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_numpy_does_not_write_is_refused(method, tmp_path):
    """That of LZMA fails with errors of its own, and nobody needs it."""
    path, other = tmp_path / "a.npz", tmp_path / "b.npz"
    np.savez(path, a=np.arange(500))
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(other, "w", method) as to:
        to.writestr("a.npy", file.read("a.npy"))
    with pytest.raises(UserError, match="expected arrays, got: a.npy: compressed as"):
        arrays.read_arrays(other, "arrays")


@pytest.mark.parametrize("name", ["order", "base"])
def test_ngrams_without_end_are_refused(name, tmp_path):
    np.savez(tmp_path / "n.npz", **{**GOOD._asdict(), name: np.inf})
    with pytest.raises(UserError, match="expected a file of n-grams, got: cannot con"):
        load_ngrams(tmp_path / "n.npz")


def test_a_flipped_bit_in_compressed_arrays_is_told_in_a_line(tmp_path):
    path = tmp_path / "a.npz"
    rng = np.random.default_rng(0)
    np.savez_compressed(path, a=rng.integers(0, 9, 500), b=np.zeros(300))
    whole = path.read_bytes()
    for place in rng.choice(8 * len(whole), 400, replace=False):
        spoilt = bytearray(whole)
        spoilt[place // 8] ^= 1 << place % 8
        path.write_bytes(spoilt)
        with contextlib.suppress(UserError):
            arrays.read_arrays(path, "arrays")


SPOILT_NGRAMS = {
    "missing": (lambda path, _: path.unlink(), "got nothing there"),
    "cut": (
        lambda path, _: path.write_bytes(path.read_bytes()[:-99]),
        "a file of n-gr",
    ),
    "fewer": (
        lambda path, n: save_ngrams(
            n._replace(keys=n.keys[1:], ratios=n.ratios[1:]), path
        ),
        "expected as many n-grams as the checkpoint weighs, (206,), got 205",
    ),
    "of another order": (
        lambda path, n: save_ngrams(n._replace(order=3), path),
        "(2, 41, 1)), got others (3, 41, 1); restore",
    ),
    "of other words": (
        lambda path, n: save_ngrams(n._replace(base=42), path),
        "(2, 41, 1)), got others (2, 42, 1); restore",
    ),
    "of other classes": (
        lambda path, n: save_ngrams(n._replace(ratios=n.ratios.repeat(3, 1)), path),
        "(2, 41, 1)), got others (2, 41, 3); restore",
    ),
}


@pytest.mark.parametrize("kind", SPOILT_NGRAMS)
def test_ngrams_that_are_not_those_of_the_run_are_named(kind, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(Path(__file__).parent / "golden" / "run", run)
    spoil, said = SPOILT_NGRAMS[kind]
    spoil(run / "ngrams.npz", load_ngrams(run / "ngrams.npz"))
    message = refused(load_trained, run)
    assert message.startswith(f"{run / 'ngrams.npz'}: expected") and said in message
