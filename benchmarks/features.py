"""What PyTorch is slow at or does not do, against what people do instead; float32 unless said.

    python -m benchmarks.features [--threads N] [--seconds S] [--only ragged cells variants bfloat16 layout memory]

Sides take turns in one process; figures are medians. ``torch`` is PyTorch's own layer, ``loop`` a Python loop over
torch.nn.LSTMCell (with the variant's equations), ``compiled`` that loop under torch.compile where it compiles.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

from benchmarks.measure import machine, medians
from fastlstm import GRU, LSTM, RNN

SMALL = [(1, 100, 32, 64), (6, 100, 32, 64), (32, 30, 8, 64), (32, 100, 32, 64), (64, 168, 16, 128)]
SIZES = [*SMALL, (64, 100, 128, 256), (16, 1000, 32, 128)]  # up to H 256
LARGE = [(64, 100, 128, 256), (128, 50, 256, 512), (16, 1000, 32, 128), (32, 50, 1024, 1024)]
LOOPS = [(32, 30, 8, 64), (32, 100, 32, 64), (64, 100, 128, 256)]

Side = Callable[[], object]


def training(layer: nn.Module, x: object, **options: object) -> Side:
    """Forward and backward, the gradient of the weights alone."""
    parameters = list(layer.parameters())

    def side() -> None:
        y = layer(x, **options)[0]
        y = getattr(y, "data", y) if not isinstance(y, Tensor) else y
        torch.autograd.grad(y.sum(), parameters, allow_unused=True)

    return side


def inference(layer: nn.Module, x: Tensor) -> Side:
    def side() -> None:
        with torch.no_grad():
            layer(x)

    return side


def table(title: str, names: list[str], rows: Iterable[tuple[str, list[float]]], note: str = "") -> None:
    print(f"\n{title}\n{'':>26}" + "".join(f"{name:>18}" for name in names))
    for label, values in rows:
        print(f"{label:>26}" + "".join(f"{value:>18.3f}" for value in values), flush=True)
    if note:
        print(note)


def geometric_mean(values: Iterable[float]) -> float:
    return statistics.geometric_mean(list(values))


def ragged(seconds: float) -> None:
    """Lengths uniform in [T/4, T] against a PackedSequence, and against our own dense time."""
    rows, ratios = [], []
    for B, T, I, H in SIZES:  # noqa: E741 (the contract calls the input size I)
        if B < 6:
            continue
        x = torch.randn(T, B, I)
        lengths = torch.linspace(T / 4, T, B).round().long()[torch.randperm(B)]
        theirs, ours = nn.LSTM(I, H), LSTM(I, H)
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        times = medians(
            {"torch": training(theirs, packed), "ours": training(ours, x, lengths=lengths)}, seconds
        )
        own = medians({"ragged": training(ours, x, lengths=lengths), "dense": training(ours, x)}, seconds)
        share = float(lengths.float().mean()) / T
        ratios.append(times["torch"] / times["ours"])
        rows.append(
            (
                str((B, T, I, H)),
                [
                    1e3 * times["torch"],
                    1e3 * times["ours"],
                    ratios[-1],
                    own["ragged"] / own["dense"] / share,
                ],
            )
        )
    table(
        "lengths in [T/4, T], forward + backward, ms",
        ["torch, packed", "fastlstm", "ratio", "over dense share"],
        rows,
        f"geometric mean of the ratios {geometric_mean(ratios):.2f}; the last column is ours over "
        "(mean length / T) of our dense time",
    )


def cells(seconds: float) -> None:
    """GRU, RNN, a projection, float64 against PyTorch's."""
    kinds: dict[str, tuple[Callable[[int, int], nn.Module], Callable[[int, int], nn.Module], torch.dtype]] = {
        "GRU": (nn.GRU, GRU, torch.float32),
        "RNN": (nn.RNN, RNN, torch.float32),
        "projection": (
            lambda I, H: nn.LSTM(I, H, proj_size=H // 2),  # noqa: E741 (the contract calls the input size I)
            lambda I, H: LSTM(I, H, proj_size=H // 2),  # noqa: E741 (the contract calls the input size I)
            torch.float32,
        ),
        "float64": (nn.LSTM, LSTM, torch.float64),
    }
    for name, (theirs, ours, dtype) in kinds.items():
        rows, ratios = [], []
        for B, T, I, H in SIZES:  # noqa: E741 (the contract calls the input size I)
            x = torch.randn(T, B, I, dtype=dtype)
            sides = {
                "torch": training(theirs(I, H).to(dtype), x),
                "ours": training(ours(I, H).to(dtype), x),
            }
            times = medians(sides, seconds)
            ratios.append(times["torch"] / times["ours"])
            rows.append((str((B, T, I, H)), [1e3 * times["torch"], 1e3 * times["ours"], ratios[-1]]))
        table(
            f"{name}, forward + backward, ms",
            ["torch", "fastlstm", "ratio"],
            rows,
            f"geometric mean {geometric_mean(ratios):.2f}",
        )


class Loop(nn.Module):
    """What people write: a loop over steps in Python, with a variant's equations."""

    def __init__(self, inputs: int, hidden: int, variant: str) -> None:
        super().__init__()
        self.variant = variant
        self.cell = nn.LSTMCell(inputs, hidden)
        self.hidden = hidden
        if variant == "layer_norm":
            self.norm_ih, self.norm_hh = nn.LayerNorm(4 * hidden), nn.LayerNorm(4 * hidden)
            self.norm_c = nn.LayerNorm(hidden)
        if variant == "peephole":
            self.peephole = nn.Parameter(torch.randn(3, hidden) * 0.1)

    def forward(self, x: Tensor, reset: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h = c = x.new_zeros(x.shape[1], self.hidden)
        cell, outputs = self.cell, []
        mask = (torch.rand_like(h) < 0.8) / 0.8 if self.variant == "recurrent_dropout" else None
        for t, x_t in enumerate(x.unbind(0)):
            if reset is not None:
                keep = ~reset[t].unsqueeze(-1)
                h, c = h * keep, c * keep
            if self.variant in ("recurrent_dropout", "reset", "zoneout"):
                h_new, c_new = cell(x_t, (h if mask is None else h * mask, c))
                if self.variant == "zoneout":
                    h_new = torch.where(torch.rand_like(h) < 0.1, h, h_new)
                    c_new = torch.where(torch.rand_like(c) < 0.1, c, c_new)
                h, c = h_new, c_new
            else:
                sums_x, sums_h = F.linear(x_t, cell.weight_ih), F.linear(h, cell.weight_hh)
                if self.variant == "layer_norm":
                    sums_x, sums_h = self.norm_ih(sums_x), self.norm_hh(sums_h)
                i, f, g, o = (sums_x + sums_h + cell.bias_ih + cell.bias_hh).chunk(4, 1)
                if self.variant == "peephole":
                    i, f = i + self.peephole[0] * c, f + self.peephole[1] * c
                i = torch.sigmoid(i)
                f = 1 - i if self.variant == "coupled" else torch.sigmoid(f)
                c = f * c + i * torch.tanh(g)
                o = torch.sigmoid(o + self.peephole[2] * c if self.variant == "peephole" else o)
                h = o * torch.tanh(self.norm_c(c) if self.variant == "layer_norm" else c)
            outputs.append(h)
        return torch.stack(outputs), (h, c)


VARIANTS: dict[str, dict[str, object]] = {
    "layer_norm": {"layer_norm": True},
    "peephole": {"peephole": True},
    "coupled": {"coupled": True},
    "recurrent_dropout": {"recurrent_dropout": 0.2},
    "zoneout": {"zoneout": 0.1},
    "reset": {},
}


def variants(seconds: float, compiled: bool) -> None:
    """Each variant against our plain LSTM, and against a loop."""
    for name, options in VARIANTS.items():
        rows = []
        for B, T, I, H in LOOPS:  # noqa: E741 (the contract calls the input size I)
            x = torch.randn(T, B, I)
            call = {"reset": torch.rand(T, B) < 0.02} if name == "reset" else {}
            sides = {
                "plain": training(LSTM(I, H), x),
                "ours": training(LSTM(I, H, **options), x, **call),
                "loop": training(Loop(I, H, name), x, **call),
            }
            if compiled and T <= 30:  # the loop is unrolled: at 100 steps it compiles for minutes
                sides["compiled"] = training(torch.compile(Loop(I, H, name)), x, **call)
            times = medians(sides, seconds)
            best = min(times["loop"], times.get("compiled", times["loop"]))
            rows.append(
                (
                    str((B, T, I, H)),
                    [
                        *(1e3 * times[side] for side in ("plain", "ours", "loop")),
                        1e3 * times.get("compiled", float("nan")),
                        times["ours"] / times["plain"],
                        best / times["ours"],
                    ],
                )
            )
        table(
            f"{name}, forward + backward, ms",
            ["plain LSTM", "fastlstm", "loop", "compiled loop", "over plain", "times faster"],
            rows,
        )


def bfloat16(seconds: float) -> None:
    """Compare the forward pass in bfloat16 with that in float32."""
    rows = []
    for B, T, I, H in LARGE:  # noqa: E741 (the contract calls the input size I)
        x = torch.randn(T, B, I)
        theirs = nn.LSTM(I, H).bfloat16().eval()
        times = medians(
            {
                "float32": inference(LSTM(I, H).eval(), x),
                "bfloat16": inference(LSTM(I, H).bfloat16().eval(), x.bfloat16()),
                "torch": inference(theirs, x.bfloat16()),
            },
            seconds,
        )
        rows.append(
            (
                str((B, T, I, H)),
                [
                    *(1e3 * times[side] for side in ("float32", "bfloat16", "torch")),
                    times["float32"] / times["bfloat16"],
                    times["torch"] / times["bfloat16"],
                ],
            )
        )
    table(
        "bfloat16, forward without gradients, ms",
        ["float32", "bfloat16", "torch bfloat16", "over float32", "over torch"],
        rows,
    )


def layout(seconds: float) -> None:
    """Batch-first against time-major."""
    rows = []
    for B, T, I, H in SIZES:  # noqa: E741 (the contract calls the input size I)
        x = torch.randn(T, B, I)
        sides = {
            "time": training(LSTM(I, H), x),
            "batch": training(LSTM(I, H, batch_first=True), x.transpose(0, 1).contiguous()),
        }
        times = medians(sides, seconds)
        rows.append(
            (str((B, T, I, H)), [1e3 * times["time"], 1e3 * times["batch"], times["batch"] / times["time"]])
        )
    table("forward + backward, ms", ["time-major", "batch-first", "ratio"], rows)


PEAK = """
import sys, torch
from fastlstm import LSTM

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

kind, T = sys.argv[1], int(sys.argv[2])
layers = {
    "torch": lambda: torch.nn.LSTM(32, 64),
    "plain": lambda: LSTM(32, 64),
    "checkpointed": lambda: LSTM(32, 64, checkpoint_every=316),
}
layer = layers[kind]()
x = torch.randn(T, 8, 32)
last = {"output_steps": torch.tensor([9])} if kind == "checkpointed" else {}
layer(x[:10], **last)[0].sum().backward()
before = peak()
last = {"output_steps": torch.tensor([T - 1])} if last else {}
layer(x, **last)[0][-1].sum().backward()
print(peak() - before)
"""


def memory(_: float) -> None:
    """Measure the peak memory of training on sequences of 100,000 steps, of each in a process of its own."""
    rows = []
    for kind in ("torch", "plain", "checkpointed"):
        found = subprocess.run(
            [sys.executable, "-c", PEAK, kind, "100000"], capture_output=True, text=True, check=True
        )
        rows.append((kind, [int(found.stdout) / 1024]))
    table("peak memory over a small run's, T 100,000, I 32, H 64, B 8", ["MiB"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=2.0, help="for each row")
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled loops out")
    sections = {
        "ragged": ragged,
        "cells": cells,
        "variants": lambda seconds: variants(seconds, not options.no_compile),
        "bfloat16": bfloat16,
        "layout": layout,
        "memory": memory,
    }
    parser.add_argument("--only", nargs="+", choices=sections, default=list(sections))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(machine())
    for name in options.only:
        sections[name](options.seconds)


if __name__ == "__main__":
    main()
