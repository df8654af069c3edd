"""Layers measured against PyTorch's: sides that take turns in one process, and medians of their times."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import fastlstm
from fastlstm import _native
from fastlstm.errors import InputError

GATES: Final = {"lstm": 4, "gru": 3, "rnn": 1}
DTYPES: Final = {"float32": torch.float32, "float64": torch.float64}
PASSES: Final = ("forward", "forward_backward")

Call = Callable[[], object]


@dataclass(frozen=True)
class Problem:
    """What is measured: a layer, and the sequences that go through it.

    Parameters
    ----------
    batch, steps, inputs, hidden
        B, T, I, H.
    layers
        How many are stacked.
    bidirectional
        Whether each has two directions.
    cell
        ``"lstm"``, ``"gru"`` or ``"rnn"`` (tanh).
    dtype
        ``"float32"`` or ``"float64"``.
    ragged
        Whether lengths lie evenly between T/4 and T, rather than all at T.

    Examples
    --------
    >>> Problem(batch=32, steps=100, inputs=32, hidden=64).flops() == 2 * 32 * 100 * 4 * 64 * (32 + 64)
    True
    """

    batch: int
    steps: int
    inputs: int
    hidden: int
    layers: int = 1
    bidirectional: bool = False
    cell: str = "lstm"
    dtype: str = "float32"
    ragged: bool = False

    @property
    def directions(self) -> int:
        """1 or 2."""
        return 1 + self.bidirectional

    @property
    def layer_inputs(self) -> list[int]:
        """What each of the stacked layers takes a step."""
        return [self.inputs] + [self.directions * self.hidden] * (self.layers - 1)

    def lengths(self) -> Tensor:
        """Give each sequence's length, int64 ``(B,)``, in an order that is not theirs."""
        if not self.ragged:
            return torch.full((self.batch,), self.steps)
        shares = torch.linspace(0.25, 1, self.batch) if self.batch > 1 else torch.ones(1)
        lengths = (shares * self.steps).ceil().long().clamp(1, self.steps)
        return lengths[torch.randperm(self.batch, generator=torch.Generator().manual_seed(0))]

    def flops(self) -> float:
        r"""Count the operations of a forward pass.

        Two for each multiply-add of the products, :math:`\sum_b T_b \cdot G H (I + H)` of them a layer and direction
        (G gates); a pass forwards and backwards is counted three times that.
        """
        rows = int(self.lengths().sum())
        weights = sum(GATES[self.cell] * self.hidden * (I + self.hidden) for I in self.layer_inputs)  # noqa: E741 (the contract calls the input size I)
        return 2.0 * rows * self.directions * weights

    def bytes_needed(self) -> int:
        """Estimate what measuring it takes at its peak: weights, their gradients, and what backward passes keep."""
        gates = GATES[self.cell]
        weights = sum(gates * self.hidden * (I + self.hidden + 2) for I in self.layer_inputs)  # noqa: E741 (the contract calls the input size I)
        kept = self.layers * self.batch * self.steps * (gates + 3) * self.hidden
        values = (
            6 * self.directions * weights
            + 2 * self.directions * kept
            + 2 * self.batch * self.steps * self.inputs
        )
        return values * (8 if self.dtype == "float64" else 4)

    def torch_layer(self) -> torch.nn.RNNBase:
        """Make PyTorch's layer, with weights that are the same at every call."""
        kinds: dict[str, Any] = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layer: torch.nn.RNNBase = kinds[self.cell](
                self.inputs,
                self.hidden,
                self.layers,
                bidirectional=self.bidirectional,
                dtype=DTYPES[self.dtype],
            )
        return layer

    def fastlstm_layer(self) -> torch.nn.Module:
        """Make ours, with the same weights."""
        kinds: dict[str, Any] = {"lstm": fastlstm.LSTM, "gru": fastlstm.GRU, "rnn": fastlstm.RNN}
        layer: torch.nn.Module = kinds[self.cell](
            self.inputs, self.hidden, self.layers, bidirectional=self.bidirectional, dtype=DTYPES[self.dtype]
        )
        layer.load_state_dict(self.torch_layer().state_dict())
        return layer

    def input(self) -> Tensor:
        """Give the input ``(T, B, I)``, the same at every call."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn(self.steps, self.batch, self.inputs, generator=generator, dtype=DTYPES[self.dtype])

    def torch_input(self) -> Tensor | PackedSequence:
        """Give the input as PyTorch's layer takes it: packed where lengths differ."""
        x = self.input()
        return pack_padded_sequence(x, self.lengths(), enforce_sorted=False) if self.ragged else x

    def torch_output(self) -> Tensor:
        """Compute what every side must give, ``(T, B, D·H)``, zero past the ends."""
        with torch.no_grad():
            y = self.torch_layer()(self.torch_input())[0]
        if isinstance(y, PackedSequence):
            y = pad_packed_sequence(y, total_length=self.steps)[0]
        output: Tensor = y
        return output


