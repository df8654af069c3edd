"""replace() leaves a model's outputs and gradients as they were."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import fastlstm

# torch says so of its own projected LSTM, once a process
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


class Tagger(nn.Module):
    """A model as people write them: an embedding, a packed bidirectional encoder, a decoder with state, a tied list."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.encoder = nn.LSTM(8, 12, num_layers=2, batch_first=True, bidirectional=True)
        self.decoder = nn.Sequential(nn.Linear(24, 10), nn.ReLU())
        self.second = nn.LSTM(10, 9, proj_size=4)
        self.aliases = [self.second]
        self.normed = parametrizations.weight_norm(nn.LSTM(4, 5), "weight_hh_l0")

    def forward(self, tokens, lengths):
        packed = pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False)
        y, _ = pad_packed_sequence(self.encoder(packed)[0], batch_first=True)
        y, state = self.aliases[0](self.decoder(y).transpose(0, 1))
        return self.normed(y)[0], state


class Subclass(nn.LSTM):
    def forward(self, x):
        return super().forward(x)[0]


def test_a_model_of_someone_elses_making():
    model = Tagger()
    tokens, lengths = torch.randint(50, (6, 11)), torch.tensor([11, 2, 5, 5, 1, 9])

    def results(m):
        m.zero_grad()
        y, (h, c) = m(tokens, lengths)
        (y.square().sum() + h.sum() + c.sum()).backward()
        return [y, h, c], {name: p.grad.clone() for name, p in m.named_parameters()}

    expected = results(model)
    names = list(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    called = []
    model.encoder.register_forward_hook(lambda *_: called.append(True))

    assert fastlstm.replace(model) is model
    assert isinstance(model.encoder, fastlstm.LSTM)
    assert isinstance(model.second, fastlstm.LSTM)
    assert isinstance(model.normed, fastlstm.LSTM)
    assert model.aliases[0] is model.second
    found = results(model)
    torch.testing.assert_close(found, expected)
    assert list(model.state_dict()) == names
    assert called
    optimizer.step()
    assert not torch.equal(results(model)[0][0], found[0][0])
    x = torch.randn(2, 3, 8)
    torch.testing.assert_close(copy.deepcopy(model.encoder)(x), model.encoder(x))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (nn.LSTM(3, 4, proj_size=2), fastlstm.LSTM),
        (nn.GRU(3, 4, 2, bidirectional=True), fastlstm.GRU),
        (nn.RNN(3, 4, bias=False), fastlstm.RNN),
        (nn.RNN(3, 4, nonlinearity="relu"), fastlstm.RNN),
    ],
    ids=str,
)
def test_a_layer_itself(theirs, ours):
    layer = theirs.eval()
    x = torch.randn(5, 2, 3)
    expected, before = layer(x), repr(layer)
    replaced = fastlstm.replace(layer)
    assert type(replaced) is ours
    assert repr(replaced) == before
    assert not replaced.training
    for twin in (replaced, copy.deepcopy(replaced), pickle.loads(pickle.dumps(replaced))):
        torch.testing.assert_close(twin(x), expected)
    replaced.reset_parameters()
    assert not torch.equal(replaced(x)[0], expected[0])


@pytest.mark.parametrize(("theirs", "ours"), [(nn.GRU, fastlstm.GRU), (nn.RNN, fastlstm.RNN)])
def test_parametrized_gru_and_rnn(theirs, ours):
    layer = parametrizations.weight_norm(theirs(3, 4), "weight_hh_l0")
    x = torch.randn(5, 2, 3)
    expected = layer(x)
    assert isinstance(fastlstm.replace(layer), ours)
    torch.testing.assert_close(layer(x), expected)
    layer(x)[0].sum().backward()
    assert layer.parametrizations.weight_hh_l0.original1.grad.any()


def test_what_torch_pickled_is_read_as_ours(monkeypatch):
    """A whole model that was saved, where fastlstm's layers have taken the names of torch's."""
    theirs = nn.LSTM(4, 6, 2)
    saved = pickle.dumps(theirs)
    monkeypatch.setattr(nn.modules.rnn, "LSTM", fastlstm.LSTM)
    ours = pickle.loads(saved)
    assert type(ours) is fastlstm.LSTM
    x = torch.randn(5, 3, 4)
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_subclass_is_left_alone():
    model = nn.Sequential(Subclass(3, 4))
    assert type(fastlstm.replace(model)[0]) is Subclass
