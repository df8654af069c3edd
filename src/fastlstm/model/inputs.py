"""What the network reads at each step: numbers, masks and embedded categories, put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from fastlstm.data.series.scaling import Location, WindowScale
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.windows import WindowBatch
from fastlstm.data.times.calendar import PLACE_IN_YEAR, WEEKS

LARGEST_EMBEDDING = 16


class InputLayout(BaseModel):
    """How wide each part of a window batch is; ``config.json`` keeps it.

    Parameters
    ----------
    past, future, static : int
        Numeric covariates, without the channels that tell where they are missing.
    calendar : int
        Calendar features.
    weeks : bool
        Whether the last calendar feature is the place in the year, to be looked at week by week.
    lag : int
        Steps back to the target a year ago, which is then known ahead too; 0 for none.
    past_categories, future_categories, static_categories : tuple of int
        The number of codes of each categorical covariate, with code 0 for missing and unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    past: int = 0
    future: int = 0
    static: int = 0
    calendar: int = 0
    weeks: bool = False
    lag: int = 0
    past_categories: tuple[int, ...] = ()
    future_categories: tuple[int, ...] = ()
    static_categories: tuple[int, ...] = ()

    @classmethod
    def of(cls, series: SeriesSet, lag: int = 0) -> Self:
        """Return the layout of a table's covariates.

        Parameters
        ----------
        series : SeriesSet
            The table.
        lag : int
            Steps back to the target a year ago; 0 for none.
        """
        schema = series.schema
        return cls(
            past=len(schema.numeric("past")),
            future=len(schema.numeric("future")),
            static=len(schema.numeric("static")),
            calendar=series.calendar.shape[1],
            weeks=PLACE_IN_YEAR in schema.calendar,
            lag=lag,
            past_categories=schema.category_sizes("past"),
            future_categories=schema.category_sizes("future"),
            static_categories=schema.category_sizes("static"),
        )


class ScaledWindows(NamedTuple):
    """The windows of a batch, each on the scale of its own context.

    Attributes
    ----------
    batch : WindowBatch
        B windows of W steps.
    target, lagged : Tensor
        (B, W), those of the batch, scaled, 0 where missing; what was a lag ago is scaled by what was then.
        ``lagged`` is (B, 0) without a lag.
    scale : WindowScale
        Of the target.
    """

    batch: WindowBatch
    target: Tensor
    lagged: Tensor
    scale: WindowScale

    @classmethod
    def of(cls, batch: WindowBatch, context: int, *, location: Location) -> Self:
        """Scale a batch.

        Parameters
        ----------
        batch : WindowBatch
            B windows.
        context : int
            C, the steps that the scale is of.
        location : {"zero", "mean", "last"}
            What is taken away from each window.
        """
        scale = WindowScale.of(batch.target[:, :context], batch.observed[:, :context], location=location)
        lagged, seen = batch.lagged, batch.lagged_observed
        if lagged.shape[1]:
            then = WindowScale.of(lagged[:, :context], seen[:, :context], location=location)
            lagged = then.apply(lagged, seen)
        return cls(batch, scale.apply(batch.target, batch.observed), lagged, scale)

    def split(self, size: int) -> list[ScaledWindows]:
        """Cut the batch into batches of so many windows, the last of what is left.

        Parameters
        ----------
        size : int
            Windows of each.
        """
        scales = map(WindowScale, *(part.split(size) for part in self.scale))
        parts = zip(
            self.batch.split(size), self.target.split(size), self.lagged.split(size), scales, strict=True
        )
        return [ScaledWindows(*part) for part in parts]


