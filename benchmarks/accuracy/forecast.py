"""Forecasts: each protocol fits as a user would, on what lies before the test part, and measures on that part once.

Nothing here was chosen by a test part: what differs from the defaults was chosen on validation parts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm import Forecaster

Array = npt.NDArray[np.floating[Any]]
Figures = dict[str, float]

MIDDLE = 1  # of the quantiles 0.1, 0.5, 0.9


def coverage(truth: Array, forecast: Array) -> float:
    """Return the share of truths (W, L) inside the outer quantiles of a forecast (W, L, 3)."""
    known = ~np.isnan(truth)
    return float(((truth >= forecast[..., 0]) & (truth <= forecast[..., -1]))[known].mean())


def etth1(folder: Path, seed: int, *, horizon: int, target: list[str] | None, **settings: Any) -> Figures:
    """ETTh1: 12, 4 and 4 months; errors in units of each column's deviation on the first; a forecast every hour."""
    table = pl.read_csv(folder / "ETTh1.csv")[:14_400]
    columns = target or table.columns[1:]
    deviation = table[:8_640].select(columns).to_numpy().std(axis=0)
    model = Forecaster(
        horizon, seed=seed, progress=False, validation_windows=2_880 // horizon, **settings
    ).fit(table[:11_520], target=columns, time="date", wide=True)
    found = model.evaluate(table[11_520:], stride=1)
    scale = deviation[[columns.index(found.series.names[code]) for code in found.index.series]]
    error = (found.forecasts["model"][..., MIDDLE] - found.truth) / scale[:, None]
    return {
        "MSE": float(np.square(error).mean()),
        "MAE": float(np.abs(error).mean()),
        "coverage": coverage(found.truth, found.forecasts["model"]),
    }


def m4_hourly(folder: Path, seed: int, **settings: Any) -> Figures:
    """M4 hourly: 414 series, 48 hours ahead of the end of each; sMAPE as the competition has it."""
    model = Forecaster(48, seed=seed, progress=False, **settings).fit(folder / "m4_hourly_train.csv.gz")
    truth = pl.read_csv(folder / "m4_hourly_test.csv.gz", infer_schema_length=None)
    forecast = pl.from_pandas(model.predict())
    both = truth.join(forecast, on=["unique_id", "ds"], suffix="_forecast", validate="1:1")
    y, found = both["y"].to_numpy(), both["y_forecast"].to_numpy()
    inside = (y >= both["y_q0.1"].to_numpy()) & (y <= both["y_q0.9"].to_numpy())
    assert len(both) == len(truth)
    return {
        "sMAPE": float((200 * np.abs(y - found) / (np.abs(y) + np.abs(found))).mean()),
        "coverage": float(inside.mean()),
    }


def air_passengers(folder: Path, seed: int, **settings: Any) -> Figures:
    """AirPassengers: fitted on the years before 1959, then six months ahead of every month; MAPE."""
    table = pl.read_csv(folder / "AirPassengers.csv")
    before = table["Month"] < "1959"
    model = Forecaster(6, seed=seed, progress=False, **settings).fit(
        table.filter(before), target="#Passengers", time="Month"
    )
    found = model.evaluate(table.filter(~before), stride=1)
    share = np.abs(found.forecasts["model"][..., MIDDLE] / found.truth - 1) * 100
    return {
        "MAPE of the sixth month": float(share[:, -1].mean()),
        "MAPE of all six": float(share.mean()),
        "coverage": coverage(found.truth, found.forecasts["model"]),
    }


def bikes(folder: Path, seed: int, **settings: Any) -> Figures:
    """Bike rentals: a week of hours ahead, the last four weeks; MAE beside seasonal-naive's."""
    model = Forecaster(168, seed=seed, progress=False, test_windows=4, **settings).fit(
        folder / "bike_sharing_hour.csv",
        target="cnt",
        time=["dteday", "hr"],
        future_covariates=["temp", "atemp", "hum", "windspeed", "weathersit", "holiday", "workingday"],
        categories=["weathersit"],
    )
    test = model.report_.test
    mae = {name: found["mae"] for name, found in test.metrics.items()}
    return {
        "MAE": mae["model"],
        "below seasonal-naive %": 100 * (1 - mae["model"] / mae["seasonal_naive"]),
        "coverage": coverage(test.truth, test.forecasts["model"]),
    }


