"""The settings of the model."""

from dataclasses import dataclass

from lstm_jax.cells import CELLS
from lstm_jax.checks import between, choice
from lstm_jax.errors import UserError
from lstm_jax.kernels import IMPLEMENTATIONS
from lstm_jax.models.pooling import POOLINGS

INPUTS = ("embedding", "one_hot")
_OF_VECTORS = (
    "embedding_stddev",
    "embedding_file",
    "pretrained",
    "train_embedding",
    "embedding_dropout_rate",
    "input_dropout_rate",
)
GATES_DRAWN = ("apart", "together")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The classifier, from the embedding up."""

    # "embedding": a trained vector a word; "one_hot": the word itself.
    inputs: str = "embedding"
    embedding_size: int = 64
    embedding_stddev: float = 0.0  # of the vectors drawn; 0 is 1 / sqrt(their size)
    embedding_file: str = ""  # pretrained vectors, in the text format of GloVe
    # The folder of a language model's run: its words, its vectors and its layers.
    pretrained: str = ""
    train_embedding: bool = True  # False: the vectors stay as they begin
    cell: str = "lstm"
    # The first weights: of each gate by itself, or of all as one matrix, as in Keras.
    gates_drawn: str = "apart"
    hidden_size: int = 64  # of one direction
    num_layers: int = 1
    bidirectional: bool = True
    backward: bool = False  # with one direction: from the last word to the first
    pooling: str = "mean_max"
    head_size: int = 0  # width of a hidden layer before the logits; 0 is none
    # 1: one logit (two classes only); 0: a logit for each class.
    num_logits: int = 1
    word_dropout_rate: float = 0.0  # words replaced by the unknown token
    embedding_dropout_rate: float = 0.0  # of features, all along a review
    input_dropout_rate: float = 0.0  # of a layer's inputs, all along a review
    recurrent_dropout_rate: float = 0.0  # of its hidden state, all along a review
    layer_dropout_rate: float = 0.0  # between stacked layers
    head_dropout_rate: float = 0.0  # after pooling and after the hidden layer
    ngram_share: float = 0.5  # of the logits, when data.ngram_order is above 0
    dtype: str = "float32"  # of the products; parameters and carry stay float32
    implementation: str = "auto"
    # Time steps in one iteration of the compiled loop; 0 is 8 on a GPU, else 1.
    unroll: int = 0
    chunk_size: int = 0  # steps kept for the gradient at a time; 0 keeps all

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        choice("model.inputs", self.inputs, INPUTS)
        choice("model.cell", self.cell, CELLS)
        choice("model.gates_drawn", self.gates_drawn, GATES_DRAWN)
        choice("model.pooling", self.pooling, POOLINGS)
        choice("model.dtype", self.dtype, DTYPES)
        choice("model.implementation", self.implementation, IMPLEMENTATIONS)
        for name in ("embedding_size", "hidden_size"):
            between(f"model.{name}", getattr(self, name), 1, 65_536)
        between("model.num_layers", self.num_layers, 1, 1_000)
        between("model.unroll", self.unroll, 0, 10_000)
        between("model.head_size", self.head_size, 0, 65_536)
        between("model.chunk_size", self.chunk_size, 0, 1_000_000)
        between("model.embedding_stddev", self.embedding_stddev, 0.0, 10.0)
        between("model.ngram_share", self.ngram_share, 0.0, 1.0)
        between("model.num_logits", self.num_logits, 0, 1)
        for name in ("word", "embedding", "input", "recurrent", "layer", "head"):
            field_name = f"{name}_dropout_rate"
            between(f"model.{field_name}", getattr(self, field_name), 0.0, 0.99)
        if self.inputs == "one_hot":
            self._refuse_embedding()
        if self.pretrained and (self.embedding_file or self.embedding_stddev):
            raise UserError(
                'model.pretrained: expected "" with model.embedding_file or '
                "model.embedding_stddev, which also say where the vectors begin, got "
                f"{self.pretrained!r}"
            )
        if self.backward and self.bidirectional:
            raise UserError(
                "model.backward: expected False where model.bidirectional is True, "
                "got True"
            )
        self._try_cell()

    def _try_cell(self) -> None:
        """Refuse a size that the cell cannot have, and inputs that it cannot read."""
        try:
            cell = CELLS[self.cell](self.hidden_size)
        except ValueError as mistake:
            raise UserError(f"model.{mistake}, with model.cell={self.cell}") from None
        if cell.noise is not None and self.inputs == "one_hot":
            raise UserError(
                f'model.inputs: expected "embedding" where model.cell is {self.cell}, '
                f"whose training adds features to vectors, got {self.inputs!r}"
            )

    def _refuse_embedding(self) -> None:
        """Refuse settings of vectors where there are none."""
        plain = ModelConfig()
        for name in _OF_VECTORS:
            got, expected = getattr(self, name), getattr(plain, name)
            if got != expected:
                raise UserError(
                    f"model.{name}: expected {expected!r} where model.inputs is "
                    f'"one_hot", which has no vectors, got {got!r}'
                )


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig:
    """What a language model has beside the settings of ``ModelConfig``."""

    unlabelled: bool = True  # False: only the train reviews of a classifier are read
    window: int = 64  # words of a row in a step; the carry goes on, the gradient not
    # Words that the next one is told from; 0, or as many as there are, is all.
    num_sampled: int = 2048
    vocabulary_dropout_rate: float = 0.0  # of words, everywhere in a batch
    weight_dropout_rate: float = 0.0  # of the recurrent weights
    activation_penalty: float = 0.0  # of the size of what foretells the words
    change_penalty: float = 0.0  # of the change of the outputs from word to word

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        between("language_model.window", self.window, 1, 1_000_000)
        between("language_model.num_sampled", self.num_sampled, 0, 1_000_000)
        for name in ("vocabulary", "weight"):
            field_name = f"{name}_dropout_rate"
            between(
                f"language_model.{field_name}", getattr(self, field_name), 0.0, 0.99
            )
        for name in ("activation_penalty", "change_penalty"):
            between(f"language_model.{name}", getattr(self, name), 0.0, 1_000.0)
