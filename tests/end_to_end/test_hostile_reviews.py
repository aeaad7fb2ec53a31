"""Reviews that nobody meant to write: trained on, predicted, written down."""

import csv
import json

import jax
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.data.batches import make_batch, ngram_width
from lstm_jax.data.datasets import encode_ids, load_datasets
from lstm_jax.data.files import load_files
from lstm_jax.data.texts import read_texts
from lstm_jax.data.tokenizer import encode
from lstm_jax.inference import Predictor
from lstm_jax.measures import probabilities
from lstm_jax.trained import load_trained
from lstm_jax.training.loop import train_and_evaluate
from lstm_jax.training.predictions import load_predictions

HOSTILE = {
    "one token": "great",
    "a hundred thousand tokens": "great awful " * 50_000,
    "one endless word": "a" * 100_000,
    "only unknown words": "zxqj vvkw jjqq",
    "only markup": "<br /><br /><b></b>",
    "only spaces between quotes": "'  '",
    "broken UTF-8": b"great \xff\xfe\xc3 film".decode(errors="replace"),
    "half a surrogate pair": "great \ud800 film",
    "NUL": "great\x00film \x00",
    "control characters": "great\x1b[31m\x07\x7f\u2028film",
    "right to left": "فيلم رائع \u202e great",
    "emoji": "👍🏽👨‍👩‍👧‍👦 great 🇺🇳",
    "combining marks": "e" + "\u0301" * 5_000,
    "zero width": "\u200b\u200d\ufeff",
    "script": "<script>alert(1)</script> great",
    "names of tokens": "[PAD] [UNK] [PAD]",
}
# What CSV, TSV and JSON lines may hold beside these.
IN_FILES = {
    "formulas": '=HYPERLINK("http://a","great") +1 -1 @SUM(A1)',
    "quotes": '"great" \'film\' "" "',
    "commas and tabs": "great,\tfilm,,\t\tawful",
    "line breaks": "great\nfilm\r\nawful\rfilm\n\n",
    "odd line breaks": "great\x0bfilm\x0c\x1c\x85\u2028\u2029awful",
    "a byte order mark": "\ufeffgreat",
    "backslashes": "great\\n\\u0000\\",
}
EMPTY = {"empty": "", "spaces": " \t "}


@pytest.fixture(scope="module")
def run(tiny_config, small, tmp_path_factory):
    """A run on such reviews; validation and test have them too."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [
        {"text": text, "label": label, "film": f"{n % 4}"}
        for n in range(6)
        for text, label in zip(HOSTILE.values(), ["bad", "good"] * 8, strict=True)
    ]
    path = folder / "reviews.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {
        **small,
        "data.tokens": "words",  # markup alone has no token at all
        "data.ngram_order": 2,
        "data.train_file": str(path),
        "data.test_file": str(path),
        "train.epochs": 2,
    }
    summary = train_and_evaluate(tiny_config(changes), folder / "run")
    return folder / "run", summary


def test_they_are_trained_on_and_tested(run):
    folder, summary = run
    assert summary["test"]["count"] == 6 * len(HOSTILE)
    assert np.isfinite(summary["test"]["loss"])
    predictions = load_predictions(folder / "predictions.npz")
    assert np.isfinite(predictions.test.logits).all()
    assert {0, 100_000} <= set(predictions.test.lengths.tolist())
    # The same review has the same logits, wherever it stands.
    logits = predictions.test.logits.reshape(6, len(HOSTILE), -1)
    np.testing.assert_allclose(logits, logits[:1].repeat(6, 0), rtol=1e-6, atol=1e-7)
    json.loads((folder / "examples.json").read_text(encoding="utf-8"))


def test_each_is_predicted_alone_as_among_others(run):
    """Equal to the bit: the shape of a batch follows from a text's length alone."""
    predictor = Predictor.from_workdir(run[0], batch_size=8)
    texts = [*HOSTILE.values(), *EMPTY.values()]
    together = predictor.logits(texts)
    assert np.isfinite(together).all()
    alone = np.concatenate([predictor.logits([text]) for text in texts])
    np.testing.assert_array_equal(alone, together)
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = predictor.logits([texts[n] for n in order])
    np.testing.assert_array_equal(shuffled, together[order])
    assert predictor.logits([]).shape == (0, 1)


