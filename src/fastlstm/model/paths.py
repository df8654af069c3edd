"""Sample paths: a network that forecasts one step, run on its own draws, any number of steps ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fastlstm.data.series.windows import WindowBatch
from fastlstm.model.distributions import DistributionHead
from fastlstm.model.inputs import ScaledWindows
from fastlstm.model.trunk import Trunk

if TYPE_CHECKING:
    from fastlstm.model.forecaster import ForecastNetwork


def uniform_numbers(seeds: Sequence[Sequence[int]], paths: int, steps: int) -> Tensor:
    """Draw what paths are made of, for each seed the same.

    Parameters
    ----------
    seeds : sequence
        S of them, each of some numbers.
    paths, steps : int
        N and L.

    Returns
    -------
    Tensor
        (S, N, L) float64, in 0 < u < 1.

    Examples
    --------
    >>> first, second = uniform_numbers([[0], [1]], 1, 2), uniform_numbers([[1]], 1, 2)
    >>> bool((first[1] == second[0]).all()), bool((first[0] == second[0]).any())
    (True, False)
    """
    # Step by step, so that more of them go on from fewer.
    drawn = [np.random.default_rng(seed).random((steps, paths)).T for seed in seeds]
    return torch.from_numpy(np.stack(drawn)).clamp(min=2.0**-54)


def sample_paths(network: ForecastNetwork, batch: WindowBatch, uniform: Tensor) -> Tensor:
    """Draw futures step by step, each drawn value read before the next is forecast.

    Salinas et al. 2020, "DeepAR: Probabilistic forecasting with autoregressive recurrent networks", section 3 and
    figure 2. What lies in the horizon of a past covariate is taken as missing.

    B windows of W = C + L steps, N paths.

    Parameters
    ----------
    network : ForecastNetwork
        Whose head is a distribution, and which forecasts one step.
    batch : WindowBatch
        B windows; L need not be what the network was trained for.
    uniform : Tensor
        (B or 1, N, L) float64 in 0 < u < 1, of which each step draws by the inverse of its distribution: what is
        drawn of a window does not depend on the others.

    Returns
    -------
    Tensor
        (B, N, L), in the target's unit.
    """
    settings, trunk, head = network.settings, network.trunk, network.head
    assert isinstance(trunk, Trunk)
    assert isinstance(head, DistributionHead)
    context, steps, paths = settings.context, batch.target.shape[1], uniform.shape[1]
    uniform = uniform.expand(len(batch.target), -1, -1).reshape(-1, 1, steps - context)
    windows = ScaledWindows.of(_without_future(batch, context), context, location=settings.location)
    rows, known, static = network.inputs(windows, steps)
    ahead = network.known_at(known, torch.arange(context, steps, device=known.device)[:, None])
    if network.leading is not None:
        last = torch.arange(context - 1, steps - 1, device=known.device)
        led = network.leading(network.inputs.past_of(rows), last, 1)
        ahead = led if ahead is None else torch.cat([ahead, led], dim=3)
    output, state = trunk.advance(rows[:, :context], trunk.start(static))

    def each(part: Tensor, dim: int = 0) -> Tensor:
        return part.repeat_interleave(paths, dim)

    hidden, state = each(output[:, -1:]), (each(state[0], 1), each(state[1], 1))
    rows, static = each(rows[:, context:]), each(static)
    ahead = None if ahead is None else each(ahead)
    scale = type(windows.scale)(*map(each, windows.scale))
    target, observed = each(windows.target), each(windows.batch.observed)
    for step in range(context, steps):
        place = slice(step - context, step - context + 1)
        decoded = network.decoder(hidden[:, None], None if ahead is None else ahead[:, place], static)
        last = torch.full((len(target), 1), step - 1, device=target.device)
        naive = network.naive(target[:, :step], observed[:, :step], last)
        drawn = head.sample(head(decoded), naive, scale, uniform[..., place].contiguous())[:, 0]
        drawn = drawn.clamp(min=settings.floor)
        target[:, step : step + 1], observed[:, step] = drawn, 1
        row = torch.cat([drawn[:, :, None], torch.ones_like(drawn)[:, :, None], rows[:, place, 2:]], dim=2)
        hidden, state = trunk.advance(row, state)
    return scale.invert(target[:, context:]).view(-1, paths, steps - context)


def _without_future(batch: WindowBatch, context: int) -> WindowBatch:
    """Return the windows with nothing in the horizon that is known only when it has come."""
    past, observed = batch.past.clone(), batch.observed.clone()
    numbers = past.shape[2] // 2
    past[:, context:, :numbers], past[:, context:, numbers:] = 0, 1  # and marked as missing
    observed[:, context:] = 0
    categories = batch.past_categories.clone()
    categories[:, context:] = 0
    return batch._replace(
        target=batch.target * observed, observed=observed, past=past, past_categories=categories
    )
