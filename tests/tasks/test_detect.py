"""The detector from a table to scores: what it finds, what it reads, what it keeps."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone

import fastlstm
from fastlstm.errors import DataError, InputError, RunError
from fastlstm.tasks.detect import Detector
from fastlstm.tasks.detect.learning import DetectorLearning
from tests.tasks.conftest import interrupt_at

START = np.datetime64("2024-01-01", "us")
MINUTES = np.timedelta64(5, "m")
SPIKE, SHIFT = 1200, slice(1700, 1780)


def signal(rows=2000, *, seed=0, start=START):
    """Two machines' readings: a day's swing with noise; they have nothing to do with each other."""
    generator = np.random.default_rng(seed)
    steps = np.arange(rows)
    return pl.DataFrame(
        {
            "at": start + steps * MINUTES,
            "heat": 50 + 5 * np.sin(2 * np.pi * steps / 288) + generator.normal(0, 0.5, rows),
            "load": 10 + generator.normal(0, 1, rows),
        }
    )


def with_anomalies(frame):
    heat = frame["heat"].to_numpy().copy()
    heat[SPIKE] += 15
    heat[SHIFT] += 8
    return frame.with_columns(heat=heat)


def quick(**parameters):
    return Detector(**({"max_steps": 150, "hidden_size": 16, "progress": False} | parameters))


@pytest.fixture(scope="module")
def table():
    return with_anomalies(signal())


@pytest.fixture(scope="module")
def fitted(table):
    """Of one channel; tests leave it as it is."""
    return quick(max_steps=300).fit(table, target="heat")


@pytest.fixture(scope="module")
def rebuilt(table):
    """Of both channels, by what cannot be put together again."""
    return quick(max_steps=300, method="reconstruction").fit(table)


@pytest.fixture(scope="module")
def both(table):
    """Of both channels."""
    return quick(max_steps=300).fit(table)


def test_what_was_put_in_is_found(fitted):
    found = fitted.predict()
    score, anomaly = found["score"].to_numpy(), found["anomaly"].to_numpy()
    assert int(np.argmax(score)) in {SPIKE, *range(SHIFT.start, SHIFT.stop)}
    assert score[SPIKE] > fitted.threshold_
    assert anomaly[SPIKE] == 1
    assert anomaly[SHIFT.start : SHIFT.start + 12].any()
    assert (anomaly == 1).mean() < 0.2


def test_of_several_channels_the_one_that_errs_is_told(both):
    found = both.predict()
    assert found.columns == ["at", "heat", "load", "score", "anomaly", "heat_score", "load_score"]
    row = found.row(SPIKE, named=True)
    assert row["anomaly"] == 1
    assert row["heat_score"] > both.threshold_ > row["load_score"]


def test_what_cannot_be_put_together_again_is_found(tmp_path, rebuilt, table):
    found = rebuilt.predict()
    shift = found["heat_score"][SHIFT.start : SHIFT.start + 24].to_numpy()
    assert found["heat_score"][SPIKE] > rebuilt.threshold_ > found["load_score"][SPIKE]
    assert shift.max() > rebuilt.threshold_
    assert (found["anomaly"] == 1).mean() < 0.2
    errors = rebuilt.report_.errors
    assert errors["model"] < 0.8 * errors["usual_value"]
    assert "reconstructed value, on stretches held out" in str(rebuilt.report_)
    rebuilt.save(tmp_path / "run")
    loaded = fastlstm.load(tmp_path / "run")
    assert loaded.predict(table).equals(found)
    later = signal(200, seed=5, start=START + 2000 * MINUTES)
    assert loaded.predict(later).equals(rebuilt.predict(later))


@pytest.mark.parametrize("kind", ["polars", "pandas"])
def test_what_became_of_each_known_anomaly_is_told_by_series(table, kind):
    later = signal(400, seed=1).with_columns(machine=pl.lit("b"))
    both = pl.concat([table.with_columns(machine=pl.lit("a")), later])
    spike, quiet = table["at"][SPIKE], later["at"][40]
    known = pl.when(pl.col("machine") == "a").then(pl.col("at") == spike).otherwise(pl.col("at") == quiet)
    both = both.with_columns(known=known.cast(int))
    detector = quick(max_steps=300).fit(both.drop("known"), target="heat", series="machine")
    judged = detector.evaluate(both.to_pandas() if kind == "pandas" else both, label="known")
    found = judged.by_window()
    assert type(found).__module__.partition(".")[0] == kind
    found = found if kind == "polars" else pl.from_pandas(found)
    assert found["machine"].to_list() == ["a", "b"]
    assert found["start"].to_list() == found["end"].to_list() == [spike, quiet]
    assert found["found_by_model"].to_list() == [spike, None]
    assert {found.schema[name] for name in found.columns[1:]} == {found.schema["start"]}


def test_an_alarm_is_one_run_of_rows(fitted):
    """From a score above the threshold until ``hold`` rows after the last."""
    found = fitted.predict()
    above = np.flatnonzero(found["score"].to_numpy() >= fitted.threshold_)
    hold = 3 * fitted.window
    expected = np.zeros(len(found), int)
    for row in above:
        expected[row : row + hold + 1] = 1
    assert above.size
    assert found["anomaly"].to_list() == expected.tolist()


def test_false_alarms_on_noise_are_about_as_many_as_are_allowed():
    """Two in 1,000 rows, on noise that was not fitted: twelve in 6,000, give or take their own chance and the fit's."""
    frame, fresh = (pl.DataFrame({"y": np.random.default_rng(seed).normal(size=6000)}) for seed in (3, 4))
    flags = quick(false_alarms=2.0).fit(frame).predict(fresh)["anomaly"].to_numpy()
    alarms = int((np.diff(flags, prepend=0) == 1).sum())
    assert 12 / 3 <= alarms <= 12 * 3


