"""classify and regress as a shell runs them: what they print, write, and exit with."""

import json

import numpy as np
import polars as pl
import pytest

from fastlstm.cli import main
from fastlstm.runs import load_run

SMALL = ["--hidden-size", "4", "--members", "1", "--max-steps", "12", "--no-progress"]
STAYS = ["--series", "stay", "--time", "hour"]
CLASSES = {"accuracy", "balanced_accuracy", "f1_macro", "auroc", "log_loss"}


def run(*arguments):
    return main([str(argument) for argument in arguments])


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture
def stays(tmp_path):
    """Sixteen stays with a pulse, of which some values are unknown (-1), and how they end in a file of its own."""
    generator = np.random.default_rng(0)
    rows, ends = ["stay,hour,pulse,ward"], ["StayID,died,days"]
    for place in range(16):
        for hour in range(4 + place % 3):
            pulse = -1 if hour == 1 else round(60 + 30 * (place % 2) + generator.normal(), 1)
            rows.append(f"{place},{hour},{pulse},{'abcde'[place % 5]}")
        ends.append(f"{place},{place % 2},{place / 2}")
    return write(tmp_path / "stays.csv", rows), write(tmp_path / "ends.csv", ends)


@pytest.fixture
def trained(stays, tmp_path, capfd):
    rows, ends = stays
    roles = [*STAYS, "--static", "ward", "--labels", ends, "--labels-series", "StayID", "--label", "died"]
    assert run("classify", "train", rows, *roles, "--missing", "-1", "--out", tmp_path / "run", *SMALL) == 0
    printed = capfd.readouterr()
    assert "16 sequences of 4 to 6 steps, 1 channel" in printed.out
    assert "majority" in printed.out
    assert printed.err == f"saved in {tmp_path / 'run'}\n"
    return tmp_path / "run"


def test_a_classifier_is_judged_in_one_json_object(trained, stays, capfd):
    rows, ends = stays
    assert run("classify", "evaluate", trained, rows, "--labels", ends, "--json") == 0
    printed = capfd.readouterr()
    assert printed.out.count("\n") == 1
    found = json.loads(printed.out)
    assert found.keys() == CLASSES | {"majority"}
    assert found["majority"]["accuracy"] == 0.5
    assert run("classify", "evaluate", trained, "--json") == 0
    saved = json.loads(capfd.readouterr().out)
    assert saved.keys() == found.keys()
    assert saved["log_loss"] == load_run(trained, tensors=False).metrics["validation"]["model"]["log_loss"]


def test_beneath_the_metrics_stands_what_each_class_came_to(trained, stays, capfd):
    rows, ends = stays
    assert run("classify", "evaluate", trained, rows, "--labels", ends) == 0
    metrics, classes = capfd.readouterr().out.split("\n\n")
    assert [line.split()[0] for line in metrics.splitlines()] == ["accuracy", "LSTM", "majority"]
    assert run("classify", "predict", trained, rows) == 0
    told = pl.read_csv(capfd.readouterr().out.encode())["label"].to_numpy()
    true = np.arange(16) % 2
    header, *lines = (line.split() for line in classes.splitlines())
    assert header == ["class", "count", "precision", "recall", "F1"]
    for name, (shown, count, _, recall, _) in enumerate(lines):
        assert (shown, count) == (str(name), "8")
        assert float(recall) == pytest.approx((told[true == name] == name).mean(), abs=5e-4)
    assert run("classify", "evaluate", trained) == 0  # what training saved are the metrics alone
    assert "precision" not in capfd.readouterr().out


def test_a_number_that_means_unknown_was_read_as_such(trained):
    config = json.loads((trained / "config.json").read_text())
    settings = config.get("settings", config)
    assert settings["sequences"]["missing"] == [-1.0]
    assert settings["network"]["masked"] is True
    assert settings["scaling"]["mean"][0] == pytest.approx(75, abs=5)


def test_predictions_are_written_and_printed_alike(trained, stays, tmp_path, capfd):
    rows, _ = stays
    assert run("classify", "predict", trained, rows) == 0
    printed = capfd.readouterr().out
    assert run("classify", "predict", trained, rows, "--out", tmp_path / "told.csv") == 0
    assert (tmp_path / "told.csv").read_text() == printed
    told = pl.read_csv(printed.encode())
    assert told.columns == ["stay", "label", "probability_0", "probability_1"]
    assert told["stay"].to_list() == list(range(16))
    np.testing.assert_allclose(told["probability_0"] + told["probability_1"], 1)


def test_a_run_holds_its_pictures_and_says_what_it_is(trained, capfd):
    assert {path.name for path in (trained / "plots").iterdir()} == {
        "calibration.png",
        "confusion.png",
        "learning_curve.png",
        "roc.png",
    }
    assert run("info", trained) == 0
    assert f"{trained}: a classify run" in capfd.readouterr().out


