"""Heads that forecast a distribution: normal, Student t, negative binomial; their likelihoods and quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from fastlstm.data.scaling import WindowScale
from fastlstm.model.heads import Head, QuantileHead
from fastlstm.ops.linear import linear

HeadKind = Literal["quantiles", "normal", "student_t", "negative_binomial"]

SMALLEST = 1e-3  # deviation, in the scale of the window: a likelihood has no bound without one


class DistributionHead(Head):
    """What the heads of distributions share: a linear layer for their parameters, the likelihood as the loss.

    B windows, K origins, L steps ahead, D decoder units, P parameters of the distribution, Q quantiles.

    Parameters
    ----------
    input_size : int
        D.
    quantiles : sequence of float
        Q rising quantiles.
    """

    parameters_of: ClassVar[int]
    levels: Tensor

    def __init__(self, input_size: int, quantiles: Sequence[float]) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(input_size, self.parameters_of)
        self.register_buffer("levels", torch.tensor(list(quantiles)), persistent=False)

    @override
    def forward(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        """Forecast a distribution, its location first: the mixture is where that starts from."""
        outputs: Tensor = linear(hidden, self.linear.weight, self.linear.bias)
        return torch.cat([outputs[..., :1] + mixed[..., None], outputs[..., 1:]], dim=-1)

    @override
    def loss(self, outputs: Tensor, target: Tensor, weight: Tensor, scale: WindowScale) -> Tensor:
        """Compute the mean negative logarithm of the likelihood over what was observed."""
        surprise = self._surprise(outputs, target, _spread(scale))
        return (surprise * weight).sum() / weight.sum().clamp(min=1)

    def sample(self, outputs: Tensor, scale: WindowScale, generator: torch.Generator) -> Tensor:
        """Draw from the distribution.

        Parameters
        ----------
        outputs : Tensor
            (B, K, L, P)
        scale : WindowScale
            Of the windows.
        generator : torch.Generator
            On the CPU.

        Returns
        -------
        Tensor
            (B, K, L), in the scale of the windows.
        """
        raise NotImplementedError

    def _surprise(self, outputs: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        raise NotImplementedError


class NormalHead(DistributionHead):
    """A normal distribution: ``μ`` and ``σ = softplus(s) + 0.001``, in the scale of the window.

    Salinas et al. 2020, "DeepAR: Probabilistic forecasting with autoregressive recurrent networks", section 3.1.

    Examples
    --------
    >>> head = NormalHead(4, [0.1, 0.5, 0.9])
    >>> scale = WindowScale(torch.zeros(2, 1), torch.ones(2, 1))
    >>> outputs = torch.tensor([0.0, math.log(math.e - 1)]).expand(2, 1, 3, 2)
    >>> head.quantiles(outputs, scale)[0, 0, 0].round(decimals=2)
    tensor([-1.2800,  0.0000,  1.2800])
    """

    parameters_of = 2

    @override
    def quantiles(self, outputs: Tensor, scale: WindowScale) -> Tensor:
        location, deviation = outputs[..., :1], _positive(outputs[..., 1:])
        found: Tensor = location + deviation * torch.special.ndtri(self.levels)
        return found

    @override
    def sample(self, outputs: Tensor, scale: WindowScale, generator: torch.Generator) -> Tensor:
        noise = torch.randn(outputs.shape[:-1], generator=generator).to(outputs)
        return outputs[..., 0] + _positive(outputs[..., 1]) * noise

    @override
    def _surprise(self, outputs: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        deviation = _positive(outputs[..., 1])
        error = (target - outputs[..., 0]) / deviation
        return error.square() / 2 + deviation.log() + math.log(2 * math.pi) / 2


class StudentTHead(DistributionHead):
    """A Student t distribution: ``μ``, ``σ = softplus(s) + 0.001``, and ``ν = 2 + softplus(n)`` degrees of freedom.

    Its tails are heavier than the normal's, so that an outlier neither pulls the forecast nor widens all intervals;
    more than two degrees of freedom give it a variance. Lange et al. 1989, "Robust statistical modeling using the t
    distribution", JASA 84.

    Examples
    --------
    >>> head = StudentTHead(4, [0.1, 0.5, 0.9])
    >>> scale = WindowScale(torch.zeros(1, 1), torch.ones(1, 1))
    >>> outputs = torch.tensor([0.0, math.log(math.e - 1), math.log(math.exp(3) - 1)]).expand(1, 1, 1, 3)
    >>> head.quantiles(outputs, scale)[0, 0, 0].round(decimals=2)
    tensor([-1.4800,  0.0000,  1.4800])
    """

    parameters_of = 3

    @override
    def quantiles(self, outputs: Tensor, scale: WindowScale) -> Tensor:
        from scipy.special import stdtrit  # deferred: only this head needs it

        freedom = (2 + F.softplus(outputs[..., 2:])).double().cpu().numpy()
        unit = torch.from_numpy(stdtrit(freedom, self.levels.double().cpu().numpy())).to(outputs)
        return outputs[..., :1] + _positive(outputs[..., 1:2]) * unit

    @override
    def sample(self, outputs: Tensor, scale: WindowScale, generator: torch.Generator) -> Tensor:
        freedom = 2 + F.softplus(outputs[..., 2])
        draw = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        unit = torch.from_numpy(draw.standard_t(freedom.double().cpu().numpy())).to(outputs)
        return outputs[..., 0] + _positive(outputs[..., 1]) * unit

    @override
    def _surprise(self, outputs: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        deviation, freedom = _positive(outputs[..., 1]), 2 + F.softplus(outputs[..., 2])
        error = (target - outputs[..., 0]) / deviation
        surprise: Tensor = (
            (freedom + 1) / 2 * torch.log1p(error.square() / freedom)
            + deviation.log()
            + torch.special.gammaln(freedom / 2)
            - torch.special.gammaln((freedom + 1) / 2)
            + (freedom * math.pi).log() / 2
        )
        return surprise


class NegativeBinomialHead(DistributionHead):
    """A negative binomial distribution of counts, in the target's own unit.

    With the window's scale ν, the mean of its context: mean ``μ = ν softplus(m)`` and shape
    ``α = softplus(a) / √ν``, so that the variance ``μ + α μ²`` fits small and large series alike. Salinas et al.
    2020, "DeepAR", sections 3.1 and 3.3. Targets must be counts, and windows must not be moved: their location is 0.

    Examples
    --------
    >>> head = NegativeBinomialHead(4, [0.1, 0.5, 0.9])
    >>> scale = WindowScale(torch.zeros(1, 1), torch.full((1, 1), 2.0))
    >>> head.quantiles(torch.zeros(1, 1, 1, 2), scale)[0, 0, 0] * 2
    tensor([0., 1., 3.])
    """

    parameters_of = 2

    @override
    def quantiles(self, outputs: Tensor, scale: WindowScale) -> Tensor:
        from scipy.stats import nbinom  # deferred: only this head needs it

        size = _spread(scale)
        mean, shape = self._mean_and_shape(outputs, size)
        failures = (1 / shape).double().cpu().numpy()[..., None]
        share = (1 / (1 + mean * shape)).double().cpu().numpy()[..., None]
        counts = torch.from_numpy(nbinom.ppf(self.levels.double().cpu().numpy(), failures, share))
        return counts.to(outputs) / size[..., None]

    @override
    def sample(self, outputs: Tensor, scale: WindowScale, generator: torch.Generator) -> Tensor:
        size = _spread(scale)
        mean, shape = self._mean_and_shape(outputs, size)
        draw = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        failures, share = 1 / shape, 1 / (1 + mean * shape)
        counts = draw.negative_binomial(failures.double().cpu().numpy(), share.double().cpu().numpy())
        return torch.from_numpy(counts).to(outputs) / size

    @override
    def _surprise(self, outputs: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        mean, shape = self._mean_and_shape(outputs, scale)
        failures, count = 1 / shape, target * scale
        surprise: Tensor = (
            torch.special.gammaln(count + 1)
            + torch.special.gammaln(failures)
            - torch.special.gammaln(count + failures)
            + failures * torch.log1p(mean * shape)
            - torch.special.xlogy(count, mean * shape / (1 + mean * shape))
        )
        return surprise

    def _mean_and_shape(self, outputs: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        mean = scale * F.softplus(outputs[..., 0]).clamp(min=1e-6)
        return mean, (F.softplus(outputs[..., 1]) / scale.sqrt()).clamp(min=1e-4)


HEADS: dict[HeadKind, type[QuantileHead] | type[DistributionHead]] = {
    "quantiles": QuantileHead,
    "normal": NormalHead,
    "student_t": StudentTHead,
    "negative_binomial": NegativeBinomialHead,
}


def make_head(kind: HeadKind, input_size: int, quantiles: Sequence[float]) -> Head:
    """Make a head.

    Parameters
    ----------
    kind : {"quantiles", "normal", "student_t", "negative_binomial"}
        Which one.
    input_size : int
        D.
    quantiles : sequence of float
        Q rising quantiles.
    """
    return HEADS[kind](input_size, quantiles)


def _positive(outputs: Tensor) -> Tensor:
    return F.softplus(outputs) + SMALLEST


def _spread(scale: WindowScale) -> Tensor:
    """(B, 1, 1), to stand beside (B, K, L)."""
    return scale.scale[..., None]
