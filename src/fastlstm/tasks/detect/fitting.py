"""Fitting: from a table to a trained network, a calibrated score and a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fastlstm.data.series.schema import Columns
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.times.frequency import DAY
from fastlstm.errors import DataError, InputError
from fastlstm.model.autoencoder import Autoencoder, AutoencoderSettings
from fastlstm.model.detector import DetectorSettings
from fastlstm.tasks.detect.baseline import fit_baseline, z_scores
from fastlstm.tasks.detect.calibration import Tail
from fastlstm.tasks.detect.inputs import DetectorScaling, Steps, lay_steps
from fastlstm.tasks.detect.judging import Detection, Ended, Verdicts, judge
from fastlstm.tasks.detect.learning import DetectorLearning, Mask, halves_of, held_out
from fastlstm.tasks.detect.reading import DetectionTable
from fastlstm.tasks.detect.report import DetectionReport
from fastlstm.tasks.detect.running import (
    Expected,
    Memory,
    Network,
    NetworkSettings,
    build_network,
    run,
)
from fastlstm.tasks.detect.scoring import Scorer
from fastlstm.tasks.detect.settings import Method, Parameters
from fastlstm.tasks.detect.stretches import stretches
from fastlstm.training.learner import pass_interrupt_on
from fastlstm.training.loop import Hooks, make_accelerator, train
from fastlstm.wording import many

FEWEST_ROWS = 100  # from fewer nothing is told of what is usual
DECODER = 16  # units
USUAL_A_DAY = 0.3  # false alarms …
USUAL_A_ROW = 1 / 500  # … though no more of rows that lie far apart
LONG_WINDOWS = 4  # the distance from the usual is smoothed over so many windows
HELD_WINDOWS = 3  # an alarm is held for so many windows
LOOK_BACK_WINDOWS = 4  # are put together again at once …
COMPRESSION = 8  # … out of one number for so many
BASELINE_WINDOWS = 24  # the rolling z-score looks back so many: a day, of windows of an hour


@dataclass(frozen=True)
class Fitted:
    """What fitting gives.

    Parameters
    ----------
    detection : Detection
        Network, scales and scorer.
    baseline : list of Tail
        Of the rolling z-score.
    verdicts : Verdicts
        On the rows that were fitted.
    ended : dict
        Series → its end.
    report : DetectionReport
        What to tell.
    """

    detection: Detection
    baseline: list[Tail]
    verdicts: Verdicts
    ended: dict[str, Ended]
    report: DetectionReport


def rows_a_day(series: SeriesSet) -> float | None:
    """Return how many steps a day has; None where steps have no length, or are of days and more.

    Parameters
    ----------
    series : SeriesSet
        The series.
    """
    step = series.axis.frequency
    return DAY / step.size if step.kind == "duration" and step.size < DAY else None


def alarms_a_row(parameters: Parameters, series: SeriesSet) -> float:
    """Return how many false alarms are allowed each row.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    series : SeriesSet
        For the length of a step.

    Raises
    ------
    InputError
        If more are asked for than can be told apart.
    """
    daily = rows_a_day(series)
    if parameters.false_alarms is None:
        return USUAL_A_ROW if daily is None else min(USUAL_A_DAY / daily, USUAL_A_ROW)
    found = parameters.false_alarms / (daily or 1000)
    if found >= 0.1:
        unit = "a day" if daily else "in 1000 rows"
        raise InputError(
            f"false_alarms is {parameters.false_alarms:g} {unit}, one in {1 / found:.3g} rows: "
            f"give less than {0.1 * (daily or 1000):g}"
        )
    return found


def horizons_of(parameters: Parameters) -> tuple[int, ...]:
    """Return how many steps before they come rows are forecast; 1 where they are reconstructed as they come.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    """
    return (1, parameters.window) if parameters.method == "forecast" else (1,)


def rates_of(parameters: Parameters) -> list[float]:
    """Return how fast the smoothed evidence of each kind follows: the surprises, and the distance from the usual.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    """
    windows = [*(1 for _ in horizons_of(parameters)), LONG_WINDOWS]
    return [1 - float(np.exp(-1 / (parameters.window * count))) for count in windows]


def hold_of(parameters: Parameters) -> int:
    """Return how many rows an alarm is held.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    """
    return HELD_WINDOWS * parameters.window if parameters.hold is None else parameters.hold


def leave_out_constant(
    table: DetectionTable, columns: Columns, *, named: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the channels in which something happens, and those in which nothing does.

    Parameters
    ----------
    table : DetectionTable
        Read with all of them.
    columns : Columns
        The roles.
    named : bool
        Whether the channels were asked for by name.

    Returns
    -------
    tuple
        The channels to keep, and those to leave out.

    Raises
    ------
    DataError
        If a channel that was named is constant or empty, or all are.
    """
    still = []
    for place, name in enumerate(columns.target):
        known = table.values[:, place][~np.isnan(table.values[:, place])]
        if known.size == 0 or known.min() == known.max():
            still.append(name)
            if named:
                what = f"is {known[0]:g} throughout" if known.size else "is empty"
                raise DataError(
                    f"{table.table.name}: column {name!r} {what}: there is nothing to learn of what is usual; "
                    "leave it out of target"
                )
    kept = tuple(name for name in columns.target if name not in still)
    if not kept:
        raise DataError(
            f"{table.table.name}: {', '.join(map(repr, still))} {'is' if len(still) == 1 else 'are'} constant or "
            "empty throughout: there is nothing to learn of what is usual"
        )
    return kept, tuple(still)


