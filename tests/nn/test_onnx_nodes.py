"""ONNX's own nodes with random weights: its reference evaluator, ONNX Runtime and our layers agree."""

from importlib import import_module
from inspect import isclass

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, checker, helper
from onnx.reference import ReferenceEvaluator

from fastlstm import GRU, LSTM, RNN

# A float32 sum of n terms is off by about 6e-8 times √n of its terms' size, on either side.
TOLERANCE = {"rtol": 0, "atol": 1e-5}
T, B, I, H = 7, 3, 4, 5  # noqa: E741
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DIRECTIONS = ["forward", "reverse", "bidirectional"]


def model_of(kind, inputs, attributes):
    outputs = ["Y", "Y_h", "Y_c"][: 3 if kind == "LSTM" else 2]
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
    order += ["initial_c", "P"] if kind == "LSTM" else []
    names = [name if name in inputs else "" for name in order]
    node = helper.make_node(kind, names, outputs, hidden_size=H, **attributes)
    given = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(inputs[name].dtype), inputs[name].shape
        )
        for name in order
        if name in inputs
    ]
    wanted = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * (4 if name == "Y" else 3))
        for name in outputs
    ]
    graph = helper.make_graph([node], "node", given, wanted)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    checker.check_model(model)
    return model


def inputs_for(kind, directions, *, peepholes=False, lengths=False, states=True, bias=True):
    """Random ones, in ONNX's shapes."""
    draw = np.random.default_rng(0)
    rows = GATES[kind] * H
    shapes = {"X": (T, B, I), "W": (directions, rows, I), "R": (directions, rows, H)}
    if bias:
        shapes["B"] = (directions, 2 * rows)
    if states:
        shapes["initial_h"] = (directions, B, H)
        shapes |= {"initial_c": (directions, B, H)} if kind == "LSTM" else {}
    if peepholes:
        shapes["P"] = (directions, 3 * H)
    inputs = {name: draw.standard_normal(shape).astype(np.float32) * 0.5 for name, shape in shapes.items()}
    if lengths:
        inputs["sequence_lens"] = np.array([4, T, 1], dtype=np.int32)
    return inputs


def blocks(tensor, hidden, order):
    """The blocks of a dimension that ONNX has in one order, in ours."""
    parts = np.split(tensor, len(tensor) // hidden)
    return torch.from_numpy(np.concatenate([parts[place] for place in order]))


# Where our gates are among ONNX's: LSTM i, f, g, o of i, o, f, c; coupled i, g, o; GRU r, z, n of z, r, h.
ORDERS = {"LSTM": [0, 2, 3, 1], "coupled": [0, 3, 1], "GRU": [1, 0, 2], "RNN": [0]}


def layer_of(kind, inputs, attributes):
    """Our layer with a node's weights; one direction that runs backwards is half of a bidirectional layer."""
    options = {"bidirectional": attributes["direction"] != "forward", "bias": "B" in inputs}
    if kind == "LSTM":
        options |= {"peephole": "P" in inputs, "coupled": bool(attributes.get("input_forget"))}
    if kind == "RNN":
        options["nonlinearity"] = attributes.get("activations", ["Tanh"])[0].lower()
    hidden = inputs["R"].shape[2]
    layer = {"LSTM": LSTM, "GRU": GRU, "RNN": RNN}[kind](inputs["W"].shape[2], hidden, **options)
    order = ORDERS["coupled" if options.get("coupled") else kind]
    suffixes = {"forward": [""], "reverse": ["_reverse"], "bidirectional": ["", "_reverse"]}
    weights = {}
    for place, suffix in enumerate(suffixes[attributes["direction"]]):
        own = {name: inputs[name][place] for name in ("W", "R", "B", "P") if name in inputs}
        weights[f"weight_ih_l0{suffix}"] = blocks(own["W"], hidden, order)
        weights[f"weight_hh_l0{suffix}"] = blocks(own["R"], hidden, order)
        if "B" in own:
            for name, bias in zip(("bias_ih", "bias_hh"), np.split(own["B"], 2), strict=True):
                weights[f"{name}_l0{suffix}"] = blocks(bias, hidden, order)
        if "P" in own:  # i, o, f
            weights[f"weight_ch_l0{suffix}"] = blocks(
                own["P"], hidden, [0, 1] if options["coupled"] else [0, 2, 1]
            )
    with torch.no_grad():
        for name, weight in weights.items():
            getattr(layer, name).copy_(weight)
    return layer


def run_layer(kind, inputs, attributes):
    """Outputs in ONNX's shapes: Y (T, D, B, H), and the states."""
    layer = layer_of(kind, inputs, attributes)
    backwards_only = attributes["direction"] == "reverse"
    states = [torch.from_numpy(inputs[name]) for name in ("initial_h", "initial_c") if name in inputs]
    if backwards_only:
        states = [torch.cat([torch.zeros_like(state), state]) for state in states]
    hx = tuple(states) if len(states) == 2 else states[0] if states else None
    lengths = inputs.get("sequence_lens")
    with torch.no_grad():
        y, state = layer(
            torch.from_numpy(inputs["X"]), hx, lengths=None if lengths is None else torch.from_numpy(lengths)
        )
    outputs = [
        y.unflatten(2, (-1, inputs["R"].shape[2])).transpose(1, 2),
        *(state if isinstance(state, tuple) else (state,)),
    ]
    own = slice(1, 2) if backwards_only else slice(None)
    return [outputs[0][:, own], *(output[own] for output in outputs[1:])]


def compare(kind, inputs, attributes, *, with_reference=True):
    model = model_of(kind, inputs, attributes)
    found = run_layer(kind, inputs, attributes)
    runtimes = {"ONNX Runtime": onnxruntime.InferenceSession(model.SerializeToString()).run}
    if with_reference:
        runtimes["reference evaluator"] = ReferenceEvaluator(model).run
    for runtime, run in runtimes.items():
        for ours, theirs in zip(found, run(None, inputs), strict=True):
            torch.testing.assert_close(
                ours,
                torch.from_numpy(np.ascontiguousarray(theirs)),
                msg=lambda m, r=runtime: f"{r}: {m}",
                **TOLERANCE,
            )


def attributes_for(kind, direction, activation="Tanh"):
    attributes = {"direction": direction}
    if kind == "GRU":
        attributes["linear_before_reset"] = 1
    if kind == "RNN":
        attributes["activations"] = [activation] * (2 if direction == "bidirectional" else 1)
    return attributes


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {}),
        ("LSTM", {"states": False}),
        ("LSTM", {"bias": False}),
        ("LSTM", {"peepholes": True}),
        ("GRU", {}),
        ("RNN", {}),
    ],
    ids=str,
)
def test_nodes(kind, options, direction):
    inputs = inputs_for(kind, 2 if direction == "bidirectional" else 1, **options)
    compare(kind, inputs, attributes_for(kind, direction))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", GATES)