def test_the_target_rate_moves_the_threshold(table):
    few, many = (quick(false_alarms=rate).fit(table, target="heat") for rate in (0.05, 2.0))
    assert few.threshold_ == pytest.approx(np.log10(288 / 0.05))
    assert many.threshold_ == pytest.approx(np.log10(288 / 2.0))
    assert few.predict()["anomaly"].sum() < many.predict()["anomaly"].sum()


def test_the_same_seed_gives_the_same_scores(table, fitted):
    again = quick(max_steps=300).fit(table, target="heat")
    assert again.predict().equals(fitted.predict())
    assert clone(again).get_params() == again.get_params()


def test_a_saved_run_says_the_same(tmp_path, both, table):
    both.save(tmp_path / "run")
    loaded = fastlstm.load(tmp_path / "run")
    assert loaded.predict(table).equals(both.predict(table))
    later = signal(200, seed=5, start=START + 2000 * MINUTES)
    assert loaded.predict(later).equals(both.predict(later))
    assert {path.name for path in (tmp_path / "run" / "plots").iterdir()} == {
        "learning_curve.png",
        "scores.png",
    }
    loaded.save(tmp_path / "again")
    assert fastlstm.load(tmp_path / "again").predict(table).equals(both.predict(table))
    with pytest.raises(InputError, match="a loaded run does not hold its data"):
        loaded.predict()
    with pytest.raises(RunError, match="is a run of the task 'detect'"):
        fastlstm.Forecaster.load(tmp_path / "run")


def test_rows_that_come_later_go_on_from_the_end(table):
    """The last part judged by itself after the first was fitted is what it is in one table of both."""
    detector = quick(max_steps=60).fit(table[:1600], target="heat")
    begun = detector.predict(table[1600:])
    assert detector.notes_ == []
    whole = detector.predict(table)
    assert detector.notes_ == [
        "the series begins anew: its first rows are judged by little, as none before them are known"
    ]
    np.testing.assert_allclose(begun["score"], whole["score"][1600:], rtol=1e-4, atol=1e-4)
    assert begun["anomaly"].to_list() == whole["anomaly"][1600:].to_list()


def test_rows_in_any_order_and_of_any_kind(tmp_path, fitted, table):
    """Rows keep their order, a frame its kind, a file its columns' names."""
    expected = fitted.predict(table)
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=1)
    found = fitted.predict(shuffled)
    assert found["at"].to_list() == shuffled["at"].to_list()
    assert found.sort("at").equals(expected)
    pandas = fitted.predict(table.to_pandas())
    assert pandas["score"].to_list() == expected["score"].to_list()
    table.write_csv(tmp_path / "table.csv")
    file = fitted.predict(tmp_path / "table.csv")
    np.testing.assert_allclose(file["score"], expected["score"], rtol=1e-5)


