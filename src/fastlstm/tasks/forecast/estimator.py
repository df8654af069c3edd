"""The forecasting estimator: what a user sees.

The network is described in :mod:`fastlstm.model.forecaster`, how it learns in :mod:`fastlstm.training.loop`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Literal, Self

from typing_extensions import override

from fastlstm.checks import require_whole
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.tasks.forecast.fitted import FittedForecaster
from fastlstm.tasks.forecast.fitting import Fitted, fit_series
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.starting import FitOptions, Start
from fastlstm.tasks.forecast.tables import read_to_fit
from fastlstm.tasks.forecast.tuning import tune
from fastlstm.tasks.forecast.unseen import later_of, learnt_from, limits
from fastlstm.tasks.parameters import check_arguments
from fastlstm.training.checkpoint import TrainingState


class Forecaster(FittedForecaster):
    """An LSTM that forecasts many steps ahead at once, with quantiles.

    The constructor's arguments are the configuration and nothing else: ``get_params``, ``set_params`` and
    ``sklearn.base.clone`` work; whatever ``fit`` learns ends in ``_``.

    Parameters
    ----------
    horizon : int
        How many steps ahead to forecast.
    context : int, optional
        How many past steps the network reads before it forecasts. Default: two seasons, two horizons, the
        longest season or 64 steps, whichever is longest (64 where that is at most a third of the longest series), in
        whole seasons, at most 720 and what the longest series has to learn from.
    quantiles : sequence of float
        The quantiles to forecast, rising, each between 0 and 1; 0.5 (the point forecast) must be among them.
    trunk : {"points", "segments"}, optional
        Whether the LSTM reads the context step by step or in segments. Default: segments from 300 steps on, which
        are then faster and more exact.
    segment : int, optional
        Steps of a segment. Default: the shortest season, or a sixteenth of the context.
    head : {"quantiles", "normal", "student_t", "negative_binomial"}, optional
        What is learnt of each step: its quantiles as they are, or a distribution that has them; the negative binomial
        is for counts. Default: quantiles, and Student t for paths.
    decoding : {"direct", "paths"}
        Whether the whole horizon is forecast at once, or step by step with sampled paths: slower, for any horizon
        when predicting, and with futures that hang together (``predict(paths=…)``).
    hidden_size : int, optional
        Width of the LSTM and of the decoder. Default: 64, and 128 over segments from 30,000
        training rows on.
    num_layers : int
        How many LSTM layers lie on one another.
    layer_norm : bool
        Normalise the LSTM's gates and cell (Ba et al. 2016).
    members : int
        How many networks to train, one after the other, whose mean is the forecast: it errs less than one, and
        takes as many times as long.
    dropout : float
        Share of the hidden values set to zero during training, between layers and before the decoder.
    batch_size : int, optional
        Windows a training step. Default: 32 over points, 128 over segments.
    origins : int
        At how many steps of each window's context a forecast is made and learnt from in one training step:
        the last step always, the others drawn at random, so that every step of the context gives a training
        signal.
    max_steps : int, optional
        The most training steps. Default: as many as show three quarters of all windows once, at least 400 and
        at most 2000.
    learning_rate : float, optional
        The peak of the one-cycle learning rate. Default: 0.003 over points, 0.002 over segments.
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
    precision : {"auto", "no", "bf16", "fp16"}
        Mixed precision of training. ``"auto"`` is bf16 on a CPU that multiplies it faster than float32 (Intel's with
        AMX, AMD's with AVX-512), else none.
    seed : int
        Two fits with one seed, to series in the same order, give the same model, bit for bit, on one machine with
        the same number of threads.
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
    learnt_until_ : numpy.ndarray
        (S,) int64, the tick of the time axis of each series from which on nothing was learnt.
    notes_ : list of str
        What the last ``predict`` has to tell, a line each: which series are forecast without the network.
    """

    def __init__(
        self,
        horizon: int,
        context: int | None = None,
        *,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        trunk: Literal["points", "segments"] | None = None,
        segment: int | None = None,
        head: Literal["quantiles", "normal", "student_t", "negative_binomial"] | None = None,
        decoding: Literal["direct", "paths"] = "direct",
        hidden_size: int | None = None,
        num_layers: int = 1,
        layer_norm: bool = False,
        members: int = 1,
        dropout: float = 0.1,
        batch_size: int | None = None,
        origins: int = 2,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        patience: int = 8,
        validation_windows: int | None = None,
        test_windows: int = 0,
        device: str | None = None,
        precision: Literal["auto", "no", "bf16", "fp16"] = "no",
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.horizon = horizon
        self.context = context
        self.quantiles = quantiles
        self.trunk = trunk
        self.segment = segment
        self.head = head
        self.decoding = decoding
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.layer_norm = layer_norm
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
        target: str | Sequence[str] | None = None,
        time: str | Sequence[str] | None = None,
        series: str | None = None,
        past_covariates: Sequence[str] = (),
        future_covariates: Sequence[str] = (),
        static_covariates: Sequence[str] = (),
        categories: Sequence[str] = (),
        missing: Sequence[float] = (),
        wide: bool = False,
        joint: bool = False,
        frequency: str | None = None,
        season: int | None = None,
        init: Any | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Learn to forecast from a table.

        Rows after a series' last observed target are taken as the known future of its covariates:
        ``predict()`` uses them.

        Parameters
        ----------
        data : path or DataFrame
            A CSV, TSV or Parquet file, or a pandas, polars or pyarrow frame, one row a series and time. Rows
            may come in any order. A single series may be a pandas Series, an array or a list of numbers.
        target : str or sequence of str, optional
            The column to forecast; or several, each a series of its own (``wide``). Default: ``y``, else the only
            column that has no other role.
        time : str or sequence of str, optional
            The column of timestamps or of integers that count the steps; or several, a date and an hour, or year,
            month and day. Default: ``ds``, likewise, else the only column of timestamps, or year, month, day and so on.
        series : str, optional
            The column that says which series a row belongs to. Default: ``unique_id``, likewise, else one
            series.
        past_covariates : sequence of str
            Columns known up to now only.
        future_covariates : sequence of str
            Columns known ahead, over the horizon too.
        static_covariates : sequence of str
            Columns with one value a series.
        categories : sequence of str
            Those of the covariates that hold codes of categories, though they are numbers. Text needs no naming.
        missing : sequence of float
            Numbers that mean unknown, in targets and covariates, for instance -999.
        wide : bool
            Whether the table has one column a series: every column of numbers that is neither time nor covariate, or
            those that ``target`` names. Covariates are common to all series, and forecasts are wide too.
        joint : bool
            Whether each series of a wide table, or of several targets, reads the past of all the others too. Memory
            grows with the square of their number.
        frequency : str, optional
            The step between two rows, for instance ``"1h"``. Default: found from the timestamps.
        season : int, optional
            The length of a season in steps, for seasonal-naive and MASE. Default: found from the frequency.
        init : Forecaster or path, optional
            A fitted forecaster, or the folder of a saved run, to start from its weights instead of random ones. The
            network must be the same (horizon, quantiles, sizes) and so must the columns; context, scalers and
            categories are taken over, and categories that it never saw count as unknown. Where it has learnt rows of
            the validation or the test part, the report says so: their figures are too good.
        checkpoint : path, optional
            Folder in which the state of training is saved, every minute and on Ctrl-C; ``resume`` continues from it.

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
        roles = {
            "target": target,
            "time": time,
            "series": series,
            "past_covariates": past_covariates,
            "future_covariates": future_covariates,
            "static_covariates": static_covariates,
            "categories": categories,
            "missing": missing,
            "wide": wide,
            "joint": joint,
            "frequency": frequency,
            "season": season,
            "init": None
            if init is None
            else _start(init if isinstance(init, Forecaster) else self.load(init)),
        }
        return self._fit(data, roles, checkpoint)

    def tune(
        self,
        data: Any,
        *,
        trials: int = 50,
        timeout: float | None = None,
        space: Sequence[str] | None = None,
        storage: str | Path | None = None,
        **fit: Any,
    ) -> Self:
        """Search for the best configuration, and fit with it.

        Trials are fitted to the training part and compared on the validation part; nothing sees the test part. The
        first trial is that of the defaults. A trial that is worse than the median of those before it is ended early.
        What the constructor was given stays as it is; the rest is tried (Optuna's tree-structured Parzen estimator).
        ``members`` are trained at the end alone.

        Parameters
        ----------
        data : path or DataFrame
            As for ``fit``.
        trials : int
            How many there shall be, those that ``storage`` holds already too.
        timeout : float, optional
            Seconds, after which no new trial is begun.
        space : sequence of str or mapping, optional
            What to try: names of parameters (context, hidden_size, num_layers, learning_rate, dropout, batch_size,
            trunk), or in Python also a mapping of any parameter to a list of values, or to a tuple (low, high) or
            (low, high, "log"). Default: all that the constructor was not given.
        storage : path, optional
            A SQLite file that keeps the trials: a search that was left goes on, and several processes may share one.
            Default: nothing is kept.
        **fit
            The other arguments of ``fit``.

        Returns
        -------
        Forecaster
            This estimator, with the best configuration, fitted; ``tuning_`` tells how the trials went. It is left
            unfitted where the search was interrupted (Ctrl-C) before a trial was done.

        Raises
        ------
        InputError
            If Optuna is not installed (``pip install 'fastlstm[tune]'``), the study in ``storage`` is of other data
            or another configuration, or an argument cannot be used.
        """
        trials = require_whole("trials", trials, least=1)
        check_arguments(self.fit, fit, without=("data", "init", "checkpoint"))
        parameters = Parameters.check(self.get_params())
        series, season = read_to_fit(parameters, data, **fit)
        usual = {name: parameter.default for name, parameter in signature(type(self)).parameters.items()}
        given = {name: value for name, value in self.get_params().items() if value != usual[name]}
        found, fitted, report, interrupted = tune(
            parameters, given, series, season, trials=trials, timeout=timeout, space=space, storage=storage
        )
        if found is None or report is None or (interrupted and fitted is None):
            return self
        self.set_params(**{name: getattr(found, name) for name in report.trials.columns[2:]})
        again = not interrupted and (fitted is None or found.members > 1 or found.test_windows > 0)
        self._learn(found, series, season, fitted=None if again else fitted)
        self.tuning_ = report
        self.metrics_ = {**self.metrics_, "tuning": report.summary()}
        return self

    @override
    def _fit(
        self,
        data: Any,
        roles: Mapping[str, Any],
        folder: str | Path | None,
        resume: TrainingState | None = None,
    ) -> Self:
        parameters = Parameters.check(self.get_params())
        reading = dict(roles)
        start = reading.pop("init")
        if isinstance(start, Mapping):  # as a checkpoint keeps it
            start = Start.model_validate(start)
        series, season = read_to_fit(parameters, data, start=start, **reading)
        hooks = self._hooks(data, series.fingerprint, {**reading, "init": start}, folder, resume)
        return self._learn(parameters, series, season, FitOptions(start=start, hooks=hooks))

    def _learn(
        self,
        parameters: Parameters,
        series: SeriesSet,
        season: int,
        options: FitOptions | None = None,
        fitted: Fitted | None = None,
    ) -> Self:
        """Fit to series that were read, or take up what was fitted to them."""
        fitted = fitted or fit_series(parameters, series, season, options)
        self.network_, self.scaling_ = fitted.model.network, fitted.model.scaling
        self.series_ = series
        self.context_ = fitted.model.settings.context
        self.season_ = season
        self.learnt_until_ = learnt_from(series, parameters.test_windows * parameters.horizon)
        if options and options.start:
            self.learnt_until_ = later_of(series, self.learnt_until_, options.start.learnt)
        self.loaded_ = False
        self._take_report(fitted.report)
        return self


def _start(forecaster: Forecaster) -> Start:
    """Return what another fit takes over of a forecaster."""
    network = forecaster._require_fitted().network_
    return Start(
        settings=network.settings,
        scaling=forecaster.scaling_,
        table=forecaster.series_.schema,
        season=forecaster.season_,
        learnt=limits(forecaster.series_, forecaster.learnt_until_),
        weights=network.state_dict(),
    )
