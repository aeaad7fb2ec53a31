"""The reference in docs/ says what the docstrings say."""

import importlib.util
import re
from pathlib import Path

import lstm_jax

ROOT = Path(__file__).parents[1]


def load():
    spec = importlib.util.spec_from_file_location(
        "build_api", ROOT / "docs/build_api.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current():
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    assert load().build() == page, "run python docs/build_api.py"


def test_every_function_that_the_package_exports_is_on_the_page():
    shown = set(re.findall(r"^### (\w+)$", load().build(), re.M))
    public = {name for name in vars(lstm_jax) if not name.startswith("_")}
    exported = {name for name in public if callable(getattr(lstm_jax, name))}
    assert exported - {"Any"} <= shown
    assert {"lstm", "unroll", "Predictor", "Ensemble", "load"} <= shown
    assert {"trace", "from_torch", "LSTM", "RecurrentCell"} <= shown


def test_a_long_signature_is_cut_between_arguments():
    assert load().split("a: dict[str, int], b=f(1, 2), *, c") == [
        "a: dict[str, int]",
        "b=f(1, 2)",
        "*",
        "c",
    ]
