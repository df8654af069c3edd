"""The commands around a model's life, as a shell runs them: backtest, update, tune, train on and go on."""

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from itertools import count

import polars as pl
import pytest
import torch
from sales import ROLES, SMALL, hourly_rows, train_run, write_table

from fastlstm.cli import main
from fastlstm.runs import load_run
from fastlstm.tasks.forecast.learning import ForecastLearning


@pytest.fixture
def trained(tmp_path):
    return train_run(tmp_path)


@pytest.fixture
def later(tmp_path):
    """The half day after the five that were trained on."""
    return write_table(tmp_path / "later.csv", hourly_rows(12, datetime(2024, 1, 6)))


@pytest.fixture
def whole(tmp_path):
    return write_table(tmp_path / "whole.csv", hourly_rows(132))


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_update_moves_the_run_on(trained, later, tmp_path, capfd):
    before = {path.name: path.read_bytes() for path in (trained / "plots").iterdir()}
    assert run("forecast", "update", trained, later, "--out", tmp_path / "moved") == 0
    assert run("forecast", "update", trained, later) == 0
    assert capfd.readouterr().err.endswith(f"saved in {tmp_path / 'moved'}\nsaved in {trained}\n")
    week = write_table(tmp_path / "week.csv", hourly_rows(6, datetime(2024, 1, 6, 12), target=False))
    frames = []
    for folder in (trained, tmp_path / "moved"):
        assert run("forecast", "predict", folder, "--future", week) == 0
        frames.append(pl.read_csv(capfd.readouterr().out.encode()))
    assert frames[0].equals(frames[1])
    assert frames[0]["time"][0] == "2024-01-06 12:00"
    after = {path.name: path.read_bytes() for path in (trained / "plots").iterdir()}
    assert after.keys() == before.keys()
    assert after["forecast.png"] == before["forecast.png"]


def test_update_refuses_other_values_in_one_line_unless_they_are_to_replace(trained, tmp_path, capfd):
    rows = [row.replace(",north,", ",north,9") for row in hourly_rows(3, datetime(2024, 1, 5, 22))]
    other = write_table(tmp_path / "other.csv", rows)
    capfd.readouterr()
    assert run("forecast", "update", trained, other) == 2
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert "'sales' of series 'north' at 2024-01-05 22:00:00 is 9" in told
    assert run("forecast", "update", trained, other, "--replace") == 0


def test_a_run_is_backtested_with_its_data_and_says_when_it_fits(trained, whole, later, tmp_path, capfd):
    out, by_series, by_step = (tmp_path / name for name in ("forecasts.csv", "series.csv", "steps.parquet"))
    run("forecast", "update", trained, later)
    capfd.readouterr()
    arguments = [
        "--windows",
        "3",
        "--stride",
        "2",
        "--out",
        out,
        "--by-series",
        by_series,
        "--by-step",
        by_step,
    ]
    assert run("forecast", "backtest", trained, whole, *arguments, "--json") == 0
    printed = capfd.readouterr()
    assert printed.err == ""  # what came by update was not learnt from
    assert json.loads(printed.out).keys() >= {"mae", "quantile_loss", "naive", "seasonal_naive"}
    frame = pl.read_csv(out)
    assert frame.columns[:5] == ["shop", "origin", "time", "sales", "sales_forecast"]
    assert frame.height == 2 * 3 * 6
    mae = (frame["sales"] - frame["sales_forecast"]).abs().mean()
    assert mae == pytest.approx(json.loads(printed.out)["mae"], rel=1e-6)
    assert pl.read_csv(by_series).height == 2 * 3
    assert pl.read_parquet(by_step)["step_ahead"].max() == 6
    assert run("forecast", "backtest", trained, whole, "--windows", "5") == 0
    printed = capfd.readouterr()
    assert "fitting a model to the rows before the first origin" in printed.err
    assert "seasonal-naive" in printed.out


