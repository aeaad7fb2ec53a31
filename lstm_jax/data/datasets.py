"""A corpus made ready to train on: split, tokenized, truncated."""

import hashlib
import logging
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from lstm_jax.cache import remember
from lstm_jax.data import ngrams as ngrams_module
from lstm_jax.data import tokenizer as tokenizer_module
from lstm_jax.data.batches import NO_LABEL, Encoded, bucket_widths
from lstm_jax.data.config import DataConfig
from lstm_jax.data.corpus import Corpus, Reviews
from lstm_jax.data.ngrams import (
    NGrams,
    find_ngrams,
    learn_ngrams,
    load_ngrams,
    no_ngrams,
    save_ngrams,
)
from lstm_jax.data.sources import load_corpus
from lstm_jax.data.splits import hold_out, sample_rows
from lstm_jax.data.tokenizer import (
    UNKNOWN_ID,
    encode,
    load_tokenizer,
    parse_tokenizer,
    train_tokenizer,
)
from lstm_jax.data.tokenizer import truncate as cut
from lstm_jax.drafts import draft_of
from lstm_jax.errors import UserError, quote

logger = logging.getLogger(__name__)

_WORTH_KEEPING = 1000  # reviews: a second's work
_MANY_UNKNOWN = 0.3  # of all words; of English reviews it is less than a tenth
_TOKENIZER, _NGRAMS = "tokenizer.json", "ngrams.npz"


class Text(NamedTuple):
    """How a text becomes numbers: learned from train texts, and never from others.

    Attributes:
      tokenizer: saved as ``tokenizer.json``.
      ngrams: saved as ``ngrams.npz`` when there are any.
    """

    tokenizer: Tokenizer
    ngrams: NGrams


class Datasets(NamedTuple):
    """What a run trains, chooses and reports on.

    Attributes:
      corpus: where it comes from.
      text: how its texts became numbers.
      train: the reviews to learn from; those without a label come last.
      val: the reviews to choose on.
      val_texts: what was written in them.
      test: the reviews for the last line of the run, or None.
      widths: the lengths that batches are padded to.
    """

    corpus: Corpus
    text: Text
    train: Encoded
    val: Encoded
    val_texts: list[str]
    test: Encoded | None
    widths: np.ndarray

    def digest(self) -> str:
        """A short name for what is learned from: other reviews, another digest."""
        digest = hashlib.sha256()
        for text in self.corpus.train.texts:
            digest.update(text.encode("utf-8", errors="replace") + b"\0")
        digest.update(self.text.ngrams.ratios.tobytes())
        for part in (self.train, self.val):
            digest.update(part.lengths.tobytes() + part.labels.tobytes())
            for ids in (*part.token_ids, *part.ngram_ids):
                digest.update(ids.tobytes())
        return digest.hexdigest()[:16]


def load_datasets(
    config: DataConfig,
    *,
    num_logits: int,
    text_dir: Path,
    tokenizer: Tokenizer | None = None,
) -> Datasets:
    """Load, split and tokenize.

    Args:
      config: the settings.
      num_logits: of the model, 0 for one a class.
      text_dir: where ``Text`` is read from, when a run left it there; nothing is
        written.
      tokenizer: whose words are taken over; None learns them.

    Raises:
      UserError: the data is not as the settings say, or has more classes than one
        logit can tell.
    """
    corpus = load_corpus(config, unlabelled=config.num_unlabelled > 0)
    _check_logits(num_logits, len(corpus.label_names))
    train_rows, val_rows = hold_out(corpus, config.validation_fraction)
    train_rows = sample_rows(train_rows, config.num_labelled, "data.num_labelled")
    _check_classes(corpus.train.labels[train_rows], corpus.label_names)
    train, val = corpus.train.pick(train_rows), corpus.train.pick(val_rows)
    num_logits = num_logits or len(corpus.label_names)
    text = load_text(text_dir, num_logits, config.ngram_order)
    text = text or learn_text(train, config, num_logits, tokenizer)
    encoded = _with_unlabelled(
        encode_reviews(text, train, config), text, corpus, config
    )
    judged = encode_reviews(text, val, config)
    _tell_unknown(judged)
    test = corpus.test and encode_reviews(text, corpus.test, config)
    return Datasets(
        corpus=corpus,
        text=text,
        train=encoded,
        val=judged,
        val_texts=val.texts,
        test=test,
        widths=_widths(encoded, [judged, *([test] if test else [])], config),
    )


