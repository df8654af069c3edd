"""The network that reads a text and writes another: bidirectional encoder, attention, decoder."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from fastlstm.data.texts.tokens import PADDING
from fastlstm.model.attention import Attention, AttentionKind
from fastlstm.nn import LSTM
from fastlstm.ops.linear import linear

LayerStates = tuple[tuple[Tensor, Tensor], ...]  # (h, c) of each LSTM of the decoder, (layers, B, H) each


class TranslatorSettings(BaseModel):
    """All that it takes to build the network again; ``config.json`` keeps it.

    Parameters
    ----------
    source_tokens, target_tokens : int
        Sizes of the vocabularies, with padding and the boundary of texts, which is the last id.
    shared : bool
        Whether both are one, and so are their embeddings.
    embedding : int
        E, width of a token's vector.
    scale : float
        What vectors are multiplied by where they are read.
    hidden_size : int
        H, even: each direction of the encoder has half of it.
    num_layers : int
        Of the encoder, and of the decoder.
    attention : {"luong", "bahdanau"}
        How steps are compared.
    input_feeding : bool
        Whether the decoder reads what it attended to one token before.
    dropout, recurrent_dropout : float
        Shares that are set to zero in training: of embeddings, between layers and before the output; of the hidden
        state, by one mask for a text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_tokens: int
    target_tokens: int
    shared: bool
    embedding: int
    scale: float
    hidden_size: int
    num_layers: int
    attention: AttentionKind
    input_feeding: bool
    dropout: float
    recurrent_dropout: float


class Memory(NamedTuple):
    """What was read.

    Attributes
    ----------
    values : Tensor
        (B, S, H) outputs of the encoder, with the tokens themselves.
    keys : Tensor
        (B, S, A) what queries are compared with.
    steps : Tensor
        (B, S) bool, which steps there are.
    """

    values: Tensor
    keys: Tensor
    steps: Tensor

    def select(self, rows: Tensor) -> Self:
        """Return some rows.

        Parameters
        ----------
        rows : Tensor
            (R,) int64
        """
        return type(self)(*(part.index_select(0, rows) for part in self))


class Decoded(NamedTuple):
    """What the decoder says.

    Attributes
    ----------
    attentional : Tensor
        (B, T, E) before the output layer.
    weights : Tensor
        (B, T, S) what was attended to.
    states : LayerStates
        After the last step.
    """

    attentional: Tensor
    weights: Tensor
    states: LayerStates


