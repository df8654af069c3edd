"""Writing and reading run folders."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastlstm import __version__
from fastlstm.errors import InputError, RunError
from fastlstm.runs.plots import save_figure
from fastlstm.runs.run import PLOTS, WEIGHTS, Run, RunConfig, explained, refuse_altered
from fastlstm.runs.writing import CONFIG, check_destination, find_replaced, write_through, written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pydantic import BaseModel
    from torch import Tensor

FORMAT = 1
HISTORY = "history.csv"
METRICS = "metrics.json"


def save_run(
    folder: str | Path,
    *,
    task: str,
    settings: BaseModel,
    tensors: Mapping[str, Tensor],
    history: Sequence[Mapping[str, float]] = (),
    metrics: Mapping[str, Any] | None = None,
    vocabularies: Mapping[str, str] | None = None,
    plots: Mapping[str, Figure | bytes] | None = None,
    keep: Sequence[str] = (),
) -> None:
    """Write a run folder, whole or not at all.

    Parameters
    ----------
    folder : str or Path
        The folder to make. One that is there is replaced if it is a run, or empty.
    task : str
        Whose run it is.
    settings : pydantic.BaseModel
        All that the task needs beside the tensors to be made again.
    tensors : mapping
        Name → tensor.
    history : sequence of mapping
        One entry a validation, all with the same keys.
    metrics : mapping, optional
        For ``metrics.json``; numbers that are not finite become null.
    vocabularies : mapping, optional
        Name without suffix → JSON: ``vocabulary`` where there is one alone.
    plots : mapping, optional
        Name without suffix → figure, or the bytes of a PNG.
    keep : sequence of str
        What moves from the run that is replaced into the new one, for instance its checkpoint.

    Raises
    ------
    RunError
        If the folder is something else than a run, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from pydantic import BaseModel
    >>> class Shift(BaseModel):
    ...     steps: int
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = Path(parent, "run")
    ...     save_run(folder, task="shift", settings=Shift(steps=3), tensors={"weight": torch.ones(2)})
    ...     run = load_run(folder)
    >>> run.task, run.settings(Shift), run.tensors
    ('shift', Shift(steps=3), {'weight': tensor([1., 1.])})
    """
    from safetensors.torch import save  # deferred: it imports torch

    folder = Path(folder)
    check_destination(folder)
    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    config = RunConfig(
        format=FORMAT,
        fastlstm=__version__,
        task=task,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        vocabularies_sha256={
            name: hashlib.sha256(text.encode()).hexdigest() for name, text in (vocabularies or {}).items()
        },
        settings=settings.model_dump(mode="json"),
    )
    with written_whole(folder, keep) as temporary:
        write_through(temporary / WEIGHTS, weights)
        write_through(temporary / CONFIG, config.model_dump_json(indent=2).encode())
        write_through(temporary / HISTORY, _to_csv(history).encode())
        write_through(temporary / METRICS, json.dumps(finite(metrics or {}), indent=2).encode())
        for name, text in (vocabularies or {}).items():
            write_through(temporary / f"{name}.json", text.encode())
        for name, figure in (plots or {}).items():
            write_through(temporary / PLOTS / f"{name}.png", _to_png(figure))


def load_run(folder: str | Path, *, tensors: bool = True) -> Run:
    """Read a run folder.

    Parameters
    ----------
    folder : str or Path
        The folder.
    tensors : bool
        Read the weights too; without them torch is not imported.

    Returns
    -------
    Run
        What it holds.

    Raises
    ------
    InputError
        If it is no path.
    RunError
        If it is not a run, or a file in it is missing, cut short or altered.
    """
    if not isinstance(folder, str | Path):
        raise InputError(f"a run is loaded from its folder, and {folder!r:.40} is no path")
    folder = Path(folder)
    if not folder.exists() and (replaced := find_replaced(folder)) is not None:
        raise RunError(
            f"{folder} does not exist: it was about to be replaced when its process was killed; "
            f"rename {replaced} to {folder.name}"
        )
    if not (folder / CONFIG).is_file():
        found = "is not a run folder: it has no config.json" if folder.exists() else "does not exist"
        raise RunError(f"{folder} {found}; give a folder that 'fastlstm TASK train --out' or 'save' made")
    with explained(folder / CONFIG):
        config = RunConfig.model_validate_json((folder / CONFIG).read_bytes())
    if config.format != FORMAT:
        raise RunError(
            f"{folder / CONFIG} has format {config.format}, this version of fastlstm reads {FORMAT}: "
            f"use fastlstm {config.fastlstm}, which wrote it, or train again"
        )
    with explained(folder / METRICS):
        metrics = json.loads((folder / METRICS).read_bytes())
        if not isinstance(metrics, dict):
            raise ValueError("it holds no JSON object")
    with explained(folder / HISTORY):
        history = _from_csv((folder / HISTORY).read_text())
    weights = _read_weights(folder, config)
    loaded: dict[str, Tensor] = {}
    if tensors:
        from safetensors.torch import load  # deferred: it imports torch

        loaded = load(weights)
    return Run(folder, config, loaded, len(weights), history, metrics)


def finite(value: Any) -> Any:
    """Replace the numbers that JSON cannot hold by None, within mappings and lists too.

    Parameters
    ----------
    value : object
        What is to become JSON.

    Examples
    --------
    >>> finite({"mae": 0.5, "by_step": [1.0, math.inf]})
    {'mae': 0.5, 'by_step': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read_weights(folder: Path, config: RunConfig) -> bytes:
    path = folder / WEIGHTS
    with explained(path):
        weights = path.read_bytes()
    refuse_altered(path, weights, config.weights_sha256)
    return weights


def _to_png(figure: Figure | bytes) -> bytes:
    if isinstance(figure, bytes):
        return figure
    picture = io.BytesIO()
    save_figure(figure, picture, "png")
    return picture.getvalue()


def _to_csv(history: Sequence[Mapping[str, float]]) -> str:
    text = io.StringIO()
    if history:
        writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    return text.getvalue()


def _from_csv(text: str) -> list[dict[str, float]]:
    names, *rows = csv.reader(io.StringIO(text)) if text else [[]]
    return [
        {name: float(cell) if cell else math.nan for name, cell in zip(names, row, strict=True)}
        for row in rows
    ]
