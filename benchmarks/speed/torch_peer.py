"""PyTorch: ``torch.nn.LSTM``, which oneDNN runs on a CPU and cuDNN on a GPU."""

# pyright: reportMissingImports=false

import numpy as np
import torch
from speed.case import Arrays, Case, Programs
from torch import nn

from lstm_jax import convert


class Model(nn.Module):
    """The classifier, as a tutorial writes it."""

    def __init__(self, case: Case, arrays: Arrays):
        """Take the weights over."""
        super().__init__()
        self.case = case
        self.table = nn.Embedding.from_pretrained(
            torch.tensor(arrays.table), freeze=False
        )
        self.lstm = nn.LSTM(
            case.embedding,
            case.hidden,
            num_layers=case.layers,
            bidirectional=case.directions == 2,
        )
        layers = {
            f"layer_{n}": dict(zip(("forward", "backward"), ways, strict=True))
            if case.directions == 2
            else ways[0]
            for n, ways in enumerate(arrays.layers)
        }
        weights = convert.to_torch("LSTM", layers)
        self.lstm.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
        self.w_out = nn.Parameter(torch.tensor(arrays.w_out))

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Logits ``[B]``; ragged reviews are packed, bfloat16 is by autocast."""
        device = tokens.device.type
        with torch.autocast(device, torch.bfloat16, self.case.dtype != "float32"):
            ys = self._outputs(tokens, lengths).float()
        return ys.sum(0) / lengths[:, None] @ self.w_out

    def _outputs(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        xs = self.table(tokens.T)
        if self.case.masked:
            packed = nn.utils.rnn.pack_padded_sequence(
                xs, lengths.cpu(), enforce_sorted=False
            )
            return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0])[0]
        return self.lstm(xs)[0]


def make_programs(library: str, case: Case, arrays: Arrays) -> Programs:
    """Eager, as its users run it."""
    del library
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Model(case, arrays).to(device)
    kept = Model(case, arrays).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    tokens = torch.tensor(arrays.tokens.astype(np.int64), device=device)
    lengths = torch.tensor(arrays.lengths, device=device)
    labels = torch.tensor(arrays.labels, device=device)
    loss_of = nn.BCEWithLogitsLoss()

    def infer() -> np.ndarray:
        with torch.inference_mode():
            return kept(tokens, lengths).cpu().numpy()

    def train() -> float:
        optimizer.zero_grad()
        loss = loss_of(model(tokens, lengths), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Programs(infer, train, f"torch ({torch.__version__})")
