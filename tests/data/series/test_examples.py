"""The example tables are what their attribution says they are."""

from pathlib import Path

import numpy as np
import pytest

from fastlstm.data import Columns, add_future, read_series

EXAMPLES = Path(__file__).parents[3] / "examples"
COVARIATES = ("temperature", "feels_like", "humidity", "wind_speed", "weather", "holiday", "working_day")


@pytest.fixture(scope="module")
def rentals():
    columns = Columns(target=("rentals",), time="time", future_covariates=COVARIATES)
    return read_series(EXAMPLES / "bike_rentals.csv", columns)


def test_two_years_of_hours_less_165(rentals):
    assert (rentals.report.rows, rentals.report.gaps, dict(rentals.report.empty)) == (17_379, 165, {})
    assert rentals.lengths.tolist() == [(365 + 366) * 24]
    assert rentals.schema.frequency == "1h"
    # The sum of the source's cnt column, as its authors publish it for the two years.
    assert np.nansum(rentals.target.astype(np.float64)) == 3_292_679


def test_weather_is_in_real_units(rentals):
    lowest, highest = np.nanmin(rentals.future, axis=0), np.nanmax(rentals.future, axis=0)
    assert lowest.tolist() == pytest.approx([-7.1, -16, 0, 0, 0, 0])
    assert highest.tolist() == pytest.approx([39, 50, 100, 57, 1, 1])
    assert rentals.schema.vocabularies["weather"] == (
        "clear",
        "heavy rain or snow",
        "light rain or snow",
        "mist",
    )


def test_next_week_reaches_over_a_week_ahead(rentals):
    ahead = add_future(rentals, EXAMPLES / "bike_rentals_next_week.csv")
    ahead.require_future(168)
    week = ahead.future[-168:]
    assert not np.isnan(week).any()
    assert week[:, 4].tolist() == [1] * 24 + [0] * 144  # New Year is a holiday
