"""``fastlstm bench``: how fast the layers are on this machine, beside PyTorch's and ONNX Runtime's."""

from __future__ import annotations

import json as json_format
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from cyclopts import Parameter

from fastlstm.cli.flags import whole_number
from fastlstm.errors import InputError

if TYPE_CHECKING:
    from fastlstm.cli.measuring import Problem

# B, T, I, H: from single sequences to weights that outgrow the caches.
GRID: Final = (
    (1, 100, 32, 64), (6, 100, 32, 64), (32, 30, 8, 64), (32, 100, 32, 64), (64, 168, 16, 128), (64, 100, 128, 256),
    (128, 50, 256, 512), (16, 1000, 32, 128), (32, 50, 1024, 1024),
)  # fmt: skip
_DEFAULT: Final = {"batch": 32, "steps": 100, "inputs": 32, "hidden": 64}
_WIDTH: Final = 10  # characters of a column
_PASSES: Final = {"forward": "forward", "forward_backward": "forward + backward"}


def bench(
    *,
    batch: Annotated[int | None, Parameter(converter=whole_number, help="Sequences a batch.")] = None,
    steps: Annotated[int | None, Parameter(converter=whole_number, help="Time steps a sequence.")] = None,
    inputs: Annotated[int | None, Parameter(converter=whole_number, help="Values a step.")] = None,
    hidden: Annotated[
        int | None, Parameter(converter=whole_number, help="Hidden units a layer and direction.")
    ] = None,
    layers: Annotated[int, Parameter(converter=whole_number, help="Layers on top of each other.")] = 1,
    bidirectional: Annotated[bool, Parameter(help="Both directions.", negative=())] = False,
    cell: Annotated[Literal["lstm", "gru", "rnn"], Parameter(help="The kind of layer.")] = "lstm",
    dtype: Annotated[Literal["float32", "float64"], Parameter(help="The type of all values.")] = "float32",
    lengths: Annotated[
        bool,
        Parameter(
            help="Sequences of unequal lengths, evenly from T/4 to T; torch gets them packed.", negative=()
        ),
    ] = False,
    forward_only: Annotated[bool, Parameter(help="Leave backward passes out.", negative=())] = False,
    threads: Annotated[
        int | None, Parameter(converter=whole_number, help="How many compute. Default: torch's choice.")
    ] = None,
    seconds: Annotated[float, Parameter(help="For each row and kind of pass, about.")] = 3.0,
    json: Annotated[bool, Parameter(help="Print one JSON object and nothing else.", negative=())] = False,
    out: Annotated[Path | None, Parameter(help="A file to write the JSON object to as well.")] = None,
) -> None:
    """Measure the layers on this machine, beside PyTorch's and ONNX Runtime's.

    Times are medians in milliseconds, all sides in turn on the same numbers: forward without gradient, and forward
    with backward. Of the sizes, what is not given is 32 sequences, 100 steps, 32 inputs, 64 hidden units; without any,
    nine are measured.
    """
    sizes = {"batch": batch, "steps": steps, "inputs": inputs, "hidden": hidden}
    for name, value in {**sizes, "layers": layers, "threads": threads, "seconds": seconds}.items():
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"--{name} {value}: give a finite number above 0")
    cores = os.cpu_count() or 1
    if threads is not None and threads > cores:
        raise InputError(f"--threads {threads}: this machine has {cores} cores; give at most as many")
    if out is not None and out.is_dir():
        raise InputError(f"--out {out} is a folder: give the name of a file")
    import torch  # deferred, as the next: the list of commands needs neither

    from fastlstm.cli.measuring import Problem, check_memory

    given = {name: value for name, value in sizes.items() if value is not None}
    chosen: list[dict[str, Any]] = (
        [_DEFAULT | given] if given else [dict(zip(_DEFAULT, row, strict=True)) for row in GRID]
    )
    options: dict[str, Any] = {"layers": layers, "bidirectional": bidirectional, "cell": cell, "dtype": dtype}
    problems = [Problem(**row, **options, ragged=lengths) for row in chosen]
    for problem in problems:
        check_memory(problem)
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        result = run(problems, seconds, forward_only=forward_only, quiet=json)
    finally:
        torch.set_num_threads(before)
    text = json_format.dumps(result)
    if json:
        print(text)
    if out is not None:
        from fastlstm.cli.output import write_whole  # deferred: it imports what reads tables

        write_whole(text.encode() + b"\n", out)


