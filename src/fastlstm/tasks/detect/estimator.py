"""The detecting estimator: what a user sees.

The network is described in :mod:`fastlstm.model.detector`, the score in :mod:`fastlstm.tasks.detect.scoring`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from typing_extensions import override

from fastlstm.data.tables.table import read_table
from fastlstm.tasks.detect.fitted import FittedDetector
from fastlstm.tasks.detect.fitting import fit_table, leave_out_constant
from fastlstm.tasks.detect.frames import refuse_own_names
from fastlstm.tasks.detect.reading import find_channels, read_detection_table
from fastlstm.tasks.detect.settings import Parameters
from fastlstm.training.checkpoint import TrainingState


class Detector(FittedDetector):
    """An LSTM that knows what is usual, and says how unlikely the row that came was.

    It learns from data that nobody has labelled, anomalies among them. The constructor's arguments are the
    configuration and nothing else: ``get_params``, ``set_params`` and ``sklearn.base.clone`` work; whatever ``fit``
    learns ends in ``_``.

    Parameters
    ----------
    method : {"forecast", "reconstruction"}
        How: an LSTM forecasts every next row from all before it; or one reads the last rows, the one to judge among
        them, into a few numbers, out of which another puts them together again.
    false_alarms : float, optional
        How many false alarms are allowed on average: a day, or in 1,000 rows where rows are a day apart or more or have
        no time. Default: 0.3 a day, and no more than one in 500 rows.
    window : int
        In rows: how far ahead the farther of the two forecasts looks, and over how many rows surprise is smoothed.
        What is reconstructed are four windows.
    hold : int, optional
        In rows: how long an alarm is held after the last row that is anomalous by its own score, so that it is one
        alarm and not many. Default: three windows.
    hidden_size : int
        Width of the LSTM.
    num_layers : int
        How many LSTM layers lie on one another.
    layer_norm : bool
        Normalise the LSTM's gates and cell (Ba et al. 2016).
    dropout : float
        Share of the hidden values set to zero during training.
    stretch : int
        Length, in rows, of a training window.
    batch_size : int
        Stretches a training step.
    max_steps : int
        The most training steps.
    learning_rate : float
        The peak of the one-cycle learning rate.
    patience : int
        Stop after so many validations in a row without a better one, though not before 200 steps. There are twenty
        validations in a training of full length.
    device : str, optional
        Where to compute, for instance ``"cpu"`` or ``"cuda"``. Default: what Accelerate finds.
    precision : {"auto", "no", "bf16", "fp16"}
        Mixed precision of training. ``"auto"`` is bf16 on a CPU that multiplies it faster than float32 (Intel's with
        AMX, AMD's with AVX-512), else none.
    seed : int
        Two fits with one seed give the same model, bit for bit, on one machine with the same number of threads.
    progress : bool
        Show a progress bar on stderr, where that is a terminal.

    Attributes
    ----------
    report_ : DetectionReport
        What was read, how training went, and from which score on there is an alarm; None of a loaded run.
    metrics_ : dict
        What ``metrics.json`` of a run holds.
    history_ : list of dict
        One entry a validation: ``step``, ``loss``, ``validation_loss``, ``learning_rate``, ``seconds``.
    threshold_ : float
        The score from which on a row is anomalous.
    network_ : torch.nn.Module
        The trained network.
    notes_ : list of str
        What the last ``predict`` or ``evaluate`` has to tell, a line each.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> load = np.sin(np.arange(2000) / 10) + np.random.default_rng(0).normal(0, 0.1, 2000)
    >>> load[1500] = 5.0
    >>> detector = Detector(max_steps=200, progress=False).fit(pl.DataFrame({"load": load}))
    >>> found = detector.predict()
    >>> found.columns, found["anomaly"][1500]
    (['load', 'score', 'anomaly'], 1)
    """

    def __init__(
        self,
        *,
        method: Literal["forecast", "reconstruction"] = "forecast",
        false_alarms: float | None = None,
        window: int = 12,
        hold: int | None = None,
        hidden_size: int = 32,
        num_layers: int = 1,
        layer_norm: bool = False,
        dropout: float = 0.1,
        stretch: int = 192,
        batch_size: int = 32,
        max_steps: int = 600,
        learning_rate: float = 0.003,
        patience: int = 8,
        device: str | None = None,
        precision: Literal["auto", "no", "bf16", "fp16"] = "no",
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.method = method
        self.false_alarms = false_alarms
        self.window = window
        self.hold = hold
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.stretch = stretch
        self.batch_size = batch_size
        self.max_steps = max_steps
        self.learning_rate = learning_rate
        self.patience = patience
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
        categories: Sequence[str] = (),
        missing: Sequence[float] = (),
        frequency: str | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Learn what is usual from a table.

        Steps without a row and empty cells are masked, never filled in. Where several rows fall on one step, all are
        judged and the first is read on.

        Parameters
        ----------
        data : path or DataFrame
            A CSV, TSV or Parquet file, or a pandas, polars or pyarrow frame, one row a series and time. Rows may come
            in any order. It may hold anomalies; nothing need be labelled.
        target : str or sequence of str, optional
            The columns to judge, each a channel. Default: all columns of numbers that have no other role.
        time : str or sequence of str, optional
            The column of timestamps or of integers that count the steps; or several, a date and an hour, or year, month
            and day. Default: ``ds``, else the only column of timestamps.
        series : str, optional
            The column that says which series a row belongs to. Default: ``unique_id``, where there is one, else one
            series.
        past_covariates : sequence of str
            Columns that are read but not judged, known once a row has come.
        future_covariates : sequence of str
            Columns that are read but not judged, known before a row comes: a plan, a setting.
        categories : sequence of str
            Those of the covariates that hold codes of categories, though they are numbers. Text needs no naming.
        missing : sequence of float
            Numbers that mean unknown, in targets and covariates, for instance -999.
        frequency : str, optional
            The step between two rows, for instance ``"5min"``. Default: found from the timestamps.
        checkpoint : path, optional
            Folder in which the state of training is saved, every minute and on Ctrl-C; ``resume`` continues from it.

        Returns
        -------
        Detector
            This estimator.

        Raises
        ------
        InputError
            If an argument or the table cannot be used; the message names the argument, or file, row and column.
        TrainingError
            If the loss is no longer finite.
        """
        roles = {
            "target": target,
            "time": time,
            "series": series,
            "past_covariates": past_covariates,
            "future_covariates": future_covariates,
            "categories": categories,
            "missing": missing,
            "frequency": frequency,
        }
        return self._fit(data, roles, checkpoint)

    @override
    def _fit(
        self,
        data: Any,
        roles: Mapping[str, Any],
        folder: str | Path | None,
        resume: TrainingState | None = None,
    ) -> Self:
        parameters = Parameters.check(self.get_params())
        table = read_table(data)
        asked = dict(roles)
        frequency = asked.pop("frequency")
        columns = find_channels(table, **asked)
        refuse_own_names(columns, table.name)
        read = read_detection_table(table, columns, frequency=frequency)
        kept, still = leave_out_constant(read, columns, named=asked["target"] is not None)
        if still:
            read = read_detection_table(table, replace(columns, target=kept), frequency=frequency)
        hooks = self._hooks(data, read.series.fingerprint, roles, folder, resume)
        self._take(fit_table(parameters, read, still, hooks), read)
        return self
