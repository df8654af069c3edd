"""The forward pass beside OpenVINO's (``pip install openvino``), in its own precision and in float32.

    python -m benchmarks.openvino [--threads N] [--seconds S]

OpenVINO reads the layer from ONNX and computes in bfloat16 where the processor multiplies it. Each side is measured by
itself, since threads that wait for the next call disturb the other; figures are medians.
"""

from __future__ import annotations

import argparse
from importlib import import_module

import torch
from torch import Tensor

from benchmarks.features import LARGE, Side, inference, table
from benchmarks.measure import machine, medians
from fastlstm import LSTM
from fastlstm.cli.measuring import Problem, check_agreement
from fastlstm.cli.onnx_side import graph

SIDES = ["OpenVINO", "ours, bfloat16", "ratio", "OpenVINO, float32", "ours, float32", "ratio"]


def openvino_side(problem: Problem, threads: int, **options: str) -> Side:
    """Compile the problem's layer; ``options`` are OpenVINO's own."""
    openvino = import_module("openvino")
    model = openvino.Core().read_model(graph(problem).SerializeToString())
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, **options}
    request = openvino.compile_model(model, "CPU", settings).create_infer_request()
    x = problem.input().numpy()

    def side() -> Tensor:
        return torch.from_numpy(request.infer({0: x}, share_inputs=True, share_outputs=True)[0])

    return side


def row(problem: Problem, seconds: float, threads: int) -> list[float]:
    """Milliseconds of both sides and their ratio, in OpenVINO's own precision and in float32."""
    x = problem.input()
    full = openvino_side(problem, threads, INFERENCE_PRECISION_HINT="f32")
    check_agreement("OpenVINO", full(), problem.torch_output())
    sides = {
        "openvino": openvino_side(problem, threads),
        "bfloat16": inference(LSTM(problem.inputs, problem.hidden).bfloat16().eval(), x.bfloat16()),
        "openvino_float32": full,
        "float32": inference(LSTM(problem.inputs, problem.hidden).eval(), x),
    }
    times = {name: 1e3 * medians({name: side}, seconds)[name] for name, side in sides.items()}
    pairs = [("openvino", "bfloat16"), ("openvino_float32", "float32")]
    return [
        value for theirs, ours in pairs for value in (times[theirs], times[ours], times[theirs] / times[ours])
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=2.0, help="for each side")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{machine()}, openvino {import_module('openvino').__version__.split('-')[0]}")
    problems = [Problem(*size) for size in LARGE]
    table(
        "forward without gradients, ms",
        SIDES,
        (
            (str((one.batch, one.steps, one.inputs, one.hidden)), row(one, options.seconds, options.threads))
            for one in problems
        ),
    )


if __name__ == "__main__":
    main()
