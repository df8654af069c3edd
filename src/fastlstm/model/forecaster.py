"""The forecasting network: an LSTM over the window, and a forecast of the horizon from any step of it."""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from fastlstm.data.series.scaling import Location
from fastlstm.data.series.windows import WindowBatch
from fastlstm.model.decoder import HorizonDecoder
from fastlstm.model.distributions import HeadKind, make_head
from fastlstm.model.heads import IntervalStretch
from fastlstm.model.inputs import InputLayout, ScaledWindows, WindowInputs
from fastlstm.model.known import KnownMemory, RecentKnown
from fastlstm.model.leading import LeadingPast
from fastlstm.model.naive import NaiveForecasts, count_rules
from fastlstm.model.paths import sample_paths, uniform_numbers
from fastlstm.model.trunk import SegmentTrunk, Trunk

BEFORE_WIDTH = 32  # of what is told of the steps before
RECENT_STEPS = 12
LEADING_STEPS = 24  # that a past covariate may come before what it leads to
PATHS = 200  # whose quantiles are the forecast


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
    layer_norm : bool
        Whether the LSTM's gates and cell are normalised.
    location : {"zero", "mean", "last"}
        What is taken away from each window before it is scaled.
    seasons : tuple of int
        Those of the seasonal rules, in steps, at most C.
    trunk : {"points", "segments"}
        Whether the LSTM reads step by step or segment by segment.
    segment : int
        Steps of a segment.
    head : {"quantiles", "normal", "student_t", "negative_binomial"}
        What is forecast of each step.
    decoding : {"direct", "paths"}
        Whether all steps of the horizon are forecast at once, or one, from which sampled paths go on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: InputLayout
    context: int
    horizon: int
    quantiles: tuple[float, ...]
    hidden_size: int
    num_layers: int
    dropout: float
    layer_norm: bool = False
    location: Location
    seasons: tuple[int, ...] = ()
    trunk: Literal["points", "segments"] = "points"
    segment: int = 1
    head: HeadKind = "quantiles"
    decoding: Literal["direct", "paths"] = "direct"

    @property
    def steps_ahead(self) -> int:
        """How many steps the network itself forecasts: the horizon, or one of a path."""
        return self.horizon if self.decoding == "direct" else 1

    @property
    def counts(self) -> bool:
        """Whether what is forecast are whole numbers from 0 on."""
        return self.head == "negative_binomial"

    @property
    def floor(self) -> float:
        """What no forecast lies below: 0 where no target did and windows are not moved, else minus infinity."""
        return 0.0 if self.location == "zero" else -math.inf

    @property
    def forking(self) -> bool:
        """Whether a forecast can be made at every step of the context, not at its end alone."""
        return self.trunk == "points"


