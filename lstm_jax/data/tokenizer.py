"""Texts to token ids: a word-level Hugging Face tokenizer in ``tokenizer.json``."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from lstm_jax.errors import UserError, refusing

PAD, UNKNOWN = "[PAD]", "[UNK]"
PAD_ID, UNKNOWN_ID = 0, 1
_MOST_BYTES = 2**28  # of a tokenizer file; a million words need a tenth of it
# Texts; what the tokenizer gives takes twenty times the bytes of the ids in it.
_AT_ONCE = 1000
TOKENS = ("words_and_marks", "words")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD = r"\w+(?:'\w+)*"  # with its apostrophes
# What is replaced before a text is cut, by what, and what is then a token.  Possessive
# and looking behind: a text of nothing but spaces and line breaks takes no longer.
_Rules = tuple[tuple[tuple[str, str], ...], str]
_RULES: dict[str, _Rules] = {
    # Line breaks, as markup or as such, become one newline token.
    "words_and_marks": (
        (
            (r"(?:(?<!\s)\s++)?+(?:<br\s*+/?>\s*+)+", "\n"),
            (r"(?:(?<![ \t])[ \t]++)?+[\r\n][ \t\r\n]*+", "\n"),
        ),
        rf"\n|{_WORD}|[^\w\s]",
    ),
    # Tags go, and so does whatever is no word.
    "words": (((r"</?\w[^<>]*>", " "),), _WORD),
}
# As earlier runs wrote it: the same tokens, but in a time that grew with the square.
_EARLIER_RULES: _Rules = (
    ((r"(?:\s*<br\s*/?>\s*|[ \t]*[\r\n]+[ \t]*)+", "\n"),),
    _RULES["words_and_marks"][1],
)


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, *, tokens: str = "words_and_marks"
) -> Tokenizer:
    r"""Learn the vocabulary: the most frequent words of ``texts``, lower case.

    Args:
      texts: training texts, and no others.
      vocab_size: entries at most, "[PAD]" (0) and "[UNK]" (1) included.
      tokens: "words_and_marks" keeps punctuation and line breaks, "words" does not.

    Returns:
      A tokenizer; words that were not seen become "[UNK]".

    Example:
      >>> tokenizer = train_tokenizer(["Good, good!<br /><br />Don't miss."], 9)
      >>> tokenizer.encode("Don't<br />go").tokens
      ["don't", '\n', '[UNK]']
    """
    learner = _word_level({}, *_RULES[tokens])
    learner.train_from_iterator(
        map(valid_text, texts),
        trainers.WordLevelTrainer(
            vocab_size=vocab_size, special_tokens=[PAD, UNKNOWN], show_progress=False
        ),
    )
    # Rebuilt from the vocabulary alone: the trainer marks the two names as special,
    # and a review that spells out "[PAD]" would become padding.
    return _word_level(learner.get_vocab(), *_RULES[tokens])


def valid_text(text: str) -> str:
    r"""``text`` as it can be written down: halves of surrogate pairs are replaced.

    They stand in JSON, and in arguments and file names that are not UTF-8.

    >>> ascii(valid_text("a\ud800b"))
    "'a\\ufffdb'"
    """
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def encode(tokenizer: Tokenizer, texts: list[str]) -> list[np.ndarray]:
    """Turn each text into its int32 token ids, at full length."""
    token_ids = []
    for start in range(0, len(texts), _AT_ONCE):
        some = [valid_text(text) for text in texts[start : start + _AT_ONCE]]
        encodings = tokenizer.encode_batch_fast(some)
        token_ids += [np.array(e.ids, np.int32) for e in encodings]
    return token_ids


def truncate(token_ids: np.ndarray, max_length: int, how: str) -> np.ndarray:
    """Keep ``max_length`` tokens at most.

    Args:
      token_ids: ``[N]``.
      max_length: tokens to keep.
      how: "head" keeps the first, "tail" the last, "head_tail" a quarter from the
        beginning and the rest from the end, where reviews give their verdict.

    >>> truncate(np.arange(9), 4, "head_tail").tolist()
    [0, 6, 7, 8]
    """
    if len(token_ids) <= max_length:
        return token_ids
    heads = {"head": max_length, "tail": 0, "head_tail": max_length // 4}
    head = heads[how]
    tail = max_length - head
    return np.concatenate([token_ids[:head], token_ids[len(token_ids) - tail :]])


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json``.

    Raises:
      UserError: the file is missing or is not a tokenizer.
    """
    if not path.is_file():
        raise UserError(f"{path}: expected a tokenizer file, got nothing there")
    with refusing(f"{path}: expected a tokenizer file, got"):
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(
                f"{path}: expected a tokenizer file, got more than {_MOST_BYTES:,} "
                "bytes"
            )
        return parse_tokenizer(path.read_bytes(), str(path))


def parse_tokenizer(written: bytes, where: str) -> Tokenizer:
    """Make the tokenizer that ``Tokenizer.to_str`` wrote as ``written``.

    Only the words are taken from it.  What else it says must be what is written here:
    a rule of a stranger could turn a short text into gigabytes, or never end.

    Args:
      written: JSON.
      where: it was found, for the message.

    Raises:
      UserError: it is no tokenizer, or none of this project.
    """
    try:
        said = json.loads(written)
        if not isinstance(said, dict):
            raise ValueError("JSON without fields")
        vocab = _check_model(said.get("model"))
        return _word_level(vocab, *_RULES[_check_rules(said)])
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: expected a tokenizer file, got: {error}") from error


def _check_model(model: Any) -> dict[str, int]:
    """The words, or ``ValueError`` where a table has no row for each of them."""
    model = dict(model) if isinstance(model, dict) else {}
    vocab = model.pop("vocab", None)
    if model.get("type") != "WordLevel":
        raise ValueError(f"a model of the kind {str(model.get('type')):.40}")
    if model != {"type": "WordLevel", "unk_token": UNKNOWN}:
        raise ValueError("another model than lstm_jax writes")
    if not isinstance(vocab, dict) or any(type(n) is not int for n in vocab.values()):
        raise ValueError("a vocab that is no words and numbers")
    if sorted(vocab.values()) != list(range(len(vocab))):
        raise ValueError("words whose numbers are not 0, 1, 2 and so on")
    if (vocab.get(PAD), vocab.get(UNKNOWN)) != (PAD_ID, UNKNOWN_ID):
        raise ValueError(f"other numbers than 0 and 1 for {PAD} and {UNKNOWN}")
    if any(map(_LONE_SURROGATE.search, vocab)):
        raise ValueError("a word with half a surrogate pair")
    return vocab


def _check_rules(said: dict[str, Any]) -> str:
    """Which of ``TOKENS`` it cuts; ``ValueError`` names the field that is not ours."""
    known = [(name, _RULES[name]) for name in TOKENS]
    odd = []
    for name, rules in (*known, ("words_and_marks", _EARLIER_RULES)):
        ours = json.loads(_word_level({}, *rules).to_str())
        differing = {f for f in ours | said if ours.get(f) != said.get(f)} - {"model"}
        if not differing:
            return name
        odd.append(sorted(differing))
    named = ", ".join(f"{field!r:.40}" for field in min(odd, key=len)[:3])
    raise ValueError(f"one whose {named} is not what lstm_jax writes")


def _word_level(
    vocab: dict[str, int], replaced: tuple[tuple[str, str], ...], token: str
) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(vocab=vocab, unk_token=UNKNOWN))
    steps = [normalizers.Replace(Regex(pattern), by) for pattern, by in replaced]
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(token), "removed", invert=True)
    return tokenizer
