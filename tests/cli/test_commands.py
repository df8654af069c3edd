"""The commands as a shell runs them: what they print, write, and exit with."""

import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from sales import ROLES, SMALL, hourly_rows, train_run, write_table

from fastlstm.cli import main
from fastlstm.runs import load_run

FASTLSTM = [sys.executable, "-m", "fastlstm"]


def fastlstm(*arguments, **options):
    command = [*FASTLSTM, *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_run(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def table(tmp_path):
    def write(rows=None, name="sales.csv"):
        return write_table(tmp_path / name, rows)

    return write


@pytest.fixture
def week(table):
    return table(rows=hourly_rows(6, datetime(2024, 1, 6), target=False), name="week.csv")


def test_a_run_holds_what_training_leaves(trained):
    run = load_run(trained, tensors=False)
    assert run.task == "forecast"
    assert [path.name for path in sorted((trained / "plots").iterdir())] == [
        "error_by_horizon.png",
        "forecast.png",
        "learning_curve.png",
    ]
    assert {"step", "loss", "validation_loss"} <= run.history[0].keys()
    assert {"mae", "rmse", "mase", "smape", "mse"} <= run.metrics["validation"]["model"].keys()


def test_training_reports_on_stdout_and_says_where_on_stderr(table, tmp_path, capfd):
    out = tmp_path / "run"
    assert main(["forecast", "train", table(), *ROLES, "--horizon", "6", "--out", str(out), *SMALL]) == 0
    printed = capfd.readouterr()
    assert "seasonal-naive" in printed.out
    assert printed.err == f"saved in {out}\n"


def test_evaluate_prints_one_json_object_and_nothing_else(trained, table):
    done = fastlstm("forecast", "evaluate", trained, table(rows=hourly_rows(80)), "--json")
    assert done.returncode == 0
    assert (
        done.stderr == "fastlstm: some of these rows were used in training, so the figures are optimistic\n"
    )
    assert done.stdout.count("\n") == 1
    metrics = json.loads(done.stdout)
    assert {"mae", "rmse", "mase", "smape", "mse", "naive", "seasonal_naive"} <= metrics.keys()
    assert metrics["rmse"] == pytest.approx(metrics["mse"] ** 0.5)
    assert {"mae", "rmse"} <= metrics["naive"].keys()


def test_evaluate_without_data_gives_what_training_saved(trained, capfd):
    assert main(["forecast", "evaluate", str(trained), "--json"]) == 0
    printed = capfd.readouterr()
    saved = load_run(trained, tensors=False).metrics["validation"]
    assert json.loads(printed.out)["mae"] == saved["model"]["mae"]
    assert printed.err == "metrics of the validation part of the training data\n"
    assert main(["forecast", "evaluate", str(trained)]) == 0
    assert re.search(r"^seasonal_naive +\d", capfd.readouterr().out, re.MULTILINE)


def test_predict_prints_the_future_in_the_tables_own_columns(trained, week):
    done = fastlstm("forecast", "predict", trained, "--future", week)
    assert (done.returncode, done.stderr) == (0, "")
    frame = pl.read_csv(done.stdout.encode())
    assert frame.columns == ["shop", "time", "sales", "sales_q0.1", "sales_q0.9"]
    assert frame["shop"].to_list() == ["north"] * 6 + ["south"] * 6
    assert frame["time"].to_list()[:6] == [f"2024-01-06 {hour:02}:00" for hour in range(6)]
    assert (frame["sales_q0.1"] <= frame["sales_q0.9"]).all()


def test_predict_writes_csv_and_parquet_for_new_series_too(trained, table, tmp_path, capfd):
    rows = hourly_rows(30) + hourly_rows(6, datetime(2024, 1, 2, 6), target=False)
    data = table(rows=[row.replace("north", "airport") for row in rows])
    for name in ("out/forecast.csv", "out/forecast.parquet"):
        assert main(["forecast", "predict", str(trained), data, "--out", str(tmp_path / name)]) == 0
    assert capfd.readouterr().out == ""
    csv = pl.read_csv(tmp_path / "out" / "forecast.csv", try_parse_dates=True)
    parquet = pl.read_parquet(tmp_path / "out" / "forecast.parquet")
    assert csv["shop"].unique(maintain_order=True).to_list() == ["airport", "south"]
    assert csv["time"].to_list() == parquet["time"].to_list()
    assert parquet["time"][0] == datetime(2024, 1, 2, 6)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["forecast.csv", "forecast.parquet"]


def test_predict_does_not_write_over_what_it_reads(trained, table, capfd):
    path = Path(table(rows=hourly_rows(30)))
    content = path.read_bytes()
    assert main(["forecast", "predict", str(trained), str(path), "--out", str(path)]) == 2
    assert f"out is {path}, which is read: give another file" in capfd.readouterr().err
    assert path.read_bytes() == content


def test_two_trainings_with_one_seed_are_the_same(table, tmp_path):
    for name in ("one", "two"):
        arguments = ["--horizon", "6", "--seed", "3", "--out", str(tmp_path / name), *SMALL]
        assert main(["forecast", "train", table(), *ROLES, *arguments]) == 0
    runs = [load_run(tmp_path / name) for name in ("one", "two")]
    assert runs[0].config.weights_sha256 == runs[1].config.weights_sha256


def test_info_says_what_a_run_holds(trained, capfd):
    assert main(["info", str(trained)]) == 0
    printed = capfd.readouterr().out
    assert printed.startswith(f"{trained}: a forecast run, written by fastlstm ")
    assert re.search(r"^  horizon +6$", printed, re.MULTILINE)
    assert re.search(r"^  segment +by default$", printed, re.MULTILINE)
    assert "null\n" not in printed


def read_terminal(terminal, until):
    """Read what a program writes on a terminal until a pattern shows, or the program closes it."""
    shown = b""
    while not re.search(until, shown):
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # Linux' end of file, where no program holds the other end any more
            break
    return shown.decode()


def test_an_interrupt_keeps_what_was_learnt(table, tmp_path):
    out = tmp_path / "run"
    flags = ["--horizon", "6", "--context", "12", "--max-steps", "5000", "--patience", "100"]
    command = [*FASTLSTM, "forecast", "train", table(), *ROLES, *flags, "--out", "run"]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, cwd=tmp_path, env=environment
    ) as training:
        os.close(theirs)
        read_terminal(ours, rb"best [0-9]")
        training.send_signal(signal.SIGINT)
        last = read_terminal(ours, rb"saved in run")
        training.communicate(timeout=60)
    os.close(ours)
    assert training.returncode == 130, last
    assert "fastlstm: interrupted; the best weights so far are saved in run" in last
    assert fastlstm("forecast", "evaluate", out, table(), "--json").returncode == 0
    assert load_run(out, tensors=False).metrics["training"]["stopped"] == "interrupted"


def test_an_interrupt_before_anything_is_learnt_leaves_nothing(table, tmp_path, monkeypatch, capfd):
    def interrupt(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("fastlstm.tasks.forecast.tables.read_series", interrupt)
    arguments = ["--horizon", "6", "--out", str(tmp_path / "run")]
    assert main(["forecast", "train", table(), *ROLES, *arguments]) == 130
    assert capfd.readouterr().err == "fastlstm: interrupted, no run was saved\n"
    assert [path.name for path in tmp_path.iterdir()] == ["sales.csv"]


def test_a_disk_that_fills_up_leaves_nothing(table, tmp_path):
    def allow_1_kilobyte_a_file():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    out = tmp_path / "new" / "run"
    arguments = ["--horizon", "6", "--out", out, *SMALL]
    done = fastlstm("forecast", "train", table(), *ROLES, *arguments, preexec_fn=allow_1_kilobyte_a_file)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"fastlstm: {out} cannot be written: File too large; nothing of it was kept"
    )
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sales.csv"]


def test_whoever_reads_our_output_may_stop(trained, week):
    command = [*FASTLSTM, "forecast", "predict", str(trained), "--future", week]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as predicting:
        predicting.stdout.close()
        assert predicting.wait(timeout=60) == 0
        assert predicting.stderr.read() == b""


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_do_not_import_torch(flag):
    code = f"import sys; from fastlstm.cli import main; main([{flag!r}]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ).returncode == 0
