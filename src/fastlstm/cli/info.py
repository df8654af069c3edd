"""``fastlstm info``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

from cyclopts import Parameter


def info(run: Annotated[Path, Parameter(help="The folder that train --out made.")], /) -> None:
    """Say what a run folder holds."""
    from fastlstm.runs import load_run  # deferred, as the next: the list of commands needs neither
    from fastlstm.tasks.metric_table import metric_table

    found = load_run(run, tensors=False)
    print(f"{run}: a {found.task} run, written by fastlstm {found.config.fastlstm}")
    print(f"weights {found.weights_size / 1e6:.2f} MB, {len(found.history)} validations")
    sections = {**found.config.settings, **found.metrics}
    for name, value in sections.items():
        if not isinstance(value, Mapping):
            print(f"{name:<26} {_brief(value)}")
    for name, values in sections.items():
        if isinstance(values, Mapping) and "model" in values:
            print(f"\n{name}\n{metric_table(values)}")
        elif isinstance(values, Mapping):
            missing = "by default" if name == "parameters" else "none"
            lines = (f"  {key:<24} {_brief(value, missing)}" for key, value in values.items())
            print(f"\n{name}", *lines, sep="\n")


def _brief(value: Any, missing: str = "none") -> str:
    return missing if value is None else shorten(json.dumps(value), 90, placeholder=" …")
