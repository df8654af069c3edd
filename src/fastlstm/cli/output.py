"""What commands print and write."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from fastlstm.data import read_table
from fastlstm.errors import InputError
from fastlstm.runs import finite


def print_json(metrics: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout, numbers that are not finite as null.

    Parameters
    ----------
    metrics : mapping
        The object.

    Examples
    --------
    >>> print_json({"mae": 1.5, "mase": float("nan")})
    {"mae": 1.5, "mase": null}
    """
    print(json.dumps(finite(metrics)))


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Print metrics as a table, one forecast a row: the model's own, then those that stand beside it.

    Parameters
    ----------
    metrics : mapping
        Metric → number, and name → mapping of the same for others.

    Examples
    --------
    >>> print_metrics({"mae": 40.5, "rmse": 61.25, "naive": {"mae": 120.0, "rmse": 160.0}})
                    mae      rmse
    model          40.5     61.25
    naive           120       160
    """
    numbers = {name: value for name, value in metrics.items() if not isinstance(value, Mapping)}
    others = {name: value for name, value in metrics.items() if isinstance(value, Mapping)}
    width = max(len(name) for name in ("model", *others)) + 4
    print(" " * width + "".join(f"{name:>10}" for name in numbers))
    for row, values in {"model": numbers, **others}.items():
        cells = (values.get(name) for name in numbers)
        print(f"{row:<{width}}" + "".join(f"{_short(cell):>10}" for cell in cells))


def write_frame(frame: Any, path: Path | None, time_format: str | None) -> None:
    """Write a frame, whole or not at all; on stdout where there is no path.

    Parameters
    ----------
    frame : DataFrame
        Any kind that :func:`fastlstm.data.read_table` takes.
    path : Path, optional
        A CSV or Parquet file.
    time_format : str, optional
        How to write timestamps in CSV (``strftime``).

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    table = read_table(frame).frame
    if time_format is not None:
        table = table.with_columns(pl.selectors.temporal().dt.strftime(time_format))
    if path is None:
        sys.stdout.write(table.write_csv())
        return
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            if path.suffix == ".parquet":
                table.write_parquet(file)
            else:
                table.write_csv(file)
        Path(temporary).replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}; make room or choose another file"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
