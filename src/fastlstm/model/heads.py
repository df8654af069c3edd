"""Heads: from hidden values to quantiles that never cross, and the loss that fits them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from fastlstm.data.scaling import WindowScale
from fastlstm.ops.linear import linear


class Head(nn.Module):
    """What a network says of each step ahead, how that is learnt, and its quantiles.

    B windows, K origins, L steps ahead, D decoder units, P numbers a step, Q quantiles.
    """

    def forward(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        """Forecast.

        Parameters
        ----------
        hidden : Tensor
            (B, K, L, D)
        mixed : Tensor
            (B, K, L), the mixture of naive forecasts, to which the network's own is added.

        Returns
        -------
        Tensor
            (B, K, L, P), in the scale of the windows.
        """
        raise NotImplementedError

    def loss(self, outputs: Tensor, target: Tensor, weight: Tensor, scale: WindowScale) -> Tensor:
        """Compute the loss, mean over what was observed.

        Parameters
        ----------
        outputs : Tensor
            (B, K, L, P), of ``forward``.
        target, weight : Tensor
            (B, K, L), in the scale of the windows; 0 where the target is missing, otherwise 1.
        scale : WindowScale
            Of the windows.

        Returns
        -------
        Tensor
            A scalar.
        """
        raise NotImplementedError

    def quantiles(self, outputs: Tensor, scale: WindowScale) -> Tensor:
        """Return the quantiles.

        Parameters
        ----------
        outputs : Tensor
            (B, K, L, P)
        scale : WindowScale
            Of the windows.

        Returns
        -------
        Tensor
            (B, K, L, Q), in the scale of the windows.
        """
        raise NotImplementedError


class QuantileHead(Head):
    """Q quantiles that rise by construction.

    The linear layer gives the median itself, and the distance from each quantile to its neighbour on the
    median's side as a softplus, which is above 0. With the median at place j::

        q_j     = a_j
        q_{k+1} = q_k + softplus(a_{k+1})      k ≥ j
        q_{k-1} = q_k - softplus(a_{k-1})      k ≤ j

    After Gasthaus et al. 2019, "Probabilistic forecasting with spline quantile function RNNs", who sum
    non-negative increments likewise.

    Parameters
    ----------
    input_size : int
        D.
    quantiles : sequence of float
        Q rising quantiles, 0.5 among them.

    Examples
    --------
    >>> head = QuantileHead(4, [0.1, 0.5, 0.9])
    >>> forecast = head(torch.randn(7, 4), torch.zeros(7))
    >>> bool((forecast.diff(dim=-1) > 0).all())
    True
    """

    levels: Tensor
    parts: Tensor

    def __init__(self, input_size: int, quantiles: Sequence[float]) -> None:
        super().__init__()
        Q, median = len(quantiles), list(quantiles).index(0.5)
        # Output 0 is the median; the others are the distances, in the order of the quantiles.
        self.linear = nn.Linear(input_size, Q)
        # Column k says to which quantiles output k counts, and with which sign.
        parts = torch.zeros(Q, Q)
        parts[:, 0] = 1
        for place in range(Q - 1):
            if place < median:
                parts[: place + 1, 1 + place] = -1
            else:
                parts[place + 1 :, 1 + place] = 1
        self.register_buffer("parts", parts, persistent=False)
        self.register_buffer("levels", torch.tensor(list(quantiles)), persistent=False)

    @override
    def forward(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        """Forecast quantiles, rising along the last axis."""
        outputs = linear(hidden, self.linear.weight, self.linear.bias)
        rising: Tensor = _Rising.apply(outputs, self.parts)  # type: ignore[no-untyped-call]
        return rising + mixed.unsqueeze(-1)

    @override
    def loss(self, outputs: Tensor, target: Tensor, weight: Tensor, scale: WindowScale) -> Tensor:
        """Compute the mean pinball loss; :func:`pinball_loss`."""
        return pinball_loss(outputs, target, weight, self.levels)

    @override
    def quantiles(self, outputs: Tensor, scale: WindowScale) -> Tensor:
        """Return the quantiles, which the outputs are."""
        return outputs


class _Rising(torch.autograd.Function):
    """The quantiles from the outputs of the linear layer; a third of the calls that autograd would make of it."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, parts: Tensor) -> Tensor:
        ctx.save_for_backward(outputs, parts)
        terms = F.softplus(outputs)
        terms[..., 0] = outputs[..., 0]
        return linear(terms, parts)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        outputs, parts = ctx.saved_tensors
        slope = outputs.sigmoid()
        slope[..., 0] = 1
        return linear(outer, parts.T.to(outer.dtype)).mul_(slope), None


