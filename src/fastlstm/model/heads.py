"""Heads: from hidden values to what is forecast of each step, the loss that fits it, and quantiles that never cross."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from fastlstm.data.series.scaling import WindowScale
from fastlstm.model.naive import NaiveForecasts
from fastlstm.ops.linear import linear
from fastlstm.ops.quantile_loss import mixture, quantile_loss, rising_quantiles


class Head(nn.Module):
    """What a network says of each step ahead, as a mixture of naive forecasts and what is to be added to it.

    With the hidden values d of a step and the rules' forecasts v_n, one product gives P numbers p and N logits::

        (p, g) = W d + b
        m      = Σ_n softmax(g)_n v_n
        p_1    ← p_1 + m

    The first number is a location, which corrects the mixture. What the rules say already, the season and the level,
    need not be learnt, and a network that learns nothing forecasts no worse than they do. That an error of seasonal
    rules is easier to learn than the series itself is why ES-RNN and others take the season out first (Smyl 2020, "A
    hybrid method of exponential smoothing and recurrent neural networks"); weights that an attention over the past
    gives are those of Vinyals et al. 2015, "Pointer networks", here over rules.

    B windows, K origins, L steps ahead, D decoder units, P numbers a step, N rules, Q quantiles.

    Parameters
    ----------
    input_size : int
        D.
    quantiles : sequence of float
        Q rising quantiles.
    numbers : int
        P.
    rules : int
        N.
    """

    levels: Tensor

    def __init__(self, input_size: int, quantiles: Sequence[float], *, numbers: int, rules: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, numbers + rules)
        self.numbers = numbers
        self.register_buffer("levels", torch.tensor(list(quantiles)), persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Forecast.

        Parameters
        ----------
        hidden : Tensor
            (B, K, L, D)

        Returns
        -------
        Tensor
            (B, K, L, P + N), the numbers and the logits of the rules, which the other methods read.
        """
        return linear(hidden, self.linear.weight, self.linear.bias)

    def loss(
        self, raw: Tensor, naive: NaiveForecasts, target: Tensor, weight: Tensor, scale: WindowScale
    ) -> Tensor:
        """Compute the loss, mean over what was observed.

        Parameters
        ----------
        raw : Tensor
            (B, K, L, P + N), of ``forward``.
        naive : NaiveForecasts
            What is mixed.
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

    def quantiles(self, raw: Tensor, naive: NaiveForecasts, scale: WindowScale) -> Tensor:
        """Return the quantiles.

        Parameters
        ----------
        raw : Tensor
            (B, K, L, P + N), of ``forward``.
        naive : NaiveForecasts
            What is mixed.
        scale : WindowScale
            Of the windows.

        Returns
        -------
        Tensor
            (B, K, L, Q), in the scale of the windows.
        """
        raise NotImplementedError

    def corrected(self, raw: Tensor, naive: NaiveForecasts) -> Tensor:
        """Return the numbers, the mixture added to the first.

        Parameters
        ----------
        raw : Tensor
            (B, K, L, P + N), of ``forward``.
        naive : NaiveForecasts
            What is mixed.

        Returns
        -------
        Tensor
            (B, K, L, P)
        """
        mixed = mixture(raw[..., self.numbers :], *naive).unsqueeze(-1)
        return torch.cat([raw[..., :1] + mixed, raw[..., 1 : self.numbers]], dim=-1)


class QuantileHead(Head):
    """Q quantiles that rise by construction: :func:`~fastlstm.ops.quantile_loss.rising_quantiles`.

    The numbers are the median, which corrects the mixture, and the distance of each quantile to the next.

    Parameters
    ----------
    input_size : int
        D.
    quantiles : sequence of float
        Q rising quantiles, 0.5 among them.
    rules : int
        N.

    Examples
    --------
    >>> head = QuantileHead(4, [0.1, 0.5, 0.9], rules=2)
    >>> naive = NaiveForecasts(torch.ones(7, 1, 5, 2), torch.zeros(7, 1, 5, 2))
    >>> scale = WindowScale(torch.zeros(7, 1), torch.ones(7, 1))
    >>> forecast = head.quantiles(head(torch.randn(7, 1, 5, 4)), naive, scale)
    >>> bool((forecast.diff(dim=-1) > 0).all())
    True
    """

    def __init__(self, input_size: int, quantiles: Sequence[float], *, rules: int) -> None:
        super().__init__(input_size, quantiles, numbers=len(quantiles), rules=rules)
        self.median = list(quantiles).index(0.5)

    @override
    def loss(
        self, raw: Tensor, naive: NaiveForecasts, target: Tensor, weight: Tensor, scale: WindowScale
    ) -> Tensor:
        """Compute the mean pinball loss; :func:`~fastlstm.ops.quantile_loss.quantile_loss`."""
        return quantile_loss(raw, naive, target, weight, self.levels, self.median)

    @override
    def quantiles(self, raw: Tensor, naive: NaiveForecasts, scale: WindowScale) -> Tensor:
        """Return the quantiles, rising along the last axis."""
        return rising_quantiles(self.corrected(raw, naive), self.median)


class IntervalStretch(nn.Module):
    """Stretches the distance of each quantile from the median by a factor of its own.

    Networks that learnt a series by heart are too sure of themselves. On data that they have not learnt from,
    the factor that makes a quantile hold what it says is found from how far the truth lay from the median, in
    units of the quantile's own distance::

        f_k = quantile of (y - m) / (q_k - m) at the level max(τ_k, 1 - τ_k),  at least 1,  to the power of n / (n + 1)

    This is split conformal prediction with the forecast's own spread as the unit (Romano et al. 2019,
    "Conformalized quantile regression"; the unit as in Lei et al. 2018, section 5.2). Intervals are only
    widened, and outer quantiles at least as much as inner ones, so that they keep their order. Errors within a horizon
    are much alike: what counts is from how many horizons, n, they come; of a single one it is the square root.

    Parameters
    ----------
    quantiles : sequence of float
        Q rising quantiles, 0.5 among them.

    Examples
    --------
    >>> stretch = IntervalStretch([0.1, 0.5, 0.9])
    >>> stretch.fit(torch.tensor([[-1.0, 0.0, 1.0]]).expand(99, 3), torch.linspace(-2, 2, 99), horizons=99)
    >>> stretch(torch.tensor([-1.0, 0.0, 1.0])).round(decimals=1)
    tensor([-1.6000,  0.0000,  1.6000])
    """

    factors: Tensor

    def __init__(self, quantiles: Sequence[float]) -> None:
        super().__init__()
        self.levels = list(quantiles)
        self.median = self.levels.index(0.5)
        self.register_buffer("factors", torch.ones(len(self.levels)))

    def fit(self, forecast: Tensor, truth: Tensor, horizons: float) -> None:
        """Find the factors.

        A quantile that is the median itself, as those of small counts often are, lies where it did however far it is
        moved: such rows count as held.

        Parameters
        ----------
        forecast : Tensor
            (N, Q), not stretched.
        truth : Tensor
            (N,), all of it observed; without any nothing changes.
        horizons : float
            How many horizons end to end they are of.
        """
        if not len(truth):
            return
        error = (truth - forecast[:, self.median]).double()
        distances = (forecast - forecast[:, self.median : self.median + 1]).double()
        for places in (range(self.median - 1, -1, -1), range(self.median + 1, len(self.levels))):
            factor = 1.0
            for place in places:
                ratio = torch.where(distances[:, place] == 0, 0, error / distances[:, place])
                level = max(self.levels[place], 1 - self.levels[place])
                rank = min(math.ceil(level * (len(ratio) + 1)), len(ratio)) - 1
                factor = max(factor, float(ratio.sort().values[rank]))
                self.factors[place] = factor ** (horizons / (horizons + 1))

    def forward(self, forecast: Tensor) -> Tensor:
        """Stretch.

        Parameters
        ----------
        forecast : Tensor
            (…, Q)
        """
        median = forecast[..., self.median : self.median + 1]
        return median + (forecast - median) * self.factors
