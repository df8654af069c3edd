"""The translator's decoder token by token, as a search asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fastlstm.data.texts.tokens import PADDING, UNKNOWN
from fastlstm.model.translator import LayerStates, Memory, TranslatorNetwork


@dataclass(frozen=True, eq=False)
class TranslationState:
    """Where B hypotheses stand; several of them may be about one source.

    Parameters
    ----------
    memory : Memory
        Of U sources.
    owners : Tensor
        (B,) int64, whose source each hypothesis is about.
    layers : LayerStates
        (h, c) of the decoder's LSTMs, (layers, B, H) each.
    fed : Tensor
        (B, E) the last attentional vector.
    weights : Tensor
        (B, S) what was attended to with the last token.
    attended : Tensor
        (B, S) the sum of that over all tokens so far.
    """

    memory: Memory
    owners: Tensor
    layers: LayerStates
    fed: Tensor
    weights: Tensor
    attended: Tensor

    def select(self, rows: Tensor) -> TranslationState:
        """Return the state of some rows, in the order given.

        Parameters
        ----------
        rows : Tensor
            (R,) int64
        """
        rows = rows.to(self.owners.device)
        sources, owners = torch.unique_consecutive(self.owners[rows], return_inverse=True)
        count = len(self.memory.steps)
        same = len(sources) == count and bool((sources == torch.arange(count, device=sources.device)).all())
        return TranslationState(
            self.memory if same else self.memory.select(sources),
            owners,
            tuple((h[:, rows], c[:, rows]) for h, c in self.layers),
            self.fed[rows],
            self.weights[rows],
            self.attended[rows],
        )

    @property
    def coverage(self) -> Tensor:
        """(B,) Σ_s log min(Σ_t a_ts, 1) over the steps of the source (Wu et al. 2016, equation 14)."""
        steps = self.memory.steps[self.owners]
        return self.attended.clamp(1e-30, 1.0).log().where(steps, 0.0).sum(1)


class TranslationSteps:
    """The decoder of a network in evaluation mode, one token at a time, without gradients.

    Padding and the unknown token are never told.

    Parameters
    ----------
    network : TranslatorNetwork
        In evaluation mode.

    Examples
    --------
    >>> from fastlstm.model.translator import TranslatorSettings
    >>> settings = TranslatorSettings(
    ...     source_tokens=9, target_tokens=9, shared=True, embedding=4, scale=1.0, hidden_size=6, num_layers=2,
    ...     attention="luong", input_feeding=False, dropout=0.0, recurrent_dropout=0.0,
    ... )
    >>> steps = TranslationSteps(TranslatorNetwork(settings).eval())
    >>> state = steps.start((torch.tensor([[2, 3, 8], [4, 8, 0]]), torch.tensor([3, 2])))
    >>> log_probabilities, state = steps.step(torch.tensor([8, 8]), state)
    >>> log_probabilities[:, :3].isinf(), log_probabilities.exp().sum(1).round(decimals=4)
    (tensor([[ True,  True, False],
            [ True,  True, False]]), tensor([1., 1.]))
    """

    def __init__(self, network: TranslatorNetwork) -> None:
        self.network = network

    @torch.no_grad()
    def start(self, context: tuple[Tensor, Tensor]) -> TranslationState:
        """Read sources.

        Parameters
        ----------
        context : tuple of Tensor
            (U, S) int64 and (U,) lengths, as :class:`fastlstm.data.texts.pair_tokens.PairBatch` has them.
        """
        memory, layers = self.network.encode(*context)
        rows = len(memory.steps)
        fed = memory.values.new_zeros(rows, self.network.settings.embedding)
        none = memory.values.new_zeros(memory.steps.shape)
        return TranslationState(memory, torch.arange(rows, device=none.device), layers, fed, none, none)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState]:
        """Read a token a hypothesis, and say how likely each is to come next.

        Parameters
        ----------
        tokens : Tensor
            (B,) int64
        state : TranslationState
            Of B hypotheses.
        """
        decoded = self.network.step(
            tokens.to(state.owners.device), state.memory, state.owners, state.layers, state.fed
        )
        fed, weights = decoded.attentional[:, 0], decoded.weights[:, 0]
        logits = self.network.logits(fed).float()
        logits[:, [PADDING, UNKNOWN]] = -torch.inf
        return logits.log_softmax(1), replace(
            state, layers=decoded.states, fed=fed, weights=weights, attended=state.attended + weights
        )