class IntervalStretch(nn.Module):
    """Stretches the distance of each quantile from the median by a factor of its own.

    Networks that learnt a series by heart are too sure of themselves. On data that they have not learnt from,
    the factor that makes a quantile hold what it says is found from how far the truth lay from the median, in
    units of the quantile's own distance::

        f_k = quantile of (y - m) / (q_k - m) at the level max(τ_k, 1 - τ_k),  at least 1

    This is split conformal prediction with the forecast's own spread as the unit (Romano et al. 2019,
    "Conformalized quantile regression"; the unit as in Lei et al. 2018, section 5.2). Intervals are only
    widened, and outer quantiles at least as much as inner ones, so that they keep their order.

    Parameters
    ----------
    quantiles : sequence of float
        Q rising quantiles, 0.5 among them.

    Examples
    --------
    >>> stretch = IntervalStretch([0.1, 0.5, 0.9])
    >>> stretch.fit(torch.tensor([[-1.0, 0.0, 1.0]]).expand(99, 3), torch.linspace(-2, 2, 99))
    >>> stretch(torch.tensor([-1.0, 0.0, 1.0])).round(decimals=1)
    tensor([-1.6000,  0.0000,  1.6000])
    """

    factors: Tensor

    def __init__(self, quantiles: Sequence[float]) -> None:
        super().__init__()
        self.levels = list(quantiles)
        self.median = self.levels.index(0.5)
        self.register_buffer("factors", torch.ones(len(self.levels)))

    def fit(self, forecast: Tensor, truth: Tensor) -> None:
        """Find the factors.

        Parameters
        ----------
        forecast : Tensor
            (N, Q), not stretched.
        truth : Tensor
            (N,), all of it observed; without any nothing changes.
        """
        if not len(truth):
            return
        error = (truth - forecast[:, self.median]).double()
        distances = (forecast - forecast[:, self.median : self.median + 1]).double()
        for places in (range(self.median - 1, -1, -1), range(self.median + 1, len(self.levels))):
            factor = 1.0
            for place in places:
                ratio = error / distances[:, place]
                level = max(self.levels[place], 1 - self.levels[place])
                rank = min(math.ceil(level * (len(ratio) + 1)), len(ratio)) - 1
                factor = max(factor, float(ratio.nan_to_num().sort().values[rank]))
                self.factors[place] = factor

    def forward(self, forecast: Tensor) -> Tensor:
        """Stretch.

        Parameters
        ----------
        forecast : Tensor
            (…, Q)
        """
        median = forecast[..., self.median : self.median + 1]
        return median + (forecast - median) * self.factors


def pinball_loss(forecast: Tensor, target: Tensor, weight: Tensor, levels: Tensor) -> Tensor:
    """Compute the mean pinball loss over quantiles and over what was observed.

    ``max(q e, (q - 1) e) = (q - [e < 0]) e`` with ``e = y - ŷ``. Koenker & Bassett 1978, "Regression
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
        A scalar; 0 where nothing was observed. Only the forecast has a gradient.

    Examples
    --------
    >>> forecast, target = torch.tensor([[1.0, 3.0], [9.0, 9.0]]), torch.tensor([2.0, 5.0])
    >>> pinball_loss(forecast, target, torch.tensor([1.0, 0.0]), torch.tensor([0.25, 0.75])).item()
    0.25
    """
    loss: Tensor = _PinballLoss.apply(forecast, target, weight, levels)  # type: ignore[no-untyped-call]
    return loss


class _PinballLoss(torch.autograd.Function):
    """The loss is linear in each error, so its gradient falls out on the way: two passes instead of ten."""

    @staticmethod
    def forward(ctx: Any, forecast: Tensor, target: Tensor, weight: Tensor, levels: Tensor) -> Tensor:
        excess = forecast - target.unsqueeze(-1)
        share = weight / weight.sum().mul_(len(levels)).clamp_(min=1)
        above = excess.sign().clamp_(min=0)
        gradient = above.sub_(levels).mul_(share.unsqueeze(-1))
        ctx.save_for_backward(gradient)
        return excess.mul_(gradient).sum()

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer, None, None, None
