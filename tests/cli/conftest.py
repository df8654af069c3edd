"""A small table, and a run trained on it through the command line."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from fastlstm.cli import main

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


@pytest.fixture
def table(tmp_path):
    """Write a table, changed line by line: line number → text, as an editor would."""

    def write(changes=None, *, header="time,shop,sales,price,sky", rows=None, name="sales.csv"):
        lines = [header, *(hourly_rows(120) if rows is None else rows)]
        for line, text in (changes or {}).items():
            lines[line - 1] = text
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
        return str(tmp_path / name)

    return write


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run folder; the price is known ahead, the table ends with its last sales."""
    folder = tmp_path_factory.mktemp("runs")
    data = folder / "sales.csv"
    data.write_text("\n".join(["time,shop,sales,price,sky", *hourly_rows(120)]) + "\n")
    roles = ["--target", "sales", "--series", "shop", "--future-covariates", "price,sky"]
    code = main(
        ["forecast", "train", str(data), *roles, "--horizon", "6", "--out", str(folder / "run"), *SMALL]
    )
    assert code == 0
    return folder / "run"
