import base64
import dataclasses
import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import Browser, find_browser
from runs import ATTACK, make_explanations, spans_of, write_predictions, write_run

from lstm_jax.cli.main import main
from lstm_jax.errors import UserError
from lstm_jax.explanations import Explanation, Gradients, Occlusion
from lstm_jax.loaded import About
from lstm_jax.report import write_report
from lstm_jax.report.explained import explanation_page
from lstm_jax.report.mistakes import mark, mistakes
from lstm_jax.training.config import Config
from lstm_jax.training.lock import locked
from lstm_jax.training.workdir import Workdir

COMMAND = "python train.py --config configs/lstm.py --config.seed=3"
VOID = {"meta", "img", "br", "hr", "link", "input"}


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
def report(tmp_path, monkeypatch):
    """Writes the files of a run and its report, and reads the report."""

    # Small pictures are drawn faster.
    monkeypatch.setattr("lstm_jax.plots.style._DPI", 40)

    def make(
        settings=None,
        command=COMMAND,
        *,
        classes=0,
        text="A film.",
        word="word",
        **changes,
    ):
        write_run(tmp_path, settings, **changes)
        if classes:
            write_predictions(tmp_path, classes, text=text, word=word)
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


NAMES = "Loss Accuracy learning matrix ROC recall reliability length scatter heat"


