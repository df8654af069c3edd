"""What a fitted forecaster does: predict, be judged, move on with new rows, be saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from fastlstm.checks import require_whole
from fastlstm.data.series.future import add_future
from fastlstm.data.series.reading import read_series
from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.series.wide import in_given_shape
from fastlstm.data.series.windows import CovariateScaling
from fastlstm.data.tables.frames import give_back
from fastlstm.errors import InputError
from fastlstm.model.forecaster import ForecastEnsemble
from fastlstm.runs import Run
from fastlstm.runs.export import Standalone
from fastlstm.runs.plots import write_figure
from fastlstm.tasks.exporting import ExportableEstimator
from fastlstm.tasks.forecast.backtesting import backtest, describe_fewer, lay_origins
from fastlstm.tasks.forecast.defaults import require_counts
from fastlstm.tasks.forecast.evaluation import Evaluation, evaluate_windows
from fastlstm.tasks.forecast.exporting import standalone
from fastlstm.tasks.forecast.fallback import describe, without_network
from fastlstm.tasks.forecast.fitting import all_windows
from fastlstm.tasks.forecast.frames import forecast_frame, paths_frame
from fastlstm.tasks.forecast.joining import (
    continue_series,
    describe_changed,
    describe_left_out,
    describe_missing,
    describe_rows,
    extend_series,
)
from fastlstm.tasks.forecast.known_ahead import describe_covariates, describe_read
from fastlstm.tasks.forecast.model import ForecastModel
from fastlstm.tasks.forecast.pictures import draw_forecast
from fastlstm.tasks.forecast.prediction import forecast_ahead, sample_ahead
from fastlstm.tasks.forecast.report import ForecastReport
from fastlstm.tasks.forecast.saving import restore_forecaster, saved_forecaster
from fastlstm.tasks.forecast.settings import ForecastSettings, Parameters
from fastlstm.tasks.forecast.strangers import describe_new, describe_strangers
from fastlstm.tasks.forecast.tables import roles_of
from fastlstm.tasks.forecast.tuning import TuningReport
from fastlstm.tasks.forecast.unseen import all_unseen, fresh_from, learnt_from, limits
from fastlstm.tasks.resuming import ResumableEstimator
from fastlstm.tasks.saving import Contents
from fastlstm.tasks.tuning import STUDY, study_at_rest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FittedForecaster(ResumableEstimator, ExportableEstimator):
    """The methods of a forecaster that was fitted or loaded; :class:`Forecaster` adds configuration and ``fit``."""

    task = "forecast"
    run_settings = ForecastSettings
    fitted_by = "network_"
    kept = (STUDY,)

    network_: ForecastEnsemble
    scaling_: CovariateScaling
    series_: SeriesSet
    context_: int
    season_: int
    report_: ForecastReport | None
    learnt_until_: Integers
    loaded_: bool
    tuning_: TuningReport

    def update(self, data: Any, *, replace: bool = False) -> Self:
        """Move on with new rows, without fitting: ``predict()`` then forecasts what comes after them.

        Rows of known series are put behind those that are known, steps between them for which there is no row are
        missing, and late rows fill gaps. What was only known ahead gives way to what came. New series are taken up.

        Parameters
        ----------
        data : path or DataFrame
            New rows, with the columns of ``fit``'s table; those of known series may overlap.
        replace : bool
            Whether values that differ from known ones take their place; otherwise they are refused.

        Returns
        -------
        Forecaster
            This estimator.

        Raises
        ------
        DataError
            If a value differs from the known one, or the table cannot be read.
        """
        known = self._require_fitted().series_
        read = self._read(data)
        self.series_ = extend_series(known, read, replaced=replace, table=data)
        self.notes_ = [
            *describe_rows(known, read),
            *describe_left_out(known, read),
            *describe_missing(known, read),
            *describe_new(read.names, known.names),
            *describe_read([read.report]),
        ]
        fresh = learnt_from(self.series_, 0)
        fresh[: len(known)] = self.learnt_until_
        fresh[len(known) :] = self.series_.axis.origins[len(known) :]
        self.learnt_until_ = fresh
        return self

    def predict(
        self,
        data: Any | None = None,
        *,
        future: Any | None = None,
        horizon: int | None = None,
        paths: int | None = None,
    ) -> Any:
        """Forecast the horizon after the end of the data.

        Parameters
        ----------
        data : path or DataFrame, optional
            Other rows of the same columns: new rows of known series, which go on from the end that is known, or
            series never seen. Default: the data that ``fit`` was given.
        future : path or DataFrame, optional
            The future covariates over the horizon, where ``data`` does not hold them in rows whose target is
            empty.
        horizon : int, optional
            How many steps ahead, as far as future covariates reach; more than the model was trained for only with
            ``decoding="paths"``. Default: what it was trained for.
        paths : int, optional
            Give so many sampled futures of each series instead of quantiles; only with ``decoding="paths"``. The same
            ``seed`` gives the same ones. They are as the model draws them: calibration stretches quantiles alone.

        Returns
        -------
        DataFrame
            Of the kind that ``data`` (or ``fit``'s data) was, a pandas frame for a path: series and time
            columns under their own names, the target under its own name (the median), and ``NAME_q0.1`` and
            so on. Where the table was wide the forecast is: a column ``NAME`` for each series, ``NAME_q0.1`` and so
            on. Series that are constant, hardly begun, or without any value are forecast without the network, and
            ``notes_`` names them. With ``paths`` there are no quantiles and a column ``path``, 1 to N: each future is a
            row a step, its value under the target's own name.

        Raises
        ------
        InputError
            If the model cannot forecast so far, or has no paths.
        DataError
            If the future covariates do not reach over the horizon, or the table cannot be read.
        """
        series = self._read(data)
        read = [] if data is None else [series.report]
        joining: list[str] = []
        if data is not None:
            joining = [
                *describe_rows(self.series_, series),
                *describe_changed(self.series_, series),
                *describe_missing(self.series_, series),
            ]
            series, _ = continue_series(self.series_, series, self.context_)
        if future is not None:
            series = add_future(series, future)
            read.append(series.report)
        path = None
        if paths is None:
            ends, index, forecasts = forecast_ahead(self._model, series, horizon, self._fresh(series))
            steps = forecasts.shape[1]
            frame = forecast_frame(ends, index, forecasts, self.network_.settings.quantiles)
        else:
            seed = Parameters.check(self.get_params()).seed
            ends, index, drawn = sample_ahead(self._model, series, paths, seed, horizon)
            steps = drawn.shape[2]
            frame, path = paths_frame(ends, index, drawn)
        self.notes_ = [
            *joining,
            *describe_strangers(series.names, self.series_.names),
            *describe(without_network(ends)),
            *describe_covariates(ends, index, steps, read, self.scaling_.future),
        ]
        answer = in_given_shape(frame, series.schema, series.names, path)
        return give_back(answer, series.kind, whole=series.schema.whole_names)

    def backtest(
        self,
        windows: int = 4,
        *,
        stride: int | None = None,
        refit: bool | int = False,
        data: Any | None = None,
    ) -> Evaluation:
        """Forecast from rolling origins at the end of the data, as if what comes after each lay in the future.

        A model that forecasts from an origin has seen nothing from there on: neither weights, nor scalers, nor early
        stopping, nor calibration, nor categories. Where ``fit`` held back (``test_windows``) all that is forecast,
        that is the model at hand; otherwise a clone is fitted on the rows before the first origin (and at others with
        ``refit``), which takes as long as ``fit`` for each. The origins of each series are counted back from its own
        end.

        Parameters
        ----------
        windows : int
            How many origins.
        stride : int, optional
            Steps from one origin to the next; fewer than the horizon make them overlap. Default: the horizon.
        refit : bool or int
            Fit a new model at every so many origins: 1 (or True) at each, 0 (or False) at the first alone.
        data : path or DataFrame, optional
            Default: the data that ``fit`` was given. A loaded run holds only the end of them and asks for
            them here.

        Returns
        -------
        Evaluation
            ``metrics`` of the model, naive and seasonal-naive, ``by_series()`` and ``by_step()`` too; ``frame()``,
            all forecasts.

        Raises
        ------
        InputError
            If no series is longer than a horizon, or nothing lies before the first origin to learn from.
        """
        self._require_fitted()
        horizon = self.network_.settings.horizon
        if data is None and self.loaded_:
            raise InputError("a loaded run holds only the end of its data: give the whole of it as data")
        series = self._read(data)
        origins = lay_origins(series, horizon, windows, stride, refit)
        read = [] if data is None else [series.report]
        self.notes_ = [*describe_fewer(origins, windows, series), *describe_read(read)]
        if not refit and all_unseen(series, origins.index, self._learnt()):
            return evaluate_windows(self._model, series, origins.index, self.season_, self._fresh(series))
        parameters = Parameters.check({**self.get_params(), "test_windows": 0})
        return backtest(series, origins, parameters, self.season_)

    def evaluate(self, data: Any, *, stride: int | None = None) -> Evaluation:
        """Forecast every horizon of other data, one after the other, and compare with what came.

        Series that are known go on from the end that is known.

        Parameters
        ----------
        data : path or DataFrame
            A table with the columns of ``fit``'s.
        stride : int, optional
            Steps from one origin to the next; 1 forecasts from every step. Default: the horizon.

        Returns
        -------
        Evaluation
            As from ``backtest``.
        """
        self._require_fitted()
        if stride is not None:
            stride = require_whole("stride", stride, least=1)
        read = self._read(data)
        series, joined = continue_series(self.series_, read, self.context_)
        settings = self.network_.settings
        index = all_windows(series, settings, joined, stride or settings.horizon)
        found = evaluate_windows(self._model, series, index, self.season_, self._fresh(series))
        unseen = all_unseen(series, index, self._learnt())
        self.notes_ = [
            *describe_rows(self.series_, read),
            *describe_changed(self.series_, read),
            *describe_missing(self.series_, read),
            *describe_strangers(read.names, self.series_.names),
            *describe_read([read.report]),
            *([] if unseen else ["some of these rows were used in training, so the figures are optimistic"]),
        ]
        return found

    def plot(self, path: str | Path | None = None, *, series: Any | None = None) -> Figure:
        """Draw the end of a series and its forecast with bands.

        Parameters
        ----------
        path : str or Path, optional
            Write a picture there.
        series : str or int, optional
            Which series. Default: the first.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        model, known = self._require_fitted()._model, self.series_
        figure = draw_forecast(model, known, self._fresh(known), series)
        return write_figure(figure, path)

    @classmethod
    def arguments_of(cls, run: Run) -> dict[str, Any]:
        """Return the arguments of constructor and ``fit`` that a saved run was made with.

        Parameters
        ----------
        run : fastlstm.runs.Run
            What ``load_run`` gives, with or without tensors.
        """
        settings = run.settings(ForecastSettings)
        return {
            **settings.parameters.model_dump(),
            **roles_of(settings.table.columns),
            "season": settings.season,
        }

    @property
    def time_format_(self) -> str | None:
        """How files write the times (``strftime``); None where they are not written in a form of their own."""
        return self._require_fitted().series_.schema.time_format

    @property
    def _model(self) -> ForecastModel:
        return ForecastModel(self.network_, self.scaling_)

    def _fresh(self, series: SeriesSet) -> Integers:
        """Return the position from which on nothing of series was learnt."""
        return fresh_from(series, self._learnt())

    def _learnt(self) -> dict[str, int]:
        """Return from when on nothing was learnt of each series, by its name."""
        return limits(self.series_, self.learnt_until_)

    @override
    def _standalone(self) -> Standalone:
        return standalone(self._model, self.series_.schema)

    @override
    def save(self, path: str | Path) -> None:
        with study_at_rest(path):
            super().save(path)

    @override
    def _contents(self) -> Contents:
        return saved_forecaster(self)

    @override
    def _restore(self, run: Run, settings: ForecastSettings) -> None:
        restore_forecaster(self, run, settings)

    def _read(self, data: Any | None) -> SeriesSet:
        """Read the series of other data as those of ``fit`` were; without data give those of ``fit``."""
        known = self._require_fitted().series_
        if data is None:
            return known
        series = read_series(data, known.schema.columns, schema=known.schema)
        if self.network_.settings.counts:
            require_counts(series)
        return series