class Categories(nn.Module):
    """Numbers with embedded categories beside them.

    Code 0, missing or unknown, is embedded as zeros and learns nothing.

    Parameters
    ----------
    numbers : int
        F, width of the numbers.
    sizes : sequence of int
        How many codes each categorical covariate has.

    Examples
    --------
    >>> part = Categories(2, [5])
    >>> part.width, part(torch.zeros(3, 7, 2), torch.zeros(3, 7, 1, dtype=torch.long)).shape
    (5, torch.Size([3, 7, 5]))
    """

    def __init__(self, numbers: int, sizes: Sequence[int]) -> None:
        super().__init__()
        widths = [min(LARGEST_EMBEDDING, (size + 1) // 2) for size in sizes]
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, width, padding_idx=0) for size, width in zip(sizes, widths, strict=True)
        )
        self.width = numbers + sum(widths)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Put the embeddings beside the numbers.

        Parameters
        ----------
        numbers : Tensor
            (…, F)
        codes : Tensor
            (…, categories) int64

        Returns
        -------
        Tensor
            (…, width)
        """
        if not self.embeddings:
            return numbers
        embedded = [embed(codes[..., place]) for place, embed in enumerate(self.embeddings)]
        return torch.cat([numbers, *embedded], dim=-1)


class WeeksOfTheYear(nn.Module):
    """The place in the year as 52 overlapping triangles, each 1 at its week and 0 at the next.

    They let a network learn what a holiday does, but also what merely happened to happen in a week of the one
    year that it has seen. In training they are therefore hidden from a share of the windows, so that the
    network must do without them as well.

    Examples
    --------
    >>> WeeksOfTheYear().eval()(torch.tensor([[51.75]]))[0, 0, [0, 1, 51]]
    tensor([0.7500, 0.0000, 0.2500])
    """

    HIDDEN = 0.3

    def forward(self, place: Tensor) -> Tensor:
        """Look at the weeks.

        Parameters
        ----------
        place : Tensor
            (B, …), the place in the year in weeks, 0 … 52.

        Returns
        -------
        Tensor
            (B, …, 52)
        """
        distance = (place.unsqueeze(-1) - torch.arange(WEEKS, device=place.device)).abs()
        near = (1 - torch.minimum(distance, WEEKS - distance)).clamp_(min=0)
        if self.training:
            shown = torch.rand(len(near), device=near.device) >= self.HIDDEN
            near = near * shown.view(-1, *[1] * (near.ndim - 1))
        return near


class WindowInputs(nn.Module):
    """The parts of a window that the network reads: what was, what is known ahead, what never changes.

    Parameters
    ----------
    layout : InputLayout
        The widths.

    Attributes
    ----------
    encoder_width, known_width, static_width : int
        The widths of what ``forward`` gives.
    weeks_width : int
        How many of the last features of what is known are weeks of the year.
    """

    def __init__(self, layout: InputLayout) -> None:
        super().__init__()
        # Each numeric covariate comes with a channel that tells where it is missing.
        self.past = Categories(2 * layout.past, layout.past_categories)
        self.weeks = WeeksOfTheYear() if layout.weeks else None
        calendar = layout.calendar - layout.weeks  # the last of it is what the weeks are made from
        self.known = Categories(2 * layout.future + calendar + 2 * bool(layout.lag), layout.future_categories)
        self.static = Categories(2 * layout.static, layout.static_categories)
        self.weeks_width = WEEKS if self.weeks else 0
        self.known_width = self.known.width + self.weeks_width
        self.static_width = self.static.width
        self.encoder_width = 2 + self.past.width + self.known_width

    def forward(self, windows: ScaledWindows, context: int) -> tuple[Tensor, Tensor, Tensor]:
        """Lay out a batch.

        Parameters
        ----------
        windows : ScaledWindows
            B windows of W steps.
        context : int
            C, how many steps of them the encoder reads.

        Returns
        -------
        encoder : Tensor
            (B, C, encoder_width): the target, whether it is observed, past and known covariates.
        known : Tensor
            (B, W, known_width), what is known ahead.
        static : Tensor
            (B, static_width)
        """
        batch, future = windows.batch, windows.batch.future
        if self.weeks is not None:
            weeks, future = self.weeks(future[..., -1]), future[..., :-1]
        if windows.lagged.shape[1]:
            future = torch.cat([future, torch.stack([windows.lagged, batch.lagged_observed], dim=2)], dim=2)
        known = self.known(future, batch.future_categories)
        if self.weeks is not None:
            known = torch.cat([known, weeks], dim=2)
        parts = [windows.target[:, :context, None], batch.observed[:, :context, None]]
        if self.past.width:
            parts.append(self.past(batch.past[:, :context], batch.past_categories[:, :context]))
        if self.known_width:
            parts.append(known[:, :context])
        return torch.cat(parts, dim=2), known, self.static(batch.static, batch.static_categories)

    def past_of(self, encoder: Tensor) -> Tensor:
        """Return the past covariates of what the encoder reads.

        Parameters
        ----------
        encoder : Tensor
            (B, T, encoder_width), from ``forward``.

        Returns
        -------
        Tensor
            (B, T, past.width)
        """
        return encoder[..., 2 : 2 + self.past.width]
