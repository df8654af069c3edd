"""The forecasting network: an LSTM over the window, and a forecast of the horizon from any step of it."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from fastlstm.data.scaling import WindowScale
from fastlstm.data.windows import WindowBatch
from fastlstm.model.decoder import HorizonDecoder
from fastlstm.model.heads import IntervalStretch, QuantileHead, pinball_loss
from fastlstm.model.inputs import InputLayout, WindowInputs
from fastlstm.model.known import RecentKnown
from fastlstm.model.trunk import Trunk

RECENT_FEATURES = 32
RECENT_STEPS = 12


class NetworkSettings(BaseModel):
    """All that it takes to build the network again; ``config.json`` keeps it.

    Parameters
    ----------
    layout : InputLayout
        The widths of the inputs.
    context, horizon : int
        C and L.
    quantiles : tuple of float
        Rising, 0.5 among them.
    hidden_size, num_layers : int
        H, and how many layers.
    dropout : float
        Between layers and in the decoder.
    centre : bool
        Whether each window's mean is taken away before it is scaled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: InputLayout
    context: int
    horizon: int
    quantiles: tuple[float, ...]
    hidden_size: int
    num_layers: int
    dropout: float
    centre: bool


class ScaledForecast(NamedTuple):
    """Forecasts in the scale of their windows.

    Attributes
    ----------
    quantiles : Tensor
        (B, K, L, Q)
    scaled : Tensor
        (B, W), the target in the same scale, 0 where missing.
    scale : WindowScale
        How to bring them back to the target's unit.
    """

    quantiles: Tensor
    scaled: Tensor
    scale: WindowScale


class ForecastNetwork(nn.Module):
    """Quantiles of every step of the horizon, from any step of the context.

    The LSTM runs once over the window. At an origin, the step j of the context, its output says what was up
    to there, and the decoder forecasts the steps j + 1 … j + L with what is known ahead of them. In training
    there are K origins a window (forking sequences: Wen et al. 2017, "A multi-horizon quantile recurrent
    forecaster", section 3.3); in forecasting there is one, the last step.

    B windows of W = C + L steps, K origins, L steps ahead, Q quantiles.

    Parameters
    ----------
    settings : NetworkSettings
        Sizes and scaling.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.inputs = WindowInputs(settings.layout)
        self.trunk = Trunk(
            self.inputs.encoder_width,
            settings.hidden_size,
            num_layers=settings.num_layers,
            dropout=settings.dropout,
            static_size=self.inputs.static_width,
        )
        known_width = self.inputs.known_width
        self.recent: RecentKnown | None = None  # the calendar alone would tell nothing more
        if settings.layout.future or settings.layout.future_categories or settings.layout.lag:
            self.recent = RecentKnown(known_width, features=RECENT_FEATURES, reach=RECENT_STEPS)
            known_width = self.recent.width
        self.decoder = HorizonDecoder(
            settings.hidden_size,
            settings.hidden_size,
            known_width=known_width,
            static_width=self.inputs.static_width,
            horizon=settings.horizon,
            dropout=settings.dropout,
        )
        self.head = QuantileHead(settings.hidden_size, settings.quantiles)

    def forward(self, batch: WindowBatch, origins: Tensor) -> ScaledForecast:
        """Forecast from some steps of the context.

        Parameters
        ----------
        batch : WindowBatch
            B windows.
        origins : Tensor
            (K,) int64, steps of the context, 0 … C - 1, the same ones for each window.

        Returns
        -------
        ScaledForecast
            In the scale of the windows.
        """
        C, L = self.settings.context, self.settings.horizon
        scale = WindowScale.of(batch.target[:, :C], batch.observed[:, :C], centre=self.settings.centre)
        scaled = scale.apply(batch.target, batch.observed)
        lagged = batch.lagged
        if self.settings.layout.lag:  # what was then is scaled by what was then
            seen = batch.lagged_observed
            lagged = WindowScale.of(lagged[:, :C], seen[:, :C], centre=self.settings.centre).apply(
                lagged, seen
            )
        encoder, known, static = self.inputs(batch, scaled, lagged, C)
        state = self.trunk(encoder, static, origins)
        ahead = None
        if self.inputs.known_width:
            if self.recent is not None:
                known = self.recent(known)
            ahead = known.index_select(1, steps_ahead(origins, L).view(-1)).unflatten(1, (-1, L))
        decoded = self.decoder(state, ahead, static)
        return ScaledForecast(self.head(decoded), scaled, scale)

    @property
    def reach(self) -> int:
        """How many steps before the horizon a forecast looks at, the lag's included."""
        return self.settings.context + self.settings.layout.lag

    def forecast(self, batch: WindowBatch) -> Tensor:
        """Forecast the horizon after the window's context.

        Parameters
        ----------
        batch : WindowBatch
            B windows.

        Returns
        -------
        Tensor
            (B, L, Q), in the target's unit.
        """
        last = torch.tensor([self.settings.context - 1], device=batch.target.device)
        forecast: ScaledForecast = self(batch, last)
        return forecast.scale.invert(forecast.quantiles[:, 0])


