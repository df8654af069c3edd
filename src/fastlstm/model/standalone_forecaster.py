"""The forecasting network with all that stands before it: from a table's own numbers to a forecast, as one graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastlstm.data.series.windows import CovariateScaling, WindowBatch
from fastlstm.data.times.calendar import calendar_of
from fastlstm.model.forecaster import ForecastEnsemble


class StandaloneForecaster(nn.Module):
    """Quantiles of the horizon from the rows of a table, without anything that laid them out.

    B series, C steps of context, L of horizon, M steps back to the target a year ago (0 where the network does not look
    at it), Q quantiles.

    Parameters
    ----------
    network : ForecastEnsemble
        In evaluation mode, with a head whose quantiles are made of tensors alone.
    scaling : CovariateScaling
        Of the covariates.
    cycles : sequence of str
        Of the calendar, keys of :data:`fastlstm.data.times.calendar.CYCLES`.
    """

    def __init__(self, network: ForecastEnsemble, scaling: CovariateScaling, cycles: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.scaling = scaling
        self.cycles = tuple(cycles)

    def forward(
        self,
        target: Tensor,
        time: Tensor | None = None,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
        past_categories: Tensor | None = None,
        future_categories: Tensor | None = None,
        static_categories: Tensor | None = None,
    ) -> Tensor:
        """Forecast.

        Parameters
        ----------
        target : Tensor
            (B, M + C), NaN where missing, and before the series begins: that is before its first value.
        time : Tensor, optional
            (B, C + L) int64, microseconds since 1970 on the local clock, where the network reads the calendar.
        past_covariates : Tensor, optional
            (B, C, ·), NaN where missing.
        future_covariates : Tensor, optional
            (B, C + L, ·), NaN where missing.
        static_covariates : Tensor, optional
            (B, ·), NaN where missing.
        past_categories, future_categories, static_categories : Tensor, optional
            Likewise, int64, 0 where missing or unknown.

        Returns
        -------
        Tensor
            (B, L, Q), in the target's unit.
        """
        settings = self.network.settings
        horizon, steps = settings.horizon, settings.context + settings.horizon
        seen = target.isnan().logical_not()
        observed, known = seen.to(target.dtype), target.masked_fill(~seen, 0)
        lag = settings.layout.lag
        none = target.new_empty(target.shape[0], 0)
        past = self._scaled("past", past_covariates, target, settings.context)
        future = self._scaled("future", future_covariates, target, steps)
        if time is not None:
            future = torch.cat([future, calendar_of(time, self.cycles)], dim=2)
        # Before a series begins nothing is known, the calendar neither.
        begun = (observed.cumsum(1) > 0)[:, -settings.context :].unsqueeze(2)
        ever = F.pad(begun, (0, 0, 0, horizon), value=True)
        past, future = past * begun, future * ever
        past_codes = _codes(past_categories, target, settings.context) * begun
        future_codes = _codes(future_categories, target, steps) * ever
        batch = WindowBatch(
            target.new_zeros(target.shape[0], dtype=torch.int64),
            target=F.pad(known[:, lag:], (0, horizon)),
            observed=F.pad(observed[:, lag:], (0, horizon)),
            lagged=known[:, :steps] if lag else none,
            lagged_observed=observed[:, :steps] if lag else none,
            past=F.pad(past, (0, 0, 0, horizon)),
            future=future,
            past_categories=F.pad(past_codes, (0, 0, 0, horizon)),
            future_categories=future_codes,
            static=self._scaled("static", static_covariates, target),
            static_categories=_codes(static_categories, target),
        )
        return self.network.forecast(batch)

    def _scaled(self, role: str, values: Tensor | None, target: Tensor, *steps: int) -> Tensor:
        """Return what the network reads of a role's numbers, of no width where there are none."""
        if values is None:
            return target.new_empty(target.shape[0], *steps, 0)
        scaled: Tensor = getattr(self.scaling, role).apply(values)
        return scaled


def _codes(codes: Tensor | None, target: Tensor, *steps: int) -> Tensor:
    return target.new_empty(target.shape[0], *steps, 0, dtype=torch.int64) if codes is None else codes
