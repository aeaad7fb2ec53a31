import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture
def results_table():
    return importlib.import_module("results_table")


@pytest.fixture
def pages():
    return importlib.import_module("pages")


@pytest.fixture
def published_table():
    return importlib.import_module("published_table")


@pytest.mark.parametrize(
    "name",
    [
        *("results_table", "published_table", "speed_table", "subsets_table"),
        *("learning_curve", "ablation"),
    ],
)
def test_the_tables_in_the_pages_are_those_of_the_results(name, pages):
    tables = importlib.import_module(name).tables()
    assert tables
    for page, text in pages.filled(tables).items():
        assert text == page.read_text(encoding="utf-8"), f"run benchmarks/{name}.py"


def test_a_table_without_a_place_is_told_in_a_line(pages):
    with pytest.raises(SystemExit, match="speed.md: expected one <!-- new:begin -->"):
        pages.filled({"new": "| a |\n"})
    with pytest.raises(SystemExit, match="expected one <!-- new:begin -->"):
        pages.insert("no end <!-- new:begin -->\n", "new", "| a |\n")


def test_the_table_of_published_systems_has_every_run(published_table):
    rows = {
        line.split("`")[1].split("/")[1].removesuffix(".py"): line
        for line in published_table.make_table().splitlines()[2:]
    }
    for part in ("ours", "peers"):
        files = list((ROOT / "results/published" / part).glob("*.json"))
        names = [json.loads(path.read_text())["config_name"] for path in files]
        assert files
        for name in names:
            count = names.count(name)
            assert ("one seed" if count == 1 else f"({count} seeds)") in rows[name]


def test_our_rows_are_of_shipped_configs_and_of_the_whole_test_split(published_table):
    for path in (ROOT / "results/published/ours").glob("*.json"):
        summary = json.loads(path.read_text())
        assert (ROOT / f"configs/{summary['config_name']}.py").exists()
        assert summary["validation_by_group"] and summary["test"]["count"] == 25_000


def test_a_run_is_charged_for_the_language_model_that_it_began_as(results_table):
    """Another seed of the language model took other minutes."""
    runs = results_table._runs()["lstm_best"]
    assert len({run["pretrained"]["seed"] for run in runs}) > 1
    for run in runs:
        config, before = results_table._begun_as(run)
        assert (config, before["seed"]) == ("lm_labelled", run["pretrained"]["seed"])
        assert results_table._seconds(run) > before["seconds"]["total"] + 60


def test_the_table_has_a_row_for_every_result(results_table):
    table = results_table.make_table()
    files = list((ROOT / "results" / "imdb").glob("*.json"))
    assert files
    for path in files:
        assert f"configs/{path.stem.rsplit('-', 1)[0]}.py" in table


def test_every_file_that_the_readme_links_to_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [part.split(")")[0] for part in text.split("](")[1:]]
    local = [t for t in targets if not t.startswith(("http", "#"))]
    assert local
    assert [t for t in local if not (ROOT / t).exists()] == []


def test_every_heading_that_the_readme_links_to_exists():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    titles = [line.lstrip("# ").lower() for line in lines if line.startswith("#")]
    names = {title.replace(" ", "-").replace(",", "") for title in titles}
    targets = [p.split(")")[0] for line in lines for p in line.split("](#")[1:]]
    assert targets
    assert [target for target in targets if target not in names] == []
