"""The table that an evaluation prints: a row a model, a column a metric."""

from __future__ import annotations

from collections.abc import Mapping


def metric_table(
    metrics: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, str],
    titles: Mapping[str, str],
    *,
    width: int,
    form: str = ".4g",
) -> str:
    """Lay metrics out as a table.

    Parameters
    ----------
    metrics : mapping
        ``model`` and what it is compared with, each with its metrics; the model has all of them.
    labels : mapping
        What each of them is called.
    titles : mapping
        What each metric is called.
    width : int
        Of a column.
    form : str
        How a number is written.

    Examples
    --------
    >>> labels = {"model": "LSTM", "mean": "mean"}
    >>> print(metric_table({"model": {"mae": 0.25, "loss": 2.0}, "mean": {"mae": 1.5}}, labels,
    ...                    {"mae": "MAE", "loss": "loss"}, width=8))
             MAE    loss
    LSTM    0.25       2
    mean     1.5       -
    """
    names = list(metrics["model"])
    first = max(map(len, labels.values()))
    rows = [" " * first + "".join(f"{titles[name]:>{width}}" for name in names)]
    for who, found in metrics.items():
        cells = (f"{found[name]:{form}}" if name in found else "-" for name in names)
        rows.append(f"{labels[who]:<{first}}" + "".join(f"{cell:>{width}}" for cell in cells))
    return "\n".join(rows)
