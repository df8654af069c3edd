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
    from fastlstm.cli.output import print_metrics  # deferred, as the next: the list of commands needs neither
    from fastlstm.runs import load_run

    found = load_run(run, tensors=False)
    print(f"{run}: a run of {found.task}, written by fastlstm {found.config.fastlstm}")
    print(f"weights {found.weights_size / 1e6:.2f} MB, {len(found.history)} validations")
    for section, values in {**found.config.settings, **found.metrics}.items():
        if isinstance(values, Mapping) and "model" in values:
            print(f"\n{section}")
            print_metrics(values)
        elif isinstance(values, Mapping):
            print(
                f"\n{section}", *(f"  {name:<24} {_brief(value)}" for name, value in values.items()), sep="\n"
            )
        else:
            print(f"\n{section:<26} {_brief(values)}")


def _brief(value: Any) -> str:
    return shorten(json.dumps(value), 90, placeholder=" …")