SPOILT = {
    "summary.json": (b'{"notice": ""}', "summary.json: expected 'config_name' in it"),
    "config.json": (b"{}", "config.json: expected 'data' in it, got none"),
    "plots": (b"a file in its place", "expected a folder to write to, got: "),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_folder_is_told_in_one_line(name, tmp_path, capsys):
    write_run(tmp_path)
    content, said = SPOILT[name]
    (tmp_path / name).write_bytes(content)
    assert main(["report", "--workdir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and error.count("\n") == 1


def test_a_language_model_has_no_report(tmp_path, capsys):
    write_run(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["task"] = "language_model"
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert main(["report", "--workdir", str(tmp_path)]) == 2
    assert "got one of a language model" in capsys.readouterr().err


def test_a_report_waits_for_nobody_in_the_folder(tmp_path, capsys):
    write_run(tmp_path)
    with locked(Workdir(tmp_path)):
        assert main(["report", "--workdir", str(tmp_path)]) == 2
    assert "that no other process uses" in capsys.readouterr().err


def test_a_report_that_cannot_be_read_is_written_again(tmp_path, capsys):
    write_run(tmp_path)
    (tmp_path / "report.html").write_bytes(bytes(range(256)))
    assert main(["report", "--workdir", str(tmp_path)]) == 0
    assert b"</html>" in (tmp_path / "report.html").read_bytes()


def marked(text):
    """Class and text of what is marked in a piece of HTML."""
    return re.findall(r'<span class="([pn][123])"[^>]*>([^<]*)</span>', text)


@pytest.mark.parametrize("classes", [2, 3])
def test_shows_predictions_explanations_and_mistakes(report, classes):
    names = [f"class {n}" for n in range(classes)]
    text = report(classes=classes, text="A good film; well.", label_names=names)
    page = Page(text)
    images = [image["alt"].lower() for image in page.all("img")]
    kinds = NAMES.lower().split()
    if classes > 2:
        kinds.remove("scatter")  # words do not lie on one line from bad to good
    for kind, alt in zip(kinds, images, strict=True):
        assert kind in alt
    assert len(page.all("details")) == 20
    assert sum("open" in attributes for attributes in page.all("details")) == 3
    headings = [x for x in page.texts if re.match(r"\d+\. labelled class", x)]
    assert headings[0].startswith("1. labelled class")
    shares = [float(x.split("(")[1].rstrip("%)")) for x in headings]
    assert shares == sorted(shares, reverse=True) or classes > 2
    assert marked(text)


def test_a_run_of_an_older_version_has_the_sections_that_it_can_have(report):
    page = Page(report())
    headings = {"Results", "Training", "Settings", "Reproduce"}
    assert headings <= set(page.texts)
    assert not {"Predictions", "Worst mistakes"} & set(page.texts)


# Short enough for the name of a class in a picture.
HOSTILE = '"><i id=x>&lt;'
HARMLESS = re.sub(r"[^\w\s]", ".", HOSTILE)


def everywhere(word, monkeypatch):
    """Arguments of a report that holds ``word`` wherever it may come from outside."""
    monkeypatch.setattr("runs.SHORT", [word, "and", word])
    settings = dataclasses.asdict(Config())
    settings["name"] = settings["train"]["monitor"] = word
    settings[word] = {word: word}
    given = dict.fromkeys(["config_name", "dataset", "notice", "device"], word)
    given |= {"commit": word, "versions": {word: word}, "label_names": [word] * 2}
    text = f"A {word} film \ud800"
    return {**given, "settings": settings, "command": word, "word": word, "text": text}


def skeleton(page):
    """The tags of a page, and the names of what they are given."""
    return [(tag, sorted(attributes)) for tag, attributes in page.tags]


# A picture of one pixel.
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
DOT += "WjR9awAAAABJRU5ErkJggg=="


def do_not_draw(figure, path):
    path.write_bytes(base64.b64decode(DOT))
    return path


def test_no_text_from_outside_becomes_a_tag(report, monkeypatch):
    monkeypatch.setattr("lstm_jax.plots.write.save", do_not_draw)
    words = (HOSTILE, HARMLESS)
    pages = [Page(report(classes=2, **everywhere(w, monkeypatch))) for w in words]
    hostile, harmless = pages
    assert skeleton(hostile) == skeleton(harmless)
    # What is shown is what was written, to the letter (but names of classes, which
    # are alike here and so are numbered).
    for ours, theirs in zip(hostile.all("img"), harmless.all("img"), strict=True):
        assert ours["alt"].count(HOSTILE) == theirs["alt"].count(HARMLESS)
    shown = "".join(hostile.texts).count(HOSTILE)
    assert shown == "".join(harmless.texts).count(HARMLESS) > 30
    assert "".join(hostile.texts).count(f"A {HOSTILE} film ?") == 20


def explained(word):
    """The page about a text of one word, which is also all else that is known."""
    found = make_explanations(2, [word])
    spans, effects = found.mistakes[0].spans, np.ones(len(found.mistakes[0].spans))
    explanation = Explanation(
        text=word,
        logits=np.ones(1, np.float32),
        one=1,
        other=0,
        words=[word] * len(spans),
        known=[True] * len(spans),
        positions=np.arange(len(spans)),
        occlusion=found.mistakes[0],
        gradients=Gradients(spans, effects, 1.0, 0.0),
        reading=found.short,
    )
    return explanation_page(explanation, About((f"{word} 2", word), word, word, word))


def test_nothing_of_an_explained_text_becomes_a_tag(monkeypatch):
    monkeypatch.setattr("lstm_jax.report.explained.to_png", lambda figure: b"")
    hostile = Page(explained(HOSTILE))
    tags = {tag for tag, _ in hostile.tags}
    assert "i" not in tags and all("id" not in given for _, given in hostile.tags)
    # Title, heading, notice, two in the legend, two texts, four in the tables.
    assert "".join(hostile.texts).count(HOSTILE) == 11


def occlusion(text, effects):
    effects = np.array(effects, np.float32)
    return Occlusion(spans_of(text), effects.reshape(len(effects), -1))


def test_words_are_marked_by_sign_and_strength():
    text = "Good, but bad <br /><br />film: so so."
    effects = [2.0, 0.0, 0.5, -1.6, *[0.0] * 8, -1.0, 0.0, 0.1, -0.1, 0.0]
    marks = marked(mark(text, occlusion(text, effects), 1, 0))
    assert marks == [("p3", "Good"), ("p1", "but"), ("n3", "bad"), ("n2", "film")]
    swapped = marked(mark(text, occlusion(text, effects), 0, 1))
    assert swapped[0] == ("n3", "Good")


def test_the_text_stays_whole():
    text = "  Good,\tbut < bad & all. "
    html = mark(text, occlusion(text, [1.0] * 8), 1, 0)
    page = Page(f"<p>{html}</p>")
    assert "".join(page.texts) == text


@pytest.mark.parametrize(
    "spans",
    [[(0, 1), (2, 2 + len(ATTACK))], [(0, 1)], [(0, 2 + len(ATTACK))]],
    ids=["as a word", "behind the words", "in a word"],
)
@pytest.mark.parametrize("effect", [0.0, 0.001, 1.0])
def test_an_attack_is_text_wherever_it_stands(spans, effect):
    effects = np.array([[1.0]] + [[effect]] * (len(spans) - 1), np.float32)
    text = f"a {ATTACK}"
    html = mark(text, Occlusion(np.array(spans, np.int32), effects), 1, 0)
    assert "<script" not in html and "</script" not in html
    assert "".join(Page(f"<p>{html}</p>").texts) == text


def test_no_word_is_marked_where_none_does_anything():
    assert mark("so so", occlusion("so so", [0.0, 0.0]), 1, 0) == "so so"
    assert mark("", Occlusion(spans_of(""), np.zeros((0, 1))), 1, 0) == ""


def test_what_is_cut_away_is_counted_and_left_out():
    text = "one two three four five"
    html = mark(text, occlusion(text, [1.0, np.nan, np.nan, np.nan, -1.0]), 1, 0)
    assert "[… 3 tokens …]" in html
    assert "two" not in html and "four" not in html
    assert marked(html) == [("p3", "one"), ("n3", "five")]


def test_of_more_classes_the_predicted_and_the_true_one_are_compared():
    example = {"text": "a b", "label": 2, "logits": [0.0, 3.0, 1.0]}
    effects = [[9.0, 2.0, 0.0], [9.0, 0.0, 1.5]]
    names = ["bad", "good", "mixed"]
    html = mistakes([example], [occlusion("a b", effects)], names)
    assert "1. labelled mixed, predicted good (84.4%)" in html
    assert marked(html)[2:] == [("p3", "a"), ("n3", "b")]


def test_a_long_run_of_blanks_takes_no_time():
    """It took 14 seconds for 20,000 when each blank was looked at from each."""
    text = "good" + " " * 200_000 + "<br /> <br/>film"
    began = time.perf_counter()
    html = mark(text, Occlusion(spans_of("good"), np.ones((1, 1), np.float32)), 1, 0)
    assert time.perf_counter() - began < 5
    assert "film" in html and "&lt;br" not in html


def test_no_mistake_is_said_in_words():
    assert "judged right" in mistakes([], [], ["neg", "pos"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    path = find_browser()
    if path is None:
        pytest.skip("no chromium or chrome is installed")
    browser = Browser(path, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


def test_a_browser_shows_it_on_any_screen(report, browser, tmp_path):
    text = f"A {'very ' * 30}long {'w' * 200} film {ATTACK}"
    report(classes=2, text=text, command=f"python {'x' * 300}", dataset="d" * 120)
    page = (tmp_path / "report.html").as_uri()
    for width, dark in [(1280, False), (390, False), (390, True)]:
        browser.open(page, width=width, dark=dark)
        assert browser.complaints() == []
        assert browser.value("document.documentElement.scrollWidth") <= width
        loaded = "[...document.images].filter(x => x.complete && x.naturalWidth > 0)"
        assert browser.value(f"{loaded}.length") == 10
        assert browser.value("document.querySelectorAll('details').length") == 20
    # The marks differ by more than their colour.
    styles = [
        browser.value(
            f"getComputedStyle(document.querySelector('.{k}3')).textDecorationStyle"
        )
        for k in "pn"
    ]
    assert styles == ["solid", "dashed"]


def test_a_browser_runs_nothing_from_outside(report, browser, tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_jax.plots.write.save", do_not_draw)
    harm = "document.title = 'attacked'"
    attack = f"</title></textarea></pre></details></main><script>{harm}</script>"
    attack += f'<img src=x onerror="{harm}">"><b onclick="{harm}" class=x>'
    report(classes=2, **everywhere(attack, monkeypatch))
    browser.open((tmp_path / "report.html").as_uri(), width=1280)
    assert browser.complaints() == []
    # Told by what there is: that nothing runs is also the merit of the page's policy.
    assert browser.value("document.title") == f"{attack} on {attack}"
    made = "document.querySelectorAll('script, b, [class=x], [onerror]').length"
    assert browser.value(made) == 0
    assert browser.value("document.querySelectorAll('main details').length") == 20
    assert browser.value("document.body.textContent").count(attack) > 30
    named = "[...document.images].filter(x => x.alt.includes('<img src=x')).length"
    assert browser.value(named) == 2


def test_the_browser_test_sees_what_it_looks_for(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<div style='width: 900px'>x</div><script>nothing()</script>")
    browser.open(page.as_uri(), width=390)
    assert browser.complaints()
    assert browser.value("document.documentElement.scrollWidth") > 390