def learn_text(
    train: Reviews,
    config: DataConfig,
    num_logits: int,
    tokenizer: Tokenizer | None = None,
) -> Text:
    """Learn the vocabulary, if none is given, and the n-grams when there are any.

    What is learned from many reviews is kept, see ``lstm_jax.cache``.
    """
    if len(train.texts) < _WORTH_KEEPING:
        return _learn(train, config, num_logits, tokenizer)
    settings = (config.vocab_size, config.tokens, config.ngram_order, num_logits)
    known = (
        *_code(),
        repr(settings).encode(),
        b"" if tokenizer is None else tokenizer.to_str().encode(),
        train.labels.tobytes(),
    )

    def compute() -> dict[str, np.ndarray]:
        """The same as arrays."""
        return _pack_text(_learn(train, config, num_logits, tokenizer))

    return _unpack_text(remember("texts", chain(known, _utf8(train.texts)), compute))


def _learn(
    train: Reviews, config: DataConfig, num_logits: int, tokenizer: Tokenizer | None
) -> Text:
    if tokenizer is None:
        tokenizer = train_tokenizer(
            train.texts, config.vocab_size, tokens=config.tokens
        )
    if not config.ngram_order:
        return Text(tokenizer, no_ngrams(num_logits))
    ngrams = learn_ngrams(
        tokenize(tokenizer, train.texts),
        train.labels,
        order=config.ngram_order,
        vocab_size=tokenizer.get_vocab_size(),
        num_logits=num_logits,
    )
    return Text(tokenizer, ngrams)


def save_text(text: Text, folder: Path) -> None:
    """Write ``text`` into the folder of a run; ``tokenizer.json`` comes last."""
    if text.ngrams.order:
        save_ngrams(text.ngrams, folder / _NGRAMS)
    with draft_of(folder / _TOKENIZER) as draft:
        # Not tokenizer.save(): its errors, as of a full disk, are no OSError.
        draft.write_text(text.tokenizer.to_str(pretty=True), encoding="utf-8")


def load_text(folder: Path, num_logits: int, ngram_order: int) -> Text | None:
    """Read what ``save_text`` wrote; None when it did not.

    Raises:
      UserError: it is not whole, or not that of such a model.
    """
    if not (folder / _TOKENIZER).exists():
        return None
    tokenizer, path = load_tokenizer(folder / _TOKENIZER), folder / _NGRAMS
    if not ngram_order:
        return Text(tokenizer, no_ngrams(num_logits))
    if not path.exists():
        raise UserError(f"{path}: expected the n-grams of the run, got nothing there")
    ngrams = load_ngrams(path)
    expected = (ngram_order, tokenizer.get_vocab_size() + 1, num_logits)
    found = (ngrams.order, ngrams.base, ngrams.ratios.shape[1])
    if found != expected:
        raise UserError(
            f"{path}: expected the n-grams of this run (order, base and logits "
            f"{expected}), got others {found}; restore the file"
        )
    return Text(tokenizer, ngrams)


def encode_reviews(text: Text, reviews: Reviews, config: DataConfig) -> Encoded:
    """Tokenize, look up n-grams of the whole text, and truncate.

    What becomes of many reviews is kept, see ``lstm_jax.cache``.
    """
    whole = tokenize(text.tokenizer, reviews.texts)
    return _encoded(
        text,
        whole,
        _find_ngrams(text, reviews.texts, whole),
        reviews.labels,
        max_length=config.max_length,
        truncate=config.truncate,
    )


def tokenize(tokenizer: Tokenizer, texts: list[str]) -> list[np.ndarray]:
    """Texts as int32 token ids, at full length.

    What becomes of many is kept, see ``lstm_jax.cache``.
    """
    if len(texts) < _WORTH_KEEPING:
        return encode(tokenizer, texts)
    known = chain(_code(), [tokenizer.to_str().encode()], _utf8(texts))
    numbers = remember(
        "tokens", known, lambda: _pack("tokens", encode(tokenizer, texts))
    )
    return _unpack("tokens", numbers)


def _find_ngrams(
    text: Text, texts: list[str], whole: list[np.ndarray]
) -> list[np.ndarray]:
    """The n-grams of each of ``texts``, whose tokens are ``whole``; kept likewise."""
    find = partial(_find_each, text.ngrams, whole)
    if len(texts) < _WORTH_KEEPING or not text.ngrams.order:
        return find()
    given = (text.tokenizer.to_str().encode(), text.ngrams.keys.tobytes())
    known = chain(_code(), given, _utf8(texts))
    numbers = remember("ngrams", known, lambda: _pack("ngrams", find()))
    return _unpack("ngrams", numbers)


def _find_each(ngrams: NGrams, whole: list[np.ndarray]) -> list[np.ndarray]:
    return [find_ngrams(ids, ngrams) for ids in whole]


def encode_ids(
    text: Text,
    whole: list[np.ndarray],
    labels: np.ndarray,
    *,
    max_length: int,
    truncate: str,
) -> Encoded:
    """The same for reviews that are token ids already, at full length."""
    ngram_ids = _find_each(text.ngrams, whole)
    how = {"max_length": max_length, "truncate": truncate}
    return _encoded(text, whole, ngram_ids, labels, **how)


