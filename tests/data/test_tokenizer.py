import random
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, normalizers

from lstm_jax.data import tokenizer as tokenizer_module
from lstm_jax.data.tokenizer import (
    PAD_ID,
    TOKENS,
    UNKNOWN_ID,
    encode,
    load_tokenizer,
    train_tokenizer,
    truncate,
)
from lstm_jax.errors import UserError

WORDS = "film plot actor scene great awful don't it's café naïve the of a and".split()


def random_texts(seed, count=30):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 25))) for _ in range(count)]


def tokens_of(text, tokens="words_and_marks"):
    """Tokens of ``text`` by a tokenizer that has seen all of it."""
    return train_tokenizer([text], 1000, tokens=tokens).encode(text).tokens


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(random_texts(0), 100)


def test_text_becomes_lower_case():
    assert tokens_of("GREAT Film ÀÉ") == ["great", "film", "àé"]


def test_each_punctuation_mark_is_one_token():
    assert tokens_of('Well... "no"!?') == list(["well", *"...", '"', "no", *'"!?'])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Well... DON'T!<br /><br />Go", "well don't go"),
        ('<a href="x.html">a link</a>,\nend', "a link end"),
        ("2 < 3 and 5 > 4 <3", "2 3 and 5 4 3"),
        ("cut <br", "cut br"),
        ("?! ... <br/>", ""),
    ],
)
def test_words_alone_have_no_tags_and_no_punctuation(text, words):
    assert tokens_of(text, "words") == words.split()


def test_apostrophes_stay_inside_their_word():
    assert tokens_of("don't o'clock's 'quoted'") == [
        "don't",
        "o'clock's",
        "'",
        "quoted",
        "'",
    ]


@pytest.mark.parametrize(
    "breaks",
    ["<br />", "<br />" * 2, " <br/> <br> ", "\n", "\r\n\r\n", " \n <br />\n"],
)
def test_a_run_of_line_breaks_is_one_newline_token(breaks):
    assert tokens_of(f"one{breaks}two") == ["one", "\n", "two"]


BREAKS = [
    *("<br>", "<br />", "<br", "/>", ">", "br", "film", "\u00e9"),
    *" \t\n\r\v\u00a0\u2028",
]


def earlier(tokenizer):
    """The same words, with line breaks found as the first runs did."""
    other = Tokenizer.from_str(tokenizer.to_str())
    pattern = r"(?:\s*<br\s*/?>\s*|[ \t]*[\r\n]+[ \t]*)+"
    other.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(pattern), "\n"), normalizers.Lowercase()]
    )
    return other


@given(st.lists(st.sampled_from(BREAKS), max_size=12))
@settings(max_examples=500)
def test_line_breaks_are_found_where_the_first_runs_found_them(tokenizer, parts):
    text = "".join(parts)
    now, then = tokenizer.encode(text), earlier(tokenizer).encode(text)
    assert (now.tokens, now.offsets) == (then.tokens, then.offsets)


def test_a_tokenizer_of_the_first_runs_is_read(tmp_path, tokenizer):
    earlier(tokenizer).save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    texts = random_texts(7)
    assert list(map(list, encode(loaded, texts))) == [
        e.ids for e in earlier(tokenizer).encode_batch(texts)
    ]


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize(
    "endless",
    ["\n ", " \n\t", "\n\u00a0", "\t", "\u00a0", "<br ", "<br", "<br>\n", "<a", "'a"],
)
def test_no_text_takes_for_ever(tokens, endless):
    """In a time that grew with the square it took half a minute."""
    tokenizer = train_tokenizer(random_texts(8), 30, tokens=tokens)
    text = f"{endless * (200_000 // len(endless))}x\n<br{endless * 9}>"
    start = time.process_time()
    encode(tokenizer, [text])
    assert time.process_time() - start < 5


def test_vocabulary_holds_the_words_of_the_given_texts_and_nothing_else():
    texts = random_texts(1)
    vocab = train_tokenizer(texts, 1000).get_vocab()
    seen = {word for text in texts for word in text.split()}
    assert set(vocab) == seen | {"[PAD]", "[UNK]"}
    assert (vocab["[PAD]"], vocab["[UNK]"]) == (PAD_ID, UNKNOWN_ID) == (0, 1)


def test_words_that_were_not_seen_become_the_unknown_id(tokenizer):
    assert encode(tokenizer, ["zebra film"])[0][0] == UNKNOWN_ID
    assert encode(tokenizer, ["zebra film"])[0][1] > UNKNOWN_ID


