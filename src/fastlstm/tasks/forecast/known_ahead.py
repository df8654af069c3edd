"""What was found amiss in the covariates that a forecast was made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from fastlstm.data.series.gaps import GapReport
from fastlstm.data.series.scaling import Standardizer
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.windows import WindowIndex
from fastlstm.wording import many

FAR = 20.0  # standard deviations from the mean of what was learnt from: no network knows what then


def describe_covariates(
    ends: SeriesSet, index: WindowIndex, steps: int, read: Sequence[GapReport], learnt: Standardizer
) -> list[str]:
    """Say what of the covariates the network did not know, one line a column.

    Parameters
    ----------
    ends : SeriesSet
        What was forecast from, with the horizon.
    index : WindowIndex
        The origins.
    steps : int
        How many steps ahead.
    read : sequence of GapReport
        What was found in the tables that were read for it.
    learnt : Standardizer
        Of the numeric future covariates.

    Examples
    --------
    >>> import polars as pl
    >>> from fastlstm.data.series.reading import read_series
    >>> from fastlstm.data.series.schema import Columns
    >>> table = pl.DataFrame({"sold": [5, 6, None, None], "price": [0.5, 0.6, 0.7, None]})
    >>> series = read_series(table, Columns(target=("sold",), future_covariates=("price",)))
    >>> found = [GapReport(rows=4, series=1, unknown={"sky": 3})]
    >>> learnt = Standardizer((0.5,), (0.1,))
    >>> describe_covariates(series, WindowIndex(np.array([0]), np.array([2])), 2, found, learnt)
    ["'price' is not known in 1 of the 2 steps ahead: masked",
     "'sky' holds none of the training data's categories in 3 cells: read as missing"]
    """
    rows = index.origins[:, None] + np.arange(steps)
    ahead, schema = ends.future[rows], ends.schema
    missing = dict(zip(schema.numeric("future"), np.isnan(ahead).sum((0, 1)).tolist(), strict=True))
    if missing:  # an empty category may be one of ordinary days, but not where the whole row is missing
        silent = np.isnan(ahead).all(-1) & (ends.future_categories[rows] == 0).all(-1)
        unknown = {column for report in read for column in report.unknown}
        missing |= {name: int(silent.sum()) for name in schema.categorical("future") if name not in unknown}
    whole = many(rows.size, "step")
    told = [
        f"{column!r} is not known in {count:,} of the {whole} ahead: masked"
        for column, count in missing.items()
        if count
    ]
    return told + _describe_far(ends, ahead, learnt) + describe_read(read)


def _describe_far(ends: SeriesSet, ahead: npt.NDArray[np.float32], learnt: Standardizer) -> list[str]:
    """Say which numbers (W, steps, F) are nothing like those that a model has learnt from."""
    told = []
    for column, name in enumerate(ends.schema.numeric("future")):
        values = ahead[..., column].ravel()
        distance = np.abs(values.astype(np.float64) - learnt.mean[column]) / learnt.deviation[column]
        farthest = int(np.nan_to_num(distance).argmax())
        if distance[farthest] > FAR:
            told.append(
                f"{name!r} is {values[farthest]:g} in the steps ahead, {distance[farthest]:,.0f} standard deviations "
                f"from its mean of {learnt.mean[column]:g} in training: what is forecast from that is a guess"
            )
    return told


def describe_read(read: Iterable[GapReport]) -> list[str]:
    """Say what of tables training did not know, what is known to be otherwise, and what float32 cannot hold well.

    Parameters
    ----------
    read : iterable of GapReport
        What was found in the tables.
    """
    told = []
    for report in read:
        told += [
            f"{column!r} holds none of the training data's categories in {many(count, 'cell')}: read as missing"
            for column, count in report.unknown.items()
        ]
        if report.contradicting:
            differ = "differs" if report.contradicting == 1 else "differ"
            told.append(
                f"{many(report.contradicting, 'future value')} of known steps {differ} from what is known: not taken"
            )
        told += report.coarse
    return told