class TranslatorNetwork(nn.Module):
    """An encoder, and a decoder that attends to its outputs.

    The encoder is a bidirectional LSTM. Of the decoder the first LSTM reads the embeddings of what was written so far;
    attention asks with its outputs; the LSTMs on it read its output and the context, and the attentional vector is

        a_t = tanh(W [y_t; context_t])

    (Luong et al. 2015, equation 5), as wide as an embedding: the output layer is the target's embedding transposed
    (Press and Wolf 2017). That attention asks with the lowest layer is GNMT's (Wu et al. 2016, section 3): nothing of
    a step hangs on the attention of the step before, so that in training each layer runs over all steps at once. With
    ``input_feeding`` (Luong et al. 2015, section 3.3) a_t is part of the first layer's next input, which takes a loop.
    The decoder starts from the encoder's last states by way of a dense layer.

    What is attended to is the encoder's output plus the token itself, m_s = y_s + U x_s: which word stands where does
    not first have to find its way through the encoder, and attention is learnt sooner (Nguyen and Chiang 2018,
    "Improving lexical choice in neural machine translation", lead words past the LSTMs as well).

    B texts, S tokens of the longest source, T of the longest target, V target tokens.

    Parameters
    ----------
    settings : TranslatorSettings
        Sizes.

    Examples
    --------
    >>> settings = TranslatorSettings(
    ...     source_tokens=9, target_tokens=9, shared=True, embedding=4, scale=1.0, hidden_size=6, num_layers=2,
    ...     attention="luong", input_feeding=False, dropout=0.0, recurrent_dropout=0.0,
    ... )
    >>> network = TranslatorNetwork(settings)
    >>> source, before = torch.tensor([[2, 3, 8], [4, 8, 0]]), torch.tensor([[8, 5], [8, 6]])
    >>> network(source, torch.tensor([3, 2]), before).shape
    torch.Size([2, 2, 9])
    """

    def __init__(self, settings: TranslatorSettings) -> None:
        super().__init__()
        self.settings = settings
        E, H, layers = settings.embedding, settings.hidden_size, settings.num_layers
        self.of_source = nn.Embedding(settings.source_tokens, E, padding_idx=PADDING)
        self.of_target = (
            self.of_source
            if settings.shared
            else nn.Embedding(settings.target_tokens, E, padding_idx=PADDING)
        )
        for embedding in {self.of_source, self.of_target}:
            nn.init.normal_(embedding.weight, std=E**-0.5)
            nn.init.zeros_(embedding.weight[PADDING])

        def lstm(inputs: int, width: int, layers: int, *, bidirectional: bool = False) -> LSTM:
            return LSTM(
                inputs,
                width,
                layers,
                batch_first=True,
                dropout=settings.dropout if layers > 1 else 0.0,
                bidirectional=bidirectional,
                recurrent_dropout=settings.recurrent_dropout,
                forget_bias=1.0,
            )

        self.encoder = lstm(E, H // 2, layers, bidirectional=True)
        self.words = nn.Linear(E, H, bias=False)
        self.bridge = nn.Linear(2 * H, 2 * layers * H)
        self.attention = Attention(settings.attention, H, H)
        fed = E if settings.input_feeding else 0
        self.lower = lstm(E + fed, H, 1)
        self.upper = lstm(2 * H, H, layers - 1) if layers > 1 else None
        self.combine = nn.Linear(2 * H, E)
        nn.init.xavier_uniform_(self.combine.weight)
        nn.init.zeros_(self.combine.bias)
        self.bias = nn.Parameter(torch.zeros(settings.target_tokens))

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, LayerStates]:
        """Read sources.

        Parameters
        ----------
        source : Tensor
            (B, S) int64, 0 past the ends.
        lengths : Tensor
            (B,) from 1 to S.

        Returns
        -------
        memory : Memory
            What can be attended to.
        states : LayerStates
            The decoder's before its first step.
        """
        x = self._dropped(self.of_source(source) * self.settings.scale)
        values, (h, c) = self.encoder(x, lengths=lengths)
        # By their own length: what is to move fast as an input is not to drown what the encoder makes of it.
        values = values + linear(x / self.settings.scale, self.words.weight)
        steps = torch.arange(source.shape[1], device=source.device) < lengths.to(source.device)[:, None]
        both = torch.cat([h[-2], h[-1], c[-2], c[-1]], dim=1)
        layers = linear(both, self.bridge.weight, self.bridge.bias).chunk(2 * self.settings.num_layers, 1)
        first = (layers[0].tanh()[None], layers[1][None])
        states: LayerStates = (first,)
        if self.upper is not None:
            states = (first, (torch.stack(layers[2::2]).tanh(), torch.stack(layers[3::2])))
        return Memory(values, self.attention.keys(values), steps), states

    def decode(
        self, before: Tensor, memory: Memory, states: LayerStates, fed: Tensor | None = None
    ) -> Decoded:
        """Run the decoder over targets.

        Parameters
        ----------
        before : Tensor
            (B, T) int64, the token before each that is to be told.
        memory : Memory
            Of B rows.
        states : LayerStates
            Before the first step.
        fed : Tensor, optional
            (B, E) the attentional vector before the first step, where input feeding is on. Default: zeros.
        """
        embedded = self._dropped(self.of_target(before) * self.settings.scale)
        if not self.settings.input_feeding:
            return self._run(embedded, memory, states)
        if fed is None:
            fed = embedded.new_zeros(len(embedded), self.settings.embedding)
        vectors, weights = [], []
        for step in range(before.shape[1]):
            decoded = self._run(torch.cat([embedded[:, step], fed], 1)[:, None], memory, states)
            states, fed = decoded.states, decoded.attentional[:, 0]
            vectors.append(decoded.attentional)
            weights.append(decoded.weights)
        return Decoded(torch.cat(vectors, 1), torch.cat(weights, 1), states)

    def step(
        self, tokens: Tensor, memory: Memory, owners: Tensor, states: LayerStates, fed: Tensor
    ) -> Decoded:
        """Take a single step of hypotheses, several of which may be about one source, in evaluation.

        Parameters
        ----------
        tokens : Tensor
            (R,) int64, the last of each hypothesis.
        memory : Memory
            Of U sources.
        owners : Tensor
            (R,) int64, whose source each is about, in rising order.
        states : LayerStates
            Of R rows.
        fed : Tensor
            (R, E) the attentional vector of the step before.

        Returns
        -------
        Decoded
            Of R rows and one step.
        """
        x = self.of_target(tokens) * self.settings.scale
        y, after = self.lower.step(torch.cat([x, fed], 1) if self.settings.input_feeding else x, states[0])
        rows, sources = len(tokens), len(memory.steps)
        each = rows // sources
        even = torch.arange(rows, device=owners.device) // max(each, 1)
        if each * sources == rows and torch.equal(owners, even):  # one look at the memory for all of a source
            context, weights = self.attention(y.view(sources, each, -1), *memory)
        else:
            context, weights = self.attention(y[:, None], *memory.select(owners))
        context, weights = context.reshape(rows, -1), weights.reshape(rows, 1, -1)
        ended = [after]
        if self.upper is not None:
            y, after = self.upper.step(torch.cat([y, context], 1), states[1])
            ended.append(after)
        both = torch.cat([y, context], 1)[:, None]
        return Decoded(linear(both, self.combine.weight, self.combine.bias).tanh(), weights, tuple(ended))

    def logits(self, attentional: Tensor) -> Tensor:
        """Compute the raw outputs of the vocabulary.

        Parameters
        ----------
        attentional : Tensor
            (…, E)

        Returns
        -------
        Tensor
            (…, V)
        """
        return linear(attentional, self.of_target.weight, self.bias)

    def forward(
        self, source: Tensor, lengths: Tensor, before: Tensor, wanted: Tensor | None = None
    ) -> Tensor:
        """Tell each token of targets from the source and the tokens before it.

        Parameters
        ----------
        source : Tensor
            (B, S) int64
        lengths : Tensor
            (B,) from 1 to S.
        before : Tensor
            (B, T) int64
        wanted : Tensor, optional
            (N,) int64, the places in (B · T) that are asked for. Default: all.

        Returns
        -------
        Tensor
            (B, T, V), or (N, V): raw outputs.
        """
        memory, states = self.encode(source, lengths)
        attentional = self._dropped(self.decode(before, memory, states).attentional)
        if wanted is not None:
            attentional = attentional.flatten(0, 1).index_select(0, wanted)
        return self.logits(attentional)

    def _run(self, x: Tensor, memory: Memory, states: LayerStates) -> Decoded:
        """Run layers, attention and what combines them over steps that need nothing of each other's attention."""
        y, after = self.lower(x, states[0])
        context, weights = self.attention(y, *memory)
        ended = [after]
        if self.upper is not None:
            y, after = self.upper(self._dropped(torch.cat([y, context], 2)), states[1])
            ended.append(after)
        both = self._dropped(torch.cat([y, context], 2))
        return Decoded(linear(both, self.combine.weight, self.combine.bias).tanh(), weights, tuple(ended))

    def _dropped(self, x: Tensor) -> Tensor:
        """Set values of (B, T, F) to zero in training, by one mask for a text's steps (Gal and Ghahramani 2016)."""
        if not (self.training and self.settings.dropout):
            return x
        return x * F.dropout(x.new_ones(len(x), 1, x.shape[2]), self.settings.dropout)