class ForecastNetwork(nn.Module):
    """Quantiles of every step of the horizon, from any step of the context.

    The LSTM runs once over the window. At an origin, the step j of the context, its output says what was up
    to there, and the decoder forecasts the steps j + 1 … j + L with what is known ahead of them, as a mixture of
    naive forecasts and what is to be added to it. In training there are K origins a window (forking sequences:
    Wen et al. 2017, "A multi-horizon quantile recurrent forecaster", section 3.3); in forecasting there is one,
    the last step. Segments have that one only.

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
        self.trunk: Trunk | SegmentTrunk
        sizes = self.inputs.encoder_width, settings.hidden_size
        options: dict[str, Any] = {
            "num_layers": settings.num_layers,
            "dropout": settings.dropout,
            "static_size": self.inputs.static_width,
            "layer_norm": settings.layer_norm,
        }
        if settings.trunk == "points":
            self.trunk = Trunk(*sizes, **options)
        else:
            self.trunk = SegmentTrunk(
                *sizes, segment=settings.segment, horizon=settings.steps_ahead, **options
            )
        known_width = self.inputs.known_width
        self.before: KnownMemory | RecentKnown | None = None  # the calendar alone would tell nothing more
        if settings.layout.future or settings.layout.future_categories or settings.layout.lag:
            width = known_width - self.inputs.weeks_width
            if settings.forking:
                self.before = KnownMemory(width, features=BEFORE_WIDTH)
            else:
                self.before = RecentKnown(width, features=BEFORE_WIDTH, reach=RECENT_STEPS)
            known_width += BEFORE_WIDTH
        self.leading: LeadingPast | None = None
        if past := self.inputs.past.width:
            # As many lags whatever the context: weights fit others too.
            self.leading = LeadingPast(settings.layout.past, past, features=BEFORE_WIDTH, reach=LEADING_STEPS)
            known_width += BEFORE_WIDTH
        self.decoder = HorizonDecoder(
            settings.hidden_size,
            settings.hidden_size,
            known_width=known_width,
            static_width=self.inputs.static_width,
            horizon=settings.steps_ahead,
            segment=settings.segment,
            dropout=settings.dropout,
        )
        rules = count_rules(settings.seasons, settings.context, settings.steps_ahead)
        self.head = make_head(settings.head, settings.hidden_size, settings.quantiles, rules)

    def forward(self, windows: ScaledWindows, origins: Tensor) -> Tensor:
        """Forecast from some steps of the context.

        Parameters
        ----------
        windows : ScaledWindows
            B windows.
        origins : Tensor
            (K,) int64, steps of the context, 0 … C - 1, the same ones for each window.

        Returns
        -------
        Tensor
            (B, K, L, P + N), the numbers of the head and the logits of the naive forecasts' mixture; the head's
            methods read them, and the ``naive`` forecasts from the same origins.
        """
        encoder, known, static = self.inputs(windows, self.settings.context)
        if isinstance(self.trunk, SegmentTrunk):
            state = self.trunk(encoder, static)
        else:
            state = self.trunk(encoder, static, origins)[:, :, None]
        ahead = self.known_at(known, steps_ahead(origins, self.settings.steps_ahead))
        if self.leading is not None:
            led = self.leading(self.inputs.past_of(encoder), origins, self.settings.steps_ahead)
            ahead = led if ahead is None else torch.cat([ahead, led], dim=3)
        raw: Tensor = self.head(self.decoder(state, ahead, static))
        return raw

    def known_at(self, known: Tensor, steps: Tensor) -> Tensor | None:
        """Return what the decoder reads of some steps ahead.

        Parameters
        ----------
        known : Tensor
            (B, W, known_width), from the inputs.
        steps : Tensor
            (K, L) int64, steps of the window.

        Returns
        -------
        Tensor, optional
            (B, K, L, width): what is known then, and what is told of the steps before, though not of slow weeks;
            None for nothing.
        """
        # Without origins in the context, what comes long before the horizon is not looked at.
        first = 0 if self.settings.forking else max(0, self.settings.context - RECENT_STEPS + 1)
        known = known[:, first:]
        parts = [known]
        if self.before is not None:
            parts.append(self.before(known[..., : known.shape[2] - self.inputs.weeks_width]))
        places = (steps - first).reshape(-1)
        ahead = [part.index_select(1, places).unflatten(1, steps.shape) for part in parts]
        return torch.cat(ahead, dim=3) if self.inputs.known_width else None

    def naive(self, target: Tensor, observed: Tensor, origins: Tensor) -> NaiveForecasts:
        """Return the naive forecasts that the head mixes.

        Parameters
        ----------
        target, observed : Tensor
            (B, steps), in the scale of the windows, 0 where missing; 1 where observed.
        origins : Tensor
            (B, K) int64, steps of the context.
        """
        settings = self.settings
        return NaiveForecasts.of(
            target,
            observed,
            origins,
            context=settings.context,
            horizon=settings.steps_ahead,
            seasons=settings.seasons,
            ratio=settings.location == "zero",
        )

    @property
    def reach(self) -> int:
        """How many steps before the horizon a forecast looks at, the lag's included."""
        return self.settings.context + self.settings.layout.lag

    def scaled(self, batch: WindowBatch) -> tuple[ScaledWindows, NaiveForecasts]:
        """Scale windows, and forecast them by rule from the end of their context.

        Parameters
        ----------
        batch : WindowBatch
            B windows.
        """
        windows = ScaledWindows.of(batch, self.settings.context, location=self.settings.location)
        last = self._end(batch.target).expand(batch.target.shape[0], -1)
        return windows, self.naive(windows.target, batch.observed, last)

    def forecast(
        self, batch: WindowBatch, scaled: tuple[ScaledWindows, NaiveForecasts] | None = None
    ) -> Tensor:
        """Forecast the horizon after the window's context.

        Parameters
        ----------
        batch : WindowBatch
            B windows.
        scaled : tuple, optional
            What ``scaled`` gives of them, where it is known; it does not depend on the weights.

        Returns
        -------
        Tensor
            (B, L, Q), in the target's unit.
        """
        if self.settings.decoding == "paths":
            horizon = batch.target.shape[1] - self.settings.context
            drawn = sample_paths(self, batch, uniform_numbers([[0]], PATHS, horizon))
            levels = torch.tensor(self.settings.quantiles, dtype=drawn.dtype, device=drawn.device)
            return drawn.quantile(levels, dim=1).permute(1, 2, 0)
        windows, naive = self.scaled(batch) if scaled is None else scaled
        quantiles = self.head.quantiles(self(windows, self._end(batch.target)), naive, windows.scale)
        return windows.scale.invert(quantiles[:, 0])

    def _end(self, target: Tensor) -> Tensor:
        """(1,) int64, the last step of the context."""
        return torch.tensor([self.settings.context - 1], device=target.device)


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
        networks = [cast(ForecastNetwork, member) for member in self.members]
        scaled = networks[0].scaled(batch) if self.settings.decoding == "direct" else None
        return torch.stack([network.forecast(batch, scaled) for network in networks]).mean(0)

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
        return stretched.clamp(min=self.settings.floor)


def steps_ahead(origins: Tensor, horizon: int) -> Tensor:
    """Return the steps of the window that lie ahead of each origin.

    Parameters
    ----------
    origins : Tensor
        (…, K) int64, steps of the window.
    horizon : int
        L.

    Returns
    -------
    Tensor
        (…, K, L) int64

    Examples
    --------
    >>> steps_ahead(torch.tensor([0, 4]), 3)
    tensor([[1, 2, 3],
            [5, 6, 7]])
    """
    return origins[..., None] + torch.arange(1, horizon + 1, device=origins.device)


def forking_targets(windows: ScaledWindows, origins: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """Look up what forecasts from some origins are to say, and what counts of it.

    What is missing counts nowhere; nor do forecasts made before the first observed step of a window.

    Parameters
    ----------
    windows : ScaledWindows
        B windows.
    origins : Tensor
        (B, K) int64, steps of the context.
    horizon : int
        L.

    Returns
    -------
    target : Tensor
        (B, K, L), in the scale of the windows.
    weight : Tensor
        (B, K, L), 1 where it counts, otherwise 0.
    """
    steps = steps_ahead(origins, horizon)
    observed = windows.batch.observed
    begun = observed.cumsum(1).gather(1, origins).clamp_(max=1)
    target, weight = (
        part.gather(1, steps.flatten(1)).view(steps.shape) for part in (windows.target, observed)
    )
    return target, weight.mul_(begun[:, :, None])
