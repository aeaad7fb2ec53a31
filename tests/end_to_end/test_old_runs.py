"""A run that an earlier version began: this one goes on with it.

``tests/golden/run`` was written by ``python tests/end_to_end/test_old_runs.py`` and is
not written again: a version that cannot read it cannot read its users' runs either.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.data.grammar import write_reviews
from lstm_jax.inference import Predictor
from lstm_jax.training import loop
from lstm_jax.training.config import default_config, from_dict
from lstm_jax.training.loop import train_and_evaluate

GOLDEN = Path(__file__).parents[1] / "golden" / "run"
SETTINGS = {
    "name": "golden",
    "data.source": "files",
    "data.train_file": "reviews.jsonl",
    "data.validation_fraction": 0.2,
    "data.vocab_size": 40,
    "data.max_length": 16,
    "data.num_buckets": 1,
    "data.ngram_order": 2,
    "model.embedding_size": 3,
    "model.hidden_size": 2,
    "model.head_dropout_rate": 0.1,
    "optim.ema_decay": 0.9,
    "train.epochs": 4,
    "train.batch_size": 8,
    "train.eval_batch_size": 8,
    "train.keep_checkpoints": 1,
}
TEXTS = ["I loved this film .", "A dull film , not good .", "", "never boring"]


@pytest.fixture
def golden(tmp_path, monkeypatch):
    """A copy to go on with; its settings name a file in it."""
    shutil.copytree(GOLDEN, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return Path()


def test_an_old_run_goes_on(golden, capsys):
    expected = json.loads((golden / "expected.json").read_text())
    config = from_dict(json.loads((golden / "config.json").read_text()))
    summary = train_and_evaluate(config, golden)
    assert "Going on from step 10." in capsys.readouterr().out
    assert summary["epochs_run"] == 4
    # Another jax may round in another way.
    assert summary["val"]["loss"] == pytest.approx(expected["val_loss"], rel=1e-3)
    for name in ("counts", "vocab_size", "num_parameters", "label_names"):
        assert summary[name] == expected[name]


def test_an_old_model_predicts_what_it_did(golden):
    expected = json.loads((golden / "expected.json").read_text())
    logits = Predictor.from_workdir(golden).logits(TEXTS)
    np.testing.assert_allclose(logits, expected["logits"], rtol=1e-4, atol=1e-5)


def write():
    """Write the run; two epochs of four are done."""
    GOLDEN.mkdir(parents=True)
    os.chdir(GOLDEN)
    reviews = [{"text": t, "label": n} for t, n in write_reviews(0, 50)]
    Path("reviews.jsonl").write_text("".join(json.dumps(r) + "\n" for r in reviews))
    config = default_config()
    config.update_from_flattened_dict(SETTINGS)
    config = from_dict(config.to_dict())
    whole = train_and_evaluate(config, Path("whole"))
    real = loop._save

    def stop(run, snapshot):
        real(run, snapshot)
        if snapshot.progress.epochs == 2:
            raise KeyboardInterrupt

    loop._save = stop
    try:
        train_and_evaluate(config, Path())
    except KeyboardInterrupt:
        pass
    shutil.rmtree("whole")
    for leftover in [*Path().glob("events.*"), Path("lock")]:
        leftover.unlink()
    for marker in Path().rglob("commit_success.txt"):  # names a folder of the writer
        marker.write_text("Checkpoint commit was successful")
    logits = Predictor.from_workdir(Path()).logits(TEXTS).tolist()
    kept = ("counts", "vocab_size", "num_parameters", "label_names")
    expected = {"val_loss": whole["val"]["loss"], "logits": logits}
    expected |= {name: whole[name] for name in kept}
    Path("expected.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    write()