def camels(folder: Path, seed: int, *, horizon: int, **settings: Any) -> Figures:
    """CAMELS: three basins in one model, the weather of the days ahead known; the last third of the years."""
    table = _read_camels(folder / "camels")
    days = table["date"].n_unique()
    model = Forecaster(horizon, seed=seed, progress=False, test_windows=days // 3 // horizon, **settings).fit(
        table,
        target="flow",
        time="date",
        series="basin",
        future_covariates=["prcp(mm/day)", "srad(W/m2)", "tmax(C)", "tmin(C)", "vp(Pa)", "dayl(s)"],
        static_covariates=["elev_mean", "slope_mean", "area_gages2", "aridity", "frac_snow", "p_mean"],
    )
    test = model.report_.test
    forecast, basins = test.forecasts["model"], test.index.series
    efficiency = []
    for basin in np.unique(basins):
        truth, found = test.truth[basins == basin], forecast[basins == basin][..., MIDDLE]
        spread = np.nansum(np.square(truth - np.nanmean(truth)))
        efficiency.append(1 - np.nansum(np.square(truth - found)) / spread)
    return {
        "median NSE": float(np.median(efficiency)),
        "lowest NSE": float(min(efficiency)),
        "coverage": coverage(test.truth, forecast),
    }


def _read_camels(folder: Path) -> pl.DataFrame:
    """Flow in mm a day, weather and attributes, one row a basin and day."""
    parts = []
    for path in sorted((folder / "usgs_streamflow").iterdir()):
        basin = path.name.split("_")[0]
        flow = [line.split() for line in path.read_text().splitlines()]
        lump = folder / "basin_mean_forcing" / "daymet" / f"{basin}_lump_cida_forcing_leap.txt"
        _, _, area, header, *rows = lump.read_text().splitlines()
        names = header.split()
        weather = pl.DataFrame([line.split() for line in rows], schema=names, orient="row").select(
            pl.date(*(pl.col(name).cast(pl.Int32) for name in names[:3])).alias("date"),
            pl.col(names[4:]).cast(pl.Float64),
        )
        cubic_feet = pl.DataFrame(
            {"date": ["-".join(cells[1:4]) for cells in flow], "flow": [float(cells[4]) for cells in flow]}
        ).with_columns(
            pl.col("date").str.to_date(),
            # A cubic foot a second is 0.0283168 m³ 86,400 times a day, over the basin's area in m².
            pl.when(pl.col("flow") >= 0).then(pl.col("flow") * 0.0283168 * 86_400 / float(area) * 1000),
        )
        parts.append(
            weather.join(cubic_feet, on="date", how="left").with_columns(pl.lit(basin).alias("basin"))
        )
    table = pl.concat(parts)
    for kind in ("topo", "clim"):
        attributes = pl.read_csv(
            folder / "camels_attributes_v2.0" / f"camels_{kind}.txt",
            separator=";",
            schema_overrides={"gauge_id": pl.String},
        )
        table = table.join(attributes, left_on="basin", right_on="gauge_id", how="left")
    return table


# name: what to run, what to reach
PROTOCOLS: dict[str, tuple[Callable[[Path, int], Figures], str]] = {
    "ETTh1, 7 targets, h 96": (
        lambda folder, seed: etth1(folder, seed, horizon=96, target=None),
        "MSE 0.375, MAE 0.395; aim 0.355",
    ),
    "ETTh1, 7 targets, h 336": (
        lambda folder, seed: etth1(folder, seed, horizon=336, target=None),
        "MSE 0.44",
    ),
    "ETTh1, OT, h 24": (
        lambda folder, seed: etth1(folder, seed, horizon=24, target=["OT"]),
        "MSE 0.045, MAE 0.16",
    ),
    "M4 hourly, h 48": (m4_hourly, "sMAPE 11.5 in 240 s; aim 10"),
    "AirPassengers, h 6": (lambda folder, seed: air_passengers(folder, seed, members=5), "MAPE 2.7"),
    "bikes, h 168": (
        lambda folder, seed: bikes(folder, seed, members=3, trunk="points"),
        "50 % below seasonal-naive",
    ),
    "camels, h 1": (lambda folder, seed: camels(folder, seed, horizon=1), "median NSE 0.75"),
    "camels, h 7": (lambda folder, seed: camels(folder, seed, horizon=7, members=5), "median NSE 0.75"),
    "camels, h 30": (lambda folder, seed: camels(folder, seed, horizon=30, members=5), "median NSE 0.75"),
}
