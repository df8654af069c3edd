"""Pictures of a forecaster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.errors import InputError
from fastlstm.runs.plots import forecast_against_truth
from fastlstm.tasks.forecast.model import ForecastModel
from fastlstm.tasks.forecast.prediction import forecast_ahead
from fastlstm.wording import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_forecast(model: ForecastModel, series: SeriesSet, fresh: Integers, name: Any | None) -> Figure:
    """Draw the end of a series and its forecast with bands.

    Parameters
    ----------
    model : ForecastModel
        Trained.
    series : SeriesSet
        The series.
    fresh : numpy.ndarray
        (S,) int64, the position from which on nothing of a series was learnt.
    name : str, optional
        Which series. Default: the first.
    """
    shown = series.tail(model.network.reach)
    names = [str(known) for known in shown.names]
    name = None if name is None else str(name)
    if name is not None and name not in names:
        unnamed = shown.schema.columns.series is None
        mend = "the only one has no name; leave it out" if unnamed else f"give one of {listed(names, 12)}"
        raise InputError(f"there is no series {name!r}: {mend}")
    code = 0 if name is None else names.index(name)
    _, _, forecasts = forecast_ahead(model, series, fresh=fresh)
    observed = int(shown.last_observed[code])
    first = int(shown.offsets[code])
    return forecast_against_truth(
        shown.axis.stamps(code, 0, observed).to_numpy(),
        shown.target[first : first + observed, 0],
        shown.axis.stamps(code, observed, model.settings.horizon).to_numpy(),
        dict(zip(model.settings.quantiles, forecasts[code].T, strict=True)),
        target=shown.schema.columns.target[0],
        title="Forecast" if shown.names[code] is None else f"Forecast of {names[code]}",
    )
