"""A table of two shops, and a run trained on it."""

from datetime import datetime, timedelta

import numpy as np

from fastlstm.cli import main

HEADER = "time,shop,sales,price,sky"
ROLES = ["--target", "sales", "--series", "shop", "--future-covariates", "price,sky"]
SMALL = ["--context", "12", "--hidden-size", "8", "--max-steps", "40", "--batch-size", "8", "--no-progress"]


def hourly_rows(count, start=datetime(2024, 1, 1), target=True):
    """Rows of time, shop, sales, price, sky: a day's swing, dearer in the evening."""
    rows = []
    for step in range(count):
        time = start + timedelta(hours=step)
        for shop, level in (("north", 100), ("south", 40)):
            price = 1 + 0.1 * (time.hour > 18)
            sales = round(level * (2 + np.sin(2 * np.pi * time.hour / 24)) / price, 2) if target else ""
            rows.append(f"{time:%Y-%m-%d %H:%M},{shop},{sales},{price},{'clear' if step % 3 else 'mist'}")
    return rows


def write_table(path, rows=None, header=HEADER, changes=None):
    """Write a table, five days of hours unless rows are given; changes are line number → text."""
    lines = [header, *(hourly_rows(120) if rows is None else rows)]
    for line, text in (changes or {}).items():
        lines[line - 1] = text
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def train_run(folder):
    """Train on five days to forecast six hours."""
    data = write_table(folder / "sales.csv")
    arguments = [data, *ROLES, "--horizon", "6", "--out", str(folder / "run"), *SMALL]
    assert main(["forecast", "train", *arguments]) == 0
    return folder / "run"