def _encoded(
    text: Text,
    whole: list[np.ndarray],
    ngram_ids: list[np.ndarray],
    labels: np.ndarray,
    *,
    max_length: int,
    truncate: str,
) -> Encoded:
    token_ids = [cut(ids, max_length, truncate) for ids in whole]
    return Encoded(
        token_ids=token_ids,
        lengths=np.array([len(ids) for ids in token_ids], np.int32),
        whole_lengths=np.array([len(ids) for ids in whole], np.int32),
        labels=labels.astype(np.int32),
        ngram_ids=ngram_ids,
        ngram_values=text.ngrams.ratios,
    )


def _code() -> tuple[bytes, ...]:
    """What turns texts into numbers: other code, other numbers."""
    modules = (tokenizer_module, ngrams_module)
    sources = [Path(str(module.__file__)).read_bytes() for module in modules]
    return (version("tokenizers").encode(), *sources)


def _utf8(texts: list[str]) -> Iterator[bytes]:
    return (text.encode("utf-8", errors="surrogatepass") for text in texts)


def _pack_text(text: Text) -> dict[str, np.ndarray]:
    written = np.frombuffer(text.tokenizer.to_str().encode(), np.uint8)
    ngrams = {name: np.asarray(part) for name, part in text.ngrams._asdict().items()}
    return {"tokenizer": written, **ngrams}


def _unpack_text(arrays: dict[str, np.ndarray]) -> Text:
    ngrams = NGrams(
        int(arrays["order"]), int(arrays["base"]), arrays["keys"], arrays["ratios"]
    )
    return Text(parse_tokenizer(arrays["tokenizer"].tobytes(), "the cache"), ngrams)


def _pack(name: str, rows: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Rows of different lengths as one array, and where each of them ends."""
    ends = np.cumsum([len(row) for row in rows])
    return {name: np.concatenate(rows), f"{name}_end": ends}


def _unpack(name: str, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    return np.split(arrays[name], arrays[f"{name}_end"][:-1])


def _with_unlabelled(
    train: Encoded, text: Text, corpus: Corpus, config: DataConfig
) -> Encoded:
    """``train``, and after it a sample of the reviews that have no label."""
    count, setting = config.num_unlabelled, "data.num_unlabelled"
    if not count:
        return train
    rows = sample_rows(np.arange(len(corpus.unlabelled)), count, setting)
    texts = [corpus.unlabelled[i] for i in rows]
    labels = np.full(len(texts), NO_LABEL, np.int32)
    more = encode_reviews(text, Reviews(texts, labels), config)
    return Encoded(
        token_ids=train.token_ids + more.token_ids,
        lengths=np.concatenate([train.lengths, more.lengths]),
        whole_lengths=np.concatenate([train.whole_lengths, more.whole_lengths]),
        labels=np.concatenate([train.labels, more.labels]),
        ngram_ids=train.ngram_ids + more.ngram_ids,
        ngram_values=train.ngram_values,
    )


def _check_logits(num_logits: int, num_classes: int) -> None:
    """Refuse one logit for more than two classes."""
    if num_logits == 1 and num_classes != 2:
        raise UserError(
            "model.num_logits: expected 0 (a logit for each class) for data with "
            f"{num_classes} classes, got 1"
        )


def _check_classes(labels: np.ndarray, names: tuple[str, ...]) -> None:
    """Say when there is a class that nothing can be learned of."""
    missing = [name for n, name in enumerate(names) if n not in labels]
    if missing:
        logger.warning(
            "None of the %d train reviews is of class %s",
            len(labels),
            quote(missing[0]),
        )


def _tell_unknown(reviews: Encoded) -> None:
    """Say when much of what is read are words that the vocabulary has not.

    So it is of a script without spaces, whose texts are one word each.
    """
    ids = np.concatenate(reviews.token_ids)
    share = (ids == UNKNOWN_ID).mean() if len(ids) else 0.0
    if share > _MANY_UNKNOWN:
        logger.warning(
            "%.0f %% of the words of the validation reviews (what stands between "
            "spaces and marks) are not in the vocabulary; little can be learned of "
            "such",
            100 * share,
        )


def _widths(train: Encoded, others: list[Encoded], config: DataConfig) -> np.ndarray:
    """Bucket widths for the train reviews, and one for longer ones where there are any.

    What is learned from in one step does not depend on the other splits.
    """
    widths = bucket_widths(train.lengths, config.num_buckets)
    longest = max(int(some.lengths.max(initial=1)) for some in others)
    if longest <= widths[-1]:
        return widths
    return np.append(widths, bucket_widths(np.array([longest]), 1))