def fit_table(
    parameters: Parameters, table: DetectionTable, left_out: tuple[str, ...], hooks: Hooks | None = None
) -> Fitted:
    """Train a network on a table, and calibrate what it finds unlikely.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    table : DetectionTable
        Rows that nobody has labelled.
    left_out : tuple of str
        Constant columns, to be told.
    hooks : Hooks, optional
        What looks on, and where to go on.

    Raises
    ------
    InputError
        If there is too little of it.
    TrainingError
        If the loss is no longer finite.
    """
    series = table.series
    fewest = max(FEWEST_ROWS, 4 * parameters.window)
    observed = int((~np.isnan(series.target)).any(axis=1).sum())
    if observed < fewest:
        raise DataError(
            f"{table.table.name} has {many(observed, 'row')} with a value, too few to learn what is usual: "
            f"give at least {fewest:,}"
        )
    allowed, hold = alarms_a_row(parameters, series), hold_of(parameters)
    accelerator = make_accelerator(parameters.device, parameters.precision)
    scaling = DetectorScaling.fit(series)
    steps = lay_steps(series, scaling)
    network = build(parameters, series, steps, accelerator.device)
    out = held_out(series)
    loop = parameters.loop(parameters.max_steps, parameters.learning_rate)
    learner = learn(parameters, network, series, steps, out, accelerator.device).learner()
    training = train(learner, loop, accelerator, hooks)
    rates = rates_of(parameters)
    expected = expect_all(network, series, steps, rates)
    calibration: dict[str, Any] = {"rates": rates, "hold": hold, "alarms_a_row": allowed}
    learnt_scorer = scorer = Scorer.fit(expected, steps.target, **calibration)
    try:
        pass_interrupt_on([training])
        unlearnt = expect_unlearnt(parameters, accelerator, series, steps, rates, training.best_step)
        scorer = Scorer.fit(unlearnt, steps.target, **calibration)
    except KeyboardInterrupt:
        training.stopped = "interrupted"  # though the network itself may have learnt all
    detection = Detection(network, scaling, scorer, learnt_scorer, last_steps(series))
    verdicts, ended, _ = judge(detection, table, {})
    daily = rows_a_day(series)
    report = DetectionReport(
        data=series.report,
        channels=series.schema.columns.target,
        left_out=left_out,
        repeated=table.repeated,
        training=training,
        parameters=sum(weight.numel() for weight in network.parameters()),
        method=parameters.method,
        errors=_errors(expected, series, steps, out, parameters.method),
        threshold=scorer.threshold,
        hold=hold,
        allowed=allowed * (daily or 1000),
        unit="a day" if daily else "in 1,000 rows",
        alarms=len(stretches(verdicts.anomalous[table.in_time], table.codes[table.in_time])),
        units=len(series.target) / (daily or 1000),
    )
    baseline = fit_baseline(z_scores(series, BASELINE_WINDOWS * parameters.window), hold, allowed)
    return Fitted(detection, baseline, verdicts, ended, report)