def test_what_is_missing_is_masked(table):
    """Gaps and empty cells have no score, and move no other row's by filling in."""
    heat = table["heat"].to_numpy().copy()
    heat[500:505] = np.nan
    holed = table.with_columns(heat=pl.Series(heat, nan_to_null=True))
    detector = quick(max_steps=60).fit(holed, target="heat")
    with_cells = detector.predict(holed)
    assert with_cells["score"][500:505].null_count() == 5
    assert with_cells["score"].null_count() == 5
    without_rows = detector.predict(pl.concat([holed[:500], holed[505:]]))
    np.testing.assert_allclose(without_rows["score"], with_cells["score"].drop_nulls(), rtol=1e-5, atol=1e-6)
    assert detector.report_.data.empty == {"heat": 5}


def test_a_batch_in_which_the_sensor_is_silent_is_no_mistake(table):
    """It has no scores, which is said, and rows with values beside it are judged as they were."""
    detector = quick(max_steps=20).fit(table[:1600], target="heat")
    silent = table[1600:1610].with_columns(heat=pl.lit(None, pl.Float64))
    found = detector.predict(silent)
    assert found["score"].null_count() == 10
    assert detector.notes_ == ["rows without a value of heat, which have no score: 10 of 10"]
    with pytest.raises(DataError, match="all cells of heat are empty; give some values"):
        quick(max_steps=20).fit(silent, target="heat")


def test_several_rows_at_one_step_are_all_judged(fitted, table):
    """The second is judged by what was expected of the step, and the rest are as if it were not there."""
    twin = table[1000:1001].with_columns(heat=pl.lit(90.0))
    found = fitted.predict(pl.concat([table[:1001], twin, table[1001:]]))
    assert any("1 row shares a time step with an earlier one" in note for note in fitted.notes_)
    expected = fitted.predict(table)
    assert found["score"][1001] > fitted.threshold_
    rest = pl.concat([found[:1001], found[1002:]])
    assert rest["score"].to_list() == expected["score"].to_list()
    again = quick(max_steps=20).fit(pl.concat([table[:1001], twin, table[1001:]]), target="heat")
    assert "1 row shares a time step with an earlier one: all are scored" in str(again.report_)


def test_series_have_scales_of_their_own(table):
    """What is usual of one would be an alarm of the other."""
    small = table.select("at", heat=pl.col("heat") / 100, machine=pl.lit("small"))
    large = table.select("at", heat=pl.col("heat"), machine=pl.lit("large"))
    detector = quick().fit(pl.concat([small, large]), series="machine")
    found = detector.predict()
    assert found.columns == ["machine", "at", "heat", "score", "anomaly"]
    scores = [found.filter(machine=name)["score"].to_numpy() for name in ("small", "large")]
    # But for rounding, which decides the order of peaks that are alike.
    np.testing.assert_allclose(scores[0], scores[1], rtol=0.05, atol=0.01)
    detector.predict(large.with_columns(machine=pl.lit("new")))
    assert "series not seen in fit, scored on the pooled scale of all series: new" in detector.notes_


