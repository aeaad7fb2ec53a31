"""The PyTorch tutorials, as a user of PyTorch writes them.

Those of the write-ups are repaired as little as possible.  The one of one-hot words
takes the log-softmax of one output, which is 0 whatever the input; here that output is
a logit.
"""

# The extra that holds these libraries is not needed to check types elsewhere.
# pyright: reportMissingImports=false

import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published_record import Record
from torch import Tensor, nn

from lstm_jax.data.batches import Encoded
from lstm_jax.data.datasets import Datasets
from lstm_jax.data.tokenizer import PAD_ID
from lstm_jax.data.word_vectors import read_word_vectors
from lstm_jax.models.config import ModelConfig
from lstm_jax.training.config import Config

_OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
_POOL = 100  # batches that are sorted by length together, as torchtext does


class OneHotLSTM(nn.Module):
    """One-hot words, an LSTM, and a logit from its output at the last word.

    Attributes:
      dense: multiply one-hot vectors, as the tutorial does.  Otherwise the rows that
        they would pick are gathered: the same function of the same weights, in less
        time.
    """

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        """Build it."""
        super().__init__()
        self.vocab_size, self.dense = vocab_size, True
        self.lstm = nn.LSTM(vocab_size, config.hidden_size, batch_first=True)
        self.output = nn.Linear(config.hidden_size, 1)

    def forward(self, token_ids: Tensor, lengths: Tensor) -> Tensor:
        """``[B, T]`` to ``[B, 1]``."""
        read = self._multiply if self.dense else self._gather
        outputs = read(token_ids)
        return self.output(outputs[torch.arange(len(lengths)), lengths - 1])

    def _multiply(self, token_ids: Tensor) -> Tensor:
        # Most of the time goes into multiplying by zeros.
        one_hot = nn.functional.one_hot(token_ids, self.vocab_size).float()
        return self.lstm(one_hot)[0]

    def _gather(self, token_ids: Tensor) -> Tensor:
        w_ih, *others = self.lstm.all_weights[0]
        rows = nn.functional.embedding(token_ids, w_ih.T)
        # torch's LSTM has no way to take its inputs as they come but by identity.
        weights = [torch.eye(len(w_ih)), *others]
        carry = torch.zeros(2, 1, len(token_ids), self.lstm.hidden_size).unbind()
        return torch.lstm(
            rows, carry, weights, True, 1, 0.0, self.training, False, True
        )[0]


class PretrainedBiLSTM(nn.Module):
    """Pretrained vectors, a stacked bidirectional LSTM, first and last outputs."""

    def __init__(self, config: ModelConfig, vectors: Tensor, num_logits: int) -> None:
        """Build it."""
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(
            vectors, freeze=not config.train_embedding
        )
        self.lstm = nn.LSTM(
            vectors.shape[1],
            config.hidden_size,
            num_layers=config.num_layers,
            dropout=config.layer_dropout_rate,
            bidirectional=True,
            batch_first=True,
        )
        self.output = nn.Linear(4 * config.hidden_size, num_logits)

    def forward(self, token_ids: Tensor, lengths: Tensor) -> Tensor:
        """``[B, T]`` to ``[B, K]``; as in the tutorial, padding is read as words."""
        outputs, _ = self.lstm(self.embedding(token_ids))
        return self.output(torch.cat([outputs[:, 0], outputs[:, -1]], dim=1))


