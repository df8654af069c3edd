"""torch.onnx.export: one node a layer, which ONNX Runtime runs to the same numbers."""

from collections import Counter

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import fastlstm
from fastlstm import GRU, LSTM, RNN, ops

# What the exporter warns of in itself
pytestmark = pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
    "ignore:# The axis name:UserWarning",
)

# A float32 sum of n terms is off by about 6e-8 times √n of its terms' size, on either side.
TOLERANCE = {"rtol": 0, "atol": 1e-5}
LAYERS = {
    "LSTM": lambda: LSTM(4, 6, 2, bidirectional=True),
    "LSTM, batch first": lambda: LSTM(4, 6, 2, bidirectional=True, batch_first=True),
    "LSTM, no biases": lambda: LSTM(4, 6, bias=False),
    "peepholes": lambda: LSTM(4, 6, bidirectional=True, peephole=True),
    "coupled": lambda: LSTM(4, 6, coupled=True),
    "coupled with peepholes": lambda: LSTM(4, 6, bidirectional=True, coupled=True, peephole=True),
    "initial state": lambda: LSTM(4, 6, 2, learn_initial_state=True),
    "segments": lambda: LSTM(4, 6, checkpoint_every=2),
    "GRU": lambda: GRU(4, 6, 2, bidirectional=True, batch_first=True),
    "GRU, no biases": lambda: GRU(4, 6, bias=False),
    "tanh": lambda: RNN(4, 6, 2, bidirectional=True, recurrent_dropout=0.3),
    "relu": lambda: RNN(4, 6, nonlinearity="relu", batch_first=True),
}
T, B = torch.export.Dim("T"), torch.export.Dim("B")


class Call(nn.Module):
    """A layer, with all that it takes and gives as inputs and outputs."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, h0=None, c0=None, lengths=None, output_steps=None):
        hx = h0 if c0 is None else (h0, c0)
        y, state = self.layer(x, hx, lengths=lengths, output_steps=output_steps)
        return (y, *state) if isinstance(state, tuple) else (y, state)


def arguments_for(layer, names, steps, batch):
    states = layer.num_layers * (2 if layer.bidirectional else 1)
    given = {
        "x": torch.randn((batch, steps, 4) if layer.batch_first else (steps, batch, 4)),
        "h0": torch.randn(states, batch, 6),
        "c0": torch.randn(states, batch, 6),
        "lengths": torch.randint(0, steps + 1, (batch,)),
        "output_steps": torch.tensor([steps - 1, 0]),
    }
    return {name: given[name] for name in names}


def export(layer, names, path):
    """The model, and what runs it."""
    rows = {0: B, 1: T} if layer.batch_first else {0: T, 1: B}
    shapes = {"x": rows, "h0": {1: B}, "c0": {1: B}, "lengths": {0: B}, "output_steps": None}
    torch.onnx.export(
        Call(layer).eval(),
        kwargs=arguments_for(layer, names, 5, 3),
        f=path,
        dynamo=True,
        dynamic_shapes={name: shapes[name] for name in names},
        verbose=False,
    )
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model, onnxruntime.InferenceSession(path)


def agrees(session, layer, names, steps, batch):
    arguments = arguments_for(layer, names, steps, batch)
    found = session.run(None, {name: argument.numpy() for name, argument in arguments.items()})
    with torch.no_grad():
        expected = Call(layer)(**arguments)
    torch.testing.assert_close([torch.from_numpy(y) for y in found], list(expected), **TOLERANCE)


@pytest.mark.parametrize(
    ("kind", "with_everything"),
    [
        *((kind, True) for kind in LAYERS),
        ("LSTM", False),
        ("GRU, no biases", False),
        ("initial state", False),
    ],
)
def test_one_node_a_layer(kind, with_everything, tmp_path):
    layer, names = LAYERS[kind](), ["x"]
    for name, parameter in layer.named_parameters():
        if name in ("h0", "c0"):
            nn.init.normal_(parameter)
    if with_everything:
        names += ["h0", *(["c0"] if isinstance(layer, LSTM) else []), "lengths"]
    model, session = export(layer, names, tmp_path / "model.onnx")
    nodes = Counter(node.op_type for node in model.graph.node)
    assert nodes[layer.mode.partition("_")[0]] == layer.num_layers
    assert not {"Loop", "Scan", "If"} & set(nodes)
    for steps, batch in ((5, 3), (8, 1), (1, 4), (2, 7)):
        agrees(session, layer, names, steps, batch)


def test_nothing_but_the_nodes_is_left(tmp_path):
    """The weights are put into ONNX's order when the model is exported, not when it runs."""
    model, _ = export(LSTM(4, 6, 2, peephole=True), ["x"], tmp_path / "model.onnx")
    nodes = [node.op_type for node in model.graph.node]
    assert nodes == ["LSTM", "Squeeze", "LSTM", "Squeeze", "Concat", "Concat"]
    dimensions = model.graph.output[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dimensions] == ["T", "B", 6]