def test_a_regressor_of_what_is_left(stays, tmp_path, capfd):
    rows, _ = stays
    out = tmp_path / "left"
    roles = [*STAYS, "--features", "pulse", "--until-end", "--largest-label", "3", "--missing", "-1"]
    assert run("regress", "train", rows, *roles, "--out", out, *SMALL) == 0
    assert "mean" in capfd.readouterr().out
    assert run("regress", "predict", out, rows) == 0
    told = pl.read_csv(capfd.readouterr().out.encode())
    assert told.columns == ["stay", "hour", "remaining"]
    assert len(told) == sum(4 + place % 3 for place in range(16))
    assert told["remaining"].max() <= 3
    assert run("regress", "evaluate", out, rows, "--json") == 0
    assert json.loads(capfd.readouterr().out).keys() == {"mae", "rmse", "mse", "r2", "mean"}
    assert run("info", out) == 0
    assert "a regress run" in capfd.readouterr().out


def test_cross_validation_prints_one_json_object_and_leaves_no_run(stays, tmp_path, capfd):
    rows, ends = stays
    roles = [*STAYS, "--features", "pulse", "--labels", ends, "--labels-series", "StayID"]
    before = sorted(tmp_path.iterdir())
    given = [*roles, "--label", "died", "--groups", "ward", "--folds", "2", *SMALL, "--json"]
    assert run("classify", "cross-validate", rows, *given) == 0
    printed = capfd.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed).keys() == CLASSES | {"majority"}
    assert sorted(tmp_path.iterdir()) == before


def refused(capfd, out, *arguments):
    """Run, and return the one line that was said."""
    capfd.readouterr()
    assert run(*arguments, "--out", out, *SMALL) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("fastlstm: ")
    assert not out.exists()
    return printed.err


def test_what_cannot_be_learnt_is_one_line_and_leaves_no_folder(stays, tmp_path, capfd):
    rows, ends = stays
    out = tmp_path / "none"
    apart = [*STAYS, "--labels", ends, "--labels-series", "StayID"]
    alike = write(tmp_path / "alike.csv", ["StayID,died", *(f"{place},1" for place in range(16))])
    fewer = write(tmp_path / "fewer.csv", ends.read_text().splitlines()[:-2])
    hole = write(tmp_path / "hole.csv", [*ends.read_text().splitlines()[:-1], "15,,3"])
    other = write(tmp_path / "other.csv", ["StayID,died", *(f"x{place},{place % 2}" for place in range(16))])

    def train(task, data, *given):
        return refused(capfd, out, task, "train", data, *given)

    def with_labels(path):
        return train(
            "classify", rows, *STAYS, "--labels", path, "--labels-series", "StayID", "--label", "died"
        )

    assert "only one class, 1: give two or more" in with_labels(alike)
    assert "has no row for 2 of 16 series" in with_labels(fewer)
    assert "the label 'died' is missing for 1 of 16 series: 15" in with_labels(hole)
    assert "do not join: none of the 16 series" in with_labels(other)
    constant = write(tmp_path / "constant.csv", ["StayID,days", *(f"{place},2.5" for place in range(16))])
    roles = [*STAYS, "--labels", constant, "--labels-series", "StayID", "--label", "days"]
    assert "column 'days' is 2.5 throughout" in train("regress", rows, *roles)
    assert "dropout is 2.0: it should be less than 1" in train(
        "classify", rows, *apart, "--label", "died", "--dropout", "2"
    )
    assert "'a' in column 'ward' (label) is not a number" in train("regress", rows, *STAYS, "--label", "ward")
    assert "missing.csv" in train("classify", tmp_path / "missing.csv", "--label", "died")


def test_flags_of_sequences_do_not_go_with_texts(tmp_path, capfd):
    table = write(
        tmp_path / "reviews.csv", ["text,label", *(f"film {place},{place % 2}" for place in range(8))]
    )
    said = refused(
        capfd, tmp_path / "none", "classify", "train", table, "--text", "text", "--series", "id", "--per-step"
    )
    assert "per_step, series are for sequences of numbers, and text for texts" in said


def test_a_class_that_training_never_saw_and_another_task_are_one_line(trained, stays, tmp_path, capfd):
    rows, ends = stays
    changed = write(
        tmp_path / "changed.csv", [line.replace("3,1,", "3,2,") for line in ends.read_text().splitlines()]
    )
    for arguments, said in (
        (
            ["classify", "evaluate", trained, rows, "--labels", changed, "--json"],
            "holds 2, which training never saw",
        ),
        (
            ["classify", "evaluate", trained, rows],
            "stood in a table of its own in training; give one as labels",
        ),
        (["regress", "predict", trained, rows], "is a run of classify, not of regress"),
    ):
        assert run(*arguments) == 2
        printed = capfd.readouterr()
        assert printed.out == ""
        assert said in printed.err
        assert printed.err.splitlines()[-1].startswith("fastlstm: ")


def test_texts_are_told_in_the_order_of_their_table(tmp_path, capfd):
    lines = [f"{'fine' if place % 2 else 'dull'} film,{place % 2}" for place in range(16)]
    table = write(tmp_path / "reviews.csv", ["review,good", *lines])
    out = tmp_path / "run"
    roles = ["--text", "review", "--label", "good", "--embedding", "4"]
    assert run("classify", "train", table, *roles, "--out", out, *SMALL) == 0
    capfd.readouterr()
    assert run("classify", "predict", out, table) == 0
    told = pl.read_csv(capfd.readouterr().out.encode())
    assert told["review"].to_list() == [line.split(",")[0] for line in lines]
    assert run("classify", "evaluate", out, table, "--json") == 0
    assert json.loads(capfd.readouterr().out)["majority"]["accuracy"] == 0.5