def build(parameters: Parameters, series: SeriesSet, steps: Steps, device: torch.device) -> Network:
    """Build the network, with its initial weights.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    series : SeriesSet
        What it is to read.
    steps : Steps
        The same, scaled.
    device : torch.device
        Where it is to compute.
    """
    K = steps.target.shape[1]
    schema = series.schema
    covariates = steps.past.shape[1] + steps.known.shape[1]
    usual: dict[str, Any] = {
        "channels": K,
        "categories": (*schema.category_sizes("past"), *schema.category_sizes("future")),
        "hidden_size": parameters.hidden_size,
        "num_layers": parameters.num_layers,
        "decoder_size": DECODER,
        "dropout": parameters.dropout,
        "layer_norm": parameters.layer_norm,
    }
    settings: NetworkSettings
    if parameters.method == "forecast":
        settings = DetectorSettings(horizons=horizons_of(parameters), numbers=3 * K + covariates, **usual)
    else:
        look_back = LOOK_BACK_WINDOWS * parameters.window
        settings = AutoencoderSettings(
            numbers=2 * K + covariates,
            known=steps.known.shape[1],
            look_back=look_back,
            code_size=min(max(look_back * K // COMPRESSION, 1), parameters.hidden_size),
            **usual,
        )
    with torch.random.fork_rng([]):
        torch.manual_seed(parameters.seed)
        return build_network(settings).to(device)


def learn(
    parameters: Parameters, network: Network, series: SeriesSet, steps: Steps, out: Mask, device: torch.device
) -> DetectorLearning:
    """Lay out what a network learns from: stretches, or windows of as many rows where it puts those together again.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    network : DetectorNetwork or Autoencoder
        What learns.
    series : SeriesSet
        The series.
    steps : Steps
        All of theirs.
    out : numpy.ndarray
        (N,) bool, the steps that are not learnt from.
    device : torch.device
        Where it is to compute.
    """
    batch_size, stretch = parameters.batch_size, parameters.stretch
    if isinstance(network, Autoencoder):
        stretch = network.settings.look_back
        batch_size = max(1, batch_size * parameters.stretch // stretch)
    return DetectorLearning(
        network, series, steps, out, batch_size=batch_size, stretch=stretch, device=device
    )


def expect_unlearnt(
    parameters: Parameters,
    accelerator: Any,
    series: SeriesSet,
    steps: Steps,
    rates: list[float],
    training_steps: int,
) -> Expected:
    """Run over all series by networks that have not learnt from what they are to expect: two, from one half each.

    A network is less surprised by what it has learnt from than by what comes later: calibrated on that, it would raise
    too many alarms. These networks see as many training steps as the one whose surprises they stand for.

    Parameters
    ----------
    parameters : Parameters
        The configuration.
    accelerator : Accelerator
        Where they learn, and in which precision.
    series : SeriesSet
        The series.
    steps : Steps
        All of theirs.
    rates : list of float
        How fast the smoothed evidence of each kind follows.
    training_steps : int
        Of each network.

    Raises
    ------
    KeyboardInterrupt
        If their training is left.
    """
    quiet = parameters.model_copy(update={"progress": False})
    loop = quiet.loop(max(training_steps, 1), parameters.learning_rate, validations=1)
    halves = []
    for half in halves_of(series):
        network = build(parameters, series, steps, accelerator.device)
        learning = learn(parameters, network, series, steps, half, accelerator.device)
        pass_interrupt_on([train(learning.learner(), loop, accelerator)])
        halves.append((half, expect_all(network, series, steps, rates)))
    (first, ours), (_, others) = halves
    return Expected(
        *(
            np.where(first.reshape(-1, *[1] * (one.ndim - 1)), one, other)
            for one, other in zip(ours, others, strict=True)
        )
    )


def last_steps(series: SeriesSet) -> dict[str, int]:
    """Return each series' last step on the time axis.

    Parameters
    ----------
    series : SeriesSet
        The series.
    """
    ends = zip(series.names, series.lengths.tolist(), strict=True)
    return {str(name): int(series.axis.ticks(code, end - 1, 1)[0]) for code, (name, end) in enumerate(ends)}


def expect_all(network: Network, series: SeriesSet, steps: Steps, rates: list[float]) -> Expected:
    """Run over all series, each from its start.

    Parameters
    ----------
    network : DetectorNetwork or Autoencoder
        Trained.
    series : SeriesSet
        For the bounds.
    steps : Steps
        All of them.
    rates : list of float
        How fast the smoothed evidence of each kind follows.
    """
    bounds = zip(series.offsets[:-1].tolist(), series.offsets[1:].tolist(), strict=True)
    start = Memory.start(steps, network.settings)
    parts = [run(network, steps.cut(first, end), start, np.array(rates)[:, None])[0] for first, end in bounds]
    return Expected(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _errors(
    expected: Expected, series: SeriesSet, steps: Steps, out: Mask, method: Method
) -> dict[str, float]:
    """Return the mean absolute error on what was held out, beside that of the last value, or of the usual one."""
    naive, name = np.zeros_like(steps.target), "usual_value"
    if method == "forecast":
        naive, name = np.concatenate([np.full_like(naive[:1], np.nan), steps.target[:-1]]), "last_value"
        naive[series.offsets[:-1]] = np.nan
    both = np.stack([expected.forecasts[:, 0, :, 0], naive])
    error = np.abs(steps.target - both)[:, out]
    known = ~np.isnan(error).any(axis=0)
    model, other = (float(each[known].mean()) if known.any() else float("nan") for each in error)
    return {"model": model, name: other}