def write(path, rows, delimiter):
    """Rows as a spreadsheet or a script would save them."""
    if not delimiter:
        lines = [json.dumps(row, ensure_ascii=n % 2 == 0) for n, row in enumerate(rows)]
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
        return
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        writer = csv.DictWriter(file, [*rows[0]], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


FORMATS = {".csv": ",", ".tsv": "\t", ".jsonl": ""}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The reviews as a file of each kind, by its ending."""
    folder, reviews = tmp_path_factory.mktemp("files"), {**HOSTILE, **IN_FILES}
    rows = [
        {"text": text, "label": label, "film": f"{n}"}
        for n, (text, label) in enumerate(
            zip(reviews.values(), ["bad", "good"] * 20, strict=False)
        )
    ]
    for ending, delimiter in FORMATS.items():
        write(folder / f"reviews{ending}", rows, delimiter)
    return {ending: folder / f"reviews{ending}" for ending in FORMATS}


def as_read(texts):
    """Half of a surrogate pair is three bytes that are not UTF-8."""
    written = [text.encode("utf-8", "surrogatepass") for text in texts]
    return [data.decode("utf-8", "replace") for data in written]


@pytest.mark.parametrize("ending", FORMATS)
def test_they_come_out_of_every_kind_of_file_as_they_went_in(ending, files):
    reviews = [*HOSTILE.values(), *IN_FILES.values()]
    found = read_texts(str(files[ending]), "text")
    plain = [text.replace("\ud800", "") for text in reviews]
    assert [text.replace("\ufffd", "") for text in found] == [
        text.replace("\ufffd", "") for text in plain
    ]
    if FORMATS[ending]:
        assert found == as_read(reviews)
    corpus = load_files(str(files[ending]), group_column="film")
    assert corpus.train.texts == found and corpus.label_names == ("bad", "good")


@pytest.mark.parametrize("ending", FORMATS)
def test_predict_and_evaluate_read_them_from_files(ending, run, files, capsys):
    argv = ["--workdir", str(run[0])]
    file = str(files[ending])
    assert main(["predict", *argv, "--file", file, "--format", "json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    texts = read_texts(file, "text")
    assert [json.loads(line)["text"] for line in lines] == texts
    expected = probabilities(Predictor.from_workdir(run[0]).logits(texts))
    found = [[*json.loads(line)["probabilities"].values()] for line in lines]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert main(["evaluate", *argv, "--data", file]) == 0
    assert f"{len(texts)}" in capsys.readouterr().out


def test_they_are_trained_on_from_tables_as_from_json(files, tiny_config, small):
    """The same numbers go in: training itself is tested above."""
    found = {}
    for ending, path in files.items():
        changes = {**small, "data.train_file": str(path), "data.test_file": str(path)}
        config = tiny_config({**changes, "data.ngram_order": 2}).data
        data = load_datasets(config, num_logits=1, text_dir=path.parent)
        assert len(data.test.labels) == len(HOSTILE) + len(IN_FILES)
        found[ending] = data.digest()
    assert found[".csv"] == found[".tsv"]


@pytest.mark.parametrize("implementation", ["scan", "fused"])
def test_more_padding_changes_nothing(run, implementation):
    """Nothing but the rounding.

    The products before the loop are of all steps at once, and the order in which XLA
    adds up follows their number.
    """
    trained = load_trained(run[0])
    texts = [*HOSTILE.values(), *EMPTY.values()]
    model = trained.module.clone(implementation=implementation)
    ids = encode(trained.text.tokenizer, texts)
    labels = np.zeros(len(texts), np.int32)
    limits = {"max_length": trained.config.data.max_length, "truncate": "head"}
    data = encode_ids(trained.text, ids, labels, **limits)
    apply, found = jax.jit(model.apply), []
    for width in (24, 40, 64):
        ngrams = ngram_width(width, limits["max_length"], 2)
        batch = make_batch(data, np.arange(len(texts)), width, ngrams)
        inputs = (batch.token_ids, batch.lengths, batch.ngram_ids, batch.ngram_values)
        found.append(np.asarray(apply({"params": trained.params}, *inputs)))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=2e-6, atol=2e-7)