class ForecastEnsemble(nn.Module):
    """Networks that differ by their seed only; their mean errs less than they do.

    The quantiles are averaged level by level (Lichtendahl et al. 2013, "Is it better to average probabilities
    or quantiles?"), then stretched to what the validation part showed.

    Parameters
    ----------
    settings : NetworkSettings
        Of each network.
    members : int
        How many networks.
    """

    def __init__(self, settings: NetworkSettings, members: int = 1) -> None:
        super().__init__()
        self.settings = settings
        self.members = nn.ModuleList(ForecastNetwork(settings) for _ in range(members))
        self.stretch = IntervalStretch(settings.quantiles)

    @property
    def reach(self) -> int:
        """How many steps before the horizon a forecast looks at."""
        return cast(ForecastNetwork, self.members[0]).reach

    def mean(self, batch: WindowBatch) -> Tensor:
        """Forecast the horizon after the window's context, before stretching.

        Parameters
        ----------
        batch : WindowBatch
            B windows.

        Returns
        -------
        Tensor
            (B, L, Q), in the target's unit.
        """
        networks = (cast(ForecastNetwork, member) for member in self.members)
        return torch.stack([network.forecast(batch) for network in networks]).mean(0)

    def forecast(self, batch: WindowBatch) -> Tensor:
        """Forecast the horizon after the window's context.

        Parameters
        ----------
        batch : WindowBatch
            B windows.

        Returns
        -------
        Tensor
            (B, L, Q), in the target's unit.
        """
        stretched: Tensor = self.stretch(self.mean(batch))
        return stretched


def steps_ahead(origins: Tensor, horizon: int) -> Tensor:
    """Return the steps of the window that lie ahead of each origin.

    Parameters
    ----------
    origins : Tensor
        (K,) int64, steps of the window.
    horizon : int
        L.

    Returns
    -------
    Tensor
        (K, L) int64

    Examples
    --------
    >>> steps_ahead(torch.tensor([0, 4]), 3)
    tensor([[1, 2, 3],
            [5, 6, 7]])
    """
    return origins[:, None] + torch.arange(1, horizon + 1, device=origins.device)


def forking_loss(forecast: ScaledForecast, batch: WindowBatch, origins: Tensor, levels: Tensor) -> Tensor:
    """Compute the pinball loss of forecasts from several origins.

    What is missing counts nowhere; nor do forecasts made before the first observed step of a window.

    Parameters
    ----------
    forecast : ScaledForecast
        Of the batch, from these origins.
    batch : WindowBatch
        B windows.
    origins : Tensor
        (K,) int64
    levels : Tensor
        (Q,)

    Returns
    -------
    Tensor
        A scalar, in the scale of the windows.
    """
    B, K, L, _ = forecast.quantiles.shape
    ahead = steps_ahead(origins, L).view(-1)
    target = forecast.scaled.index_select(1, ahead).view(B, K, L)
    begun = batch.observed.cumsum(1).index_select(1, origins).clamp_(max=1)
    weight = batch.observed.index_select(1, ahead).view(B, K, L) * begun[:, :, None]
    return pinball_loss(forecast.quantiles, target, weight, levels)
