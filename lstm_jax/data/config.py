"""The settings of the data."""

from dataclasses import dataclass, fields

from lstm_jax.checks import between, choice
from lstm_jax.data.tokenizer import TOKENS
from lstm_jax.errors import UserError

SOURCES = ("imdb_reviews", "synthetic_reviews", "files")
TRUNCATIONS = ("head", "tail", "head_tail")
OF_FILES = ("train_file", "test_file", "text_column", "label_column", "group_column")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which reviews, and how a text becomes token ids."""

    source: str = "imdb_reviews"
    # TFDS directory; "" is $TFDS_DATA_DIR, then ~/tensorflow_datasets.
    data_dir: str = ""
    # For source "files": CSV, TSV or JSON lines, told by the file's ending.
    train_file: str = ""
    test_file: str = ""
    text_column: str = "text"
    label_column: str = "label"
    group_column: str = ""
    # Share of the train reviews held out for every choice.
    validation_fraction: float = 0.1
    # Train reviews to learn from beside those; a fixed sample, 0 is all of them.
    num_labelled: int = 0
    # Reviews without a label to learn from besides; a fixed sample.
    num_unlabelled: int = 0
    # A text file whose line i is the group of train record i: whole groups
    # (movies) are held out.  "" uses the groups the source has.
    validation_groups: str = ""
    tokens: str = "words_and_marks"  # "words" leaves out punctuation and line breaks
    vocab_size: int = 20_000  # with the padding, unknown and newline tokens
    max_length: int = 400  # tokens kept of a review
    truncate: str = "head_tail"  # head_tail: the first quarter, then the end
    ngram_order: int = 0  # also read n-grams of 1 up to this many tokens; 0 is off
    num_buckets: int = 8  # lengths a batch is padded to; one compilation each

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        choice("data.source", self.source, SOURCES)
        choice("data.tokens", self.tokens, TOKENS)
        choice("data.truncate", self.truncate, TRUNCATIONS)
        between("data.validation_fraction", self.validation_fraction, 0.001, 0.9)
        # Three tokens of 20 bits: an n-gram fits a 64-bit number.
        between("data.vocab_size", self.vocab_size, 4, 1_000_000)
        between("data.num_labelled", self.num_labelled, 0, 2**31 - 1)
        between("data.num_unlabelled", self.num_unlabelled, 0, 2**31 - 1)
        between("data.max_length", self.max_length, 1, 1_000_000)
        between("data.ngram_order", self.ngram_order, 0, 3)
        between("data.num_buckets", self.num_buckets, 1, 64)
        for name in ("text_column", "group_column"):
            if getattr(self, name) == self.label_column:
                raise UserError(
                    f"data.{name}: expected another column than data.label_column, "
                    f"got {self.label_column!r} for both"
                )
        if self.group_column and self.validation_groups:
            raise UserError(
                'data.validation_groups: expected "" with data.group_column, got '
                f"{self.validation_groups!r}; groups can come from one of them"
            )
        if self.source == "files" and not self.train_file:
            raise UserError(
                'data.train_file: expected a path when data.source is "files", got ""'
            )
        self._refuse_what_is_not_read()

    def _refuse_what_is_not_read(self) -> None:
        """Refuse settings that would change nothing."""
        defaults = {field.name: field.default for field in fields(self)}
        for name in OF_FILES:
            if self.source != "files" and getattr(self, name) != defaults[name]:
                raise UserError(
                    f'data.source: expected "files" with data.{name}, got '
                    f"{self.source!r}"
                )
