"""A run is used: the same numbers by every way to ask it."""

import json
import re

import numpy as np
import pytest

from lstm_jax import Predictor, load
from lstm_jax.cli.main import main
from lstm_jax.training.predictions import load_predictions


@pytest.fixture(scope="module")
def exported(unbroken, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "deep" / "model.zip"
    assert (
        main(["export", "--workdir", str(unbroken.folder), "--output", str(path)]) == 0
    )
    return path


@pytest.mark.parametrize("kind", ["--workdir", "--model"])
def test_an_evaluation_agrees_with_the_summary_of_the_run(
    kind, unbroken, exported, capsys
):
    where = unbroken.folder if kind == "--workdir" else exported
    data = unbroken.config.data.test_file
    flags = [kind, str(where), "--data", data, "--format", "json"]
    assert main(["evaluate", *flags]) == 0
    found, test = json.loads(capsys.readouterr().out), unbroken.summary["test"]
    assert found["count"] == test["count"]
    assert found["accuracy"] == pytest.approx(test["accuracy"], abs=1e-9)
    assert found["loss"] == pytest.approx(test["loss"], rel=1e-5)


def test_an_exported_model_has_the_logits_of_the_run(unbroken, exported):
    rows = load_predictions(unbroken.folder / "predictions.npz").val
    texts = [m["text"] for m in _examples(unbroken)["mistakes"]]
    numbers = [m["row"] for m in _examples(unbroken)["mistakes"]]
    ours = Predictor.from_workdir(unbroken.folder).logits(texts)
    np.testing.assert_allclose(load(exported).logits(texts), ours, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours, rows.logits[numbers], rtol=1e-5, atol=1e-6)


def _examples(run):
    return json.loads((run.folder / "examples.json").read_text())


def test_a_report_is_written_again_with_its_command(unbroken, capsys):
    report = unbroken.folder / "report.html"
    report.unlink(missing_ok=True)
    assert main(["report", "--workdir", str(unbroken.folder)]) == 0
    assert capsys.readouterr().out.strip() == str(report)
    text = report.read_text(encoding="utf-8")
    command = "python train.py --config configs/tiny.py"
    again = re.sub("<pre><code>.*?</code>", f"<pre><code>{command}</code>", text)
    report.write_text(again, encoding="utf-8")
    assert main(["report", "--workdir", str(unbroken.folder)]) == 0
    assert f"<code>{command}</code>" in report.read_text(encoding="utf-8")
