"""Searching for a configuration, for any task: Optuna's trials in a study that can be left and shared.

A task says what the space is and how good a configuration is; here are the study, its rules and its order. Optuna is
an extra (``pip install 'fastlstm[tune]'``), imported when a search begins.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import logging
import math
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastlstm.errors import InputError, TrainingError
from fastlstm.extras import library
from fastlstm.wording import many

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

logger = logging.getLogger("fastlstm")

RANDOM_TRIALS = 8  # before the sampler learns from what it saw
PRUNING_FROM = 5  # trials that are done, before one can be worse than their median
STEPS_UNPRUNED = 4  # validations of each trial
NAME = "fastlstm"
STUDY = "study.db"  # in a run folder
LEFT = "left"  # what a trial is marked by that was interrupted


@dataclass(frozen=True)
class Choice:
    """One of some values.

    Parameters
    ----------
    values : tuple
        Numbers or text.
    """

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Between:
    """A number between two others.

    Parameters
    ----------
    low, high : float
        The ends, both possible; integers where both are.
    log : bool
        Whether ratios count rather than differences.
    """

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Choice | Between]


class Pruned(Exception):  # noqa: N818  # no error: a trial that is not worth its end
    """A trial is worse at some step than the median of those before it."""


def parse_space(given: Mapping[str, Any]) -> dict[str, Choice | Between]:
    """Read a space as users write it.

    Parameters
    ----------
    given : mapping
        Name → a list of values; or a tuple of two ends, with ``"log"`` behind them where ratios count.

    Raises
    ------
    InputError
        If a range is none.

    Examples
    --------
    >>> parse_space({"hidden_size": [32, 64], "learning_rate": (1e-4, 1e-2, "log")})
    {'hidden_size': Choice(values=(32, 64)), 'learning_rate': Between(low=0.0001, high=0.01, log=True)}
    """
    space: dict[str, Choice | Between] = {}
    for name, values in given.items():
        if isinstance(values, tuple) and (len(values) == 2 or values[2:] == ("log",)):
            low, high = values[:2]
            if not low < high or (len(values) == 3 and low <= 0):
                raise InputError(
                    f"space has {name} between {low} and {high}: give rising ends, above 0 for log"
                )
            space[name] = Between(low, high, log=len(values) == 3)
        elif isinstance(values, list) and values:
            space[name] = Choice(tuple(values))
        else:
            raise InputError(
                f"space has {name} {values!r}: give a list of values, or a tuple (low, high) or (low, high, 'log')"
            )
    return space


def open_study(
    storage: str | Path | None, setting: Mapping[str, Any], first: Mapping[str, Any], *, default: bool = True
) -> Study:
    """Open a study, or begin one.

    Parameters
    ----------
    storage : path, optional
        A SQLite file, made where it is not there. Default: memory.
    setting : mapping
        What all trials have in common, as JSON holds it; a study that is there must have the same.
    first : mapping
        The first trial of a new study: the defaults, as far as the space has them.
    default : bool
        Whether it has all of them.

    Raises
    ------
    InputError
        If Optuna is not installed, or the study there is of something else.
    """
    optuna = library("tune", "settings are searched by", "optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _alone_in(None if storage is None else Path(storage).absolute().parent):
        study: Study = optuna.create_study(
            storage=None if storage is None else _database(optuna, Path(storage).absolute()),
            study_name=NAME,
            direction="minimize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=PRUNING_FROM, n_warmup_steps=STEPS_UNPRUNED),
        )
        known = study.user_attrs.get("setting")
        if known is None:
            study.enqueue_trial(dict(first), user_attrs={"default": default})
            study.set_user_attr("setting", json.dumps(setting))
            return study
    before = json.loads(known)
    for name, value in json.loads(json.dumps(setting)).items():
        if before.get(name) != value:
            was, now = (_brief(found) for found in (before.get(name), value))
            raise InputError(
                f"{storage} is a study with another {name} ({was}; now {now}): give another folder"
            )
    return study


def _database(optuna: Any, path: Path) -> Any:
    """Return Optuna's view of a SQLite file, whatever it is called: an address would end at a question mark."""
    connect = partial(sqlite3.connect, path, check_same_thread=False)
    return optuna.storages.RDBStorage("sqlite:///study", engine_kwargs={"creator": connect})


