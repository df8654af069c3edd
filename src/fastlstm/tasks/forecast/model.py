"""All that it takes to forecast: a network, how what it reads is scaled, and its forecasts of many windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.series.windows import CovariateScaling, WindowIndex, Windows
from fastlstm.model.forecaster import ForecastEnsemble, NetworkSettings

WINDOWS_AT_ONCE = 256


@dataclass(frozen=True)
class ForecastModel:
    """All that it takes to forecast.

    Parameters
    ----------
    network : ForecastEnsemble
        To forecast, it is in evaluation mode.
    scaling : CovariateScaling
        Of the covariates.
    """

    network: ForecastEnsemble
    scaling: CovariateScaling

    @property
    def settings(self) -> NetworkSettings:
        """How each network is built."""
        return self.network.settings

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.network.parameters()).device

    def windows(self, series: SeriesSet, horizon: int, ends: Integers | None = None) -> Windows:
        """Return rows in the windows that the network reads.

        Parameters
        ----------
        series : SeriesSet
            The series.
        horizon : int
            Steps ahead.
        ends : numpy.ndarray, optional
            (S,) int64, the positions from which on windows see nothing. Default: the lengths.
        """
        return Windows(
            series,
            self.scaling,
            context=self.settings.context,
            horizon=horizon,
            lag=self.settings.layout.lag,
            ends=ends,
            device=self.device,
        )

    def parts(self, index: WindowIndex) -> list[tuple[Tensor, Tensor]]:
        """Series and origins of windows, so many at once as fit into memory.

        Parameters
        ----------
        index : WindowIndex
            The windows.
        """
        series, origins = (torch.from_numpy(part).to(self.device) for part in index)
        cuts = [slice(first, first + WINDOWS_AT_ONCE) for first in range(0, len(origins), WINDOWS_AT_ONCE)]
        return [(series[cut], origins[cut]) for cut in cuts]

    def forecast(self, windows: Windows, index: WindowIndex) -> npt.NDArray[np.float32]:
        """Forecast many windows.

        Parameters
        ----------
        windows : Windows
            The rows.
        index : WindowIndex
            W windows.

        Returns
        -------
        numpy.ndarray
            (W, L, Q), in the target's unit.
        """
        with torch.inference_mode():
            found = [self.network.forecast(windows.gather(*part)).cpu() for part in self.parts(index)]
        return cast(npt.NDArray[np.float32], torch.cat(found).numpy())
