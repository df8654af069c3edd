"""Errors of forecasts, on arrays with missing truths.

W windows, L steps of the horizon, Q quantiles. A truth that is NaN is missing and counts nowhere. The functions up to
``covered`` give a number for each step of each window, NaN where nothing can be compared; the metrics are their means.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastlstm.data.series.history import NO_PAIRS

Array = npt.NDArray[np.floating]

METRICS = ("mae", "rmse", "mase", "smape", "mse", "quantile_loss", "coverage")


def absolute_error(truth: Array, forecast: Array) -> Array:
    """MAE is its mean: ``|y - ŷ|``, in the target's unit.

    Examples
    --------
    >>> absolute_error(np.array([[1.0, np.nan, 3.0]]), np.array([[2.0, 2.0, 5.0]]))
    array([[ 1., nan,  2.]])
    """
    return np.abs(truth - forecast)


def scaled(error: Array, scale: Array) -> Array:
    """MASE is the mean of absolute errors so scaled: ``e / s``, s the MAE of seasonal-naive on the training rows.

    Below 1 a forecast beats what seasonal-naive managed, one season ahead, in sample. Hyndman & Koehler 2006,
    "Another look at measures of forecast accuracy", equation for q_t in section 3; with a season, Hyndman &
    Athanasopoulos, FPP3, section 5.8.

    Parameters
    ----------
    error : numpy.ndarray
        (W, L)
    scale : numpy.ndarray
        (W,), from :func:`seasonal_scale`. Windows whose scale is 0 or NaN (a constant series, or one no
        longer than a season) cannot be scaled and become NaN.

    Examples
    --------
    >>> scaled(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([2.0, 0.0]))
    array([[0.5, 1. ],
           [nan, nan]])
    """
    return error / np.where(np.nan_to_num(scale) > 0, scale, np.nan)[:, None]


def symmetric_percentage_error(truth: Array, forecast: Array) -> Array:
    """SMAPE of the M4 competition is its mean: ``200 |y - ŷ| / (|y| + |ŷ|)``, in percent.

    It is 0 where both are 0.

    Makridakis, Spiliotis & Assimakopoulos 2020, "The M4 Competition", International Journal of Forecasting
    36.

    Examples
    --------
    >>> symmetric_percentage_error(np.array([[1.0, 0.0]]), np.array([[3.0, 0.0]]))
    array([[100.,   0.]])
    """
    size = np.abs(truth) + np.abs(forecast)
    return 200 * np.abs(truth - forecast) / np.where(size == 0, 1, size)


def quantile_loss(truth: Array, forecasts: Array, quantiles: Sequence[float]) -> Array:
    """Compute the pinball loss ``max(q (y - ŷ), (q - 1)(y - ŷ))``, mean over quantiles, in the target's unit.

    Koenker & Bassett 1978, "Regression quantiles", Econometrica 46. At the median alone it is half the MAE.

    Parameters
    ----------
    truth : numpy.ndarray
        (W, L)
    forecasts : numpy.ndarray
        (W, L, Q)
    quantiles : sequence of float
        Q quantiles.

    Examples
    --------
    >>> quantile_loss(np.array([[2.0]]), np.array([[[1.0, 3.0]]]), [0.25, 0.75])
    array([[0.25]])
    """
    error = truth[..., None] - forecasts
    level = np.asarray(quantiles)
    loss: Array = np.maximum(level * error, (level - 1) * error).mean(-1)
    return loss


def covered(truth: Array, lower: Array, upper: Array) -> Array:
    """Coverage is its mean: 1 where a truth lies in ``[lower, upper]``, else 0.

    For an interval between quantiles a < b the mean should be b - a.

    Examples
    --------
    >>> covered(np.array([[1.0, 2.0, np.nan]]), np.zeros((1, 3)), np.full((1, 3), 1.5))
    array([[ 1.,  0., nan]])
    """
    return np.where(np.isnan(truth + lower + upper), np.nan, (truth >= lower) & (truth <= upper))


def forecast_metrics(
    truth: Array, forecasts: Array, quantiles: Sequence[float], scale: Array
) -> dict[str, float]:
    """Every metric of ``METRICS``; the point forecast is the median.

    Parameters
    ----------
    truth : numpy.ndarray
        (W, L), NaN where missing.
    forecasts : numpy.ndarray
        (W, L, Q)
    quantiles : sequence of float
        Q rising quantiles, 0.5 among them; coverage is that of the interval from the first to the last.
    scale : numpy.ndarray
        (W,), from :func:`seasonal_scale`.

    Returns
    -------
    dict
        NaN where nothing could be compared.

    Examples
    --------
    >>> truth = np.array([[1.0, 2.0]])
    >>> forecast_metrics(truth, truth[..., None], [0.5], np.ones(1))["mae"]
    0.0
    """
    found = metrics_by_group(truth, forecasts, quantiles, scale, np.zeros((1, 1), np.int64), 1)
    return {name: float(value[0]) for name, value in found.items()}


def metrics_by_group(
    truth: Array,
    forecasts: Array,
    quantiles: Sequence[float],
    scale: Array,
    groups: npt.NDArray[np.int64],
    count: int,
) -> dict[str, Array]:
    """Every metric of ``METRICS`` over groups of forecast steps, each as if there were no other group.

    Parameters
    ----------
    truth, forecasts, quantiles, scale
        As for :func:`forecast_metrics`.
    groups : numpy.ndarray
        Which group each step of each window is of; any shape that broadcasts to (W, L), for instance (W, 1) for
        groups of windows, (1, L) for steps ahead.
    count : int
        G, the number of groups; those without any known truth get NaN.

    Returns
    -------
    dict
        Metric → (G,).

    Examples
    --------
    >>> truth = np.array([[1.0, 2.0], [5.0, 8.0]])
    >>> by_step = metrics_by_group(truth, truth[..., None] + 1, [0.5], np.ones(2), np.array([[0, 1]]), 2)
    >>> by_step["mae"]
    array([1., 1.])
    """
    places = np.broadcast_to(groups, truth.shape).ravel()

    def mean(values: Array) -> Array:
        known = ~np.isnan(values.ravel())
        number = np.bincount(places[known], minlength=count)
        total = np.bincount(places[known], values.ravel()[known], minlength=count)
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    point = forecasts[..., list(quantiles).index(0.5)]
    error = absolute_error(truth, point)
    squares = mean(np.square(error))
    return {
        "mae": mean(error),
        "rmse": np.sqrt(squares),
        "mase": mean(scaled(error, scale)),
        "smape": mean(symmetric_percentage_error(truth, point)),
        "mse": squares,
        "quantile_loss": mean(quantile_loss(truth, forecasts, quantiles)),
        "coverage": mean(covered(truth, forecasts[..., 0], forecasts[..., -1])),
    }


def seasonal_scale(history: Array, season: int, cut: Array = NO_PAIRS) -> float:
    """Compute the denominator of MASE: ``mean |y_t - y_{t-m}|`` over a series' training rows.

    Parameters
    ----------
    history : numpy.ndarray
        (T,), NaN where missing.
    season : int
        m, in steps.
    cut : numpy.ndarray
        (2,), of rows that the history has no longer: how many pairs, and their sum.

    Returns
    -------
    float
        NaN where no pair of rows a season apart was observed.

    Examples
    --------
    >>> seasonal_scale(np.array([1.0, 5.0, 2.0, 7.0]), season=2)
    1.5
    """
    apart = np.abs(history[season:] - history[:-season])
    known = ~np.isnan(apart)
    count = known.sum() + cut[0]
    return float((np.sum(apart, where=known, dtype=np.float64) + cut[1]) / count) if count else float("nan")
