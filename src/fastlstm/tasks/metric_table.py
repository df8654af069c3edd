"""The table that an evaluation prints: a row a model, a column a metric; of many metrics a row each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

WIDEST = 120  # characters of a row; what has more is laid on its side
NONE: Mapping[str, str] = {}


def metric_table(
    metrics: Mapping[str, Mapping[str, float | None]],
    labels: Mapping[str, str] = NONE,
    titles: Mapping[str, str] = NONE,
    forms: Mapping[str, str] = NONE,
) -> str:
    """Lay metrics out as a table; what cannot be told (an AUROC of one class) is a dash.

    Parameters
    ----------
    metrics : mapping
        ``model`` and what it is compared with, each with its metrics.
    labels : mapping
        What each of them is called. Default: as it is.
    titles : mapping
        What the metrics to show are called. Default: all of them, as they are.
    forms : mapping
        How the numbers of a metric are written. Default: with four digits.

    Examples
    --------
    >>> metrics = {"model": {"mae": 0.25, "loss": 2.0}, "mean": {"mae": 1.5}}
    >>> print(metric_table(metrics, {"model": "LSTM", "mean": "mean"}, {"mae": "MAE", "loss": "loss"}))
           MAE  loss
    LSTM  0.25     2
    mean   1.5     -
    >>> print(metric_table(metrics, forms={"mae": ".1%"}))
              mae  loss
    model   25.0%     2
    mean   150.0%     -
    """
    measures = list(dict.fromkeys(measure for found in metrics.values() for measure in found))
    shown = [measure for measure in measures if not titles or measure in titles]
    rows = [["", *(titles.get(measure, measure) for measure in shown)]]
    for name, found in metrics.items():
        cells = (shown_number(found.get(measure), forms.get(measure, ".4g")) for measure in shown)
        rows.append([labels.get(name, name), *cells])
    upright = _aligned(rows)
    return upright if upright.index("\n") <= WIDEST else _aligned(list(zip(*rows, strict=True)))


def shown_number(value: float | None, form: str) -> str:
    """Write a number; a dash where there is none, or it cannot be told.

    Parameters
    ----------
    value : float, optional
        NaN for what cannot be told.
    form : str
        How it is written.

    Examples
    --------
    >>> shown_number(0.5, ".1%"), shown_number(math.nan, ".3f"), shown_number(None, ".3f")
    ('50.0%', '-', '-')
    """
    return "-" if value is None or math.isnan(value) else f"{value:{form}}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        f"{row[0]:<{first}}"
        + "".join(f"{cell:>{width + 2}}" for cell, width in zip(row[1:], others, strict=True))
        for row in rows
    )