def test_covariates_are_read_and_not_judged(table):
    plan = (np.arange(2000) // 50 % 2).astype(float)
    told = table.with_columns(plan=plan, heat=pl.col("load") + 20 * plan, sky=pl.Series(["a", "b"] * 1000))
    with_plan = quick(max_steps=300).fit(
        told, target="heat", future_covariates=["plan"], past_covariates=["load", "sky"]
    )
    without = quick(max_steps=300).fit(told, target="heat")
    assert with_plan.predict().columns == ["at", "heat", "score", "anomaly"]
    errors = [detector.report_.errors["model"] for detector in (with_plan, without)]
    assert errors[0] < 0.8 * errors[1]


def test_a_constant_column_is_left_out_and_told(table):
    detector = quick(max_steps=20).fit(table.with_columns(still=pl.lit(1.0)))
    assert detector.schema_.columns.target == ("heat", "load")
    assert "1 constant and left out: 'still'" in str(detector.report_)


@pytest.mark.parametrize(
    ("changed", "arguments", "message"),
    [
        (lambda frame: frame.with_columns(heat=pl.lit(3.0)), {"target": "heat"}, "'heat' is 3 throughout"),
        (lambda frame: frame.select("at", heat=pl.lit(3.0)), {}, "'heat' is constant or empty throughout"),
        (lambda frame: frame[:99], {}, "the frame has 99 rows with a value, too few .*: give at least 100"),
        (lambda frame: frame, {"target": ["heat", "heat"]}, "target names 'heat' twice"),
        (lambda frame: frame, {"target": ["heat", "hat"]}, "no column 'hat' .target.: did you mean 'heat'"),
        (lambda frame: frame.select("at", pl.col("heat").cast(str) + "x"), {}, "no column of numbers"),
        (
            lambda frame: frame.rename({"heat": "score"}),
            {},
            "column 'score' is called as one that predict adds",
        ),
        (
            lambda frame: frame,
            {"target": ["load", "heat"], "past_covariates": ["heat"]},
            "column 'heat' is given as target and in another role",
        ),
    ],
)
def test_bad_tables(table, changed, arguments, message):
    with pytest.raises(DataError, match=message):
        quick().fit(changed(table), **arguments)


def test_bad_arguments(table, fitted):
    with pytest.raises(InputError, match="window is 1: it should be greater than or equal to 2"):
        quick(window=1).fit(table)
    with pytest.raises(InputError, match=r"false_alarms is 40 a day, one in 7\.2 rows: give less than 28\.8"):
        quick(false_alarms=40.0).fit(table)
    with pytest.raises(InputError, match="neither label nor windows is given"):
        fitted.evaluate(table)


def test_rows_that_come_later_are_not_judged_by_how_well_others_were_learnt():
    """A network is less surprised by what it has learnt from: calibrated on that alone it raises more alarms later."""
    noise = pl.DataFrame({"value": np.random.default_rng(0).normal(size=12_000)}).with_columns(
        time=pl.datetime_range(START, START + timedelta(minutes=5 * 11_999), "5m", eager=True)
    )
    detector = Detector(hidden_size=64, max_steps=300, patience=300, progress=False, seed=0)
    detector.fit(noise[:2000], target="value", time="time")
    detection = detector.detection_
    alarms = {}
    for kind, scorer in {"unlearnt": detection.scorer, "learnt": detection.learnt_scorer}.items():
        detector.detection_ = replace(detection, scorer=scorer)
        anomalous = detector.predict(noise[2000:])["anomaly"].to_numpy()
        alarms[kind] = int((np.diff(anomalous, prepend=0) == 1).sum())
    assert alarms["unlearnt"] < alarms["learnt"]
    learnt = detector.predict(noise[:2000])["score"]
    detector.detection_ = detection
    np.testing.assert_array_equal(detector.predict(noise[:2000])["score"], learnt)


def test_a_number_that_means_unknown_is_not_judged():
    values = [float(step % 7) for step in range(300)]
    values[250] = -999.0
    table = pl.DataFrame({"y": values})
    detector = quick().fit(table, target="y", missing=[-999])
    scores = detector.predict(table)
    assert scores["score"][250] is None
    blank = table.with_columns(pl.col("y").replace(-999.0, None))
    assert scores.drop("y").equals(detector.predict(blank).drop("y"))
    stream = detector.stream()
    streamed = [stream.score({"y": value}) for value in values[:260]]
    assert np.isnan(streamed[250].score)


def test_an_interrupt_while_the_score_is_calibrated_keeps_what_was_learnt(monkeypatch):
    """The networks by which it is calibrated learn last: one that has hardly begun is surprised by all."""
    interrupt_at(monkeypatch, DetectorLearning, 25)
    detector = quick(max_steps=20).fit(signal(400))
    assert detector.interrupted_
    assert detector.detection_.scorer == detector.detection_.learnt_scorer
    assert "interrupted; the best weights so far were kept" in str(detector.report_)
