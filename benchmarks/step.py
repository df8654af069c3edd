"""LSTM.step, one sequence and one time step at a time, against torch.nn.LSTM and ONNX Runtime; float32 unless said.

    python -m benchmarks.step [--threads N] [--seconds S]

Every side streams: it takes the state of its last step. Sides take turns of a tenth of a second, so that each has its
own weights in the caches, as a stream has. Before each turn nothing runs for a tenth of a second, so that the threads
of the side before no longer spin, and its first fiftieth of a second is not counted. Microseconds a call, from Python
to Python: the median and the 99th percentile. Beside ours stands what reading the weights once would take: their bytes
over the rate at which as many threads as the step uses read a buffer of that size again and again, from whichever
caches hold it, measured in the same run. The error is the root mean square of what reduced weights change in the
outputs, over that of the outputs.
"""

from __future__ import annotations

import argparse
import io
import logging
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import machine
from fastlstm import LSTM, _native
from fastlstm.cli import onnx_side
from fastlstm.cli.measuring import check_agreement

SIZES = [(32, 64, 1), (32, 64, 2), (128, 256, 2), (512, 512, 1)]  # I, H, layers
TURN = 0.1  # seconds
REST = 0.1  # seconds before a turn: ONNX Runtime's threads spin for some 0.07 after its last call
SETTLING = 0.02  # seconds of a turn that are not counted
BYTES = {None: 4, "bfloat16": 2, "int8": 1}  # of a weight
BYTES_PER_THREAD = 1 << 19  # kStepBytesPerThread of native/step.h

# From an input, of a shape and kind of its own, to the output; the state is kept. What makes inputs of arrays (I,).
Side = tuple[Callable[[Any], Any], Callable[[np.ndarray], Any]]


def torch_side(layer: nn.LSTM) -> Side:
    state: list[Any] = [None]

    def step(x: Tensor) -> Tensor:
        y, state[0] = layer(x, state[0])
        return y

    return step, lambda x: torch.from_numpy(x)[None]


def fastlstm_side(
    layer: LSTM, weights: str | None = None, prepare: Callable[..., Any] = torch.from_numpy
) -> Side:
    state: list[Any] = [None]

    def step(x: Any) -> Any:
        y, state[0] = layer.step(x, state[0], weights=weights)
        return y

    return step, prepare


class OneStep(nn.Module):
    """What ONNX Runtime is given: inputs and outputs are those of a stream."""

    def __init__(self, layer: LSTM) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, (h, c) = self.layer(x, (h, c))
        return y, h, c


def onnxruntime_side(layer: LSTM, threads: int) -> Side:
    runtime = import_module("onnxruntime")
    shape = layer.num_layers, 1, layer.hidden_size
    example = torch.zeros(1, 1, layer.input_size), torch.zeros(shape), torch.zeros(shape)
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.onnx.export(OneStep(layer), example, dynamo=True, verbose=False)
    file = io.BytesIO()
    model.save(file)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = runtime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    name, h_name, c_name = (argument.name for argument in session.get_inputs())
    given = {h_name: example[1].numpy(), c_name: example[2].numpy()}

    def step(x: np.ndarray) -> np.ndarray:
        given[name] = x
        y, given[h_name], given[c_name] = session.run(None, given)
        return y

    return step, lambda x: x[None, None]


def read_limit(layer: LSTM, weights: str | None, threads: int) -> float:
    """Seconds that reading the weights once takes at the least, by as many threads as the step uses."""
    size = BYTES[weights] * sum(
        w.numel() for name, w in layer.named_parameters() if name.startswith("weight")
    )
    most = min(size // BYTES_PER_THREAD, threads)
    return size / max(_native.read_rate(size, max(most, 1), 0.05) for _ in range(5))


def times_of(sides: dict[str, Side], inputs: np.ndarray, seconds: float) -> dict[str, list[float]]:
    """Seconds of every call, but for those that begin in the first ``SETTLING`` seconds of a turn."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    until = time.perf_counter() + seconds * len(sides) * (REST + TURN) / (TURN - SETTLING)
    while time.perf_counter() < until:
        for name, (step, prepare) in sides.items():
            prepared = [prepare(x) for x in inputs]
            time.sleep(REST)
            turn = time.perf_counter()
            begin = turn
            while begin < turn + TURN:
                for x in prepared:
                    begin = time.perf_counter()
                    step(x)
                    if begin > turn + SETTLING:
                        times[name].append(time.perf_counter() - begin)
    return times


def measure(inputs: int, hidden: int, layers: int, threads: int, seconds: float) -> None:
    theirs = nn.LSTM(inputs, hidden, layers).eval()
    ours = LSTM(inputs, hidden, layers).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(50, inputs)
    sides = {"torch.nn.LSTM": torch_side(theirs)}
    if onnx_side.is_installed():
        sides["ONNX Runtime"] = onnxruntime_side(ours, threads)
    kinds = {"tensors": None, "numpy arrays": None, "bfloat16 weights": "bfloat16", "int8 weights": "int8"}
    for name, weights in kinds.items():
        prepare = np.copy if name == "numpy arrays" else torch.from_numpy
        sides[name] = fastlstm_side(ours, weights, prepare)
    expected = theirs(x[:, None])[0][:, 0]
    for name, (step, prepare) in sides.items():
        found = torch.stack([torch.as_tensor(step(prepare(x_t))).reshape(-1) for x_t in x.numpy()])
        if kinds.get(name) is None:
            check_agreement(name, found, expected)
    times = times_of(sides, x.numpy(), seconds)
    median = {name: float(np.median(values)) for name, values in times.items()}
    print(f"\nI {inputs}, H {hidden}, layers {layers}")
    for name, values in times.items():
        line = f"{name:>20}{1e6 * median[name]:>10.1f}{1e6 * float(np.percentile(values, 99)):>10.1f}"
        for other in ("torch.nn.LSTM", "ONNX Runtime"):
            ratio = median[other] / median[name] if other in median and name in kinds else None
            line += f"{'':>14}" if ratio is None else f"{ratio:>14.2f}"
        if name in kinds:
            line += f"{1e6 * read_limit(ours, kinds[name], threads):>14.1f}"
            weights = kinds[name]
            line += (
                "" if weights is None else f"{ours.step_error(x[:, None], weights=weights).relative:>14.1e}"
            )
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=1.0, help="for each side of each size")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    runtime = f", onnxruntime {onnx_side.version()}" if onnx_side.is_installed() else ""
    print(f"{machine()}{runtime}, {_native.instruction_set()}")
    print(f"\n{'microseconds':>20}{'median':>10}{'99th %':>10}{'torch':>14}{'ONNX Runtime':>14}", end="")
    print(f"{'read weights':>14}{'error':>14}")
    print(f"{'':>40}{'over it':>14}{'over it':>14}{'once':>14}{'relative':>14}")
    with torch.no_grad():
        for size in SIZES:
            measure(*size, options.threads, options.seconds)


if __name__ == "__main__":
    main()
