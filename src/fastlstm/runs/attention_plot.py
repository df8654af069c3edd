"""A picture of attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastlstm.runs.plots import figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES_A_TOKEN = 0.28


def attention_weights(weights: npt.ArrayLike, source: Sequence[str], target: Sequence[str]) -> Figure:
    """Draw how much each token of a source counted for each of its target.

    Parameters
    ----------
    weights : array
        (T, S), from 0 to 1.
    source, target : sequence of str
        S and T tokens.

    Examples
    --------
    >>> figure = attention_weights([[0.9, 0.1]], ["ein", "Hund"], ["dog"])
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['ein', 'Hund']
    """
    width, height = (min(30.0, 2 + INCHES_A_TOKEN * len(side)) for side in (source, target))
    figure, axes = figure_of(width, height)
    axes.grid(visible=False)
    axes.imshow(np.asarray(weights), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    plain = {"parse_math": False}  # a dollar in a text is a dollar
    axes.set_xticks(np.arange(len(source)), source, rotation=90, **plain)
    axes.set_yticks(np.arange(len(target)), target, **plain)
    axes.set(xlabel="source", ylabel="target", title="Attention")
    return figure
