"""ONNX Runtime as a side of the comparison: PyTorch's layer as a graph of one recurrent node a layer."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastlstm.cli.measuring import Problem, check_agreement, medians
from fastlstm.ops.onnx import GATES

_OPSET, _IR_VERSION = 14, 8  # old enough for every release of these years


def is_installed() -> bool:
    """Say whether ONNX Runtime is there, and what builds its graphs."""
    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None


def version() -> str:
    """Name ONNX Runtime's release."""
    return str(import_module("onnxruntime").__version__)


def measure_onnxruntime(problem: Problem, seconds: float, threads: int) -> float:
    """Measure a forward pass, with no other side between: threads that wait for the next call would disturb them.

    Parameters
    ----------
    problem
        What to measure, in float32: it has no recurrent kernels for other types.
    seconds
        For about how long.
    threads
        How many it computes on.

    Returns
    -------
    seconds
        The median.

    Raises
    ------
    RuntimeError
        If its outputs are not those of PyTorch's layer.
    """
    run = _session(problem, threads)
    check_agreement("ONNX Runtime", run(), problem.torch_output())
    return medians({"onnxruntime": run}, seconds)["onnxruntime"]


def _session(problem: Problem, threads: int) -> Callable[[], Tensor]:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        graph(problem).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"x": problem.input().numpy()}
    return lambda: torch.from_numpy(session.run(["y"], feed)[0])


def graph(problem: Problem) -> Any:
    """Build the model: from ``x (T, B, I)`` to ``y (T, B, D·H)``.

    Parameters
    ----------
    problem
        Its layer's weights become the nodes' own; ragged lengths too.

    Returns
    -------
    model : onnx.ModelProto
    """
    onnx = import_module("onnx")
    helper, constant = onnx.helper, onnx.numpy_helper.from_array
    weights = problem.torch_layer().state_dict()
    names = ["_l{}", "_l{}_reverse"][: problem.directions]
    attributes: dict[str, Any] = {
        "hidden_size": problem.hidden,
        "direction": "bidirectional" if problem.bidirectional else "forward",
    }
    if problem.cell == "gru":
        attributes["linear_before_reset"] = 1
    width = problem.directions * problem.hidden
    constants = [constant(np.array([problem.steps, problem.batch, width]), "joined")]
    lengths = ""
    if problem.ragged:
        lengths = "lengths"
        constants.append(constant(problem.lengths().int().numpy(), lengths))
    nodes = []
    for layer in range(problem.layers):
        own = [name.format(layer) for name in names]
        for label, parts in (("W", ["weight_ih"]), ("R", ["weight_hh"]), ("B", ["bias_ih", "bias_hh"])):
            values = [
                np.concatenate([_reordered(weights[part + end], problem.cell) for part in parts])
                for end in own
            ]
            constants.append(constant(np.stack(values), f"{label}{layer}"))
        taken, given = f"y{layer}" if layer else "x", "y" if layer + 1 == problem.layers else f"y{layer + 1}"
        arguments = [taken, f"W{layer}", f"R{layer}", f"B{layer}", lengths]
        nodes += [
            helper.make_node(problem.cell.upper(), arguments, [f"apart{layer}"], **attributes),
            helper.make_node("Transpose", [f"apart{layer}"], [f"beside{layer}"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"beside{layer}", "joined"], [given]),
        ]
    kind = helper.np_dtype_to_tensor_dtype(problem.input().numpy().dtype)
    x = helper.make_tensor_value_info("x", kind, [problem.steps, problem.batch, problem.inputs])
    y = helper.make_tensor_value_info("y", kind, [problem.steps, problem.batch, width])
    return helper.make_model(
        helper.make_graph(nodes, "layer", [x], [y], constants),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )


def _reordered(weight: Tensor, cell: str) -> np.ndarray[Any, Any]:
    blocks = weight.numpy().reshape(len(GATES[cell]), -1, *weight.shape[1:])
    return np.concatenate([blocks[block] for block in GATES[cell]])
