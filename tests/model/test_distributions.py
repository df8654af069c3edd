"""Heads of distributions beside scipy.stats."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from fastlstm.data.series.scaling import WindowScale
from fastlstm.model.distributions import HEADS, DistributionHead, make_head
from fastlstm.model.naive import NaiveForecasts
from fastlstm.model.paths import uniform_numbers

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
KINDS = ("normal", "student_t", "negative_binomial")
SCALE = 4.0  # of the windows, in the target's unit


def softplus(value: Any) -> Any:
    return np.logaddexp(0, value)


def expected(kind: str, parameters: np.ndarray) -> Any:
    """The distribution that the class's docstring states: of the scaled target, or of the count itself."""
    if kind == "normal":
        return scipy.stats.norm(parameters[..., 0], softplus(parameters[..., 1]) + 0.001)
    if kind == "student_t":
        deviation, freedom = softplus(parameters[..., 1]) + 0.001, 2 + softplus(parameters[..., 2])
        return scipy.stats.t(freedom, parameters[..., 0], deviation)
    mean, shape = SCALE * softplus(parameters[..., 0]), softplus(parameters[..., 1]) / np.sqrt(SCALE)
    return scipy.stats.nbinom(1 / shape, 1 / (1 + mean * shape))


class Said:
    """What a head says of B windows: the only place of this file that knows how a head is called."""

    def __init__(self, kind: str, parameters: Tensor) -> None:
        head = make_head(kind, 3, LEVELS, rules=1).double()
        assert isinstance(head, DistributionHead)
        self.head = head
        # One rule, which says 0: the location is the head's own.
        self.naive = NaiveForecasts(*torch.zeros(2, len(parameters), 1, 1, 1, dtype=torch.double))
        self.raw = torch.nn.functional.pad(parameters, (0, 1))[:, None, None]
        ones = torch.ones(len(parameters), 1, dtype=torch.double)
        self.scale = WindowScale(0 * ones, SCALE * ones)

    def loss(self, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The mean over windows of the negative logarithm of the likelihood; targets (B,) are scaled."""
        weight = torch.ones_like(target) if weight is None else weight
        return self.head.loss(self.raw, self.naive, target[:, None, None], weight[:, None, None], self.scale)

    def quantiles(self) -> Tensor:
        return self.head.quantiles(self.raw, self.naive, self.scale)[:, 0, 0]

    def sample(self, seed: int) -> Tensor:
        uniform = uniform_numbers([[seed]], len(self.raw), 1)[0, :, :, None]
        return self.head.sample(self.raw, self.naive, self.scale, uniform)[:, 0, 0]


def drawn(kind: str, count: int, seed: int = 0) -> Tensor:
    """(count, P) parameters, from narrow to wide."""
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(count, HEADS[kind].parameters_of, generator=generator, dtype=torch.double)


def targets(kind: str, count: int) -> Tensor:
    """(count,), scaled; counts where the distribution is of those, zero among them."""
    found = np.random.default_rng(1).normal(0, 3, count)
    return torch.from_numpy(np.abs(found * SCALE).round() / SCALE if kind == "negative_binomial" else found)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_negative_log_likelihood(kind: str) -> None:
    parameters, target = drawn(kind, 50), targets(kind, 50)
    law = expected(kind, parameters.numpy())
    wanted = law.logpmf(SCALE * target.numpy()) if kind == "negative_binomial" else law.logpdf(target.numpy())
    assert (target == 0).any() == (kind == "negative_binomial")
    said = Said(kind, parameters)
    for place in range(50):
        alone = torch.zeros(50, dtype=torch.double)
        alone[place] = 1  # and the others are missing
        assert said.loss(target, alone).item() == pytest.approx(-wanted[place], rel=1e-9, abs=1e-12)
    assert said.loss(target).item() == pytest.approx(-wanted.mean(), rel=1e-9)
    assert said.loss(target, torch.zeros(50, dtype=torch.double)).item() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_quantiles_are_those_of_scipy(kind: str) -> None:
    parameters = drawn(kind, 50)
    found = expected(kind, parameters.numpy()[:, None]).ppf(LEVELS)
    if kind == "negative_binomial":
        found = found / SCALE  # heads answer in the scale of the window
    # The levels are kept in float32.
    np.testing.assert_allclose(Said(kind, parameters).quantiles().numpy(), found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_the_distribution_s_moments(kind: str) -> None:
    count = 40_000
    # Nearly six degrees of freedom, so that the variance of a Student t is met by its draws.
    parameters = torch.tensor([[1.0, 0.5, 4.0], [-0.5, -1.0, 4.0]], dtype=torch.double)[
        :, : HEADS[kind].parameters_of
    ]
    law = expected(kind, parameters.numpy())
    unit = SCALE if kind == "negative_binomial" else 1.0
    for place, (mean, deviation) in enumerate(zip(law.mean() / unit, law.std() / unit, strict=True)):
        found = Said(kind, parameters[place : place + 1].expand(count, -1)).sample(0)
        # Five standard errors: of the mean, and of the deviation with a kurtosis of up to ten.
        assert found.mean().item() == pytest.approx(mean, abs=5 * deviation / count**0.5)
        assert found.std().item() == pytest.approx(deviation, rel=5 * (10 / 4 / count) ** 0.5)
    if kind == "negative_binomial":
        assert (found * SCALE == (found * SCALE).round()).all()


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_the_same_draws(kind: str) -> None:
    said = Said(kind, drawn(kind, 30))
    assert torch.equal(said.sample(3), said.sample(3))
    assert not torch.equal(said.sample(3), said.sample(4))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_loss(kind: str) -> None:
    parameters, target = drawn(kind, 6).requires_grad_(), targets(kind, 6)
    loss: Callable[[Tensor], Tensor] = lambda given: Said(kind, given).loss(target)  # noqa: E731
    assert torch.autograd.gradcheck(loss, (parameters,))


def test_a_likelihood_has_a_bound() -> None:
    """A series that is forecast to the bit would else be worth an infinite likelihood; so would one count."""
    narrow = Said("normal", torch.tensor([[0.0, -1000.0]], dtype=torch.double))
    assert narrow.loss(torch.zeros(1, dtype=torch.double)).item() == pytest.approx(
        np.log(0.001 * np.sqrt(2 * np.pi))
    )
    empty = Said("negative_binomial", torch.tensor([[-1000.0, -1000.0]], dtype=torch.double))
    assert torch.isfinite(empty.loss(torch.full((1,), 2.0, dtype=torch.double)))
    assert (empty.quantiles() == 0).all()
