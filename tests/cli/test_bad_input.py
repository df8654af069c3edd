"""Bad input: exit code 2, one line on stderr that names the right thing, and nothing half-written."""

import errno
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from sales import HEADER, SMALL, hourly_rows, train_run, write_table

from fastlstm.cli import main
from fastlstm.cli.output import write_whole


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_run(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def table(tmp_path):
    def write(changes=None, *, header=HEADER, rows=None, name="sales.csv"):
        return write_table(tmp_path / name, rows, header, changes)

    return write


@pytest.fixture
def refused(capfd, tmp_path):
    """Run a command that must be refused, and give its one line."""

    def run(*arguments):
        before = sorted(tmp_path.rglob("*"))
        code = main([str(argument) for argument in arguments])
        printed = capfd.readouterr()
        assert code == 2
        assert printed.out == ""
        assert printed.err.startswith("fastlstm: ")
        assert printed.err.count("\n") == 1, printed.err
        assert printed.err.endswith("\n")
        assert sorted(tmp_path.rglob("*")) == before
        return printed.err

    return run


@pytest.fixture
def train(refused, tmp_path):
    """Refuse a training; flags given replace or, with None, remove the usual ones."""

    def run(data, **flags):
        usual = {"target": "sales", "series": "shop", "horizon": 6, "out": tmp_path / "run", **flags}
        named = {f"--{name.replace('_', '-')}": value for name, value in usual.items() if value is not None}
        small = [] if {"context", "batch_size"} & flags.keys() else SMALL
        return refused("forecast", "train", data, *(part for pair in named.items() for part in pair), *small)

    return run


def test_a_missing_file(train):
    assert "absent.csv: no such file; check the path" in train("absent.csv")


def test_an_empty_file(train, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    assert "empty.csv is empty: it needs a header line and rows" in train(tmp_path / "empty.csv")


def test_lines_that_end_in_a_carriage_return_alone(train, tmp_path):
    (tmp_path / "mac.csv").write_bytes(b"t,sales\r" + b"".join(b"%d,1.5\r" % row for row in range(20)))
    assert "lines may end in a carriage return alone" in train(tmp_path / "mac.csv")


def test_a_wrong_delimiter(train, table):
    data = table(header="time#shop#sales", rows=["2024-01-01#a#1"] * 9)
    assert "its only column is 'time#shop#sales'; if its cells are separated by anything but" in train(data)


def test_a_row_with_too_many_cells(train, table):
    assert "sales.csv, line 17: 6 cells where the header has 5" in train(
        table({17: "2024-01-01 07:00,a,1,000,1,x"})
    )


@pytest.mark.parametrize("role", ["target", "time", "series", "past_covariates", "future_covariates"])
def test_an_unknown_column_with_the_nearest_name(train, table, role):
    line = train(table(), **{role: "prise"})
    assert f"sales.csv has no column 'prise' ({role}): did you mean 'price'?" in line


def test_no_target(train, table):
    line = train(table(), target=None)
    assert "which column of" in line
    assert "Give target, one of" in line
    assert all(f"'{name}'" in line for name in ("sales", "price", "sky"))


def test_a_target_that_is_not_numeric(train, table):
    line = train(table({17: "2024-01-01 07:00,south,many,1.0,mist"}))
    assert "sales.csv, line 17: 'many' in column 'sales' (target) is not a number" in line


def test_a_target_of_words(train, table):
    assert "sales.csv, line 2: 'mist' in column 'sky' (target) is not a number" in train(
        table(), target="sky"
    )


@pytest.mark.parametrize("cell", ["2024-13-01 07:00", "yesterday", ""])
def test_a_time_that_cannot_be_read(train, table, cell):
    line = train(table({17: f"{cell},south,5,1.0,mist"}))
    assert "sales.csv, line 17: " in line
    assert "in column 'time' (time)" in line or "column 'time' (time) is empty" in line


def test_a_time_that_comes_twice(train, table):
    line = train(table({17: "2024-01-01 03:00,south,5,1.0,mist"}))
    assert (
        "line 17: 2024-01-01 03:00 in column 'time' (time) of series 'south' came before, on line 9" in line
    )


def test_a_forgotten_series_column(train, table):
    assert "or name the column that tells series apart as series" in train(table(), series=None)


@pytest.mark.parametrize("column", ["target", "future_covariates"])
@pytest.mark.parametrize("value", ["inf", "-inf", "1e400"])
def test_an_infinite_value(train, table, column, value):
    cells = f"{value},1.0" if column == "target" else f"5,{value}"
    line = train(table({17: f"2024-01-01 07:00,south,{cells},mist"}), future_covariates="price")
    assert f"sales.csv, line 17: '{value}' in column" in line
    assert f"({column}) is infinite or too large" in line


def test_a_target_that_is_empty_throughout(train, table):
    emptied = [",".join([*row.split(",")[:2], "-", *row.split(",")[3:]]) for row in hourly_rows(60)]
    assert "sales.csv: all cells of sales are empty; give some values" in train(table(rows=emptied))


def test_series_too_short(train, table):
    line = train(table(rows=hourly_rows(4)))
    assert (
        "has 4 steps, too few for training and validation with a horizon of 6: give at least 13 steps" in line
    )


@pytest.mark.parametrize("flag", ["horizon", "context"])
@pytest.mark.parametrize("value", [0, -3])
def test_a_horizon_or_context_below_1(train, table, flag, value):
    line = train(table(), **{flag: value})
    assert f"{flag} is {value}" in line


def test_a_frequency_that_is_none(train, table):
    assert "frequency 'hourly' is not known: write a count and one of" in train(table(), frequency="hourly")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--horizn", "3"], "--horizn"),
        (["--horizon", "soon"], "--horizon"),
        (["--horizon", "7.5"], "Invalid value for --horizon: '7.5' is no whole number"),
        (["--members", "1.2"], "Invalid value for --members: '1.2' is no whole number"),
        (["--quantiles", "0.1,half"], "--quantiles"),
        (["--precision", "fp8"], "--precision"),
        (["another.csv"], "'another.csv' is one argument too many"),
        (["--horizon"], "--horizon"),
    ],
)
def test_a_wrong_flag(refused, table, tmp_path, arguments, message):
    usual = ["--target", "sales", "--out", tmp_path / "run", "--series", "shop"]
    needed = [] if "--horizon" in arguments else ["--horizon", "6"]
    assert message in refused("forecast", "train", table(), *usual, *needed, *arguments)


