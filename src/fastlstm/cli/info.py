"""``fastlstm info``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def info(run: Annotated[Path, Parameter(help="The folder that train --out made.")], /) -> None:
    """Say what a run folder holds."""
    import json  # deferred, with the rest: the list of commands needs none of it

    from fastlstm.cli.output import print_metrics
    from fastlstm.runs import load_run

    found = load_run(run, tensors=False)
    print(f"{run}: a run of {found.task}, written by fastlstm {found.config.fastlstm}")
    print(f"weights {found.weights_size / 1e6:.2f} MB, {len(found.history)} validations")
    for name, value in found.config.settings.items():
        print(f"  {name}: {json.dumps(value)}")
    if found.metrics:
        print_metrics(found.metrics)
