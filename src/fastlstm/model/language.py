"""A language model: an LSTM that says of every token which one comes next."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, Self, cast

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from fastlstm.nn import LSTM
from fastlstm.ops.linear import linear
from fastlstm.ops.smoothed_loss import smoothed_cross_entropy

LayerState = Any  # of one layer: the pair (h, c), as LSTM takes and gives it


class LanguageSettings(BaseModel):
    """All that it takes to build the network again; ``config.json`` keeps it.

    Parameters
    ----------
    tokens : int
        V, how many there are, the boundary between texts among them.
    embedding : int
        E, width of a token's vector.
    hidden_size, num_layers : int
        H, and how many layers. Where weights are tied the last layer has E units.
    dropout : float
        Share of the vectors that is set to zero in training between layers, before the first and after the last, by one
        mask for a window (Gal & Ghahramani 2016).
    recurrent_dropout : float
        The same of h on its way into the recurrent product.
    weight_drop : float
        Share of the recurrent weights that is set to zero in training, one mask a window (Merity et al. 2018,
        "Regularizing and optimizing LSTM language models").
    tied : bool
        Whether a token has one vector, on its way in and out (Press & Wolf 2017; Inan et al. 2017).
    cutoffs : tuple of int
        With some, an adaptive softmax (Grave et al. 2017): tokens before the first have full vectors, those after each
        a quarter of the width before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int
    embedding: int
    hidden_size: int
    num_layers: int
    dropout: float
    recurrent_dropout: float
    weight_drop: float
    tied: bool
    cutoffs: tuple[int, ...]


class LanguageState(NamedTuple):
    """Where B texts stand.

    Attributes
    ----------
    layers : tuple
        The state of each layer, of B rows.
    """

    layers: tuple[LayerState, ...]

    def select(self, rows: Tensor) -> Self:
        """Return the state of some rows.

        Parameters
        ----------
        rows : Tensor
            (R,) int64
        """
        return type(self)(tuple(tuple(part[:, rows] for part in layer) for layer in self.layers))


class LanguageNetwork(nn.Module):
    """Token by token, the probability of the next one.

    Parameters
    ----------
    settings : LanguageSettings
        How it is built.

    Examples
    --------
    >>> import torch
    >>> network = LanguageNetwork(LanguageSettings(
    ...     tokens=7, embedding=4, hidden_size=8, num_layers=2, dropout=0.0, recurrent_dropout=0.0, weight_drop=0.0,
    ...     tied=False, cutoffs=())).eval()
    >>> features, state = network(torch.tensor([[1, 2], [3, 4], [5, 6]]))
    >>> features.shape, state.layers[0][0].shape
    (torch.Size([3, 2, 8]), torch.Size([1, 2, 8]))
    """

    def __init__(self, settings: LanguageSettings) -> None:
        super().__init__()
        self.settings = settings
        self.embed = nn.Embedding(settings.tokens, settings.embedding)
        last = settings.embedding if settings.tied else settings.hidden_size
        widths = [settings.embedding, *[settings.hidden_size] * (settings.num_layers - 1), last]
        self.layers = nn.ModuleList(
            LSTM(before, after, recurrent_dropout=settings.recurrent_dropout)
            for before, after in pairwise(widths)
        )
        self.adaptive: nn.AdaptiveLogSoftmaxWithLoss | None = None
        self.bias: nn.Parameter | None = None
        self.weight: nn.Parameter | None = None  # of its own, or the embedding's
        if settings.cutoffs:
            self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(last, settings.tokens, list(settings.cutoffs))
            return
        self.bias = nn.Parameter(torch.zeros(settings.tokens))
        # With vectors of length one or less at the beginning, all tokens are about as likely.
        if settings.tied:
            nn.init.normal_(self.embed.weight, std=settings.embedding**-0.5)
        else:
            self.weight = nn.Parameter(torch.empty(settings.tokens, last).uniform_(-1, 1) * last**-0.5)

    def forward(
        self, tokens: Tensor, state: LanguageState | None = None, following: Tensor | None = None
    ) -> tuple[Tensor, LanguageState]:
        """Read windows.

        Parameters
        ----------
        tokens : Tensor
            (T, B) int64
        state : LanguageState, optional
            Before the first token. Default: zeros.
        following : Tensor, optional
            (T, B) int64, the token after each.

        Returns
        -------
        features or loss : Tensor
            (T, B, E or H), what :meth:`loss` makes probabilities of; with ``following`` the mean of that instead, a
            scalar, in fewer passes over memory and in the precision of the whole: what training asks for.
        state : LanguageState
            After the last token.
        """
        before = [None] * len(self.layers) if state is None else state.layers
        x = self._drop(self.embed(tokens))
        after = []
        for layer, layer_state in zip(self.stack, before, strict=True):
            x, reached = self._run(layer, x, layer_state)
            x = self._drop(x)
            after.append(reached)
        return (x if following is None else self._mean_loss(x, following)), LanguageState(tuple(after))

    def loss(self, features: Tensor, following: Tensor) -> Tensor:
        """Return minus the logarithm of the probability of each following token.

        Parameters
        ----------
        features : Tensor
            (T, B, E or H)
        following : Tensor
            (T, B) int64

        Returns
        -------
        Tensor
            (T, B), nats.
        """
        rows, wanted = features.flatten(0, 1), following.flatten()
        if self.adaptive is not None:
            likely: Tensor = self.adaptive(rows, wanted).output
            return -likely.view_as(following)
        return F.cross_entropy(self._logits(rows), wanted, reduction="none").view_as(following)

    def start(self, context: Tensor) -> LanguageState:
        """Read the beginnings of texts, but for their last token, which a single step is to read.

        Parameters
        ----------
        context : Tensor
            (B, P) int64; P may be 0.
        """
        if context.shape[1]:
            state: LanguageState = self(context.T)[1]
            return state
        rows = context.shape[0]
        widths = [layer.hidden_size for layer in self.stack]
        zeros = (self.embed.weight.new_zeros(1, rows, width) for width in widths)
        return LanguageState(tuple((part, part.clone()) for part in zeros))

    @property
    def stack(self) -> list[LSTM]:
        """The layers, the first that reads first."""
        return cast("list[LSTM]", list(self.layers))

    @property
    def vectors(self) -> Tensor:
        """(V, E or H), what features are compared with; where there are cutoffs, those of the embedding."""
        return self.embed.weight if self.weight is None else self.weight

    def _run(self, layer: LSTM, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        share = self.settings.weight_drop
        weights = {}
        if share and self.training:
            weights["weight_hh_l0"] = F.dropout(layer.get_parameter("weight_hh_l0"), share)
        result: tuple[Tensor, LayerState] = functional_call(layer, weights, (x, state))
        return result

    def _drop(self, x: Tensor) -> Tensor:
        """Set values to zero in training, the same ones at every step of a window."""
        share = self.settings.dropout
        if not (share and self.training):
            return x
        mask = x.new_empty(1, *x.shape[1:]).bernoulli_(1 - share).div_(1 - share)
        return x * mask

    def _mean_loss(self, features: Tensor, following: Tensor) -> Tensor:
        if self.adaptive is not None:  # PyTorch's, which cannot mix precisions
            with torch.autocast(features.device.type, enabled=False):
                return self.loss(features.float(), following).mean()
        return smoothed_cross_entropy(self._logits(features.flatten(0, 1)), following.flatten())

    def _logits(self, rows: Tensor) -> Tensor:
        return linear(rows, self.vectors, self.bias)
