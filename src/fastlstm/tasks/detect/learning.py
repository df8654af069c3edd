"""The detecting network as the training loop's learner."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.model.detector import RowBatch
from fastlstm.tasks.detect.inputs import Carried, Steps, read_on
from fastlstm.tasks.detect.running import STEPS_AT_ONCE, Network
from fastlstm.training.loop import Learner

Mask = npt.NDArray[np.bool_]

STRETCHES = 8  # of the data that are held out: one alone may be an anomaly from end to end
HELD_OUT = 0.15  # of all rows


class StretchBatch(NamedTuple):
    """Stretches of series to learn from.

    Attributes
    ----------
    rows : RowBatch
        B stretches of T steps.
    target, weight : Tensor
        (B, T, R, K), as ``DetectorNetwork.forward`` takes them.
    series : Tensor
        (B,) int64, whose they are.
    """

    rows: RowBatch
    target: Tensor
    weight: Tensor
    series: Tensor


def held_out(series: SeriesSet) -> Mask:
    """Choose what of the data weights are chosen by: stretches spread evenly over each series.

    The end of the data alone would choose badly where it is an anomaly, which nobody has labelled.

    Parameters
    ----------
    series : SeriesSet
        N steps.

    Returns
    -------
    numpy.ndarray
        (N,) bool

    Examples
    --------
    >>> import polars as pl
    >>> from fastlstm.data import Columns, read_series
    >>> out = held_out(read_series(pl.DataFrame({"y": range(800)}), Columns(target=("y",))))
    >>> int(out.sum()), np.flatnonzero(np.diff(out.astype(int)) == 1).tolist()
    (120, [84, 184, 284, 384, 484, 584, 684, 784])
    """
    chosen: Mask = _place_in_stretch(series) >= 1 - HELD_OUT
    return chosen


def halves_of(series: SeriesSet) -> tuple[Mask, Mask]:
    """Part the data in two: of each of the stretches that ``held_out`` takes the ends of, one half and the other.

    Parameters
    ----------
    series : SeriesSet
        N steps.

    Returns
    -------
    tuple of numpy.ndarray
        (N,) bool each.
    """
    first: Mask = _place_in_stretch(series) < 0.5
    return first, ~first


def _place_in_stretch(series: SeriesSet) -> npt.NDArray[np.float64]:
    """Return (N,) how far along its stretch of a series each step lies, from 0 to 1."""
    length = np.maximum(np.repeat(series.lengths, series.lengths), 1)
    place: npt.NDArray[np.float64] = series.positions * STRETCHES % length / length
    return place


class DetectorLearning:
    """Draws, losses and validation of a detecting network.

    Parameters
    ----------
    network : DetectorNetwork or Autoencoder
        What learns.
    series : SeriesSet
        The series, for their bounds and names.
    steps : Steps
        All of theirs, scaled.
    out : numpy.ndarray
        (N,) bool, the steps that are not learnt from but validated on.
    batch_size : int
        B.
    stretch : int
        T, the steps of a stretch.
    device : torch.device
        Where the batches lie.
    """

    def __init__(
        self,
        network: Network,
        series: SeriesSet,
        steps: Steps,
        out: Mask,
        *,
        batch_size: int,
        stretch: int,
        device: torch.device,
    ) -> None:
        self.network = network
        self.series = series
        self.batch_size = batch_size
        self.device = device
        self.ahead = torch.tensor([horizon - 1 for horizon in network.settings.horizons], device=device)
        reach = int(self.ahead.max())
        lengths = series.lengths
        self.steps = torch.arange(min(stretch, int(lengths.max())), device=device)
        # A row of nothing stands behind each series, for what lies past its end.
        ends = series.offsets[1:]
        observed = ~np.isnan(steps.target)
        bounds = zip(series.offsets[:-1].tolist(), ends.tolist(), strict=True)
        own = {"itself": network.reads_itself}
        read = [read_on(steps.cut(first, end), Carried.nothing(steps), **own)[:2] for first, end in bounds]
        numbers, codes = (np.concatenate(parts) for parts in zip(*read, strict=True))
        self._target = _guarded(np.nan_to_num(steps.target), ends, device)
        self._training = _guarded((observed & ~out[:, None]).astype(np.float32), ends, device)
        self._validating = _guarded((observed & out[:, None]).astype(np.float32), ends, device)
        self._numbers = _guarded(numbers, ends, device)
        self._codes = _guarded(codes, ends, device)
        self.first = torch.from_numpy(series.offsets[:-1] + np.arange(len(series))).to(device)
        self.end = torch.from_numpy(series.offsets[1:] + np.arange(len(series))).to(device)
        # Stretches may begin so that all steps are as often among those learnt from, but for a series' last ones.
        self.starts = torch.from_numpy(np.maximum(lengths - max(len(self.steps) // 2, reach + 1), 1)).to(
            device
        )
        self.shares = self.starts.cumsum(0)

    def learner(self) -> Learner[StretchBatch]:
        """Return what the training loop asks for."""
        return Learner(self.network, self.draw, self.loss, self.validate, self.describe)

    def draw(self, generator: torch.Generator) -> StretchBatch:
        """Draw stretches at random; longer series are drawn from more often."""
        drawn = torch.randint(int(self.shares[-1]), (self.batch_size,), generator=generator).to(self.device)
        series = torch.searchsorted(self.shares, drawn, right=True)
        starts = drawn - (self.shares - self.starts)[series]
        return self._cut(series, self.first[series] + starts, self.steps, self._training)

    def loss(self, network: nn.Module, batch: StretchBatch) -> Tensor:
        """Compute the loss of a batch."""
        loss: Tensor = network(batch.rows, batch.target, batch.weight)
        return loss

    def validate(self, network: nn.Module) -> float:
        """Return the mean loss over what is held out, with the state of all that was before."""
        del network  # wrapped or not, its weights are those of ours, which also runs on from a state
        total = count = 0.0
        for code in range(len(self.series)):
            losses, weights = self._run(code)
            total, count = total + losses, count + weights
        return total / max(count, 1.0)

    def describe(self, network: nn.Module, batch: StretchBatch) -> str:
        """Name the series of a batch."""
        del network
        return self.series.called(batch.series.tolist())

    def _run(self, code: int) -> tuple[float, float]:
        total = count = 0.0
        state = None
        for start in range(int(self.first[code]), int(self.end[code]), STEPS_AT_ONCE):
            ahead = torch.arange(min(STEPS_AT_ONCE, int(self.end[code]) - start), device=self.device)
            one = torch.tensor([code], device=self.device)
            batch = self._cut(one, torch.tensor([start], device=self.device), ahead, self._validating)
            loss, state = self.network.run_loss(batch.rows, batch.target, batch.weight, state)
            weight = float(batch.weight.sum())
            total, count = total + float(loss) * weight, count + weight
        return total, count

    def _cut(self, series: Tensor, starts: Tensor, steps: Tensor, weights: Tensor) -> StretchBatch:
        end = self.end[series][:, None]
        rows = torch.minimum(starts[:, None] + steps, end)
        ahead = torch.minimum(rows[..., None] + self.ahead, end[..., None])
        batch = RowBatch(_take(self._numbers, rows), _take(self._codes, rows))
        return StretchBatch(batch, _take(self._target, ahead), _take(weights, ahead), series)


def _guarded(values: npt.NDArray[np.generic], ends: Integers, device: torch.device) -> Tensor:
    return torch.from_numpy(np.insert(values, ends, 0, axis=0)).to(device)


def _take(table: Tensor, rows: Tensor) -> Tensor:
    return table.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
