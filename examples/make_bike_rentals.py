"""Make ``bike_rentals.csv`` and ``bike_rentals_next_week.csv`` from the Bike Sharing Dataset's ``hour.csv``.

    python examples/make_bike_rentals.py hour.csv

Weather comes in real units again. The data set's readme says that temperatures were divided by 41 and 50; its
page at UCI says that they were scaled from -8 … 39 °C and -16 … 50 °C, and the numbers agree with the page:
every feels-like temperature is then a whole degree, and winter nights in Washington are below freezing.
Humidity is a share of 100 %, wind speed one of 67 km/h, both as the readme says. Hours that have no row in
the source have none here.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import polars as pl

WEATHER = {1: "clear", 2: "mist", 3: "light rain or snow", 4: "heavy rain or snow"}
HERE = Path(__file__).parent


def read(source: Path) -> pl.DataFrame:
    """Read ``hour.csv``: time, rentals, weather, and whether it is a holiday or a working day.

    Parameters
    ----------
    source : Path
        The data set's ``hour.csv``.
    """
    raw = pl.read_csv(source, infer_schema=False).drop_nulls().with_columns(pl.all().str.strip_chars())

    def scaled(column: str, lowest: int, highest: int, decimals: int = 0) -> pl.Expr:
        value = pl.col(column).cast(pl.Float64) * (highest - lowest) + lowest
        whole = (value * 10**decimals).round().cast(pl.Int64)
        return whole / 10**decimals if decimals else whole

    return raw.select(
        time=(pl.col("dteday") + " " + pl.col("hr") + ":00").str.to_datetime("%Y-%m-%d %H:%M"),
        rentals=pl.col("cnt").cast(pl.Int64),
        temperature=scaled("temp", -8, 39, decimals=1),
        feels_like=scaled("atemp", -16, 50),
        humidity=scaled("hum", 0, 100),
        wind_speed=scaled("windspeed", 0, 67),
        weather=pl.col("weathersit").cast(pl.Int64).replace_strict(WEATHER),
        holiday=pl.col("holiday").cast(pl.Int64),
        working_day=pl.col("workingday").cast(pl.Int64),
    ).sort("time")


def next_week(rentals: pl.DataFrame) -> pl.DataFrame:
    """Make up the week after the end: the calendar's holiday, the weather of the same dates a year before.

    Parameters
    ----------
    rentals : polars.DataFrame
        What ``read`` gave, until the end of 2012.
    """
    hours = pl.datetime_range(datetime(2013, 1, 1), datetime(2013, 1, 7, 23), "1h", eager=True).alias("time")
    year_before = rentals.select(
        pl.col("time").dt.offset_by("1y"), "temperature", "feels_like", "humidity", "wind_speed", "weather"
    )
    new_year = pl.col("time").dt.date() == datetime(2013, 1, 1).date()
    return (
        pl.DataFrame(hours)
        .join(year_before, on="time", how="left")
        .with_columns(pl.all().forward_fill())  # one hour of that week is missing: it repeats the hour before
        .with_columns(
            holiday=new_year.cast(pl.Int64),
            working_day=(~new_year & (pl.col("time").dt.weekday() <= 5)).cast(pl.Int64),
        )
    )


if __name__ == "__main__":
    rentals = read(Path(sys.argv[1]))
    for name, frame in {"bike_rentals": rentals, "bike_rentals_next_week": next_week(rentals)}.items():
        frame.write_csv(HERE / f"{name}.csv", datetime_format="%Y-%m-%d %H:%M", float_precision=1)