def test_a_flag_that_is_needed(refused, table):
    line = refused("forecast", "train", table(), "--target", "sales")
    assert "fastlstm: forecast train needs --horizon: How many steps ahead to forecast." in line


def test_a_value_that_begins_with_a_hyphen(refused):
    line = refused("generate", "predict", "run", "--prompt", "- she", "--length", "5")
    assert "--prompt stands without a value; one that begins with - is written --prompt=-…" in line


def test_an_unknown_command(refused):
    assert "unknown command 'forcast': see fastlstm --help" in refused("forcast", "train")
    assert "unknown command 'fly': see fastlstm forecast --help" in refused("forecast", "fly")


def test_an_out_folder_that_is_something_else(train, table, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    assert "thesis holds other files and is not a run folder" in train(table(), out=tmp_path / "thesis")


def test_a_future_covariate_that_does_not_reach(refused, trained, table):
    line = refused("forecast", "predict", trained)
    assert (
        "of series 'north' reach until 2024-01-05 23:00:00 and must reach until 2024-01-06 05:00:00" in line
    )
    four = table(rows=hourly_rows(4, datetime(2024, 1, 6), target=False))
    line = refused("forecast", "predict", trained, "--future", four)
    assert f"{four}: the future covariates of series 'north' reach until 2024-01-06 03:00:00" in line
    assert "must reach until 2024-01-06 05:00:00" in line


def test_a_future_without_a_covariate(refused, trained, table):
    rows = [",".join(row.split(",")[:3]) for row in hourly_rows(6, datetime(2024, 1, 6), target=False)]
    line = refused("forecast", "predict", trained, "--future", table(header="time,shop,sales", rows=rows))
    assert "has no column 'price' (future_covariates)" in line


def test_new_data_without_a_column(refused, trained, table):
    rows = [row.rsplit(",", 1)[0] for row in hourly_rows(48)]
    data = table(header="time,shop,sales,price", rows=rows)
    for mode in ("evaluate", "predict"):
        assert "has no column 'sky' (future_covariates)" in refused("forecast", mode, trained, data)


@pytest.mark.parametrize("command", [("info",), ("forecast", "predict"), ("forecast", "evaluate")])
def test_a_run_folder_that_is_none(refused, tmp_path, command):
    assert f"{tmp_path} is not a run folder: it has no config.json" in refused(*command, tmp_path)
    assert "absent does not exist" in refused(*command, tmp_path / "absent")


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: data[:900] + b"\0\0" + data[902:]])
def test_weights_cut_short_or_altered(refused, trained, tmp_path, damage):
    run = shutil.copytree(trained, tmp_path / "damaged")
    weights = run / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    line = refused("forecast", "predict", run)
    assert "model.safetensors was cut short or altered: its sha256 is not the one in config.json" in line


