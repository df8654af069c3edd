"""Pooling: what a network makes of all steps of a sequence together."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

PoolingKind = Literal["last", "mean", "max", "attention"]


class Pooling(nn.Module):
    """From the outputs of all steps to one vector.

    ``last`` is the last step's output, of a backward direction the first step's; ``mean`` and ``max`` are over the
    steps; ``attention`` is a mean whose weights are learnt (Yang et al. 2016, "Hierarchical attention networks for
    document classification", section 2.2)::

        a_t = softmax_t(v · tanh(W h_t + b))
        s   = Σ_t a_t h_t

    B sequences, T steps, H hidden units of all directions together.

    Parameters
    ----------
    kind : {"last", "mean", "max", "attention"}
        Which.
    hidden_size : int
        H.
    bidirectional : bool
        Whether the second half of the units is a backward direction.

    Examples
    --------
    >>> steps = torch.tensor([[1.0, 1.0, 0.0]])
    >>> outputs = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]])
    >>> Pooling("mean", 2)(outputs, steps), Pooling("last", 2, bidirectional=True)(outputs, steps)
    (tensor([[2., 3.]]), tensor([[3., 2.]]))
    """

    def __init__(self, kind: PoolingKind, hidden_size: int, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.kind = kind
        self.bidirectional = bidirectional
        self.weigh: nn.Module | None = None
        if kind == "attention":
            width = max(1, hidden_size // 2)
            self.weigh = nn.Sequential(
                nn.Linear(hidden_size, width), nn.Tanh(), nn.Linear(width, 1, bias=False)
            )

    def forward(self, outputs: Tensor, steps: Tensor) -> Tensor:
        """Pool.

        Parameters
        ----------
        outputs : Tensor
            (B, T, H), 0 past the ends.
        steps : Tensor
            (B, T), 1 at the steps of a sequence, 0 past its end.

        Returns
        -------
        Tensor
            (B, H)
        """
        if self.kind == "last":
            end = (steps.sum(1).long() - 1).clamp(min=0)[:, None, None]
            last = outputs.gather(1, end.expand(-1, -1, outputs.shape[2])).squeeze(1)
            if not self.bidirectional:
                return last
            half = outputs.shape[2] // 2
            return torch.cat([last[:, :half], outputs[:, 0, half:]], dim=1)
        if self.kind == "max":
            return outputs.masked_fill(steps[..., None] == 0, -torch.inf).amax(1)
        if self.weigh is None:
            return outputs.sum(1) / steps.sum(1, keepdim=True).clamp(min=1)
        scores: Tensor = self.weigh(outputs).squeeze(2).masked_fill(steps == 0, -torch.inf)
        return (outputs * scores.softmax(1)[..., None]).sum(1)