def search(
    study: Study,
    space: Space,
    evaluate: Callable[[dict[str, Any], Callable[[float], None]], tuple[float, dict[str, Any]]],
    *,
    trials: int,
    timeout: float | None,
    seed: int,
) -> bool:
    """Try configurations until the study has so many trials.

    Parameters
    ----------
    study : optuna.Study
        From :func:`open_study`.
    space : mapping
        What to try.
    evaluate : callable
        ``evaluate(values, report)`` gives the loss of a configuration, and what else to note of it. It calls
        ``report`` with a loss now and then, which raises :class:`Pruned` where the trial is not worth its end, and
        raises ``KeyboardInterrupt`` to end the search.
    trials : int
        How many there shall be, those of earlier calls and of other processes too.
    timeout : float, optional
        Seconds, after which no trial is begun.
    seed : int
        Of what is tried.

    Returns
    -------
    bool
        Whether it was interrupted.
    """
    import optuna
    from optuna.trial import TrialState

    every = _every(space, trials)
    for values in random.Random(seed).sample(every, len(every)):
        study.enqueue_trial(values, skip_if_exists=True)
    began = time.monotonic()
    while len(tried := _tried(study)) < trials:
        if timeout is not None and time.monotonic() - began > timeout:
            logger.info("the time for trials is over")
            break
        if every and len({_key(trial.params) for trial in tried}) == len(every):
            logger.info("all %d configurations have been tried", len(every))
            break
        trial = study.ask()
        # Each trial draws by its own number: two processes do not try the same, and one repeats itself.
        study.sampler = optuna.samplers.TPESampler(
            seed=seed + 7919 * trial.number, n_startup_trials=RANDOM_TRIALS
        )
        values = {name: _suggest(trial, name, part) for name, part in space.items()}
        started = time.monotonic()
        same = next((one for one in completed(study) if _key(one.params) == _key(values)), None)
        try:
            if same is not None:  # which would end the same
                loss, notes = same.value, {n: v for n, v in same.user_attrs.items() if n != "default"}
            else:
                loss, notes = evaluate(values, _reporter(trial))
        except KeyboardInterrupt:
            # It says nothing of its configuration, which whoever goes on is to try first.
            study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
            trial.set_user_attr(LEFT, True)
            study.tell(trial, state=TrialState.FAIL)
            return True
        except Pruned:
            study.tell(trial, state=TrialState.PRUNED)
        except (TrainingError, InputError) as error:
            trial.set_user_attr("error", str(error))
            study.tell(trial, state=TrialState.FAIL)
            if trial.number == 0:
                raise
        except BaseException:
            study.tell(trial, state=TrialState.FAIL)
            raise
        else:
            for name, note in notes.items():
                trial.set_user_attr(name, note)
            study.tell(trial, loss)
        _tell(study, study.trials[trial.number], time.monotonic() - started)
    return False


@contextmanager
def _alone_in(folder: Path | None) -> Iterator[None]:
    """Let one process at a time begin a study in a folder, which is made: two would make the same tables."""
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


