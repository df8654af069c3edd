"""What is counted of detections, by hand; labels and windows, and what is wrong with them."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from fastlstm.data import read_table
from fastlstm.errors import DataError
from fastlstm.tasks.detect.baseline import rolling_z_score
from fastlstm.tasks.detect.calibration import Tail
from fastlstm.tasks.detect.evaluation import Judgement, detection_metrics
from fastlstm.tasks.detect.reading import find_channels, read_detection_table
from fastlstm.tasks.detect.scoring import Scorer
from fastlstm.tasks.detect.stretches import Stretch
from fastlstm.tasks.detect.truth import labelled, windowed
from fastlstm.training.label_metrics import area_under_roc


def read(frame, **roles):
    table = read_table(frame)
    return read_detection_table(table, find_channels(table, **roles))


def days(count, **columns):
    at = pl.datetime_range(
        pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 1) + pl.duration(hours=count - 1), "1h"
    )
    return pl.select(at=at, y=pl.arange(0.0, count)).with_columns(**columns)


def test_metrics_by_hand():
    """Two windows of 4 and 2 rows; alarms of 3 rows that cover half of the first twice over, and a false one.

    rows     0 1 2 3 4 5 6 7 8 9 10 11
    windows      a a a a     b b
    alarms   x   x   x x x         x
    """
    flags = np.array([1, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0], bool)
    rows = np.arange(12)
    windows = [Stretch(0, 2, 6), Stretch(0, 8, 10)]
    found = detection_metrics(Judgement(flags * 1.0, flags), windows, rows * 0, rows, 24, 24.0)
    assert found["precision"] == pytest.approx(3 / 6)
    assert found["recall"] == pytest.approx(3 / 6)
    assert found["f1"] == pytest.approx(0.5)
    # Alarms: {0}, {2}, {4, 5, 6}, {10} lie 0, 1, 2/3 and 0 in one window each.
    assert found["range_precision"] == pytest.approx((0 + 1 + 2 / 3 + 0) / 4)
    # Of a, 3 of 4 rows in two pieces: 0.5 + 0.5 · 3/4 / 2; of b nothing.
    assert found["range_recall"] == pytest.approx((0.5 + 0.5 * 3 / 8) / 2)
    assert found["delay"] == 0
    assert found["false_alarms_per_day"] == 2.0  # in 24 steps of which a day has 24
    assert (found["windows_found"], found["windows"]) == (1, 2)


def test_delay_counts_steps_and_not_rows():
    flags = np.array([0, 0, 1, 0], bool)
    places = np.array([0, 1, 7, 8])
    found = detection_metrics(Judgement(flags * 1.0, flags), [Stretch(0, 1, 4)], places * 0, places, 9, None)
    assert found["delay"] == 6
    assert found["false_alarms_per_1000_rows"] == 0


def test_alarms_end_where_a_series_does():
    flags, codes = np.ones(4, bool), np.array([0, 0, 1, 1])
    found = detection_metrics(Judgement(flags * 1.0, flags), [Stretch(0, 0, 2)], codes, np.arange(4), 4, None)
    assert found["false_alarms_per_1000_rows"] == pytest.approx(250)
    assert found["range_precision"] == pytest.approx(0.5)


def test_area_under_roc_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    truth = generator.random(300) < 0.2
    score = np.round(truth + generator.normal(0, 1, 300), 1)  # with ties
    assert area_under_roc(score, truth) == pytest.approx(roc_auc_score(truth, score))
    holed = np.where(generator.random(300) < 0.1, np.nan, score)
    known = ~np.isnan(holed)
    assert area_under_roc(holed, truth) == pytest.approx(roc_auc_score(truth[known], holed[known]))
    assert np.isnan(area_under_roc(score, np.zeros(300, bool)))


def test_rolling_z_score_is_that_of_a_loop():
    generator = np.random.default_rng(0)
    values = generator.normal(1e4, 2.0, (60, 2))
    values[generator.random((60, 2)) < 0.1] = np.nan
    found = rolling_z_score(values, 15)
    for channel in range(2):
        for step in range(60):
            before = values[max(step - 15, 0) : step, channel]
            before = before[~np.isnan(before)]
            if len(before) < 10 or np.isnan(values[step, channel]):
                assert np.isnan(found[step, channel])
            else:
                expected = abs(values[step, channel] - before.mean()) / before.std()
                assert found[step, channel] == pytest.approx(expected, rel=1e-6)


def test_a_tail_counts_what_lies_apart_once():
    """A hundred excursions of ten rows each are a hundred alarms, not a thousand."""
    evidence = np.random.default_rng(0).random(100_000)
    heights = 2 + np.arange(100) / 100
    for place, height in enumerate(heights):
        evidence[500 + 900 * place : 510 + 900 * place] = height
    tail = Tail.fit(evidence, hold=20, alarms=10)
    assert tail(heights[::-1][[9, 19, 49]]) == pytest.approx(
        -np.log10(np.array([10, 20, 50]) / 100_000), abs=0.01
    )  # not every height is tried as a threshold


def test_a_tail_is_not_moved_by_anomalies():
    """Five anomalies as high as one likes: they score higher than what is allowed, and the others as before."""
    clean = np.random.default_rng(0).exponential(size=20_000)
    struck = clean.copy()
    struck[1000:20_000:4000] = 1e6
    tails = [Tail.fit(evidence, hold=10, alarms=2) for evidence in (clean, struck)]
    assert tails[1](np.array(1e6)) > 100
    usual = np.quantile(clean, [0.5, 0.9, 0.99, 0.999])
    np.testing.assert_allclose(tails[1](usual), tails[0](usual), atol=0.2)


def test_alarms_are_held():
    tail = Tail(levels=[0.0], scores=[0.0], slope=1.0)
    scorer = Scorer(rates=[0.1], hold=2, threshold=3.0, evidence=[[tail]], channels=[tail])
    score = np.array([0, 3, 0, np.nan, 0, 5, 0.0])
    flags, since = scorer.alarms(score, np.arange(7), 100)
    assert flags.tolist() == [False, True, True, True, False, True, True]
    # The next row is the second after the last alarm, the one after it the third.
    assert scorer.alarms(np.zeros(2), np.arange(2), since)[0].tolist() == [True, False]
    # Steps without a row count too.
    assert scorer.alarms(np.array([4.0, 0.0]), np.array([0, 3]), 100)[0].tolist() == [True, False]


def test_labels_are_runs_of_ones():
    table = read(days(6, label=pl.Series([0, 1, 1, 0, 0, 1])), target="y")
    assert [run[1:] for run in labelled(table, "label")] == [(1, 3), (5, 6)]
    backwards = read(days(6, label=pl.Series([0, 1, 1, 0, 0, 0])).reverse(), target="y")
    assert [run[1:] for run in labelled(backwards, "label")] == [(1, 3)]
    told = read(days(3, label=pl.Series(["True", "false", "FALSE"])), target="y")
    assert [run[1:] for run in labelled(told, "label")] == [(0, 1)]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 2, 1], "row 1: column 'label' .label. is 2: give 1 where the row is anomalous"),
        ([0, None, 1], "row 1: column 'label' .label. is empty"),
        (["no", "yes", "no"], "is not a number"),
        ([0, 0, 0], "has no 1: there is nothing to find"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(DataError, match=message):
        labelled(read(days(3, label=pl.Series(labels)), target="y"), "label")


@pytest.mark.parametrize(
    "windows",
    [
        [["2024-01-01 02:00", "2024-01-01 03:00"]],
        [{"start": "2024-01-01T02:00:00", "end": "2024-01-01T03:30:00"}],
        {"table.csv": [["2024-01-01 02:00:00.000", "2024-01-01 03:00:00.000"]], "other.csv": []},
        {"folder/table.csv": [["2024-01-01 02:00", "2024-01-01 03:00"]], "other.csv": []},
        {"anything": [["2024-01-01 01:30", "2024-01-01 03:59"]]},
    ],
)
def test_windows_of_every_form(tmp_path, windows):
    days(6).write_csv(tmp_path / "table.csv")
    table = read(tmp_path / "table.csv", target="y")
    (tmp_path / "windows.json").write_text(json.dumps(windows))
    found, outside = windowed(table, tmp_path / "windows.json")
    assert [run[1:] for run in found] == [(2, 4)]
    assert outside == 0
    assert windowed(table, windows) == (found, outside)


def test_windows_in_a_table_and_of_series(tmp_path):
    both = pl.concat([days(5).with_columns(site=pl.lit(site)) for site in ("a", "b")])
    table = read(both, target="y", series="site")
    windows = pl.DataFrame({"site": ["b"], "start": ["2024-01-01 01:00"], "end": ["2024-01-01 02:00"]})
    windows.write_csv(tmp_path / "windows.csv")
    for given in (windows, tmp_path / "windows.csv", {"b": [["2024-01-01 01:00", "2024-01-01 02:00"]]}):
        assert windowed(table, given)[0] == [Stretch(1, 6, 8)]
    everywhere = windowed(table, [["2024-01-01 01:00", "2024-01-01 02:00"]])[0]
    assert everywhere == [Stretch(0, 1, 3), Stretch(1, 6, 8)]
    # A last day is meant as a whole.
    assert windowed(table, [["2024-01-01", "2024-01-01"]])[0][0] == Stretch(0, 0, 5)
    counted = read(pl.DataFrame({"y": np.arange(9.0)}))
    assert windowed(counted, [[3, 5]])[0] == [Stretch(0, 3, 6)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "windows.json is not JSON"),
        ("[]", "holds no window: give a JSON list"),
        ('[["2024-01-01 02:00"]]', "is no window of a start and an end"),
        ('"soon"', "is no list of windows"),
        ('[["soon", "later"]]', "windows.json.*soon"),
        ('[["2024-01-01 03:00", "2024-01-01 02:00"]]', "ends before it starts; swap the two"),
        (
            '[["2025-01-01 03:00", "2025-01-02 02:00"]]',
            "no window holds a row of the frame, whose rows lie from",
        ),
        ('{"a.csv": [], "b.csv": []}', "has windows of a.csv, b.csv, none of the frame"),
        ("[[1, 2]]", "windows.json: .*holds integers, that of the training data timestamps"),
        ('[["2024-01-01 02:00", 5]]', "some times are text and some are numbers"),
    ],
)
def test_bad_windows(tmp_path, content, message):
    path = tmp_path / "windows.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        windowed(read(days(6), target="y"), path)


def test_windows_that_hold_no_row_are_counted():
    windows = [["2024-01-01 02:00", "2024-01-01 03:00"], ["2025-01-01", "2025-01-02"]]
    found, outside = windowed(
        read(days(6), target="y"), [[*windows[0]], ["2025-01-01 00:00", "2025-01-02 00:00"]]
    )
    assert (len(found), outside) == (1, 1)
    with pytest.raises(DataError, match="no such file"):
        windowed(read(days(6), target="y"), "nowhere.json")


def test_windows_that_lack_something_are_told_as_they_stand(tmp_path):
    table = read(days(6), target="y")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(DataError, match=r"folder\.json is a folder: give a file in it"):
        windowed(table, tmp_path / "folder.json")
    (tmp_path / "windows.csv").write_text("start,end\n2024-01-01 01:00,\n")
    with pytest.raises(DataError, match=r"windows\.csv, line 2: column 'end' is empty"):
        windowed(table, tmp_path / "windows.csv")
    counted = read(pl.DataFrame({"y": np.arange(9.0)}))
    with pytest.raises(DataError, match=r"windows: 4\.5 is no row; without times count the rows from 0"):
        windowed(counted, [[3.0, 4.5]])


def test_windows_of_series_whose_names_are_numbers():
    both = pl.concat([days(5).with_columns(site=pl.lit(site)) for site in (1, 2)])
    found, _ = windowed(
        read(both, target="y", series="site"), {2: [["2024-01-01 01:00", "2024-01-01 02:00"]]}
    )
    assert found == [Stretch(1, 6, 8)]


def test_windows_that_share_rows_are_one():
    table = pl.DataFrame({"at": range(20), "y": [float(place % 3) for place in range(20)]})
    read = read_detection_table(table, find_channels(read_table(table), time="at"))
    found, outside = windowed(read, [(3, 6), (3, 6), (5, 8), (9, 10)])
    assert (found, outside) == ([Stretch(0, 3, 9), Stretch(0, 9, 11)], 0)
