"""The search for a configuration: on the validation part alone, left and taken up, by several processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest

from fastlstm.errors import InputError
from fastlstm.tasks import load, tuning
from fastlstm.tasks.forecast import Forecaster
from fastlstm.tasks.forecast.learning import ForecastLearning
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.tables import read_to_fit
from fastlstm.tasks.forecast.tuning import default_space
from fastlstm.tasks.tuning import Between, Choice, Pruned, importances, open_study, search
from tests.tasks.conftest import ROLES, hourly, small

SPACE = {"learning_rate": (1e-4, 3e-2, "log"), "hidden_size": [8, 16], "context": [12, 24, 168]}


def quick(**parameters: Any) -> Forecaster:
    return small(**({"context": None, "max_steps": 20} | parameters))


def test_a_search_finds_what_is_best_prunes_what_is_not_and_says_what_mattered() -> None:
    """(x - 0.3)² with a second number that hardly matters, told in steps from far to near."""
    first = {"x": 0.9, "y": 2}
    study = open_study(None, {}, first)
    pruned = []

    def evaluate(values: dict[str, Any], report: Any) -> tuple[float, dict[str, Any]]:
        loss = (values["x"] - 0.3) ** 2 + 1e-4 * values["y"]
        for step in range(10):
            try:
                report(loss + 1 / (1 + step))
            except Pruned:
                pruned.append(loss)
                raise
        return loss, {"note": values["x"]}

    space = {"x": Between(0.0, 1.0), "y": Choice((1, 2, 3))}
    assert not search(study, space, evaluate, trials=40, timeout=None, seed=0)
    assert len(study.trials) == 40
    assert study.trials[0].params == first
    assert abs(study.best_params["x"] - 0.3) < 0.05
    assert pruned
    assert min(pruned) > study.best_value
    assert np.mean(pruned) > np.mean([trial.value for trial in tuning.completed(study)])
    told = importances(study, seed=0)
    assert list(told) == ["x", "y"]
    assert told["x"] > 0.9


def test_tuning_ends_with_the_best_configuration_fitted_as_an_ordinary_run(tmp_path: Path) -> None:
    table = hourly()
    tuned = quick(test_windows=1).tune(
        table, **ROLES, trials=4, space=SPACE, storage=tmp_path / "run" / "study.db"
    )
    report = tuned.tuning_
    assert report.trials.height + report.pruned == 4
    best = report.trials.row(0, named=True)
    assert best["loss"] == report.trials["loss"].min()
    assert all(getattr(tuned, name) == best[name] for name in SPACE)
    alone = quick(test_windows=1, **{name: best[name] for name in SPACE}).fit(table, **ROLES)
    assert alone.metrics_["test"] == tuned.metrics_["test"]
    assert report.metrics["best"] == alone.metrics_["validation"]["model"]
    assert {"best", "defaults", "naive", "seasonal-naive"} == set(report.metrics)
    assert report.metrics["best"]["quantile_loss"] <= report.metrics["defaults"]["quantile_loss"]
    tuned.save(tmp_path / "run")
    assert (tmp_path / "run" / "study.db").exists()
    run = load(tmp_path / "run")
    assert run.metrics_["tuning"]["trials"] == 4
    assert "the defaults" in str(report)
    assert "context" in str(report)


def test_the_test_part_has_no_say() -> None:
    honest = hourly("a")
    cut = honest["hour"].max() - pl.duration(hours=11)
    spoilt = honest.with_columns(
        sales=pl.when(pl.col("hour") >= cut).then(-1000 * pl.col("sales")).otherwise("sales")
    )
    space = {"learning_rate": (1e-4, 3e-2, "log")}
    first, second = (
        quick(test_windows=2).tune(frame, **ROLES, trials=3, space=space) for frame in (honest, spoilt)
    )
    assert first.tuning_.trials.equals(second.tuning_.trials)
    assert first.tuning_.metrics == second.tuning_.metrics
    assert first.metrics_["test"] != second.metrics_["test"]


def test_a_search_goes_on_where_it_was_left_and_repeats_itself(tmp_path: Path) -> None:
    once = quick().tune(hourly(), **ROLES, trials=5, space=SPACE)
    storage = tmp_path / "is it? {yes} 100%.db"
    quick().tune(hourly(), **ROLES, trials=2, space=SPACE, storage=storage)
    assert storage.is_file()
    twice = quick().tune(hourly(), **ROLES, trials=5, space=SPACE, storage=storage)
    assert twice.tuning_.trials.equals(once.tuning_.trials)
    again = quick().tune(hourly(), **ROLES, trials=5, space=SPACE, storage=storage)
    assert again.tuning_.trials.equals(once.tuning_.trials)
    with pytest.raises(InputError, match=r"is a study with another data \("):
        quick().tune(hourly(seed=1), **ROLES, trials=6, space=SPACE, storage=storage)
    with pytest.raises(InputError, match=r"is a study with another dropout \(0.1; now 0.2\)"):
        quick(dropout=0.2).tune(hourly(), **ROLES, trials=6, space=SPACE, storage=storage)


def test_control_c_keeps_the_best_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, calls = ForecastLearning.draw, []

    def interrupted(self: ForecastLearning, generator: Any) -> Any:
        calls.append(1)
        if len(calls) == 50:  # in the third trial of twenty steps
            os.kill(os.getpid(), signal.SIGINT)
        return draw(self, generator)

    monkeypatch.setattr(ForecastLearning, "draw", interrupted)
    storage = tmp_path / "study.db"
    tuned = quick().tune(hourly(), **ROLES, trials=9, space=SPACE, storage=storage)
    monkeypatch.undo()
    assert (tuned.tuning_.trials.height, tuned.tuning_.failed) == (2, 0)
    assert tuned.report_.training[0].stopped == "finished"
    assert len(calls) == 50
    calls.clear()
    on = quick().tune(hourly(), **ROLES, trials=4, space=SPACE, storage=storage)
    assert on.tuning_.trials.height + on.tuning_.pruned == 4
    trials = optuna.load_study(study_name="fastlstm", storage=f"sqlite:///{storage}").trials
    assert len(trials) == 5
    assert trials[3].params == trials[2].params  # what was left is tried first


SCRIPT = """
import sys
from tests.tasks.conftest import ROLES, hourly, small
small(context=None, max_steps=20).tune(
    hourly(), **ROLES, trials=6, space={"learning_rate": (1e-4, 3e-2, "log")}, storage=sys.argv[1]
).save(sys.argv[2])
"""


def test_processes_share_a_study_and_a_run(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path]), "OMP_NUM_THREADS": "1"}
    run = tmp_path / "run"
    command = [sys.executable, "-c", SCRIPT, str(run / "study.db"), str(run)]
    processes = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        _, told = process.communicate(timeout=240)
        assert process.returncode == 0, told
    import optuna

    study = optuna.load_study(study_name=tuning.NAME, storage=f"sqlite:///{run / 'study.db'}")
    done = [trial for trial in study.trials if trial.state.is_finished()]
    assert 6 <= len(done) <= 7
    tried = [trial.params["learning_rate"] for trial in done]
    assert len(set(tried)) == len(tried)
    assert load(run).metrics_["tuning"]["best"]["loss"] == study.best_value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 0}, "trials is 0"),
        ({"space": ["colour"]}, "space has 'colour', which is nothing to tune: give context"),
        ({"space": {"seed": [1, 2]}}, "space has 'seed', which is nothing to tune"),
        ({"space": {"dropout": (0.5, 0.1)}}, "space has dropout between 0.5 and 0.1: give rising ends"),
        ({"space": {"dropout": 0.5}}, "space has dropout 0.5: give a list of values"),
    ],
)
def test_a_space_that_is_none_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        quick().tune(hourly(), **ROLES, **arguments)


def test_what_the_user_settled_is_not_tried() -> None:
    tuned = Forecaster(6, hidden_size=8, max_steps=5, progress=False, dropout=0.2).tune(
        hourly("a"), **ROLES, trials=2
    )
    assert {"hidden_size", "dropout"}.isdisjoint(tuned.tuning_.trials.columns)
    assert {"context", "learning_rate", "num_layers", "batch_size"} <= set(tuned.tuning_.trials.columns)
    assert (tuned.hidden_size, tuned.dropout) == (8, 0.2)


def test_a_search_that_tries_nothing_says_so() -> None:
    with pytest.raises(
        InputError, match="no trial was done in the time that there was: give a longer timeout"
    ):
        quick().tune(hourly(), **ROLES, trials=2, space=SPACE, timeout=1e-9)


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r'optuna, which is not here: pip install "fastlstm\[tune\]"'):
        quick().tune(hourly(), **ROLES, trials=2)


def test_paths_are_of_points_whatever_is_tried() -> None:
    parameters = Parameters.check(quick(decoding="paths").get_params())
    space, first = default_space(parameters, read_to_fit(parameters, hourly(), **ROLES)[0], 24)
    assert "trunk" not in space | first


def test_a_space_without_the_defaults_is_not_said_to_hold_them() -> None:
    tuned = quick().tune(hourly(), **ROLES, trials=2, space={"hidden_size": [4, 8]})
    assert "defaults" not in tuned.tuning_.metrics
    assert "defaults" not in str(tuned.tuning_)


def test_no_configuration_is_tried_twice(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def evaluate(values: dict[str, Any], _: Any) -> tuple[float, dict[str, Any]]:
        calls.append(values)
        return float(values["x"]), {}

    few = {"x": Choice((1, 2)), "y": Between(0, 1)}
    with caplog.at_level("INFO", logger="fastlstm"):
        search(open_study(None, {}, {"x": 1, "y": 0}), few, evaluate, trials=9, timeout=None, seed=0)
    assert sorted((values["x"], values["y"]) for values in calls) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert "all 4 configurations have been tried" in caplog.text
    calls.clear()
    study = open_study(None, {}, {"x": 1})
    search(study, {"x": Choice(tuple(range(40)))}, evaluate, trials=30, timeout=None, seed=0)
    assert len(study.trials) == 30
    assert len({values["x"] for values in calls}) == len(calls)
