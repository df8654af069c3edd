"""The forecasting network as the training loop's learner."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.windows import WindowBatch, training_windows
from fastlstm.errors import InputError
from fastlstm.model.forecaster import ForecastNetwork, forking_targets
from fastlstm.model.inputs import ScaledWindows
from fastlstm.model.naive import NaiveForecasts
from fastlstm.tasks.forecast.model import WINDOWS_AT_ONCE, ForecastModel
from fastlstm.tasks.forecast.split import Split
from fastlstm.training.loop import Learner

FEW_WINDOWS = 64  # to calibrate sampled paths by
ROWS_AHEAD = 2**16  # of the windows that are drawn at once, when training


class ForkingBatch(NamedTuple):
    """Windows, the steps of their context to forecast from, and what is to be forecast.

    Attributes
    ----------
    windows : ScaledWindows
        B windows.
    origins : Tensor
        (K,) int64
    naive : NaiveForecasts
        From the same origins.
    target, weight : Tensor
        (B, K, L), in the scale of the windows, and 1 where it counts, otherwise 0.
    """

    windows: ScaledWindows
    origins: Tensor
    naive: NaiveForecasts
    target: Tensor
    weight: Tensor


class ForecastLearning:
    """Draws, losses and validation of a forecasting network.

    Parameters
    ----------
    model : ForecastModel
        Whose members learn, one after the other.
    series : SeriesSet
        The series.
    split : Split
        Which rows are which.
    batch_size : int
        B.
    origins : int
        K.
    """

    def __init__(
        self, model: ForecastModel, series: SeriesSet, split: Split, *, batch_size: int, origins: int
    ) -> None:
        settings, device = model.settings, model.device
        context, horizon = settings.context, settings.steps_ahead
        self.model = model
        self.series = series
        self.split = split
        self.batch_size = batch_size
        # One step ahead from each step is little: a path learns from many of them.
        origins = max(origins, context // 4) if settings.decoding == "paths" else origins
        self.origins = min(origins, context) if settings.forking else 1
        self.training = model.windows(series, horizon, split.training)
        index = training_windows(series, split.training, context, horizon)
        if not len(index.origins):
            raise InputError(
                f"{series.source}: of what is left for training nothing was observed: rows lie so far from one "
                "another that a time may be mistyped; correct it, or give validation_windows=1"
            )
        self.index_series = torch.from_numpy(index.series).to(device)
        self.index_origins = torch.from_numpy(index.origins).to(device)
        validation = model.windows(series, horizon, split.fit)
        self._generator: torch.Generator | None = None
        self._ahead: list[ForkingBatch] = []
        last = torch.tensor([context - 1], device=device)
        self.validation = [
            batch
            for part in model.parts(split.validation_windows(series, horizon))
            for batch in self._batches(validation.gather(*part), last[None], WINDOWS_AT_ONCE)
        ]

    def learner(self, member: int) -> Learner[ForkingBatch]:
        """Return what the training loop asks for, to train one member."""
        return Learner(self.model.network.members[member], self.draw, self.loss, self.validate, self.describe)

    def draw(self, generator: torch.Generator) -> ForkingBatch:
        """Windows at random, and origins in them: the last step of the context, the others at random.

        The batches of some steps are cut out at once: each alone costs more in calls than in work.
        """
        if generator is not self._generator or not self._ahead:
            self._generator, self._ahead = generator, self._draw_ahead(generator)
        return self._ahead.pop()

    def _draw_ahead(self, generator: torch.Generator) -> list[ForkingBatch]:
        """Draw the batches of some steps, the last one first."""
        context, device = self.training.context, self.index_origins.device
        steps = max(1, ROWS_AHEAD // (self.batch_size * (context + self.training.horizon)))
        drawn = [
            (
                torch.randint(len(self.index_origins), (self.batch_size,), generator=generator),
                torch.randint(context, (self.origins,), generator=generator),
            )
            for _ in range(steps)
        ]
        chosen = torch.cat([windows for windows, _ in drawn]).to(device)
        origins = torch.stack([origins for _, origins in drawn])
        origins[:, -1] = context - 1
        windows = self.training.gather(self.index_series[chosen], self.index_origins[chosen])
        return self._batches(windows, origins.to(device), self.batch_size)[::-1]

    def _batches(self, batch: WindowBatch, origins: Tensor, size: int) -> list[ForkingBatch]:
        """Cut windows into batches of so many, each with its row of the origins (batches, K)."""
        settings, horizon = self.model.settings, self.model.settings.steps_ahead
        windows = ScaledWindows.of(batch, settings.context, location=settings.location)
        each = origins.repeat_interleave(size, 0)[: len(batch.target)]
        naive = self._first.naive(windows.target, batch.observed, each)
        ahead = (part.split(size) for part in forking_targets(windows, each, horizon))
        parts = zip(windows.split(size), origins.unbind(), naive.split(size), *ahead, strict=True)
        return [ForkingBatch(*part) for part in parts]

    @property
    def _first(self) -> ForecastNetwork:
        """Any member: what does not depend on the weights is the same for all of them."""
        return cast(ForecastNetwork, self.model.network.members[0])

    def loss(self, network: nn.Module, batch: ForkingBatch) -> Tensor:
        """Compute the head's loss from all origins."""
        raw: Tensor = network(batch.windows, batch.origins)
        return self._first.head.loss(raw, batch.naive, batch.target, batch.weight, batch.windows.scale)

    def validate(self, network: nn.Module) -> float:
        """Compute the loss of forecasts from the end of the context, mean over the windows."""
        losses = [self.loss(network, batch) * len(batch.target) for batch in self.validation]
        return float(sum(losses)) / sum(len(batch.target) for batch in self.validation)

    def calibrate(self) -> None:
        """Stretch the network's intervals so that they hold what they say on the validation part."""
        network, settings, context = self.model.network, self.model.settings, self.training.context
        index = self.split.validation_windows(self.series, settings.horizon)
        if settings.decoding == "paths":  # each window is forecast many times
            index = index.thinned(FEW_WINDOWS)
        whole = self.model.windows(self.series, settings.horizon, self.split.fit)
        forecasts, truth = [], []
        with torch.no_grad():
            for part in self.model.parts(index):
                windows = whole.gather(*part)
                observed = windows.observed[:, context:] > 0
                forecasts.append(network.mean(windows)[observed])
                truth.append(windows.target[:, context:][observed])
        horizons = float(np.sum(self.split.fit - self.split.training)) / settings.horizon
        network.stretch.fit(torch.cat(forecasts), torch.cat(truth), horizons)

    def describe(self, network: nn.Module, batch: ForkingBatch) -> str:
        """Name the series whose loss is not finite; all of the batch where the sum alone is not."""
        with torch.no_grad():
            raw: Tensor = network(batch.windows, batch.origins)
        wrong = ~raw.isfinite().flatten(1).all(1) | ~batch.windows.target.isfinite().all(1)
        codes = batch.windows.batch.series[wrong] if wrong.any() else batch.windows.batch.series
        return self.series.called(codes.tolist())
