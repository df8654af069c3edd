"""Heads: from hidden values to quantiles that never cross, and the loss that fits them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class QuantileHead(nn.Module):
    """Q quantiles that rise by construction.

    The linear layer gives the median itself, and the distance from each quantile to its neighbour on the median's
    side as a softplus, which is above 0. With the median at place j::

        q_j     = a_j
        q_{k+1} = q_k + softplus(a_{k+1})      k ≥ j
        q_{k-1} = q_k - softplus(a_{k-1})      k ≤ j

    After Gasthaus et al. 2019, "Probabilistic forecasting with spline quantile function RNNs", who sum non-negative
    increments likewise.

    Parameters
    ----------
    input_size : int
        D.
    quantiles : sequence of float
        Q rising quantiles, 0.5 among them.

    Examples
    --------
    >>> head = QuantileHead(4, [0.1, 0.5, 0.9])
    >>> forecast = head(torch.randn(7, 4))
    >>> bool((forecast.diff(dim=-1) > 0).all())
    True
    """

    levels: Tensor
    sums: Tensor
    is_median: Tensor

    def __init__(self, input_size: int, quantiles: Sequence[float]) -> None:
        super().__init__()
        Q, median = len(quantiles), list(quantiles).index(0.5)
        self.linear = nn.Linear(input_size, Q)
        # forecast = increments @ sums: row k says to which quantiles increment k counts, and with which sign.
        sums = torch.zeros(Q, Q)
        sums[median] = 1
        for place in range(Q):
            if place > median:
                sums[place, place:] = 1
            if place < median:
                sums[place, : place + 1] = -1
        self.register_buffer("sums", sums, persistent=False)
        self.register_buffer("is_median", torch.arange(Q) == median, persistent=False)
        self.register_buffer("levels", torch.tensor(list(quantiles)), persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Forecast.

        Parameters
        ----------
        hidden : Tensor
            (…, D)

        Returns
        -------
        Tensor
            (…, Q), rising along the last axis.
        """
        raw = self.linear(hidden)
        return torch.where(self.is_median, raw, F.softplus(raw)) @ self.sums


def pinball_loss(forecast: Tensor, target: Tensor, weight: Tensor, levels: Tensor) -> Tensor:
    """The mean pinball loss over quantiles and over what was observed.

    ``max(q e, (q - 1) e) = |e| / 2 + (q - 1/2) e`` with ``e = y - ŷ``. Koenker & Bassett 1978, "Regression
    quantiles", Econometrica 46.

    Parameters
    ----------
    forecast : Tensor
        (…, Q)
    target : Tensor
        (…)
    weight : Tensor
        (…), 0 where the target is missing, otherwise 1.
    levels : Tensor
        (Q,), the quantiles.

    Returns
    -------
    Tensor
        A scalar; 0 where nothing was observed.

    Examples
    --------
    >>> forecast, target = torch.tensor([[1.0, 3.0], [9.0, 9.0]]), torch.tensor([2.0, 5.0])
    >>> pinball_loss(forecast, target, torch.tensor([1.0, 0.0]), torch.tensor([0.1, 0.9])).item()
    0.1...
    """
    error = target.unsqueeze(-1) - forecast
    loss = error.abs().mul(0.5) + error * (levels - 0.5)
    return (loss.mean(-1) * weight).sum() / weight.sum().clamp(min=1)