class PackedLSTM(nn.Module):
    """Trained vectors, packed reviews, and a logit from the last hidden state.

    Of no write-up: what PyTorch's tutorials make of the settings of a Keras one.
    """

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        """Build it."""
        super().__init__()
        size = config.embedding_size
        self.embedding = nn.Embedding(vocab_size, size, padding_idx=PAD_ID)
        self.lstm = nn.LSTM(size, config.hidden_size, batch_first=True)
        self.output = nn.Linear(config.hidden_size, 1)

    def forward(self, token_ids: Tensor, lengths: Tensor) -> Tensor:
        """``[B, T]`` to ``[B, 1]``."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(token_ids), lengths, batch_first=True, enforce_sorted=False
        )
        _, (last, _) = self.lstm(packed)
        return self.output(last[-1])


class TorchPeer:
    """One of the models, and the loop that trains it.

    Attributes:
      name: the library and its version.
      packages: whose versions matter.
      threads: that it computes on.
      facts: what else there is to report.
    """

    def __init__(self, config: Config, data: Datasets, by_length: bool = False) -> None:
        """Build the model and its optimizer.

        Args:
          config: its settings.
          data: its reviews.
          by_length: batch reviews of like length; those of one-hot words always are.
        """
        self.name = f"PyTorch {torch.__version__.partition('+')[0]}"
        self.packages = ("torch",)
        self.threads = torch.get_num_threads()
        self.facts: dict[str, Any] = {}
        self._started = time.perf_counter()
        self._config, self._data = config, data
        self._by_length = by_length or config.model.inputs == "one_hot"
        torch.manual_seed(config.seed)
        self._model: Any = self._build()  # torch types what can be set
        trained = [p for p in self._model.parameters() if p.requires_grad]
        optimizer = _OPTIMIZERS[config.optim.optimizer]
        self._optimizer = optimizer(trained, lr=config.optim.learning_rate)
        self.num_parameters = sum(p.numel() for p in self._model.parameters())

    def fit(self, record: Record, epochs: int) -> None:
        """Train up to ``epochs`` epochs in all, from where ``record`` stands.

        One-hot words are gathered, which is how the accuracy of ten epochs can be had;
        ``time_steps`` times what the tutorial does.
        """
        self._model.dense = False
        if record.epochs:
            self._load(record.weights(len(record.epochs)))
        while len(record.epochs) < epochs:
            number = len(record.epochs) + 1
            started = time.perf_counter()
            self._train_epoch(number, record)
            trained = time.perf_counter()
            val = self._evaluate(self._data.val)
            evaluated = time.perf_counter()
            self._save(record.weights(number))
            record.add(trained - started, evaluated - trained, val)

    def evaluate(self, record: Record, split: Encoded) -> dict[str, float]:
        """The loss and accuracy of the best epoch on ``split``."""
        self._model.dense = False
        self._load(record.weights(record.best_epoch))
        return self._evaluate(split)

    def time_steps(self, count: int) -> tuple[list[float], int]:
        """Seconds of ``count`` training steps, and how many there are in an epoch."""
        batches = self._plan(self._data.train, epoch=1)
        seconds = []
        for rows in islice(cycle(batches), count):
            started = time.perf_counter()
            self._train_step(rows)
            seconds.append(time.perf_counter() - started)
        return seconds, len(batches)

    def _build(self) -> nn.Module:
        config, text = self._config.model, self._data.text
        if config.inputs == "one_hot":
            return OneHotLSTM(config, text.tokenizer.get_vocab_size())
        if not config.embedding_file:
            return PackedLSTM(config, text.tokenizer.get_vocab_size())
        vectors, coverage = load_vectors(config, text.tokenizer.get_vocab())
        print(f"vectors of {coverage:.2%} of the vocabulary", flush=True)
        self.facts["embedding_coverage"] = round(coverage, 4)
        num_logits = config.num_logits or len(self._data.corpus.label_names)
        return PretrainedBiLSTM(config, vectors, num_logits)

    def _train_epoch(self, epoch: int, record: Record) -> None:
        batches = self._plan(self._data.train, epoch)
        for step, rows in enumerate(batches, start=1):
            loss = self._train_step(rows)
            if record.startup_seconds is None:
                seconds = time.perf_counter() - self._started
                record.startup_seconds = round(seconds, 2)
            if step % self._config.train.log_every_steps == 0:
                line = f"epoch {epoch} step {step}/{len(batches)} loss {loss:.4f}"
                print(line, flush=True)

    def _train_step(self, rows: np.ndarray) -> float:
        self._model.train()
        token_ids, lengths, labels = _batch(self._data.train, rows)
        self._optimizer.zero_grad()
        loss = _losses(self._model(token_ids, lengths), labels).mean()
        loss.backward()
        self._optimizer.step()
        return loss.item()

    @torch.no_grad()
    def _evaluate(self, split: Encoded) -> dict[str, float]:
        self._model.eval()
        loss = correct = 0.0
        for rows in self._plan(split):
            token_ids, lengths, labels = _batch(split, rows)
            logits = self._model(token_ids, lengths)
            loss += _losses(logits, labels).sum().item()
            correct += (_predictions(logits) == labels).sum().item()
        count = len(split.labels)
        return {"loss": loss / count, "accuracy": correct / count}

    def _plan(self, split: Encoded, epoch: int = 0) -> list[np.ndarray]:
        """The rows of each batch, shuffled anew each epoch; epoch 0 is not shuffled."""
        size, count = self._config.train.batch_size, len(split.labels)
        rng = np.random.default_rng((self._config.seed, epoch))
        order = rng.permutation(count) if epoch else np.arange(count)
        if not self._by_length:
            return list(_cut(order, size))
        batches = [
            rows
            for pool in _cut(order, _POOL * size)
            for rows in _cut(pool[np.argsort(split.lengths[pool], kind="stable")], size)
        ]
        return [batches[i] for i in rng.permutation(len(batches))] if epoch else batches

    def _save(self, path: Path) -> None:
        state = {
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "rng": torch.get_rng_state(),
        }
        torch.save(state, path.with_suffix(".pt"))

    def _load(self, path: Path) -> None:
        state = torch.load(path.with_suffix(".pt"), weights_only=True)
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])


def load_vectors(config: ModelConfig, vocab: dict[str, int]) -> tuple[Tensor, float]:
    """Read the vectors of the words in ``vocab``.

    Args:
      config: names the file and the size of a vector.
      vocab: the number of each word.

    Returns:
      ``[V, E]``, and the share of words with a vector in the file; the others get
      small random ones, the same in every run, and padding gets zeros.

    Raises:
      UserError: it is not such a file, or its vectors are of another size.
    """
    size = config.embedding_size
    table, known = read_word_vectors(Path(config.embedding_file), vocab, size)
    vectors = np.random.default_rng(0).normal(0.0, 0.1, table.shape)
    vectors[PAD_ID] = 0.0
    vectors[known] = table[known]
    return torch.tensor(vectors, dtype=torch.float32), float(known.mean())


def _batch(split: Encoded, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Pad the reviews of a batch to the longest of them."""
    token_ids = nn.utils.rnn.pad_sequence(
        [torch.from_numpy(split.token_ids[row]).long() for row in rows],
        batch_first=True,
        padding_value=PAD_ID,
    )
    lengths, labels = (torch.from_numpy(x[rows]) for x in (split.lengths, split.labels))
    return token_ids, lengths.long(), labels.long()


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    functional = nn.functional
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(
            logits[:, 0], labels.float(), reduction="none"
        )
    return functional.cross_entropy(logits, labels, reduction="none")


def _predictions(logits: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).long()
    return logits.argmax(dim=1)


def _cut(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]
