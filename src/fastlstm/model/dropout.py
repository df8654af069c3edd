"""Dropout whose draws do not take longer than the layers between."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 256


class Dropout(nn.Module):
    """As :class:`torch.nn.Dropout`, a byte of random bits a value.

    On a CPU PyTorch draws a number a value, on one thread, which takes six times as long: a third of a training step
    of a small network on long inputs. What remains is scaled by what is really dropped::

        y = x ⊙ [b ≥ k] · 256 / (256 - k),  b even in 0 … 255,  k = the rate in 256ths

    Parameters
    ----------
    rate : float
        The share that becomes zero in training, 0 or more and below 1; what is dropped is that to within 1 / 512.

    Examples
    --------
    >>> dropout = Dropout(0.25)
    >>> y = dropout(torch.ones(1000, 1000))
    >>> y.unique().tolist(), round(float(y.mean()), 2)
    ([0.0, 1.3333333730697632], 1.0)
    >>> dropout.eval()(torch.ones(3))
    tensor([1., 1., 1.])
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop values in training, and change nothing else.

        Parameters
        ----------
        x : Tensor
            (…)

        Returns
        -------
        Tensor
            (…)
        """
        if not self.training or self.rate == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.rate)
        dropped = min(round(LEVELS * self.rate), LEVELS - 1)
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()] >= dropped
        return x * kept.view(x.shape).to(x.dtype).mul_(LEVELS / (LEVELS - dropped))

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate}"