def test_output_steps(tmp_path):
    layer, names = LSTM(4, 6), ["x", "output_steps"]
    agrees(export(layer, names, tmp_path / "model.onnx")[1], layer, names, 9, 2)


def test_a_model_whose_layers_were_replaced(tmp_path):
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.rnn, self.out = nn.Embedding(50, 8), nn.LSTM(8, 6), nn.Linear(6, 3)

        def forward(self, tokens):
            return self.out(self.rnn(self.embed(tokens))[0]).log_softmax(-1)

    model, path = Tagger().eval(), tmp_path / "model.onnx"
    tokens = torch.randint(50, (7, 4))
    expected = model(tokens)
    fastlstm.replace(model)
    torch.onnx.export(model, (tokens,), path, dynamo=True, dynamic_shapes=({0: T, 1: B},), verbose=False)
    (found,) = onnxruntime.InferenceSession(path).run(None, {"tokens": tokens.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), expected, **TOLERANCE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_other_types(dtype):
    """ONNX Runtime has no kernels for them; ONNX's checker takes them."""
    layer = GRU(4, 6).to(dtype).eval()
    program = torch.onnx.export(layer, (torch.randn(5, 3, 4, dtype=dtype),), dynamo=True, verbose=False)
    onnx.checker.check_model(program.model_proto, full_check=True)
    assert [node.op_type for node in program.model_proto.graph.node].count("GRU") == 1


REFUSED = {
    "layer_norm": (lambda: LSTM(4, 6, layer_norm=True), {}, "LSTM has no layer_norm"),
    "proj_size": (lambda: LSTM(4, 6, proj_size=3), {}, "LSTM has no proj_size"),
    "zoneout": (lambda: GRU(4, 6, zoneout=0.1), {}, "GRU has no zoneout"),
    "reset": (lambda: RNN(4, 6), {"reset": torch.zeros(5, 3, dtype=torch.bool)}, "RNN has no reset"),
}


@pytest.mark.parametrize(("make", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_onnx_has_no_node_for(make, options, message):
    with pytest.raises(torch.onnx.errors.OnnxExporterError, match=message) as found:
        torch.onnx.export(make().eval(), (torch.randn(5, 3, 4),), kwargs=options, dynamo=True, verbose=False)
    assert isinstance(found.value.__cause__, ValueError)


def test_packed_rows_are_refused():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = LSTM(4, 6)

        def forward(self, rows, batch_sizes):
            weights = list(self.lstm.parameters())
            return ops.sequence(
                ops.Cell(), rows, None, None, weights, batch_sizes=batch_sizes, packed_batch=3
            )

    arguments = torch.randn(5, 4), torch.tensor([3, 2])
    with pytest.raises(
        torch.onnx.errors.OnnxExporterError, match="no PackedSequence: give the padded tensor"
    ):
        torch.onnx.export(Packed().eval(), arguments, dynamo=True, verbose=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_the_exporter_of_old():
    with pytest.raises(ValueError, match="not with dynamo=False"):
        torch.onnx.export(nn.Sequential(LSTM(4, 6)).eval(), (torch.randn(5, 3, 4),), "", dynamo=False)
