"""The forecasting estimator: what a user sees.

The network is described in :mod:`fastlstm.model.forecaster`, how it learns in :mod:`fastlstm.training.loop`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from fastlstm.data.future import add_future
from fastlstm.data.reading import read_series
from fastlstm.data.schema import find_columns
from fastlstm.data.series import SeriesSet
from fastlstm.data.table import give_back, read_table
from fastlstm.errors import InputError, RunError
from fastlstm.model.forecaster import ForecastEnsemble
from fastlstm.runs import Run, load_run, save_run
from fastlstm.runs.plots import forecast_against_truth, learning_curve
from fastlstm.tasks.forecast.evaluation import Evaluation
from fastlstm.tasks.forecast.fitting import evaluate_all, evaluate_last, fit_series
from fastlstm.tasks.forecast.frames import forecast_frame
from fastlstm.tasks.forecast.joining import continue_series
from fastlstm.tasks.forecast.prediction import forecast_ahead
from fastlstm.tasks.forecast.report import ForecastReport
from fastlstm.tasks.forecast.settings import ForecastSettings, Parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Forecaster(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An LSTM that forecasts many steps ahead at once, with quantiles.

    The constructor's arguments are the configuration and nothing else: ``get_params``, ``set_params`` and
    ``sklearn.base.clone`` work; whatever ``fit`` learns ends in ``_``.

    Parameters
    ----------
    horizon : int
        How many steps ahead to forecast.
    context : int, optional
        How many past steps the network reads before it forecasts. Default: two seasons or two horizons,
        whichever is longer, and no longer than the longest series allows.
    quantiles : sequence of float
        The quantiles to forecast, rising, each between 0 and 1; 0.5 (the point forecast) must be among them.
    hidden_size : int
        Width of the LSTM and of the decoder.
    num_layers : int
        How many LSTM layers lie on one another.
    members : int
        How many networks to train, one after the other, whose mean is the forecast: it errs less than one, and
        takes as many times as long.
    dropout : float
        Share of the hidden values set to zero during training, between layers and before the decoder.
    batch_size : int
        Windows a training step.
    origins : int
        At how many steps of each window's context a forecast is made and learnt from in one training step:
        the last step always, the others drawn at random, so that every step of the context gives a training
        signal.
    max_steps : int, optional
        The most training steps. Default: as many as show three quarters of all windows once, at least 400 and
        at most 2000.
    learning_rate : float
        The peak of the one-cycle learning rate.
    patience : int
        Stop after so many validations in a row without a better one, though not before 200 steps. There are
        twenty validations in a training of full length.
    validation_windows : int, optional
        How many horizons at the end of the training data choose the best weights and when to stop, instead of
        being learnt from. Default: a twentieth of the data, at least one horizon.
    test_windows : int
        How many horizons at the end of the data are kept from training and validation altogether; the report
        of ``fit`` then holds a test on them, and ``backtest`` needs no second fit for them.
    device : str, optional
        Where to compute, for instance ``"cpu"`` or ``"cuda"``. Default: what Accelerate finds.
    precision : {"no", "bf16", "fp16"}
        Mixed precision of training.
    seed : int
        Two fits with one seed, on one machine, give the same model, bit for bit.
    progress : bool
        Show a progress bar on stderr, where that is a terminal.

    Attributes
    ----------
    report_ : ForecastReport
        What was read, how training went, and the errors on the validation (and test) part beside naive and
        seasonal-naive forecasts.
    metrics_ : dict
        What ``metrics.json`` of a run holds; a loaded run has it too, and None for ``report_``.
    history_ : list of dict
        One entry a validation: ``member``, ``step``, ``loss``, ``validation_loss``, ``learning_rate``, ``seconds``.
    context_ : int
        The context in use.
    season_ : int
        The season, in steps, that seasonal-naive and MASE use.
    network_ : torch.nn.Module
        The trained network.
    """

    def __init__(
        self,
        horizon: int,
        context: int | None = None,
        *,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        hidden_size: int = 64,
        num_layers: int = 1,
        members: int = 1,
        dropout: float = 0.1,
        batch_size: int = 32,
        origins: int = 2,
        max_steps: int | None = None,
        learning_rate: float = 0.003,
        patience: int = 8,
        validation_windows: int | None = None,
        test_windows: int = 0,
        device: str | None = None,
        precision: Literal["no", "bf16", "fp16"] = "no",
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.horizon = horizon
        self.context = context
        self.quantiles = quantiles
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.members = members
        self.dropout = dropout
        self.batch_size = batch_size
        self.origins = origins
        self.max_steps = max_steps
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_windows = validation_windows
        self.test_windows = test_windows
        self.device = device
        self.precision = precision
        self.seed = seed
        self.progress = progress

    def fit(
        self,
        data: Any,
        *,
        target: str | None = None,
        time: str | None = None,
        series: str | None = None,
        past_covariates: Sequence[str] = (),
        future_covariates: Sequence[str] = (),
        static_covariates: Sequence[str] = (),
        frequency: str | None = None,
        season: int | None = None,
    ) -> Self:
        """Learn to forecast from a table.

        Rows after a series' last observed target are taken as the known future of its covariates:
        ``predict()`` uses them.

        Parameters
        ----------
        data : path or DataFrame
            A CSV, TSV or Parquet file, or a pandas, polars or pyarrow frame, one row a series and time. Rows
            may come in any order.
        target : str, optional
            The column to forecast. Default: ``y``, where the frame has ``unique_id``, ``ds`` and ``y``.
        time : str, optional
            The column of timestamps or of integers that count the steps. Default: ``ds``, likewise.
        series : str, optional
            The column that says which series a row belongs to. Default: ``unique_id``, likewise, else one
            series.
        past_covariates : sequence of str
            Columns known up to now only.
        future_covariates : sequence of str
            Columns known ahead, over the horizon too.
        static_covariates : sequence of str
            Columns with one value a series.
        frequency : str, optional
            The step between two rows, for instance ``"1h"``. Default: found from the timestamps.
        season : int, optional
            The length of a season in steps, for seasonal-naive and MASE. Default: found from the frequency.

        Returns
        -------
        Forecaster
            This estimator.

        Raises
        ------
        InputError
            If an argument or the table cannot be used; the message names the argument, or file, row and
            column.
        TrainingError
            If the loss is no longer finite.
        """
        parameters = Parameters.check(self.get_params())
        if season is not None and season < 1:
            raise InputError(f"season is {season}: give a number of steps, 1 or more")
        table = read_table(data)
        columns = find_columns(
            table,
            target=target,
            time=time,
            series=series,
            past_covariates=past_covariates,
            future_covariates=future_covariates,
            static_covariates=static_covariates,
        )
        read = read_series(table, columns, frequency=frequency)
        return self._learn(parameters, read, season or read.axis.season_for(parameters.horizon))

    def predict(self, data: Any | None = None, *, future: Any | None = None) -> Any:
        """Forecast the horizon after the end of the data.

        Parameters
        ----------
        data : path or DataFrame, optional
            Other rows of the same columns: new rows of known series, or series never seen. Default: the data
            that ``fit`` was given.
        future : path or DataFrame, optional
            The future covariates over the horizon, where ``data`` does not hold them in rows whose target is
            empty.

        Returns
        -------
        DataFrame
            Of the kind that ``data`` (or ``fit``'s data) was, a polars frame for a path: series and time
            columns under their own names, the target under its own name (the median), and ``NAME_q0.1`` and
            so on.
        """
        series = self._read(data)
        if future is not None:
            series = add_future(series, future)
        ends, index, forecasts = forecast_ahead(self.network_, series, self.scaling_)
        return give_back(
            forecast_frame(ends, index, forecasts, self.network_.settings.quantiles), series.kind
        )

    def backtest(self, windows: int = 4, *, data: Any | None = None) -> Evaluation:
        """Forecast the last ``windows`` horizons of the data as if each lay in the future.

        The model that forecasts them has not seen them: neither weights, nor scalers, nor early stopping, nor
        calibration. Where ``fit`` held back at least as many ``test_windows``, that is the model at hand;
        otherwise a clone is fitted on the rows before the first origin, and ``backtest`` takes as long as
        ``fit``.

        Parameters
        ----------
        windows : int
            How many horizons, one after the other, each forecast from the rows before it.
        data : path or DataFrame, optional
            Default: the data that ``fit`` was given. A loaded run holds only the end of them and asks for
            them here.

        Returns
        -------
        Evaluation
            ``metrics`` of the model, naive and seasonal-naive; ``forecasts``, a frame.
        """
        if windows < 1:
            raise InputError(f"windows is {windows}: give how many horizons to forecast, 1 or more")
        if data is None and self.loaded_:
            raise InputError("a loaded run holds only the end of its data: give the whole of it as data")
        series = self._require_fitted().series_ if data is None else self._read(data)
        model = self
        if data is not None or windows > self.test_windows_:
            model = clone(self).set_params(test_windows=windows)
            model._learn(Parameters.check(model.get_params()), series, self.season_)
        return evaluate_last(model.network_, series, model.scaling_, windows, self.season_)

    def evaluate(self, data: Any) -> Evaluation:
        """Forecast every horizon of other data, one after the other, and compare with what came.

        Parameters
        ----------
        data : path or DataFrame
            A table with the columns of ``fit``'s.

        Returns
        -------
        Evaluation
            As from ``backtest``.
        """
        self._require_fitted()
        series, joined = continue_series(self.series_, self._read(data), self.context_)
        return evaluate_all(self.network_, series, self.scaling_, joined, self.season_)

    def plot(self, path: str | Path | None = None, *, series: str | None = None) -> Figure:
        """Draw the end of a series and its forecast with bands.

        Parameters
        ----------
        path : str or Path, optional
            Write a picture there.
        series : str, optional
            Which series. Default: the first.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        shown = self._require_fitted().series_.tail(self.network_.reach)
        names = [str(name) for name in shown.names]
        if series is not None and series not in names:
            raise InputError(f"there is no series {series!r}: give one of {', '.join(names[:12])}")
        code = 0 if series is None else names.index(series)
        _, _, forecasts = forecast_ahead(self.network_, shown, self.scaling_)
        observed = int(shown.last_observed[code])
        first = int(shown.offsets[code])
        figure = forecast_against_truth(
            shown.axis.stamps(code, 0, observed).to_numpy(),
            shown.target[first : first + observed, 0],
            shown.axis.stamps(code, observed, self.network_.settings.horizon).to_numpy(),
            dict(zip(self.network_.settings.quantiles, forecasts[code].T, strict=True)),
            target=shown.schema.columns.target[0],
            title="Forecast" if shown.names[code] is None else f"Forecast of {names[code]}",
        )
        if path is not None:
            figure.savefig(path)
        return figure

    def save(self, path: str | Path) -> None:
        """Write a run folder, whole or not at all.

        Parameters
        ----------
        path : str or Path
            The folder to make.
        """
        kept = self._require_fitted().series_.tail(self.network_.reach)
        network = {f"network.{name}": value for name, value in self.network_.state_dict().items()}
        ends = {f"series.{name}": torch.from_numpy(array.copy()) for name, array in kept.arrays().items()}
        plots = {"learning_curve": learning_curve(self.history_)}
        if self.report_ is not None:
            plots |= self.report_.plots()
        save_run(
            path,
            task="forecast",
            settings=ForecastSettings(
                parameters=Parameters.check(self.get_params()),
                network=self.network_.settings,
                scaling=self.scaling_,
                table=kept.schema,
                names=kept.names,
                kind=kept.kind,
                season=self.season_,
            ),
            tensors={**network, **ends},
            history=self.history_,
            metrics=self.metrics_,
            plots=plots,
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a run folder; the inverse of ``save``.

        Parameters
        ----------
        path : str or Path
            A run folder.
        """
        run = load_run(path)
        if run.task != "forecast":
            raise RunError(f"{path} is a run of the task {run.task!r}: load it with fastlstm.load")
        return cls.from_run(run)

    @classmethod
    def from_run(cls, run: Run) -> Self:
        """Make the estimator from a run that was read.

        Parameters
        ----------
        run : fastlstm.runs.Run
            What ``load_run`` gives.
        """
        settings = run.settings(ForecastSettings)
        parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "series": {}}
        for name, tensor in run.tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        members = len({name.split(".")[1] for name in parts["network"] if name.startswith("members.")})
        network = ForecastEnsemble(settings.network, members)
        network.load_state_dict(parts["network"])
        self = cls(**settings.parameters.model_dump())
        self.network_ = network.eval()
        self.scaling_ = settings.scaling
        self.series_ = SeriesSet.from_arrays(
            {name: tensor.numpy() for name, tensor in parts["series"].items()},
            settings.names,
            settings.table,
            settings.kind,
        )
        self.context_ = settings.network.context
        self.season_ = settings.season
        self.history_ = run.history
        self.metrics_ = run.metrics
        self.report_ = None
        self.test_windows_ = settings.parameters.test_windows
        self.loaded_ = True
        return self

    def _learn(self, parameters: Parameters, series: SeriesSet, season: int) -> Self:
        """Fit to series that were read."""
        fitted = fit_series(parameters, series, season)
        self.network_ = fitted.network
        self.scaling_ = fitted.scaling
        self.series_ = series
        self.context_ = fitted.network.settings.context
        self.season_ = season
        self.history_ = [
            {"member": member, **entry}
            for member, training in enumerate(fitted.training)
            for entry in training.history
        ]
        self.report_: ForecastReport | None = fitted.report
        self.metrics_ = fitted.report.metrics
        self.test_windows_ = parameters.test_windows
        self.loaded_ = False
        return self

    def _require_fitted(self) -> Self:
        check_is_fitted(self, "network_")
        return self

    def _read(self, data: Any | None) -> SeriesSet:
        """Read the series of other data as those of ``fit`` were; without data give those of ``fit``."""
        known = self._require_fitted().series_
        return known if data is None else read_series(data, known.schema.columns, schema=known.schema)
