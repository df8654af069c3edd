import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlstm.data.series.reading import read_series
from fastlstm.data.series.schema import Columns
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.windows import (
    CovariateScaling,
    Windows,
    rolling_windows,
    training_windows,
    with_horizon,
)

C, L = 5, 3
LENGTHS = (3, 12, 9)


def table(seed: int = 0) -> SeriesSet:
    """Three series, one shorter than the context, with a fifth of the targets missing."""
    generator = np.random.default_rng(seed)
    frames = []
    for name, length in zip("abc", LENGTHS, strict=True):
        target = [
            float(value) if generator.random() > 0.2 else None for value in generator.normal(size=length)
        ]
        target[0] = target[-1] = 1.0
        frames.append(
            pl.DataFrame(
                {
                    "unique_id": [name] * length,
                    "ds": range(length),
                    "y": target,
                    "seen": generator.normal(size=length),
                    "known": generator.normal(size=length),
                    "sky": generator.choice(["clear", "rain"], length),
                    "size": [float(length)] * length,
                }
            )
        )
    columns = Columns(
        target=("y",),
        time="ds",
        series="unique_id",
        past_covariates=("seen", "sky"),
        future_covariates=("known",),
        static_covariates=("size",),
    )
    return read_series(pl.concat(frames), columns)


@pytest.mark.parametrize("device", ["cpu"])
def test_a_window_is_the_rows_around_its_origin(device: str) -> None:
    series = table()
    ends = series.lengths - 1
    scaling = CovariateScaling.fit(series, ends)
    windows = Windows(series, scaling, context=C, horizon=L, ends=ends, device=device)
    known = scaling.future.transform(series.future)
    origins = [
        (code, row) for code in range(3) for row in range(series.offsets[code], series.offsets[code + 1])
    ]
    codes, rows = (torch.tensor(part) for part in zip(*origins, strict=True))
    batch = windows.gather(codes, rows)
    for window, (code, origin) in enumerate(origins):
        for step, row in enumerate(range(origin - C, origin + L)):
            inside = series.offsets[code] <= row < series.offsets[code] + ends[code]
            value = series.target[row, 0] if inside else np.nan
            assert batch.observed[window, step] == (not np.isnan(value))
            assert batch.target[window, step] == (0 if np.isnan(value) else value)
            assert batch.future[window, step].tolist() == (known[row].tolist() if inside else [0, 0])
            expected = series.past_categories[row, 0] if inside else 0
            assert batch.past_categories[window, step, 0] == expected
    assert batch.static.shape == (len(origins), 2)
    assert batch.series.tolist() == codes.tolist()


def test_the_row_one_lag_before_stands_beside_each() -> None:
    series = table()
    scaling = CovariateScaling.fit(series, series.lengths)
    windows = Windows(series, scaling, context=C, horizon=L, lag=4)
    batch = windows.gather(torch.tensor([1]), torch.tensor([series.offsets[1] + 6]))
    position = np.arange(6 - C, 6 + L) - 4
    rows = np.maximum(series.offsets[1] + position, 0)
    known = (position >= 0) & ~np.isnan(series.target[rows, 0])
    assert batch.lagged_observed[0].tolist() == known.tolist()
    assert batch.lagged[0].tolist() == np.where(known, series.target[rows, 0], 0).tolist()


def test_scalers_learn_from_training_rows_alone() -> None:
    series = table()
    ends = series.lengths - 2
    before = CovariateScaling.fit(series, ends)
    for code in range(3):
        series.past[series.offsets[code] + ends[code] : series.offsets[code + 1]] = 1e6
        series.future[series.offsets[code] + ends[code] : series.offsets[code + 1]] = 1e6
    assert CovariateScaling.fit(series, ends) == before


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 4), st.integers(0, 3))
def test_training_windows_are_those_with_something_on_both_sides(
    seed: int, context: int, horizon: int, held: int
) -> None:
    series = table(seed)
    ends = np.maximum(series.lengths - held, 0)
    expected = []
    for code in range(3):
        first = series.offsets[code]
        target = series.target[first : first + ends[code], 0]
        for origin in range(ends[code]):
            behind = target[max(0, origin - context) : origin]
            ahead = target[origin : origin + horizon]
            if (~np.isnan(behind)).any() and (~np.isnan(ahead)).any():
                expected.append((code, first + origin))
    found = training_windows(series, ends, context, horizon)
    assert list(zip(found.series.tolist(), found.origins.tolist(), strict=True)) == expected


def test_rolling_windows_count_back_from_the_end_and_skip_short_series() -> None:
    series = table()
    index = rolling_windows(series, first=np.full(3, 4), last=series.lengths - L, stride=L)
    assert index.series.tolist() == [1, 1, 2]
    assert (index.origins - series.offsets[index.series]).tolist() == [6, 9, 6]


def test_with_horizon_keeps_the_known_future_and_marks_the_rest_missing() -> None:
    frame = pl.DataFrame(
        {"ds": range(5), "y": [1.0, 2.0, 3.0, None, None], "known": [1.0, 2.0, 3.0, 4.0, 5.0]}
    )
    series = read_series(frame, Columns(target=("y",), time="ds", future_covariates=("known",)))
    longer, shorter = with_horizon(series, 3), with_horizon(series, 1)
    assert (longer.lengths.tolist(), shorter.lengths.tolist()) == ([6], [4])
    np.testing.assert_array_equal(longer.future[:, 0], [1, 2, 3, 4, 5, np.nan])
    np.testing.assert_array_equal(shorter.future[:, 0], [1, 2, 3, 4])
    assert np.isnan(longer.target[3:]).all()


def test_a_batch_splits_into_batches_of_its_windows() -> None:
    series = table()
    windows = Windows(series, CovariateScaling.fit(series, series.lengths), context=C, horizon=L, lag=4)
    codes, rows = torch.tensor([1, 1, 2, 0, 2]), torch.tensor(series.offsets[[1, 1, 2, 0, 2]] + 2)
    parts = windows.gather(codes, rows).split(2)
    expected = [windows.gather(codes[cut], rows[cut]) for cut in (slice(0, 2), slice(2, 4), slice(4, 5))]
    for part, wanted in zip(parts, expected, strict=True):
        assert all(map(torch.equal, part, wanted))