@contextmanager
def study_at_rest(folder: str | Path) -> Iterator[None]:
    """Let no process write to the study of a run folder, so that the folder can be replaced around it.

    The file itself stays the same one, and other processes go on with it afterwards.

    Parameters
    ----------
    folder : str or Path
        The run folder; where it has no study nothing is done.
    """
    place = Path(folder) / STUDY
    if not place.is_file():
        yield
        return
    connection = sqlite3.connect(place, timeout=60, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise InputError(
            f"{place} cannot be used: {error}; is it a study, and no process stuck with it?"
        ) from None
    finally:
        connection.close()


def importances(study: Study, seed: int) -> dict[str, float]:
    """Compute how much of the spread of the losses each part of the configuration explains.

    Functional ANOVA (Hutter et al. 2014, "An efficient approach for assessing hyperparameter importance").

    Parameters
    ----------
    study : optuna.Study
        The study.
    seed : int
        Of the random forest.

    Returns
    -------
    dict
        Name → share, the largest first; empty where there is too little to tell by.
    """
    import optuna

    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len({trial.value for trial in done}) < 4:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    try:
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
    except (RuntimeError, ValueError):  # for instance where all trials have one and the same configuration
        return {}


def left(trial: FrozenTrial) -> bool:
    """Tell whether a trial was left (Ctrl-C) rather than done, well or badly.

    Parameters
    ----------
    trial : optuna.trial.FrozenTrial
        Of a study.
    """
    return LEFT in trial.user_attrs


def completed(study: Study) -> list[FrozenTrial]:
    """Return the trials that were not pruned, the best first.

    Parameters
    ----------
    study : optuna.Study
        The study.
    """
    from optuna.trial import TrialState

    found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(found, key=lambda trial: (trial.value, trial.number))


def why_none(study: Study) -> str:
    """Say why no trial of a study was done.

    Parameters
    ----------
    study : optuna.study.Study
        Without any that was.
    """
    errors = [
        trial.user_attrs["error"] for trial in study.get_trials(deepcopy=False) if "error" in trial.user_attrs
    ]
    if errors:
        return f"none of {many(len(errors), 'trial')} could be done, the last for this: {errors[-1]}"
    return "no trial was done in the time that there was: give a longer timeout, or fewer max_steps"


def _tried(study: Study) -> list[FrozenTrial]:
    """Return the trials that are done, well or badly."""
    from optuna.trial import TrialState

    done = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    return [trial for trial in study.get_trials(deepcopy=False, states=done) if not left(trial)]


def _every(space: Space, most: int) -> list[dict[str, Any]]:
    """Return all configurations of a space; none where they are more than so many."""
    choices: dict[str, Sequence[Any]] = {}
    for name, part in space.items():
        if isinstance(part, Choice):
            choices[name] = part.values
        elif isinstance(part.low, int) and isinstance(part.high, int):
            choices[name] = range(part.low, part.high + 1)
        else:
            return []
    if math.prod(map(len, choices.values())) > most:
        return []
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


def _suggest(trial: Trial, name: str, part: Choice | Between) -> Any:
    if isinstance(part, Choice):
        return trial.suggest_categorical(name, part.values)
    if isinstance(part.low, int) and isinstance(part.high, int):
        return trial.suggest_int(name, part.low, part.high, log=part.log)
    return trial.suggest_float(name, part.low, part.high, log=part.log)


def _reporter(trial: Trial) -> Callable[[float], None]:
    number = 0

    def report(loss: float) -> None:
        nonlocal number
        number += 1
        if math.isfinite(loss):
            trial.report(loss, number)
            if trial.should_prune():
                raise Pruned

    return report


def _tell(study: Study, trial: FrozenTrial, seconds: float) -> None:
    values = " ".join(f"{name}={_brief(value)}" for name, value in trial.params.items())
    if trial.state.name == "COMPLETE":
        best = study.best_trial
        standing = f"{trial.value:.4g}, best {best.value:.4g} of trial {best.number}"
    else:
        standing = {"PRUNED": "pruned", "FAIL": f"failed: {trial.user_attrs.get('error', 'not finished')}"}[
            trial.state.name
        ]
    logger.info("trial %d in %.0f s: %s; %s", trial.number, seconds, standing, values)


def _brief(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else json.dumps(value)
    return text if len(text) < 60 else f"{text[:57]}…"