def run(
    problems: Sequence[Problem], seconds: float = 3.0, *, forward_only: bool = False, quiet: bool = False
) -> dict[str, Any]:
    """Measure problems that differ in their sizes alone, and print each row of a table when it is there.

    Parameters
    ----------
    problems
        One a row.
    seconds
        For each row and kind of pass.
    forward_only
        Leave backward passes out.
    quiet
        Print no table.

    Returns
    -------
    result
        What ``--json`` prints: the machine, ``rows`` and ``geometric_mean``.
    """
    import torch

    import fastlstm
    from fastlstm import _native
    from fastlstm.cli import measuring, onnx_side

    threads, first = torch.get_num_threads(), problems[0]
    peak = measuring.multiply_add_peak(threads, min(seconds, 0.3), first.dtype)
    result: dict[str, Any] = {
        "processor": measuring.processor(),
        "threads": threads,
        "instruction_set": _native.instruction_set(),
        "peak_gflops": peak / 1e9,
        "fastlstm": fastlstm.__version__,
        "torch": torch.__version__,
        "onnxruntime": None,
        "rows": [],
    }
    with_onnxruntime = first.dtype == "float32" and onnx_side.is_installed()
    if with_onnxruntime:
        result["onnxruntime"] = onnx_side.version()
    elif first.dtype == "float32":
        print(
            "ONNX Runtime is not installed; to measure it too: pip install onnx onnxruntime", file=sys.stderr
        )
    else:
        print("ONNX Runtime is left out: it has no float64 kernels for these layers", file=sys.stderr)
    passes = ["forward"] if forward_only else list(_PASSES)
    table = _Table(passes, with_onnxruntime)
    if not quiet:
        release = f", onnxruntime {result['onnxruntime']}" if with_onnxruntime else ""
        print(f"{measuring.machine()}{release}, {result['instruction_set']}")
        print(f"{_layer(first)}; multiply-add peak {peak / 1e9:.0f} GFLOP/s; milliseconds, medians\n")
        print(table.header(), flush=True)
    for number, problem in enumerate(problems, 1):
        print(f"measuring {number} of {len(problems)}: {_sizes(problem)}", file=sys.stderr)
        times = measuring.measure(problem, seconds, forward_only=forward_only).seconds
        row: dict[str, Any] = {**asdict(problem), "mean_length": problem.lengths().double().mean().item()}
        for kind in passes:
            row[kind] = _figures(times[kind], problem.flops() * (1 if kind == "forward" else 3), peak)
        if with_onnxruntime:
            taken = 1e3 * onnx_side.measure_onnxruntime(problem, seconds, threads)
            row["onnxruntime"] = {"forward_ms": taken, "ratio": taken / row["forward"]["fastlstm_ms"]}
        result["rows"].append(row)
        if not quiet:
            print(table.row(row), flush=True)
    measured = [*passes, "onnxruntime"] if with_onnxruntime else passes
    result["geometric_mean"] = {
        side: geometric_mean(row[side]["ratio"] for row in result["rows"]) for side in measured
    }
    if not quiet and len(problems) > 1:
        print(table.footer(result["geometric_mean"]))
    return result


def _figures(seconds: Any, flops: float, peak: float) -> dict[str, float]:
    theirs, ours = seconds["torch"] * 1e3, seconds["fastlstm"] * 1e3
    rate = flops / seconds["fastlstm"]
    return {
        "torch_ms": theirs,
        "fastlstm_ms": ours,
        "ratio": theirs / ours,
        "gflops": rate / 1e9,
        "share_of_peak": rate / peak,
    }


def _sizes(problem: Problem) -> str:
    return f"B {problem.batch}, T {problem.steps}, I {problem.inputs}, H {problem.hidden}"


def _layer(problem: Problem) -> str:
    words = [problem.cell.upper(), problem.dtype]
    if problem.layers > 1:
        words.append(f"{problem.layers} layers")
    if problem.bidirectional:
        words.append("bidirectional")
    if problem.ragged:
        words.append("lengths from T/4 to T")
    return ", ".join(words)


class _Column(NamedTuple):
    section: str  # of a row: a kind of pass, or ONNX Runtime
    figure: str
    title: str
    form: str


class _Table:
    """Rows as they are printed. A ratio is a side's time over ours: above 1, ours is the faster one."""

    def __init__(self, passes: Sequence[str], with_onnxruntime: bool) -> None:
        self._groups = [(_PASSES[kind], _columns(kind)) for kind in passes]
        if with_onnxruntime:
            columns = [("forward_ms", "onnxrt", ".3f"), ("ratio", "ratio", ".2f")]
            self._groups.insert(1, ("forward", [_Column("onnxruntime", *column) for column in columns]))

    @staticmethod
    def _line(sizes: Sequence[object], groups: Iterable[str]) -> str:
        return " |".join(["".join(f"{size:>5}" for size in sizes), *groups])

    def header(self) -> str:
        widths = [_WIDTH * len(columns) for _, columns in self._groups]
        titles = [f"{name:^{width}}" for (name, _), width in zip(self._groups, widths, strict=True)]
        names = ["".join(f"{column.title:>{_WIDTH}}" for column in columns) for _, columns in self._groups]
        return "\n".join([self._line([""] * 4, titles).rstrip(), self._line("BTIH", names)])

    def row(self, row: Mapping[str, Any]) -> str:
        cells = (
            "".join(f"{row[column.section][column.figure]:>{_WIDTH}{column.form}}" for column in columns)
            for _, columns in self._groups
        )
        return self._line([row[name] for name in _DEFAULT], cells)

    def footer(self, means: Mapping[str, float]) -> str:
        cells = (
            "".join(
                f"{means[column.section]:>{_WIDTH}.2f}" if column.figure == "ratio" else " " * _WIDTH
                for column in columns
            )
            for _, columns in self._groups
        )
        return "\n" + self._line(["geometric mean".rjust(20)], cells).rstrip()


def _columns(kind: str) -> list[_Column]:
    return [
        _Column(kind, "torch_ms", "torch", ".3f"),
        _Column(kind, "fastlstm_ms", "fastlstm", ".3f"),
        _Column(kind, "ratio", "ratio", ".2f"),
        _Column(kind, "gflops", "GF/s", ".0f"),
        _Column(kind, "share_of_peak", "of peak", ".0%"),
    ]