def test_an_unknown_key_in_the_configuration(refused, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "altered")
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text.replace('"hidden_size"', '"hiden_size"', 1))
    line = refused("forecast", "predict", run)
    assert "config.json: " in line
    assert "key 'settings.parameters.hidden_size' is missing" in line


def test_a_run_without_metrics_is_evaluated_on_data_alone(refused, trained, tmp_path):
    copied = shutil.copytree(trained, tmp_path / "copied")
    (copied / "metrics.json").write_text("{}")
    line = refused("forecast", "evaluate", copied)
    assert "holds no metrics of a validation or test part: give a table as DATA" in line


def test_what_evaluate_needs_data_for(refused, trained):
    line = refused("forecast", "evaluate", trained, "--stride", "2")
    assert f"--stride needs DATA to judge by: give a table after {trained}" in line


def test_a_run_of_another_task(refused, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "altered")
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text.replace('"task": "forecast"', '"task": "classify"', 1))
    assert "is a run of classify, not of forecast: use fastlstm classify" in refused(
        "forecast", "predict", run
    )


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_network_that_no_memory_holds(train, table):
    told = train(table(), context=12, hidden_size=10**8)
    assert "there is not enough memory for that: give a smaller hidden_size" in told


def test_a_full_disk_while_training_is_saved(train, table, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    assert "run cannot be written: No space left on device; nothing of it was kept" in train(table())


def test_a_full_disk_while_a_forecast_is_written(refused, trained, table, tmp_path, monkeypatch):
    week = table(rows=hourly_rows(6, datetime(2024, 1, 6), target=False))
    monkeypatch.setattr(os, "fsync", full_disk)
    line = refused("forecast", "predict", trained, "--future", week, "--out", tmp_path / "forecast.csv")
    assert "forecast.csv cannot be written: No space left on device" in line


@pytest.mark.parametrize(
    "command", [["info"], ["forecast", "evaluate"], ["forecast", "predict"]], ids=" ".join
)
def test_missing_weights_whatever_is_asked_of_the_run(command, refused, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "damaged")
    (run / "model.safetensors").unlink()
    assert "model.safetensors is missing" in refused(*command, run)


def test_a_forecast_in_a_form_that_is_not_written(refused, trained, tmp_path):
    line = refused("forecast", "predict", trained, "--out", tmp_path / "forecast.xlsx")
    assert "forecast.xlsx: files are written as .csv or .parquet" in line


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("t,a\n2011-Q1,1\n2011-Q2,2\n2011-Q5,3\n",
         {"wide": ""},
         "line 4: '2011-Q5' in column 't' (time) is no timestamp"),
        ("t,a,b\n1,1,1\n2,2,2\n2,3,3\n",
         {"wide": "", "time": "t"},
         "line 4: 2 in column 't' (time) of series 'a' came before, on line 3"),
        ("t,a,b\n1,1,1\n2,inf,2\n3,3,3\n",
         {"wide": "", "time": "t"},
         "line 3: 'inf' in column 'a' (series) is infinite or too large"),
        ("t,a,b\n1,1,1\n2,2,2\n3,3,3\n",
         {"wide": "", "series": "b"},
         "column 'b' is given as series, which a wide table has no place for"),
        ("t,a\n1,\n2,\n", {"wide": "", "time": "t"}, "all cells of value are empty; give some values"),
        ("d,h,sales\n2011-01-01,0,1\n2011-01-01,24,2\n2011-01-02,30,2\n",
         {"time": "d,h"},
         "line 4: '30' in column 'h' (time) is no hour from 0 to 24"),
        ("d,h,sales\n2011-01-01,0,1\n2011-01-01,,2\n", {"time": "d,h"}, "line 3: column 'h' (time) is empty"),
        ("d,h,sales\n2011-01-01,24,1\n2011-01-02,0,2\n2011-01-02,1,2\n",
         {"time": "d,h"},
         "line 3: 2011-01-02 00:00:00 in column 'd h' (time) came before, on line 2"),
        ("year,month,sales\n2011,12,1\n2012,0,2\n",
         {"time": "year,month"},
         "line 3: '0' in column 'month' (time) is no month from 1 to 12"),
        ("t,sales\n1,\"1,250\"\n2,\"1,300\"\n",
         {"time": "t"},
         "line 2: '1,250' in column 'sales' (target) may have a decimal mark"),
        ("t,sales\n1,\"1,250.5\"\n2,\"1.300,5\"\n3,\"1,000.5\"\n",
         {"time": "t"},
         "line 3: '1.300,5' in column 'sales' (target) is not a number"),
        ("t,sales,sky\n1,2,3\n2,2,3\n",
         {"categories": "sky"},
         "column 'sky' is given as categories and is no covariate"),
        ("1,2,2\n3,4,5\n",
         {},
         "line 1: '2' and most others are numbers, no names; add a line with the columns' names"),
        ("t,sales\n02/03/2011,1\n03/03/2011,2\n04/03/2011,2\n",
         {},
         "line 2: '02/03/2011' in column 't' (time) may be day/month or month/day"),
        ("t,sales\n2011-10-30 01:00,1\n2011-10-30 02:00,2\n2011-10-30 02:00,2\n2011-10-30 03:00,2\n",
         {},
         "line 4: 2011-10-30 02:00 in column 't' (time) came before, on line 3; write the hour that comes twice with"),
        ("Date,sales\n01~02~2024,1\n02~02~2024,2\n03~02~2024,2\n",
         {},
         "line 2: '01~02~2024' in column 'Date' (time) is no timestamp"),
        ("time,sales\n3 pm,1\n4 pm,2\n5 pm,2\n", {}, "if it holds no times, rename it, or give another as time"),
    ],
)  # fmt: skip
def test_tables_of_other_shapes(refused, tmp_path, text, flags, message):
    (tmp_path / "table.csv").write_text(text)
    usual = {
        "horizon": "1",
        "out": tmp_path / "run",
        **({} if "wide" in flags else {"target": "sales"}),
        **flags,
    }
    named = [part for name, value in usual.items() for part in (f"--{name}", value) if part != ""]
    line = refused("forecast", "train", tmp_path / "table.csv", *named, *SMALL)
    assert line.startswith(f"fastlstm: {tmp_path / 'table.csv'}")
    assert message in line


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
def test_an_output_that_cannot_be_written_is_told(tmp_path):
    command = [sys.executable, "-c", "import sys; from fastlstm.cli import main; sys.exit(main())", "--help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


def test_a_name_that_is_none_is_told_in_one_line(capfd):
    assert main(["generate", "train", "some text " * 100, "--out", "run"]) == 2
    printed = capfd.readouterr().err
    assert printed.count("\n") == 1
    assert "cannot be the name of a file" in printed


def test_a_device_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(b"read me", pipe)
    assert os.read(reader, 100) == b"read me"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_pipe_is_told(tmp_path, capfd):
    os.mkfifo(tmp_path / "rows")
    assert (
        main(["forecast", "train", str(tmp_path / "rows"), "--horizon", "3", "--out", str(tmp_path / "run")])
        == 2
    )
    assert "rows is a pipe, and data are read more than once" in capfd.readouterr().err


def test_a_link_stays_one(tmp_path):
    (tmp_path / "current").symlink_to("a.csv")
    write_whole(b"t,y", tmp_path / "current")
    assert (tmp_path / "current").is_symlink()
    assert (tmp_path / "a.csv").read_bytes() == b"t,y"


def test_output_that_cannot_be_written_is_told(tmp_path):
    """A column that the terminal's encoding lacks; an output that the shell has closed."""
    rows = "\n".join(f"{step},{step % 7}" for step in range(60))
    (tmp_path / "städte.csv").write_text(f"t,Köln\n{rows}\n")
    command = [sys.executable, "-m", "fastlstm", "forecast"]
    flags = ["--target", "Köln", "--time", "t", "--horizon", "3", *SMALL, "--out", str(tmp_path / "run")]
    options = {"cwd": tmp_path, "stderr": subprocess.PIPE, "text": True}
    assert main(["forecast", "train", str(tmp_path / "städte.csv"), *flags]) == 0
    ascii_alone = options | {"env": os.environ | {"PYTHONIOENCODING": "ascii"}, "stdout": subprocess.PIPE}
    told = subprocess.run([*command, "predict", "run"], **ascii_alone)
    assert told.returncode == 2
    assert "the output is in ascii, which has no '\\xf6'" in told.stderr
    closed = subprocess.run(f"{' '.join(command)} predict run >&-", shell=True, **options)
    assert (closed.returncode, closed.stderr) == (0, "")