@dataclass(frozen=True)
class Row:
    """A problem's times.

    Parameters
    ----------
    problem
        What was measured.
    seconds
        Of each pass that was, by side: medians.
    """

    problem: Problem
    seconds: Mapping[str, Mapping[str, float]]


def measure(problem: Problem, seconds: float = 3.0, *, forward_only: bool = False) -> Row:
    """Measure PyTorch's layer and ours in turn: forward without gradient, and forward with backward.

    Parameters
    ----------
    problem
        What to measure.
    seconds
        For each kind of pass.
    forward_only
        Leave forward with backward out.

    Returns
    -------
    row
        With the sides ``"torch"`` and ``"fastlstm"``.

    Raises
    ------
    RuntimeError
        If the two sides' outputs differ: their times could not be compared.

    Examples
    --------
    >>> row = measure(Problem(batch=2, steps=3, inputs=4, hidden=5), seconds=0.0)
    >>> sorted(row.seconds), sorted(row.seconds["forward"])
    (['forward', 'forward_backward'], ['fastlstm', 'torch'])
    """
    theirs, ours = problem.torch_layer(), problem.fastlstm_layer()
    x, torch_input = problem.input(), problem.torch_input()
    keywords = {"lengths": problem.lengths()} if problem.ragged else {}

    def run_theirs() -> Tensor:
        y = theirs(torch_input)[0]
        return y.data if isinstance(y, PackedSequence) else y

    def run_ours() -> Tensor:
        y: Tensor = ours(x, **keywords)[0]
        return y

    with torch.no_grad():
        check_agreement("fastlstm", run_ours(), problem.torch_output())
    sides = {"torch": (theirs, run_theirs), "fastlstm": (ours, run_ours)}
    times = {"forward": medians({name: _without_gradient(run) for name, (_, run) in sides.items()}, seconds)}
    if not forward_only:
        times["forward_backward"] = medians(
            {name: _with_backward(layer, run) for name, (layer, run) in sides.items()}, seconds
        )
    return Row(problem, times)


def _without_gradient(run: Callable[[], Tensor]) -> Call:
    def call() -> None:
        with torch.no_grad():
            run()

    return call


def _with_backward(layer: torch.nn.Module, run: Callable[[], Tensor]) -> Call:
    gradient = torch.randn_like(run())

    def call() -> None:
        layer.zero_grad(set_to_none=True)
        run().backward(gradient)

    return call


def check_agreement(side: str, found: Tensor, expected: Tensor) -> None:
    """Raise a RuntimeError where a side does not compute what PyTorch's layer does, but for rounding.

    Hidden states lie in -1 … 1; roundings add up over the steps, differences of another kind are far larger.
    """
    tolerance = 1e-3 if expected.dtype == torch.float32 else 1e-9
    difference = float((found - expected).abs().max())
    if not difference <= tolerance:  # nor NaN
        raise RuntimeError(f"{side} and torch differ by {difference:.3g}: not the same computation")


def medians(sides: Mapping[str, Call], seconds: float = 2.0, least: int = 7) -> dict[str, float]:
    """Time calls in turn, so that what disturbs one disturbs all.

    Parameters
    ----------
    sides
        What to call, by name. The first two calls of each are not counted.
    seconds
        For about how long in all.
    least
        How many turns at least.

    Returns
    -------
    seconds
        The median of each.

    Examples
    --------
    >>> medians({"sum": lambda: sum(range(1000))}, seconds=0.0)["sum"] > 0
    True
    """
    for side in sides.values():
        side()
        side()
    times: dict[str, list[float]] = {name: [] for name in sides}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(next(iter(times.values()))) < least:
        for name, side in sides.items():
            begin = time.perf_counter()
            side()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def multiply_add_peak(threads: int, seconds: float = 0.3, dtype: str = "float32") -> float:
    """Measure the most that this machine's multiply-adds give, in FLOP/s.

    Parameters
    ----------
    threads
        How many cores to use.
    seconds
        For each of three trials, the best of which counts.
    dtype
        A float64 vector has half as many values as a float32 one, and so half the peak.
    """
    peak = max(_native.fma_peak(threads, seconds) for _ in range(3))
    return peak / 2 if dtype == "float64" else peak


def processor() -> str:
    """Name the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def machine() -> str:
    """One line on where and with what a benchmark ran.

    Examples
    --------
    >>> machine()
    '... cores, ... threads, Python 3..., torch ..., fastlstm ...'
    """
    return (
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}, fastlstm {fastlstm.__version__}"
    )


def check_memory(problem: Problem) -> None:
    """Refuse a problem that does not fit into this machine.

    Raises
    ------
    InputError
        With what it would take.
    """
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if problem.bytes_needed() > there:
        raise InputError(
            f"measuring these sizes takes about {problem.bytes_needed() / 1e9:.3g} GB and this machine has "
            f"{there / 1e9:.3g} GB: choose a smaller --batch, --steps, --inputs or --hidden"
        )
