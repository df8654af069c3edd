"""Writing and reading run folders."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from fastlstm import __version__
from fastlstm.errors import InputError, RunError
from fastlstm.runs.plots import save_figure
from fastlstm.runs.writing import CONFIG, check_destination, find_replaced, write_through, written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

FORMAT = 1
WEIGHTS = "model.safetensors"
HISTORY = "history.csv"
METRICS = "metrics.json"
PLOTS = "plots"
VOCABULARY = "vocabulary"

Settings = TypeVar("Settings", bound=BaseModel)


class RunConfig(BaseModel):
    """What ``config.json`` holds.

    Parameters
    ----------
    format : int
        The version of this layout.
    fastlstm : str
        The version that wrote it.
    task : str
        Whose run it is.
    weights_sha256 : str
        Of ``model.safetensors``, to tell a file that was cut short or altered.
    vocabularies_sha256 : dict
        Of ``NAME.json``, likewise, by name.
    settings : dict
        The task's own, as it validates them itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    fastlstm: str
    task: str
    weights_sha256: str
    vocabularies_sha256: dict[str, str] = {}
    settings: dict[str, JsonValue]


@dataclass(frozen=True)
class Run:
    """A run folder, read.

    Parameters
    ----------
    folder : Path
        Where it is.
    config : RunConfig
        What ``config.json`` holds.
    tensors : dict
        What ``model.safetensors`` holds; empty where they were not asked for.
    weights_size : int
        Bytes of ``model.safetensors``.
    history : list of dict
        What ``history.csv`` holds.
    metrics : dict
        What ``metrics.json`` holds.
    """

    folder: Path
    config: RunConfig
    tensors: dict[str, Tensor] = field(repr=False)
    weights_size: int
    history: list[dict[str, float]] = field(repr=False)
    metrics: dict[str, Any]

    @property
    def task(self) -> str:
        """Whose run it is: a key of :data:`fastlstm.tasks.TASKS`."""
        return self.config.task

    def settings(self, model: type[Settings]) -> Settings:
        """Validate the task's settings.

        Parameters
        ----------
        model : type of pydantic.BaseModel
            The model that wrote them.

        Returns
        -------
        BaseModel
            An instance of ``model``.

        Raises
        ------
        RunError
            If a key is unknown, missing, or its value is not what it should be; the message names it.
        """
        with _explained(self.folder / CONFIG, "settings"):
            return model.model_validate_json(json.dumps(self.config.settings))

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of one part: ``network.head.bias`` is ``head.bias`` of the part ``network``.

        Parameters
        ----------
        name : str
            What stands before the first dot; a run may hold nothing of it.
        """
        before = f"{name}."
        return {
            whole.removeprefix(before): tensor
            for whole, tensor in self.tensors.items()
            if whole.startswith(before)
        }

    def vocabulary(self, name: str = VOCABULARY) -> str:
        """Return a vocabulary, as JSON.

        Parameters
        ----------
        name : str
            That of its file, without the suffix.

        Raises
        ------
        RunError
            If it is missing or cannot be read.
        """
        path = self.folder / f"{name}.json"
        with _explained(path):
            content = path.read_bytes()
        _refuse_altered(path, content, self.config.vocabularies_sha256.get(name))
        with _explained(path):
            return content.decode()

    @property
    def pictures(self) -> dict[str, bytes]:
        """What ``plots`` holds: name without suffix → the bytes of a PNG."""
        return {picture.stem: picture.read_bytes() for picture in sorted((self.folder / PLOTS).glob("*.png"))}


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
    with _explained(folder / CONFIG):
        config = RunConfig.model_validate_json((folder / CONFIG).read_bytes())
    if config.format != FORMAT:
        raise RunError(
            f"{folder / CONFIG} has format {config.format}, this version of fastlstm reads {FORMAT}: "
            f"use fastlstm {config.fastlstm}, which wrote it, or train again"
        )
    with _explained(folder / METRICS):
        metrics = json.loads((folder / METRICS).read_bytes())
    with _explained(folder / HISTORY):
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
    with _explained(path):
        weights = path.read_bytes()
    _refuse_altered(path, weights, config.weights_sha256)
    return weights


def _refuse_altered(path: Path, content: bytes, expected: str | None) -> None:
    """Raise where a file is not the one that was written; runs of old say nothing of vocabularies."""
    if expected is not None and hashlib.sha256(content).hexdigest() != expected:
        raise RunError(
            f"{path} was cut short or altered: its sha256 is not the one in {CONFIG}; "
            "copy the run again, or train again"
        )


@contextmanager
def _explained(path: Path, *within: str) -> Iterator[None]:
    """Turn what goes wrong on reading a file of a run into one line that names the file and the key."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in (*within, *first["loc"]))
        found = {"extra_forbidden": f"unknown key {key!r}", "missing": f"key {key!r} is missing"}.get(
            first["type"], f"{key!r}: {first['msg']}" if key else first["msg"]
        )
        raise RunError(f"{path}: {found}; the file was altered, or another version wrote it") from None
    except FileNotFoundError:
        raise RunError(f"{path} is missing: copy the run again, or train again") from None
    except (json.JSONDecodeError, UnicodeDecodeError, ValueError) as error:
        raise RunError(
            f"{path} was cut short or altered: {error}; copy the run again, or train again"
        ) from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}; mend that, or copy the run again") from None


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
    return [
        {name: float(cell) if cell else math.nan for name, cell in row.items()}
        for row in csv.DictReader(io.StringIO(text))
    ]