def test_a_table_is_backtested_without_a_run(whole, capfd):
    arguments = ["--horizon", "6", "--windows", "2", "--refit", "1", "--json"]
    assert run("forecast", "backtest", whole, *ROLES, *SMALL, *arguments) == 0
    assert "mae" in json.loads(capfd.readouterr().out)


@pytest.mark.parametrize("wrong", ["horizon=0", "windows=0", "stride=0", "refit=-1"])
def test_a_backtest_that_cannot_be_is_refused_before_anything_is_read(wrong, tmp_path, capfd):
    name, number = wrong.split("=")
    given = {"--horizon": "6", "--max-steps": "5", f"--{name}": number}
    arguments = [f"{flag}={value}" for flag, value in given.items()]
    assert run("forecast", "backtest", tmp_path / "none.csv", *ROLES, *arguments) == 2
    assert f"{name} is {number}: give a whole number" in capfd.readouterr().err


def test_a_backtest_keeps_what_it_reads_and_writes_each_table_to_a_file_of_its_own(
    trained, whole, tmp_path, capfd
):
    assert run("forecast", "backtest", trained, whole, "--by-step", whole) == 2
    assert f"by_step is {whole}, which is read: give another file" in capfd.readouterr().err
    assert pl.read_csv(whole).columns == ["time", "shop", "sales", "price", "sky"]
    both = tmp_path / "both.csv"
    assert run("forecast", "backtest", trained, whole, "--out", both, "--by-series", both) == 2
    assert f"{both} is named for two tables: give each a file of its own" in capfd.readouterr().err


def test_a_run_that_is_called_as_a_flag_of_training_is_a_run(trained, whole, monkeypatch, capfd):
    monkeypatch.chdir(trained.parent)
    trained.rename("seed")
    assert run("forecast", "backtest", "seed", whole, "--windows", "1", "--json") == 0
    assert "mae" in json.loads(capfd.readouterr().out)


def interrupt_at(monkeypatch, batch):
    """Press Ctrl-C when a batch is drawn, counted from 1."""
    draw, calls = ForecastLearning.draw, count(1)

    def interrupted(learning, generator):
        if next(calls) == batch:
            os.kill(os.getpid(), signal.SIGINT)
        return draw(learning, generator)

    monkeypatch.setattr(ForecastLearning, "draw", interrupted)


def test_a_backtest_that_is_interrupted_while_it_trains_judges_nothing(whole, monkeypatch, capfd):
    interrupt_at(monkeypatch, 20)
    assert run("forecast", "backtest", whole, *ROLES, *SMALL, "--horizon", "6", "--json") == 130
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("fastlstm: interrupted, no run was saved\n")


def test_training_that_is_left_again_goes_on_from_where_its_checkpoint_lies(
    whole, tmp_path, monkeypatch, capfd
):
    left, other = tmp_path / "left", tmp_path / "other"
    interrupt_at(monkeypatch, 10)
    train = ["forecast", "train", whole, *ROLES, *SMALL, "--horizon", "6", "--out", left]
    assert run(*train) == 130
    interrupt_at(monkeypatch, 20)
    assert run("forecast", "train", "--resume", left, "--out", other) == 130
    assert f"are saved in {other}; train --resume {left} goes on from here" in capfd.readouterr().err
    assert run("forecast", "train", "--resume", left, "--out", other) == 0


def test_training_on_takes_over_what_is_not_given(trained, whole, tmp_path, capfd):
    on = ["--init", trained, "--out", tmp_path / "on", "--max-steps", "5", "--learning-rate", "1e-4"]
    assert run("forecast", "train", whole, *on) == 0
    before, after = (load_run(folder, tensors=False) for folder in (trained, tmp_path / "on"))
    assert after.config.settings["network"] == before.config.settings["network"]
    assert after.config.settings["parameters"]["max_steps"] == 5
    assert after.config.settings["parameters"]["batch_size"] == 8
    capfd.readouterr()
    assert run("forecast", "train", whole, *on, "--hidden-size", "9") == 2
    assert "init has hidden_size 8 and 9 is asked for" in capfd.readouterr().err


