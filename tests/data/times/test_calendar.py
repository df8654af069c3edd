"""Calendar features against pandas' calendar."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

from fastlstm.data.times.calendar import CYCLES, calendar_cycles, calendar_features, calendar_of
from fastlstm.data.times.frequency import DAY, Frequency

STAMPS = pd.date_range("2023-12-28 05:00", periods=24 * 500, freq="h")
TICKS = STAMPS.to_numpy().astype("M8[us]").astype(np.int64)


@pytest.mark.parametrize(
    ("cycle", "phase"),
    [
        ("day", STAMPS.hour / 24),
        ("week", STAMPS.day_of_week / 7),
        ("month", (STAMPS.day - 1) / STAMPS.days_in_month),
        ("year", (STAMPS.day_of_year - 1) / np.where(STAMPS.is_leap_year, 366, 365)),
    ],
)
def test_the_phase_is_the_calendars(cycle, phase):
    expected = np.stack([np.sin(2 * np.pi * phase), np.cos(2 * np.pi * phase)], axis=1)
    # Sines of float64 phases, rounded to float32.
    np.testing.assert_allclose(calendar_features(TICKS, [cycle])[:, :2], expected, atol=1e-6)


def test_three_harmonics_tell_weekdays_apart_linearly():
    week = calendar_features(TICKS[::24][:7], ["week"])
    with_constant = np.hstack([week, np.ones((7, 1))])
    assert np.linalg.matrix_rank(with_constant) == 7


@pytest.mark.parametrize(
    ("frequency", "years", "cycles"),
    [
        ("15min", 0.2, ("hour", "day", "week")),
        ("1h", 3, ("day", "week", "year", "place in year")),
        ("1d", 3, ("week", "month", "year", "place in year")),
        ("1b", 3, ("week", "month", "year")),
        ("1w", 3, ("year",)),
        ("1mo", 3, ("year",)),
        ("1mo", 0.9, ()),
        ("1y", 30, ()),
        ("1", 30, ()),
    ],
)
def test_only_what_the_frequency_makes_meaningful(frequency, years, cycles):
    assert calendar_cycles(Frequency.parse(frequency), int(years * 365 * DAY)) == cycles


def test_the_place_in_the_year_is_told_in_weeks() -> None:
    days = np.array(["2023-01-01", "2023-07-02T12:00", "2023-12-31"], "M8[us]").astype(np.int64)
    place = calendar_features(days, ["week", "place in year"])[:, -1]
    np.testing.assert_allclose(place, [0, 52 * 182 / 365, 52 * 364 / 365], rtol=1e-6)


def test_the_calendar_is_numpys():
    """Over centuries, before 1970 too, and through those whose last year is no leap year."""
    ticks = np.arange("1599-12-25", "2405-01-05", np.timedelta64(7, "h"), "M8[h]").astype("M8[us]")
    found = calendar_features(ticks.astype(np.int64), list(CYCLES))
    days = ticks.astype("M8[D]")
    column = 2 * (CYCLES["hour"] + CYCLES["day"] + CYCLES["week"])
    for unit, harmonics in (("M8[M]", CYCLES["month"]), ("M8[Y]", CYCLES["year"])):
        start = ticks.astype(unit)
        length = (start + 1).astype("M8[D]") - start.astype("M8[D]")
        angle = 2 * np.pi * ((days - start.astype("M8[D]")) / length)
        np.testing.assert_allclose(found[:, column], np.sin(angle), atol=1e-6)
        np.testing.assert_allclose(found[:, column + 1], np.cos(angle), atol=1e-6)
        column += 2 * harmonics


@pytest.mark.filterwarnings("ignore")  # what the exporter warns of in itself
def test_the_calendar_is_the_same_in_a_graph():
    """To the microsecond: whole numbers of that size are not floats in between."""

    class Calendar(torch.nn.Module):
        def forward(self, ticks):
            return calendar_of(ticks, tuple(CYCLES))

    program = torch.onnx.export(
        Calendar(),
        (torch.zeros(3, dtype=torch.int64),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n")},),
        verbose=False,
    )
    midnights = DAY * np.arange(-40_000, 40_000)
    ticks = np.concatenate([midnights - 1, midnights, midnights + 1, midnights + 12_345_678_901])
    (found,) = onnxruntime.InferenceSession(program.model_proto.SerializeToString()).run(
        None, {"ticks": ticks}
    )
    np.testing.assert_allclose(found, calendar_features(ticks, list(CYCLES)), rtol=0, atol=1e-12)
