"""A model in ONNX says in onnxruntime what it says here."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer
from trained import TEXTS, Known, make_trained

from lstm_jax.data.batches import make_batch
from lstm_jax.errors import UserError
from lstm_jax.export_onnx import export_onnx

pytest.importorskip("jax2onnx", reason="jax2onnx is not installed: the extra [onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

KINDS = {
    "lstm, both ways, in chunks": {"data.max_length": 16, "model.chunk_size": 3},
    "gru, one-hot words, three classes, a hidden layer": {
        "model.cell": "gru",
        "model.inputs": "one_hot",
        "model.num_logits": 0,
        "model.head_size": 4,
        "model.pooling": "last",
    },
    "rnn with n-grams, two layers, attention": {
        "model.cell": "rnn",
        "data.ngram_order": 2,
        "model.num_layers": 2,
        "model.pooling": "attention",
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_the_same(kind, tmp_path, caplog):
    trained = make_trained(**KINDS[kind])
    path = tmp_path / "models" / "model.onnx"
    export_onnx(trained, path)
    assert not caplog.records  # of the parts of jax2onnx that are for other libraries
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    predictor = Known(trained, batch_size=11)
    expected = predictor.logits(TEXTS)
    data = predictor._encoded(predictor.token_ids(TEXTS))
    for rows, width in (([0, 1, 2, 3, 4], 24), ([2], 1), ([3, 2], 5)):
        batch = make_batch(
            data, np.array(rows), max(width, data.lengths[rows].max()), 50
        )
        inputs = {i.name: getattr(batch, i.name) for i in session.get_inputs()}
        (found,) = session.run(["logits"], inputs)
        np.testing.assert_allclose(found, expected[rows], atol=1e-5)


def test_a_folder_in_its_place_is_told_and_nothing_is_left(tmp_path):
    (tmp_path / "model.onnx").mkdir()
    trained = make_trained(**{"model.cell": "rnn", "model.bidirectional": False})
    with pytest.raises(UserError, match="expected a file to write"):
        export_onnx(trained, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_what_is_needed_beside_it_is_in_it(tmp_path):
    trained = make_trained(**{"model.cell": "rnn", "model.bidirectional": False})
    path = tmp_path / "model.onnx"
    export_onnx(trained, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map
    assert json.loads(found["label_names"]) == ["bad", "good"]
    assert (found["max_length"], found["truncate"]) == ("24", "head_tail")
    ours = trained.text.tokenizer.encode(TEXTS[0]).ids
    assert Tokenizer.from_str(found["tokenizer"]).encode(TEXTS[0]).ids == ours