@pytest.mark.parametrize("seed", range(3))
def test_the_same_texts_give_the_same_vocabulary(seed):
    texts = random_texts(seed)
    shuffled = random.Random(seed).sample(texts, len(texts))
    vocab = train_tokenizer(texts, 9).get_vocab()
    assert train_tokenizer(texts, 9).get_vocab() == vocab
    assert train_tokenizer(iter(shuffled), 9).get_vocab() == vocab


@pytest.mark.parametrize("vocab_size", [4, 6, 11, 500])
def test_vocab_size_is_kept_and_the_most_frequent_words_stay(vocab_size):
    texts = random_texts(3)
    counts = Counter(word for text in texts for word in text.split())
    vocab = train_tokenizer(texts, vocab_size).get_vocab()
    assert len(vocab) == min(vocab_size, len(counts) + 2)
    kept = [counts[word] for word in vocab if word in counts]
    left_out = [n for word, n in counts.items() if word not in vocab]
    assert min(kept) >= max(left_out, default=0)
    assert sorted(vocab.values()) == list(range(len(vocab)))


@pytest.mark.parametrize("name", ["[PAD]", "[UNK]", "[pad]"])
def test_special_names_spelled_out_in_a_review_are_only_text(name):
    tokenizer = train_tokenizer([f"a {name} b", "a b"], 50)
    ids = encode(tokenizer, [f"a {name} b", f"{name}{name}"])
    assert len(ids[0]) == 5
    assert np.concatenate(ids).min() > UNKNOWN_ID


@pytest.mark.parametrize("text", ["", " ", "\t  \t", "\u00a0\u2003"])
def test_a_text_without_words_has_no_tokens(tokenizer, text):
    (ids,) = encode(tokenizer, [text])
    assert ids.shape == (0,)
    assert ids.dtype == np.int32


def test_unicode_emoji_and_right_to_left_text_are_words_and_marks():
    assert tokens_of("Ωραία ταινία") == ["ωραία", "ταινία"]
    assert tokens_of("nice😀😀 film") == ["nice", "😀", "😀", "film"]
    assert tokens_of("סרט טוב!") == ["סרט", "טוב", "!"]
    assert tokens_of("فيلم جيد") == ["فيلم", "جيد"]


@given(st.text(max_size=60))
def test_any_text_can_be_encoded(tokenizer, text):
    (ids,) = encode(tokenizer, [text])
    assert ids.dtype == np.int32
    assert ((ids > PAD_ID) & (ids < tokenizer.get_vocab_size())).all()


def test_a_text_gets_the_same_ids_alone_and_among_others(tokenizer):
    texts = random_texts(5)
    for together, text in zip(encode(tokenizer, texts), texts, strict=True):
        np.testing.assert_array_equal(encode(tokenizer, [text])[0], together)


def test_a_saved_tokenizer_gives_the_same_ids(tmp_path, tokenizer):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    loaded = load_tokenizer(path)
    texts = [*random_texts(6), "", "Zebra<br />[PAD] 😀 don't!"]
    pairs = zip(encode(tokenizer, texts), encode(loaded, texts), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("content", [None, "", "{", "[1, 2]", '{"version": "1.0"}'])
def test_a_broken_tokenizer_file_is_a_users_mistake(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="expected a tokenizer file, got") as error:
        load_tokenizer(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@given(
    st.integers(0, 50), st.integers(1, 30), st.sampled_from(["head", "tail", "both"])
)
def test_truncate_keeps_what_it_says(count, max_length, how):
    ids = np.random.default_rng(count).permutation(100)[:count].astype(np.int32)
    kept = truncate(ids, max_length, {"both": "head_tail"}.get(how, how))
    assert len(kept) == min(count, max_length)
    assert kept.dtype == np.int32
    head = {"head": len(kept), "tail": 0, "both": max_length // 4}[how]
    if count <= max_length:
        head = count
    tail = len(kept) - head
    np.testing.assert_array_equal(kept[:head], ids[:head])
    np.testing.assert_array_equal(kept[head:], ids[count - tail :])


def test_many_texts_are_cut_as_each_alone(monkeypatch):
    texts = [f"word{i % 7} and{'!' * (i % 3)} more" for i in range(20)] + ["", "\ud800"]
    tokenizer = train_tokenizer(texts, 12)
    alone = [encode(tokenizer, [text])[0].tolist() for text in texts]
    for size in (1, 7, len(texts), 1000):
        monkeypatch.setattr(tokenizer_module, "_AT_ONCE", size)
        assert [ids.tolist() for ids in encode(tokenizer, texts)] == alone
    assert encode(tokenizer, []) == []
