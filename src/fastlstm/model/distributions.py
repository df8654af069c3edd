"""Heads that forecast a distribution: normal, Student t, negative binomial; their likelihoods and quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from fastlstm.data.series.scaling import WindowScale
from fastlstm.model.heads import Head, QuantileHead
from fastlstm.model.naive import NaiveForecasts

Array = npt.NDArray[np.float64]
HeadKind = Literal["quantiles", "normal", "student_t", "negative_binomial"]

SMALLEST = 1e-3  # deviation, in the scale of the window: a likelihood has no bound without one


class DistributionHead(Head):
    """What the heads of distributions share: their numbers are its parameters, and the likelihood is the loss.

    The first parameter is the location: the mixture is where that starts from.

    B windows, K origins, L steps ahead, D decoder units, P parameters of the distribution, N rules, Q quantiles.

    Parameters
    ----------
    input_size : int
        D.
    quantiles : sequence of float
        Q rising quantiles.
    rules : int
        N.
    """

    parameters_of: ClassVar[int]

    def __init__(self, input_size: int, quantiles: Sequence[float], *, rules: int) -> None:
        super().__init__(input_size, quantiles, numbers=self.parameters_of, rules=rules)

    @override
    def loss(
        self, raw: Tensor, naive: NaiveForecasts, target: Tensor, weight: Tensor, scale: WindowScale
    ) -> Tensor:
        """Compute the mean negative logarithm of the likelihood over what was observed."""
        surprise = self._surprise(self.corrected(raw, naive), target, _spread(scale))
        return (surprise * weight).sum() / weight.sum().clamp(min=1)

    @override
    def quantiles(self, raw: Tensor, naive: NaiveForecasts, scale: WindowScale) -> Tensor:
        return self._quantiles(self.corrected(raw, naive), scale)

    def sample(self, raw: Tensor, naive: NaiveForecasts, scale: WindowScale, uniform: Tensor) -> Tensor:
        """Draw from the distribution: what lies below a draw is as likely as its uniform number says.

        Parameters
        ----------
        raw : Tensor
            (B, K, L, P + N), of ``forward``.
        naive : NaiveForecasts
            What is mixed.
        scale : WindowScale
            Of the windows.
        uniform : Tensor
            (B, K, L) float64, in 0 < u < 1.

        Returns
        -------
        Tensor
            (B, K, L), in the scale of the windows.
        """
        return self._sample(self.corrected(raw, naive), scale, uniform)

    # Of the parameters (B, K, L, P), each: the negative logarithm of the likelihood, the quantiles, a draw.

    def _surprise(self, parameters: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        raise NotImplementedError

    def _quantiles(self, parameters: Tensor, scale: WindowScale) -> Tensor:
        raise NotImplementedError

    def _sample(self, parameters: Tensor, scale: WindowScale, uniform: Tensor) -> Tensor:
        raise NotImplementedError


class NormalHead(DistributionHead):
    """A normal distribution: ``μ`` and ``σ = softplus(s) + 0.001``, in the scale of the window.

    Salinas et al. 2020, "DeepAR: Probabilistic forecasting with autoregressive recurrent networks", section 3.1.

    Examples
    --------
    >>> head = NormalHead(4, [0.1, 0.5, 0.9], rules=1)
    >>> scale = WindowScale(torch.zeros(2, 1), torch.ones(2, 1))
    >>> naive = NaiveForecasts(*torch.zeros(2, 2, 1, 3, 1))
    >>> raw = torch.tensor([0.0, math.log(math.e - 1), 0.0]).expand(2, 1, 3, 3)
    >>> head.quantiles(raw, naive, scale)[0, 0, 0].round(decimals=2)
    tensor([-1.2800,  0.0000,  1.2800])
    """

    parameters_of = 2
    standard: Tensor

    def __init__(self, input_size: int, quantiles: Sequence[float], *, rules: int) -> None:
        super().__init__(input_size, quantiles, rules=rules)
        self.register_buffer("standard", torch.special.ndtri(self.levels), persistent=False)

    @override
    def _quantiles(self, parameters: Tensor, scale: WindowScale) -> Tensor:
        location, deviation = parameters[..., :1], _positive(parameters[..., 1:])
        return location + deviation * self.standard

    @override
    def _sample(self, parameters: Tensor, scale: WindowScale, uniform: Tensor) -> Tensor:
        unit: Tensor = torch.special.ndtri(uniform).to(parameters)
        return parameters[..., 0] + _positive(parameters[..., 1]) * unit

    @override
    def _surprise(self, parameters: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        deviation = _positive(parameters[..., 1])
        error = (target - parameters[..., 0]) / deviation
        return error.square() / 2 + deviation.log() + math.log(2 * math.pi) / 2


class StudentTHead(DistributionHead):
    """A Student t distribution: ``μ``, ``σ = softplus(s) + 0.001``, and ``ν = 2 + softplus(n)`` degrees of freedom.

    Its tails are heavier than the normal's, so that an outlier neither pulls the forecast nor widens all intervals;
    more than two degrees of freedom give it a variance. Lange et al. 1989, "Robust statistical modeling using the t
    distribution", JASA 84.

    Examples
    --------
    >>> head = StudentTHead(4, [0.1, 0.5, 0.9], rules=1)
    >>> scale = WindowScale(torch.zeros(1, 1), torch.ones(1, 1))
    >>> naive = NaiveForecasts(*torch.zeros(2, 1, 1, 1, 1))
    >>> raw = torch.tensor([0.0, math.log(math.e - 1), math.log(math.exp(3) - 1), 0.0]).expand(1, 1, 1, 4)
    >>> head.quantiles(raw, naive, scale)[0, 0, 0].round(decimals=2)
    tensor([-1.4800,  0.0000,  1.4800])
    """

    parameters_of = 3

    @override
    def _quantiles(self, parameters: Tensor, scale: WindowScale) -> Tensor:
        unit = _student_t(2 + F.softplus(parameters[..., 2:]), self.levels)
        return parameters[..., :1] + _positive(parameters[..., 1:2]) * unit

    @override
    def _sample(self, parameters: Tensor, scale: WindowScale, uniform: Tensor) -> Tensor:
        unit = _student_t(2 + F.softplus(parameters[..., 2]), uniform)
        return parameters[..., 0] + _positive(parameters[..., 1]) * unit

    @override
    def _surprise(self, parameters: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        deviation, freedom = _positive(parameters[..., 1]), 2 + F.softplus(parameters[..., 2])
        error = (target - parameters[..., 0]) / deviation
        surprise: Tensor = (
            (freedom + 1) / 2 * torch.log1p(error.square() / freedom)
            + deviation.log()
            + torch.special.gammaln(freedom / 2)
            - torch.special.gammaln((freedom + 1) / 2)
            + (freedom * math.pi).log() / 2
        )
        return surprise


def _student_t(freedom: Tensor, levels: Tensor) -> Tensor:
    """Return the quantiles of the standard Student t distribution."""
    from scipy.special import stdtrit  # deferred: only this head needs it

    unit = stdtrit(freedom.double().cpu().numpy(), levels.double().cpu().numpy())
    return torch.from_numpy(unit).to(freedom)


class NegativeBinomialHead(DistributionHead):
    """A negative binomial distribution of counts, in the target's own unit.

    With the window's scale ν, the mean of its context: mean ``μ = ν softplus(m)`` and shape
    ``α = softplus(a) / √ν``, so that the variance ``μ + α μ²`` fits small and large series alike. Salinas et al.
    2020, "DeepAR", sections 3.1 and 3.3. Targets must be counts, and windows must not be moved: their location is 0.

    Examples
    --------
    >>> head = NegativeBinomialHead(4, [0.1, 0.5, 0.9], rules=1)
    >>> scale = WindowScale(torch.zeros(1, 1), torch.full((1, 1), 2.0))
    >>> naive = NaiveForecasts(*torch.zeros(2, 1, 1, 1, 1))
    >>> head.quantiles(torch.zeros(1, 1, 1, 3), naive, scale)[0, 0, 0] * 2
    tensor([0., 1., 3.])
    """

    parameters_of = 2

    @override
    def _quantiles(self, parameters: Tensor, scale: WindowScale) -> Tensor:
        return self._counts(parameters[..., None, :], _spread(scale)[..., None], self.levels)

    @override
    def _sample(self, parameters: Tensor, scale: WindowScale, uniform: Tensor) -> Tensor:
        return self._counts(parameters, _spread(scale), uniform)

    @override
    def _surprise(self, parameters: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        mean, shape = self._mean_and_shape(parameters, scale)
        failures, count = 1 / shape, target * scale
        surprise: Tensor = (
            torch.special.gammaln(count + 1)
            + torch.special.gammaln(failures)
            - torch.special.gammaln(count + failures)
            + failures * torch.log1p(mean * shape)
            - torch.special.xlogy(count, mean * shape / (1 + mean * shape))
        )
        return surprise

    def _counts(self, parameters: Tensor, scale: Tensor, levels: Tensor) -> Tensor:
        """Return the counts at some levels, in the scale of the windows."""
        from scipy.stats import nbinom  # deferred: only this head needs it

        mean, shape = self._mean_and_shape(parameters, scale)
        failures, share = (part.double().cpu().numpy() for part in (1 / shape, 1 / (1 + mean * shape)))
        counts = torch.from_numpy(nbinom.ppf(levels.double().cpu().numpy(), failures, share))
        return counts.to(parameters) / scale

    def _mean_and_shape(self, parameters: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        mean = scale * F.softplus(parameters[..., 0]).clamp(min=1e-6)
        return mean, (F.softplus(parameters[..., 1]) / scale.sqrt()).clamp(min=1e-4)


HEADS: dict[HeadKind, type[QuantileHead] | type[DistributionHead]] = {
    "quantiles": QuantileHead,
    "normal": NormalHead,
    "student_t": StudentTHead,
    "negative_binomial": NegativeBinomialHead,
}


def make_head(kind: HeadKind, input_size: int, quantiles: Sequence[float], rules: int) -> Head:
    """Make a head.

    Parameters
    ----------
    kind : {"quantiles", "normal", "student_t", "negative_binomial"}
        Which one.
    input_size : int
        D.
    quantiles : sequence of float
        Q rising quantiles.
    rules : int
        N.
    """
    return HEADS[kind](input_size, quantiles, rules=rules)


def _positive(outputs: Tensor) -> Tensor:
    return F.softplus(outputs) + SMALLEST


def _spread(scale: WindowScale) -> Tensor:
    """(B, 1, 1), to stand beside (B, K, L)."""
    return scale.scale[..., None]