def test_training_that_was_left_goes_on_to_the_same_weights(tmp_path, capfd):
    """In another process than the one that was left."""
    table, left, whole = write_table(tmp_path / "sales.csv"), tmp_path / "left", tmp_path / "whole"
    flags = [
        "--horizon",
        "6",
        "--context",
        "12",
        "--hidden-size",
        "8",
        "--max-steps",
        "200",
        "--patience",
        "99",
    ]
    train = ["forecast", "train", table, *ROLES, *flags, "--out"]
    watch = (
        "import fastlstm.training.loop as loop, os, signal, sys; validate = loop._Run._validate\n"
        "def once(run, *rest):\n"
        "    loop._Run._validate = validate; os.kill(os.getpid(), signal.SIGINT); return validate(run, *rest)\n"
        "loop._Run._validate = once\n"
        "from fastlstm.cli import main; sys.exit(main())"
    )
    stopped = subprocess.run(
        [sys.executable, "-c", watch, *train, left],
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert stopped.returncode == 130, stopped.stderr
    assert "train --resume left goes on from here" in stopped.stderr.replace(f"{tmp_path}/", "")
    assert load_run(left, tensors=False).metrics["training"]["steps"][0] < 100
    assert run("forecast", "train", "--resume", left) == 0
    assert run(*train, whole) == 0
    runs = [load_run(folder, tensors=False) for folder in (left, whole)]
    assert runs[0].metrics["training"]["steps"] == [200]
    assert runs[0].config.weights_sha256 == runs[1].config.weights_sha256
    capfd.readouterr()
    assert run("forecast", "train", "--resume", left) == 2
    assert "left has no checkpoint: its training is done" in capfd.readouterr().err


def test_what_a_training_began_with_cannot_be_changed_in_its_middle(tmp_path, capfd):
    assert main(["forecast", "train", "--resume", str(tmp_path), "--hidden-size", "8"]) == 2
    assert "--hidden-size does not go with --resume" in capfd.readouterr().err


def test_tune_saves_an_ordinary_run_and_goes_on(whole, tmp_path, capfd):
    out = tmp_path / "run"
    flags = ["--horizon", "6", "--max-steps", "10", "--no-progress", "--space", "learning_rate,dropout"]
    command = ["forecast", "tune", whole, *ROLES, *flags, "--out", out]
    assert run(*command, "--trials", "2") == 0
    printed = capfd.readouterr()
    assert [line.split()[:2] for line in printed.err.splitlines()[:2]] == [["trial", "0"], ["trial", "1"]]
    assert "defaults" in printed.out
    assert run(*command, "--trials", "3") == 0
    printed = capfd.readouterr()
    assert printed.err.startswith("trial 2 ")
    assert load_run(out, tensors=False).metrics["tuning"]["trials"] == 3
    assert run("forecast", "evaluate", out, "--json") == 0
    assert run(*command, "--trials", "4", "--dropout", "0.3", "--seed", "5") == 2
    told = capfd.readouterr().err.splitlines()[-1]
    assert "study.db is a study with another seed (0; now 5): give another folder" in told


def test_control_c_while_tuning_keeps_the_study(whole, tmp_path, monkeypatch, capfd):
    from fastlstm.tasks.forecast.learning import ForecastLearning

    draw = ForecastLearning.draw

    def interrupted(learning, generator):
        monkeypatch.setattr(ForecastLearning, "draw", draw)
        os.kill(os.getpid(), signal.SIGINT)
        return draw(learning, generator)

    monkeypatch.setattr(ForecastLearning, "draw", interrupted)
    out = tmp_path / "run"
    command = ["forecast", "tune", whole, *ROLES, "--horizon", "6", "--max-steps", "10", "--no-progress"]
    assert run(*command, "--trials", "2", "--out", out) == 130
    assert f"interrupted before a new best was found; {out} keeps the study" in capfd.readouterr().err
    assert [path.name for path in out.iterdir()] == ["study.db"]
    assert run(*command, "--trials", "2", "--out", out) == 0
