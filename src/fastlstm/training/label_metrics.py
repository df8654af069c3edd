"""How good labels and numbers are that were predicted of sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def class_metrics(truth: Array, probabilities: Array, predicted: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return the metrics of classes.

    Parameters
    ----------
    truth : numpy.ndarray
        (n,) places among the classes; those that are NaN do not count.
    probabilities : numpy.ndarray
        (n, K)
    predicted : numpy.ndarray
        (n,) places.

    Returns
    -------
    dict
        ``accuracy``, ``balanced_accuracy`` (mean recall of the classes that there are), ``f1_macro``, ``auroc`` (of
        more than two classes, the mean over each against the rest), ``log_loss``; NaN where undefined.

    Examples
    --------
    >>> found = class_metrics(np.array([0.0, 1.0]), np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))
    >>> found["accuracy"], found["auroc"], round(found["log_loss"], 3)
    (1.0, 1.0, 0.164)
    """
    from sklearn.metrics import f1_score  # deferred: a second of import

    known = ~np.isnan(truth)
    truth, probabilities, predicted = truth[known].astype(np.int64), probabilities[known], predicted[known]
    if not len(truth):
        return dict.fromkeys(("accuracy", "balanced_accuracy", "f1_macro", "auroc", "log_loss"), np.nan)
    there = np.unique(truth)
    areas = [
        area_under_roc(probabilities[:, place], truth == place)
        for place in range(probabilities.shape[1])
        if 0 < (truth == place).sum() < len(truth)
    ]
    if probabilities.shape[1] == 2:
        areas = areas[-1:]
    own = probabilities[np.arange(len(truth)), truth].clip(1e-15)
    return {
        "accuracy": float((predicted == truth).mean()),
        "balanced_accuracy": float(np.mean([(predicted[truth == place] == place).mean() for place in there])),
        "f1_macro": float(f1_score(truth, predicted, average="macro", zero_division=0.0)),
        "auroc": float(np.mean(areas)) if areas else np.nan,
        "log_loss": float(-np.log(own).mean()),
    }


def area_under_roc(score: Array, truth: npt.NDArray[np.bool_]) -> float:
    """Return the probability that what is true has a higher score than what is not, ties counted half.

    Mann and Whitney's U over the number of pairs. What has no score counts nowhere.

    Parameters
    ----------
    score : numpy.ndarray
        (n,), NaN where there is none.
    truth : numpy.ndarray
        (n,) bool

    Returns
    -------
    float
        NaN where all are of one kind.

    Examples
    --------
    >>> area_under_roc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True]))
    0.875
    """
    known = ~np.isnan(score)
    score, truth = score[known], truth[known]
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    total = float(ranks[inverse][truth].sum())
    return (total - positive * (positive + 1) / 2) / (positive * negative)


def f1_by_threshold(truth: Array, probability: Array, thresholds: Array) -> Array:
    """Compute the mean F1 of two classes as it depends on the probability from which on the second is predicted.

    That of :func:`class_metrics` for each threshold, from one sort for all of them.

    Parameters
    ----------
    truth : numpy.ndarray
        (n,) 0 or 1, NaN where there is no label.
    probability : numpy.ndarray
        (n,) of the second class.
    thresholds : numpy.ndarray
        (L,)

    Returns
    -------
    numpy.ndarray
        (L,)

    Examples
    --------
    >>> f1_by_threshold(np.array([0.0, 0.0, 1.0]), np.array([0.1, 0.4, 0.3]), np.array([0.2, 0.35]))
    array([0.66666667, 0.25      ])
    """
    first, second = (np.sort(probability[truth == place]) for place in (0, 1))
    kept = np.searchsorted(first, thresholds)  # those of the first class that are predicted as such
    found = len(second) - np.searchsorted(second, thresholds)
    predicted = found + len(first) - kept
    there = [
        len(first) + len(first) + len(second) - predicted,
        len(second) + predicted,
    ]  # labels and answers of each class
    scores = [2 * right / np.maximum(both, 1) for right, both in zip((kept, found), there, strict=True)]
    classes = sum((both > 0).astype(np.int64) for both in there)
    mean: Array = sum(scores) / np.maximum(classes, 1)
    return mean


def multi_label_metrics(truth: Array, probabilities: Array, threshold: float) -> dict[str, float]:
    """Return the metrics of several labels.

    Parameters
    ----------
    truth : numpy.ndarray
        (n, K), 0 or 1, NaN where there is none.
    probabilities : numpy.ndarray
        (n, K)
    threshold : float
        From which on a label is predicted.

    Returns
    -------
    dict
        Means over the labels of those of :func:`class_metrics`.
    """
    found = []
    for place in range(truth.shape[1]):
        both = np.stack([1 - probabilities[:, place], probabilities[:, place]], axis=1)
        found.append(class_metrics(truth[:, place], both, (both[:, 1] >= threshold).astype(np.int64)))
    return mean_metrics(found)


def mean_metrics(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over those of which it is defined; NaN where it is of none.

    Parameters
    ----------
    found : sequence of mapping
        The same metrics of several.

    Examples
    --------
    >>> mean_metrics([{"auroc": 0.5, "r2": math.nan}, {"auroc": math.nan, "r2": math.nan}])
    {'auroc': 0.5, 'r2': nan}
    """
    means = {}
    for name in found[0]:
        known = [one[name] for one in found if not math.isnan(one[name])]
        means[name] = math.fsum(known) / len(known) if known else math.nan
    return means


def number_metrics(truth: Array, predicted: Array) -> dict[str, float]:
    """Return the metrics of numbers.

    Parameters
    ----------
    truth, predicted : numpy.ndarray
        (n, K); what is NaN in ``truth`` does not count.

    Returns
    -------
    dict
        ``mae``, ``rmse``, ``mse`` and ``r2``, the share of the variance that is explained.

    Examples
    --------
    >>> number_metrics(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]))
    {'mae': 0.5, 'rmse': 0.7071067811865476, 'mse': 0.5, 'r2': 0.5}
    """
    known = ~np.isnan(truth)
    if not known.any():
        return dict.fromkeys(("mae", "rmse", "mse", "r2"), np.nan)
    error = (predicted - truth)[known]
    mse = float(np.square(error).mean())
    usual = np.where(known, truth, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    variance = float(np.square(truth - usual)[known].mean())
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(mse)),
        "mse": mse,
        "r2": 1 - mse / variance if variance > 0 else np.nan,
    }
