import base64
import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

from lstm_jax.errors import UserError
from lstm_jax.report import write_report
from lstm_jax.training.config import Config

COMMAND = "python train.py --config configs/lstm.py --config.seed=3"
ATTACK = "<script>alert('\"&')</script>"
VOID = {"meta", "img", "br", "hr", "link", "input"}
METRICS = [
    {"split": "train", "step": 50, "epoch": 1, "loss": 0.6, "accuracy": 0.7},
    {"split": "val", "step": 70, "epoch": 1, "loss": 0.4, "accuracy": 0.8},
    {"split": "train", "step": 100, "epoch": 2, "loss": 0.3, "accuracy": 0.85},
    {"split": "val", "step": 140, "epoch": 2, "loss": 0.2468, "accuracy": 0.9123},
]
SUMMARY = {
    "config_name": "lstm",
    "dataset": "imdb_reviews",
    "notice": "",
    "validation_by_group": True,
    "counts": {"train": 22_512, "val": 2_488, "test": 25_000},
    "vocab_size": 19_998,
    "num_parameters": 1_346_177,
    "epochs_run": 2,
    "best_epoch": 2,
    "val": {"loss": 0.2468, "accuracy": 0.9123},
    "test": {"loss": 0.2579, "accuracy": 0.9087, "count": 25_000},
    "seconds": {"total": 1812.4, "compile": 31.2, "train": 1701.5},
    "reviews_per_second": 256.6,
    "padding_share": 0.0412,
    "seed": 3,
    "device": "2 x Cray-1",
    "versions": {"python": "3.12.3", "jax": "0.7.2"},
    "commit": "0123456789ab-dirty",
}


class Page(HTMLParser):
    """What a page holds; raises where a tag is closed that is not open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts, self.tables = [], [], [], {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        inside = self.open[-1] if self.open else ""
        if inside == "caption":
            self.table = self.tables.setdefault(data, {})
        elif inside == "th":
            self.name = data
        elif inside == "td":
            self.table[self.name] = data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def report(tmp_path):
    """Writes the files of a run and its report, and reads the report."""

    def make(settings=None, command=COMMAND, **changes):
        settings = settings or dataclasses.asdict(Config(seed=3))
        lines = [{"learning_rate": 1e-3, **line} for line in METRICS]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / "metrics.jsonl").write_text(text, encoding="utf-8")
        (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        summary = json.dumps({**SUMMARY, **changes})
        (tmp_path / "summary.json").write_text(summary, encoding="utf-8")
        path = write_report(tmp_path, command)
        assert path == tmp_path / "report.html"
        return path.read_text(encoding="utf-8")

    return make


def test_holds_the_numbers(report):
    tables = Page(report()).tables
    assert tables["Quality"] == {
        "validation accuracy": "91.23%",
        "validation loss": "0.2468",
        "test accuracy": "90.87%",
        "test loss": "0.2579",
        "best epoch": "2 of 2",
        "reviews to train on": "22,512",
        "reviews to validate on": "2,488 (whole groups held out)",
        "reviews to test on": "25,000",
    }
    assert tables["Cost"] == {
        "device": "2 x Cray-1",
        "parameters": "1,346,177",
        "vocabulary": "19,998 tokens",
        "epochs": "2",
        "time in all": "1,812.4 s",
        "time in training steps": "1,701.5 s",
        "time compiling": "31.2 s",
        "training speed": "256.6 reviews a second",
        "padding": "4.1% of all positions",
    }
    assert tables["Versions"] == {
        "python": "3.12.3",
        "jax": "0.7.2",
        "commit": "0123456789ab-dirty",
    }


def test_holds_every_setting_in_its_group(report):
    tables = Page(report()).tables
    for name, value in dataclasses.asdict(Config(seed=3)).items():
        if isinstance(value, dict):
            assert tables[name] == {key: repr(value[key]) for key in value}
        else:
            assert tables["run"][name] == repr(value)


def test_holds_the_command_and_the_seed(report):
    text = report(command="VAR='a b' python train.py\n  --config x.py > log && true")
    page = Page(text)
    assert "VAR='a b' python train.py\n  --config x.py > log && true" in page.texts
    assert any("One run with seed 3;" in x for x in page.texts)
    assert any("the best loss on the validation" in x for x in page.texts)


def test_says_what_is_missing(report):
    counts = {"train": 10, "val": 2, "test": 0}
    text = report(test=None, counts=counts, commit="", validation_by_group=False)
    tables = Page(text).tables
    quality = tables["Quality"]
    assert quality["test accuracy"] == quality["test loss"] == "no test split"
    assert quality["reviews to validate on"] == "2 (single reviews held out)"
    assert tables["Versions"]["commit"].startswith("not known")


def test_the_notice_is_a_banner_at_the_top(report):
    text = report(notice="synthetic reviews, not IMDB")
    assert 0 < text.index("synthetic reviews, not IMDB.</p>") < text.index("<h2>")
    assert not any(x.get("role") == "note" for x in Page(report()).all("p"))


def test_shows_the_three_pictures_with_words_for_them(report):
    images = Page(report()).all("img")
    assert len(images) == 3
    for image in images:
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data, validate=True).startswith(b"\x89PNG\r\n\x1a\n")
        assert len(image["alt"]) > 30
    loss, accuracy, _ = (image["alt"] for image in images)
    assert "loss" in loss and "best epoch, 2, validation is at 0.2468" in loss
    assert "accuracy" in accuracy and "91.23%" in accuracy


def test_escapes_everything(report):
    settings = dataclasses.asdict(Config())
    settings["name"] = settings["data"]["train_file"] = ATTACK
    settings["model"] = {ATTACK: ATTACK}
    text = report(
        settings,
        command=ATTACK,
        config_name=ATTACK,
        dataset=ATTACK,
        notice=ATTACK,
        device=ATTACK,
        commit=ATTACK,
        versions={ATTACK: ATTACK},
    )
    assert "<script" not in text.lower()
    page = Page(text)
    assert sum("alert" in x for x in page.texts) == 12
    assert all("alert" not in str(attributes) for _, attributes in page.tags)


def test_fetches_nothing(report):
    text = report(notice="a notice")
    markup = re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r"https?://|//\w|@import|url\(", markup)
    for tag, attributes in Page(text).tags:
        assert tag not in ("script", "link", "iframe", "object", "base")
        assert "href" not in attributes
        assert attributes.get("src", "data:").startswith("data:")
    (policy,) = [x for x in Page(text).all("meta") if "http-equiv" in x]
    assert policy["content"].startswith("default-src 'none';")


def test_is_a_page_for_any_screen(report):
    text = report()
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>\n")
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    (viewport,) = [x for x in page.all("meta") if x.get("name") == "viewport"]
    assert "width=device-width" in viewport["content"]
    assert "prefers-color-scheme: dark" in text
    assert len(page.all("main")) == len(page.all("title")) == len(page.all("h1")) == 1
    assert all(x == {"scope": "row"} for x in page.all("th"))


def test_refuses_a_run_that_is_not_finished(tmp_path):
    with pytest.raises(UserError, match="expected a finished run"):
        write_report(tmp_path, COMMAND)
