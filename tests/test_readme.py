import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def results_table():
    path = ROOT / "benchmarks" / "results_table.py"
    spec = importlib.util.spec_from_file_location("results_table", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_in_the_readme_is_that_of_the_results(results_table):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert results_table.insert(text) == text, "run python benchmarks/results_table.py"


def test_the_table_has_a_row_for_every_result(results_table):
    table = results_table.make_table()
    files = list((ROOT / "results" / "imdb").glob("*.json"))
    assert files
    for path in files:
        assert f"configs/{path.stem.rsplit('-', 1)[0]}.py" in table


def test_every_file_that_the_readme_links_to_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [part.split(")")[0] for part in text.split("](")[1:]]
    local = [t for t in targets if not t.startswith("http")]
    assert local
    assert [t for t in local if not (ROOT / t).exists()] == []
