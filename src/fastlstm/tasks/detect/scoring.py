"""From what was expected of rows, and what came, to a score for each channel and each row, and to alarms."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from fastlstm.data.series.series_set import Integers
from fastlstm.tasks.detect.calibration import Tail
from fastlstm.tasks.detect.running import Expected, blend, fresh_evidence

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Scorer(BaseModel):
    """The score of a row: -log10 of the rate, per row, at which alarms this strong would start by chance.

    Of each channel there are four kinds of evidence: how unlikely its value is by the forecast made one step before,
    which finds single outliers; the same, smoothed, which finds what goes on for some rows though no row is unlikely
    (cf. Lavin & Ahmad 2015, "Evaluating real-time anomaly detection algorithms: the Numenta anomaly benchmark",
    section III.B); and smoothed by the forecast made some steps before, which finds drifts and what the network gets
    used to within a step; and how far the value lies from what is usual, smoothed for longer, which finds what is
    strange though one could see it come. A row that is reconstructed as it comes has one surprise, not two, and three
    kinds. Each is calibrated by itself
    (:class:`fastlstm.tasks.detect.calibration.Tail`); a channel's score is the greatest of them, calibrated
    again. The row's is that of its channels' greatest or of their mean, whichever is higher: what only one channel
    shows counts as well as what many show a little.

    Parameters
    ----------
    rates : list of float
        a, how fast the smoothed evidence of each kind follows: ``s ← s + a (q - s)``.
    hold : int
        In rows, how long an alarm is held after the last score above the threshold.
    threshold : float
        The score from which on a row is anomalous.
    evidence : list of list of Tail
        (kinds, K)
    channels : list of Tail
        K, of the greatest of each channel.
    together : list of Tail
        Of the greatest and the mean of the channels, where there are several.
    row : Tail, optional
        Of the higher of these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rates: list[float]
    hold: int
    threshold: float
    evidence: list[list[Tail]]
    channels: list[Tail]
    together: list[Tail] = []
    row: Tail | None = None

    @classmethod
    def fit(
        cls,
        expected: Expected,
        target: npt.NDArray[np.float32],
        *,
        rates: list[float],
        hold: int,
        alarms_a_row: float,
    ) -> Self:
        """Learn what is usual.

        Parameters
        ----------
        expected : Expected
            Of N steps of all series, one after the other.
        target : numpy.ndarray
            (N, K), what came, scaled.
        rates, hold
            As above.
        alarms_a_row : float
            How many false alarms are allowed, each row.
        """
        found = evidence_of(expected, target, rates)
        known = ~np.isnan(target)
        K = target.shape[1]

        def fit(values: Array, slope: float | None = None) -> Tail:
            return Tail.fit(values, hold, alarms_a_row * len(values), slope)

        evidence = [[fit(found[:, kind, channel]) for channel in range(K)] for kind in range(found.shape[1])]
        greatest = _greatest(evidence, found, known)
        channels = [fit(greatest[:, channel], 1.0) for channel in range(K)]
        self = cls(
            rates=rates,
            hold=hold,
            threshold=float(-np.log10(alarms_a_row)),
            evidence=evidence,
            channels=channels,
        )
        if K == 1:
            return self
        scores = _each(channels, greatest)
        several = [_over(np.nanmax, scores), _over(np.nanmean, scores)]
        together = [fit(several[0], 1.0), fit(several[1])]
        row = fit(np.maximum(*(tail(values) for tail, values in zip(together, several, strict=True))), 1.0)
        return self.model_copy(update={"together": together, "row": row})

    def score(self, expected: Expected, target: npt.NDArray[np.float32]) -> tuple[Array, Array]:
        """Score rows.

        Parameters
        ----------
        expected : Expected
            Of the steps that they fall on.
        target : numpy.ndarray
            (n, K), what came, scaled.

        Returns
        -------
        row, channels : numpy.ndarray
            (n,) and (n, K); NaN where nothing came.
        """
        found = evidence_of(expected, target, self.rates)
        channels = _each(self.channels, _greatest(self.evidence, found, ~np.isnan(target)))
        if self.row is None:
            return channels[:, 0], channels
        several = [_over(np.nanmax, channels), _over(np.nanmean, channels)]
        higher = np.maximum(*(tail(values) for tail, values in zip(self.together, several, strict=True)))
        return self.row(higher), channels

    def alarms(self, score: Array, steps: Integers, since: int) -> tuple[Mask, int]:
        """Tell which rows are anomalous: from a score above the threshold until ``hold`` steps after the last.

        So an alarm is one run of anomalous rows: it does not flicker, and is known when each row comes.

        Parameters
        ----------
        score : numpy.ndarray
            (n,) of one series, NaN where there is none.
        steps : numpy.ndarray
            (n,) int64, the step of each row, rising.
        since : int
            How many steps lie between the last score above the threshold and step 0.

        Returns
        -------
        anomalous : numpy.ndarray
            (n,) bool
        since : int
            The same, for the step after the last row.
        """
        if len(score) == 0:
            return np.zeros(0, bool), since
        last = np.maximum.accumulate(np.where(score >= self.threshold, steps, -since))
        anomalous = steps - last <= self.hold
        return anomalous, int(steps[-1] - last[-1]) + 1


def evidence_of(expected: Expected, target: npt.NDArray[np.float32], rates: list[float]) -> Array:
    """Return (n, kinds, K) the evidence in rows, NaN where nothing came.

    Parameters
    ----------
    expected : Expected
        Of the steps that they fall on.
    target : numpy.ndarray
        (n, K), what came, scaled.
    rates : list of float
        How fast the smoothed evidence of each kind follows.
    """
    fresh = fresh_evidence(expected.forecasts, target)
    smooth = blend(expected.smooth, fresh, np.array(rates)[:, None])
    smooth[np.broadcast_to(np.isnan(target)[:, None], smooth.shape)] = np.nan
    return np.concatenate([fresh[:, :1], smooth], axis=1)


def _greatest(tails: list[list[Tail]], evidence: Array, known: Mask) -> Array:
    scored = np.stack([_each(tail, evidence[:, kind]) for kind, tail in enumerate(tails)])
    greatest: Array = np.where(known, np.fmax.reduce(scored, axis=0), np.nan)
    return greatest


def _each(tails: list[Tail], values: Array) -> Array:
    return np.stack([tail(values[:, place]) for place, tail in enumerate(tails)], axis=1)


def _over(reduce: Callable[..., Any], scores: Array) -> Array:
    with warnings.catch_warnings():  # of rows in which nothing came
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Array = reduce(scores, axis=1)
    return found