def test_lengths(kind, direction):
    """ONNX's reference evaluator passes over ``sequence_lens``; ONNX Runtime does not."""
    inputs = inputs_for(
        kind, 2 if direction == "bidirectional" else 1, lengths=True, peepholes=kind == "LSTM"
    )
    compare(kind, inputs, attributes_for(kind, direction, "Relu"), with_reference=False)


@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_coupled_gates(direction, peepholes):
    """``input_forget``, which the reference evaluator passes over too."""
    inputs = inputs_for("LSTM", 2 if direction == "bidirectional" else 1, peepholes=peepholes)
    attributes = attributes_for("LSTM", direction) | {"input_forget": 1}
    compare("LSTM", inputs, attributes, with_reference=False)


def published():
    """The cases that come with ONNX: inputs and outputs by name, and attributes."""
    found = {}
    for kind in ("LSTM", "RNN"):  # its GRUs have the reset gate before the product, as ours do not
        module = import_module(f"onnx.backend.test.case.node.{kind.lower()}")

        def record(node, inputs, outputs, name, kind=kind):
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            wanted = [output for output in node.output if output]
            found[name] = (
                kind,
                dict(zip(node.input, inputs, strict=True)),
                dict(zip(wanted, outputs, strict=True)),
                attributes,
            )

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "expect", record)
            for case in (value for value in vars(module).values() if isclass(value)):
                for name in vars(case) if case.__module__ == module.__name__ else ():
                    if name.startswith("export"):
                        getattr(case, name)()
    return found


CASES = published()


@pytest.mark.parametrize("case", CASES)
def test_published_cases(case):
    kind, inputs, expected, attributes = CASES[case]
    direction = attributes.get("direction", b"forward").decode()
    batch_first = attributes.get("layout", 0) == 1
    inputs = {
        name: value.astype(np.int32 if name == "sequence_lens" else np.float32)
        for name, value in inputs.items()
    }
    if batch_first:
        inputs["X"] = np.swapaxes(inputs["X"], 0, 1)
    y, *states = run_layer(kind, inputs, {"direction": direction})
    found = {"Y": y.permute(2, 0, 1, 3) if batch_first else y}
    for name, state in zip(("Y_h", "Y_c"), states, strict=False):
        found[name] = state.transpose(0, 1) if batch_first else state
    for name, value in expected.items():
        torch.testing.assert_close(found[name], torch.from_numpy(value.astype(np.float32)), **TOLERANCE)
