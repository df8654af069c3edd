"""Pictures of how well classes are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastlstm.runs.plots import figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Integers = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

BINS = 10
MOST_CURVES = 10


def confusion_matrix(counts: Integers, names: Sequence[str]) -> Figure:
    """Draw how often each class was predicted as each.

    Parameters
    ----------
    counts : numpy.ndarray
        (K, K), a row for each true class.
    names : sequence of str
        K classes.
    """
    size = max(4.0, min(12.0, 0.5 * len(names) + 2))
    figure, axes = figure_of(size + 1, size)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = np.arange(len(names))
    axes.set_xticks(places, names, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(places, names)
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= 25:
        for row, column in np.ndindex(*counts.shape):
            shade = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=shade)
    return figure


def roc_curves(truth: npt.NDArray[np.int_], probabilities: Array, names: Sequence[str]) -> Figure:
    """Draw the true positive rate against the false positive rate, of the second of two classes or of each.

    Parameters
    ----------
    truth : numpy.ndarray
        (n,) places.
    probabilities : numpy.ndarray
        (n, K)
    names : sequence of str
        K classes.
    """
    from sklearn.metrics import roc_curve  # deferred: a second of import

    figure, axes = figure_of(5.5, 5)
    shown = [1] if len(names) == 2 else range(min(len(names), MOST_CURVES))
    for place in shown:
        holds = truth == place
        if 0 < holds.sum() < len(holds):
            false, true, _ = roc_curve(holds, probabilities[:, place])
            axes.plot(false, true, label=names[place])
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return figure


def calibration_curve(truth: npt.NDArray[np.int_], probabilities: Array) -> Figure:
    """Draw how often the told class is right against how probable it was said to be.

    Parameters
    ----------
    truth : numpy.ndarray
        (n,) places.
    probabilities : numpy.ndarray
        (n, K); of two classes the second is judged, else the most probable.
    """
    figure, axes = figure_of(5.5, 5)
    if probabilities.shape[1] == 2:
        said, right = probabilities[:, 1], truth == 1
    else:
        said, right = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    some = count > 0
    mean = np.bincount(bins, said, BINS)[some] / count[some]
    share = np.bincount(bins, right, BINS)[some] / count[some]
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    axes.plot(mean, share, marker="o")
    axes.set(xlabel="predicted probability", ylabel="observed frequency", title="calibration", xlim=(0, 1))
    axes.set_ylim(0, 1)
    return figure
