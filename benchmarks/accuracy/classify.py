"""Labels of sequences: series, patients, sentences, engines; each with the estimators' defaults unless said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fastlstm import Classifier, Regressor

Figures = dict[str, float]


def archive(folder: Path, seed: int, *, name: str) -> Figures:
    """Fit and judge a set of the UCR/UEA archive on its given split."""
    model = Classifier(seed=seed, progress=False).fit(folder / f"{name}_TRAIN.ts")
    found = model.evaluate(folder / f"{name}_TEST.ts").metrics["model"]
    return {"accuracy": found["accuracy"], "log loss": found["log_loss"]}


def intensive_care(folder: Path, seed: int) -> Figures:
    """In-hospital death, straight from the two files: the mean over five folds of patients."""
    found = Classifier(seed=seed, progress=False).cross_validate(
        folder / "icu2012_a_measurements.csv.gz",
        series="record",
        time="minutes",
        variable="variable",
        value="value",
        labels=folder / "icu2012_a_outcomes.csv",
        labels_series="RecordID",
        label="In-hospital_death",
        static=["Age", "Gender", "Height", "ICUType"],
        categories=["Gender", "ICUType"],
        missing=[-1],
    )
    model = found.metrics["model"]
    return {"AUROC": model["auroc"], "log loss": model["log_loss"], "F1 macro": model["f1_macro"]}


def sentences(folder: Path, seed: int) -> Figures:
    """SST-2: sentences alone, nothing pretrained, the development part."""
    texts = folder.parent / "text"
    model = Classifier(seed=seed, progress=False).fit(texts / "sst2_train.tsv", text="text", label="label")
    found = model.evaluate(texts / "sst2_dev.tsv").metrics["model"]
    return {"accuracy": found["accuracy"], "log loss": found["log_loss"]}


def engines(folder: Path, seed: int) -> Figures:
    """C-MAPSS FD001: the cycles left, at most 125, at every cycle of 20 engines of 100 that were held back."""
    sensors = [f"sensor{place}" for place in range(1, 22)]
    names = ["unit", "cycle", "setting1", "setting2", "setting3", *sensors]
    rows = np.loadtxt(folder.parent / "forecast" / "cmapss_train_FD001.txt")
    table = pl.DataFrame(rows, schema=names).with_columns(pl.col("unit", "cycle").cast(pl.Int64))
    held = pl.col("unit").is_in(np.random.default_rng(seed).permutation(np.arange(1, 101))[:20].tolist())
    roles: dict[str, Any] = {"series": "unit", "time": "cycle", "until_end": True}
    model = Regressor(largest_label=125, seed=seed, progress=False).fit(table.filter(~held), **roles)
    found = model.evaluate(table.filter(held)).metrics["model"]
    return {"RMSE": found["rmse"], "MAE": found["mae"]}


# name: what to run, what to reach
PROTOCOLS: dict[str, tuple[Callable[[Path, int], Figures], str]] = {
    "JapaneseVowels": (lambda folder, seed: archive(folder, seed, name="JapaneseVowels"), "0.98 in 60 s"),
    "BasicMotions": (lambda folder, seed: archive(folder, seed, name="BasicMotions"), "1.00 in 30 s"),
    "GunPoint": (lambda folder, seed: archive(folder, seed, name="GunPoint"), "0.99 in 60 s"),
    "ItalyPowerDemand": (lambda folder, seed: archive(folder, seed, name="ItalyPowerDemand"), "0.96 in 60 s"),
    "C-MAPSS FD001": (engines, "RMSE 14 in 300 s"),
    "SST-2": (sentences, "accuracy 0.80 in 180 s"),
    "ICU 2012, in-hospital death": (intensive_care, "AUROC 0.835, aim 0.85, in 300 s a fold"),
}
