"""A model as one file of ONNX, which runs without fastlstm, PyTorch and Python."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastlstm.data.series.scaling import Standardizer
from fastlstm.errors import RunError
from fastlstm.extras import library
from fastlstm.runs.writing import replace_file
from fastlstm.wording import unwritable

METADATA = "fastlstm"  # the key in the file's metadata under which its description stands
SIZES = (3, 1, 5)  # batches that both are asked about; the graph is drawn of the first


@dataclass(frozen=True)
class Standalone:
    """A model with all that is done to its inputs, and how it is called.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode; its ``forward`` takes the inputs by name.
    example : callable
        From how many rows, and a generator, to inputs by name.
    varying : mapping
        Input → the dimensions whose size is free, and what they are called.
    outputs : sequence of str
        Names of what it gives.
    description : mapping
        What a caller must know: columns, categories, quantiles, classes. It becomes JSON.
    """

    module: nn.Module
    example: Callable[[int, torch.Generator], dict[str, Tensor]]
    varying: Mapping[str, Mapping[int, str]]
    outputs: Sequence[str]
    description: Mapping[str, Any]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Parameters
    ----------
    path : Path
        The file.
    size : int
        Its bytes.
    inputs, outputs : tuple of str
        Each with its type and shape, for instance ``target: float (batch, 168)``.
    difference : float
        The largest between ONNX Runtime's and PyTorch's answers to made-up inputs, as a share of the largest answer.
    """

    path: Path
    size: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.size / 1e6:.2f} MB"]
        lines += [f"  in   {given}" for given in self.inputs] + [f"  out  {given}" for given in self.outputs]
        lines += [
            f"ONNX Runtime's answers to made-up inputs differ from PyTorch's by {self.difference:.0e} of their size"
        ]
        return "\n".join(lines)


def write_onnx(model: Standalone, path: str | Path) -> Exported:
    """Draw a model as a graph, see that ONNX Runtime answers as PyTorch does, and write it whole or not at all.

    Parameters
    ----------
    model : Standalone
        The model.
    path : str or Path
        The file to make or replace.

    Raises
    ------
    InputError
        If the libraries of the extra ``onnx`` are missing.
    RunError
        If the file cannot be written, or ONNX Runtime's answers are others, which is a bug.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise RunError(f"{str(path)!r} is to be a file of ONNX: call it {path.stem or 'model'}.onnx")
    if path.is_dir():
        raise RunError(f"{path} is a folder: choose another name")
    library("onnx", "models are exported by", "onnxscript", "onnx")
    runtime = library("onnx", "exported models are tried by", "onnxruntime")
    generator = torch.Generator().manual_seed(0)
    given = model.example(SIZES[0], generator)
    dimensions = {name: torch.export.Dim(name) for free in model.varying.values() for name in free.values()}
    shapes = {
        name: {place: dimensions[called] for place, called in model.varying[name].items()} for name in given
    }
    with _silent(), torch.no_grad():
        program = torch.onnx.export(
            model.module,
            kwargs=given,
            dynamo=True,
            dynamic_shapes=shapes,
            output_names=list(model.outputs),
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(model.description, ensure_ascii=False)
    content = graph.SerializeToString()
    session = runtime.InferenceSession(content)
    others = [model.example(size, generator) for size in SIZES]
    difference = max(_difference(model, session, inputs) for inputs in others)
    try:
        replace_file(path, content)
    except OSError as error:
        raise RunError(unwritable(path, error)) from error
    return Exported(
        path, len(content), _described(session.get_inputs()), _described(session.get_outputs()), difference
    )


def sprinkled(numbers: Tensor, generator: torch.Generator) -> Tensor:
    """Return numbers of which one in twenty is missing.

    Parameters
    ----------
    numbers : Tensor
        Any shape.
    generator : torch.Generator
        What to draw with.
    """
    return numbers.masked_fill(torch.rand(numbers.shape, generator=generator) < 0.05, torch.nan)


def made_up(scale: Standardizer, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return numbers such as those of a scale, one in twenty of them missing.

    Parameters
    ----------
    scale : Standardizer
        Of F columns.
    shape : sequence of int
        Of all but the columns.
    generator : torch.Generator
        What to draw with.

    Returns
    -------
    Tensor
        (…, F)
    """
    mean, deviation = torch.tensor(scale.mean), torch.tensor(scale.deviation)
    return sprinkled(mean + deviation * torch.randn(*shape, len(mean), generator=generator), generator)


def _difference(model: Standalone, session: Any, inputs: Mapping[str, Tensor]) -> float:
    """Return how far ONNX Runtime's answers lie from PyTorch's; raise where that is more than rounding."""
    with torch.no_grad():
        expected = model.module(**inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    largest = 0.0
    for name, own, other in zip(model.outputs, expected, found, strict=True):
        own = own.numpy()
        if own.shape != other.shape:
            raise _differs(name, f"has shape {other.shape} for {own.shape}")
        if np.issubdtype(own.dtype, np.floating):
            if (np.isnan(own) != np.isnan(other)).any():
                raise _differs(name, "is no number elsewhere")
            apart = np.abs(np.nan_to_num(own - other)).max() / max(np.abs(np.nan_to_num(own)).max(), 1e-30)
            if apart >= 1e-3:
                raise _differs(name, f"is off by {apart:.1e} of its size")
            largest = max(largest, float(apart))
    return largest


def _differs(name: str, how: str) -> RunError:
    return RunError(
        f"what was exported answers otherwise in ONNX Runtime than here ({name} {how}): nothing was written; try "
        "another version of onnxruntime"
    )


def _described(given: Sequence[Any]) -> tuple[str, ...]:
    """Return name, type and shape of inputs or outputs."""
    return tuple(
        f"{one.name}: {one.type.removeprefix('tensor(').removesuffix(')')} ({', '.join(map(str, one.shape))})"
        for one in given
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what the exporter has to say of itself from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
