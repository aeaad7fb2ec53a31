"""The page, in a browser."""

import time

import pytest
from browser import Browser, find_browser
from served import serve_small_model

from lstm_jax.serve.requests import MOST_EXPLAINED

PATH = find_browser()
pytestmark = pytest.mark.skipif(PATH is None, reason="no Chromium here")


@pytest.fixture(scope="module")
def server():
    yield from serve_small_model()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(PATH, tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


def wait_for(browser, condition):
    for _ in range(600):
        if browser.value(condition):
            return
        time.sleep(0.1)
    raise AssertionError(condition)


def type_in(browser, text):
    browser.value("at('text').value = ''; at('text').focus()")
    browser.do("Input.insertText", text=text)
    wait_for(browser, f"found !== null && found.text === {text!r}")


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (390, True)])
def test_type_a_review_and_see_why(browser, server, width, dark):
    browser.open(f"http://127.0.0.1:{server.port}/", width=width, dark=dark)
    type_in(browser, "A great film, and <b>it is awful</b>")
    chance = server.predictor.probabilities(["A great film, and <b>it is awful</b>"])[0]
    label = server.predictor.label_names[int(chance.argmax())]
    verdict = browser.value("at('verdict').textContent")
    assert verdict == f"{label}, {100 * chance.max():.1f} %"
    # Words are text and never markup.
    assert browser.value("document.querySelector('#words b')") is None
    assert "<b>it is awful</b>" in browser.value("at('words').textContent")
    assert (
        browser.value("document.querySelectorAll('#words [data-number]').length") == 15
    )
    assert browser.value("document.querySelectorAll('#words .p3, #words .n3').length")
    assert browser.value("document.querySelectorAll('#gates canvas').length") == 10
    assert browser.value("found.read.length") == 15
    assert browser.value("document.documentElement.scrollWidth") <= width
    browser.value("point(1)")
    assert "great" in browser.value("at('readout').textContent")
    assert browser.complaints() == []


def test_words_after_characters_that_scripts_count_twice(browser, server):
    browser.open(f"http://127.0.0.1:{server.port}/", width=800)
    type_in(browser, "\U0001f600\U0001f600 great film")
    spans = "[...document.querySelectorAll('#words span')].map(s => s.textContent)"
    assert browser.value(spans) == ["\U0001f600", "\U0001f600", "great", "film"]


def test_marks_change_with_what_is_marked(browser, server):
    browser.open(f"http://127.0.0.1:{server.port}/", width=800)
    type_in(browser, "great awful film")
    browser.value("document.querySelector('[value=gradient]').click()")
    assert "Together they add" in browser.value("at('sum').textContent")
    assert browser.complaints() == []


def test_keys_go_from_word_to_word(browser, server):
    browser.open(f"http://127.0.0.1:{server.port}/", width=800)
    type_in(browser, "great\nawful film")
    browser.value("at('words').focus()")
    assert browser.value("document.activeElement.id") == "words"
    said = []
    for key in ["Right"] * 5 + ["Left"]:  # a line break is read, but is no word
        browser.do("Input.dispatchKeyEvent", type="keyDown", key=f"Arrow{key}")
        said.append(browser.value("at('readout').textContent").split(":")[0].strip())
    assert said == ["great", "", "awful", "film", "film", "awful"]
    assert browser.value("at('readout').getAttribute('aria-live')") == "polite"
    assert browser.complaints() == []


def test_a_sample_is_one_click_and_an_empty_field_shows_nothing(browser, server):
    browser.open(f"http://127.0.0.1:{server.port}/", width=800)
    browser.value("document.querySelector('#samples button').click()")
    wait_for(browser, "!at('result').hidden")
    browser.value("at('text').value = ' '; typed()")
    assert browser.value("at('result').hidden") is True
    assert browser.complaints() == []


def test_a_refusal_is_shown(browser, server):
    browser.open(f"http://127.0.0.1:{server.port}/", width=800)
    wait_for(browser, "at('model').textContent !== ''")
    browser.value("ask(5)")
    wait_for(browser, "!at('problem').hidden")
    assert "expected a string" in browser.value("at('problem').textContent")


def test_a_refusal_shows_no_verdict_of_another_text(browser, server):
    browser.open(f"http://127.0.0.1:{server.port}/", width=800)
    type_in(browser, "great film")
    assert browser.value("at('result').hidden") is False
    browser.value("ask(5)")
    wait_for(browser, "!at('problem').hidden")
    assert browser.value("at('result').hidden") is True
    browser.value("at('text').value = ''; typed()")
    assert browser.value("at('problem').hidden") is True


def test_no_more_can_be_typed_than_is_explained(browser, server):
    browser.open(f"http://127.0.0.1:{server.port}/", width=800)
    assert browser.value("at('text').maxLength") == MOST_EXPLAINED
