"""The one door to every data source."""

from lstm_jax.cache import cache_dir
from lstm_jax.data.config import DataConfig
from lstm_jax.data.copies import without_copies
from lstm_jax.data.corpus import Corpus
from lstm_jax.data.files import check_ending, load_files, load_texts_alone
from lstm_jax.data.groups import read_groups
from lstm_jax.paths import check_readable, expand

_GROUPS = "data.validation_groups"


def load_plain(config: DataConfig, *, unlabelled: bool) -> Corpus:
    """``load_corpus`` for those who read no label: files need none, and no test."""
    if config.source != "files":
        return load_corpus(config, unlabelled=unlabelled)
    corpus = load_texts_alone(
        config.train_file,
        text_column=config.text_column,
        group_column=config.group_column,
    )
    return _with_groups(config, corpus)


def load_corpus(config: DataConfig, *, unlabelled: bool = False) -> Corpus:
    """Load the reviews that ``config`` names.

    Args:
      config: the settings; those of the tokenizer and the split are not read here.
      unlabelled: whether to load the unlabelled ones, where there are any; copies of
        labelled ones, of which some are held out, are left out.

    Returns:
      The corpus; the groups of ``config.validation_groups`` go before those of the
      source.

    Raises:
      UserError: the data cannot be had or read as the settings say.
    """
    corpus = _LOADERS[config.source](config)
    if unlabelled and config.source == "imdb_reviews":
        corpus = corpus._replace(unlabelled=_load_unlabelled(config, corpus))
    return _with_groups(config, corpus)


def check_files(config: DataConfig) -> None:
    """Look for the files that ``config`` names; nothing is read.

    Raises:
      UserError: one is not there, could not be read, or has another ending.
    """
    for name in ("train_file", "test_file"):
        if path := getattr(config, name):
            check_ending(f"data.{name}", path)
            check_readable(path, f"data.{name}")
    if config.validation_groups:
        check_readable(config.validation_groups, _GROUPS)


def _with_groups(config: DataConfig, corpus: Corpus) -> Corpus:
    """The groups of ``config.validation_groups``, where it names any."""
    if not config.validation_groups:
        return corpus
    groups = read_groups(
        config.validation_groups,
        len(corpus.train.texts),
        setting=_GROUPS,
    )
    return corpus._replace(train=corpus.train._replace(groups=groups))


# TFDS is imported where it is needed: it takes a second, and files do without it.


def _load_imdb(config: DataConfig) -> Corpus:
    from lstm_jax.data.imdb import load_imdb

    return load_imdb(config.data_dir)


def _load_unlabelled(config: DataConfig, corpus: Corpus) -> tuple[str, ...]:
    from lstm_jax.data.imdb import load_unlabelled

    labelled = corpus.train.texts + (corpus.test.texts if corpus.test else [])
    return without_copies(load_unlabelled(config.data_dir), of=labelled)


def _load_synthetic(config: DataConfig) -> Corpus:
    from lstm_jax.data import prepared
    from lstm_jax.data.synthetic_reviews import SyntheticReviews

    # Not in TFDS_DATA_DIR, which people share and may not be able to write.
    kept = cache_dir() / "tfds"
    root = expand(config.data_dir, "data.data_dir") if config.data_dir else kept
    builder = prepared.load_or_prepare(SyntheticReviews, root.absolute())
    return Corpus(
        name="synthetic_reviews",
        label_names=prepared.label_names(builder),
        train=prepared.read_split(builder, "train"),
        test=prepared.read_split(builder, "test"),
        notice="synthetic reviews, not IMDB",
    )


def _load_files(config: DataConfig) -> Corpus:
    return load_files(
        config.train_file,
        config.test_file,
        text_column=config.text_column,
        label_column=config.label_column,
        group_column=config.group_column,
    )


_LOADERS = {
    "imdb_reviews": _load_imdb,
    "synthetic_reviews": _load_synthetic,
    "files": _load_files,
}
