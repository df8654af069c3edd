"""What a search asks of a model: a beginning, one step, and the choice of which rows go on."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar, runtime_checkable

from torch import Tensor

Context = TypeVar("Context", contravariant=True)


class State(Protocol):
    """Where B hypotheses stand."""

    def select(self, rows: Tensor) -> Self:
        """Return the state of some rows, in the order given.

        Parameters
        ----------
        rows : Tensor
            (R,) int64 from 0 to B - 1; a row may come several times, or not at all.
        """


StateT = TypeVar("StateT", bound=State)


@runtime_checkable
class Covering(Protocol):
    """A state that knows what was attended to; a search that is to punish what was not asks for it."""

    @property
    def coverage(self) -> Tensor:
        """(B,) the sum over what is to be covered of log min(attention so far, 1): 0 where all is, else less."""


class StepModel(Protocol[Context, StateT]):
    """A model that goes token by token."""

    def start(self, context: Context) -> StateT:
        """Return the state before the first token.

        Parameters
        ----------
        context
            What the model's answers depend on, for instance the text to translate: B rows.
        """

    def step(self, tokens: Tensor, state: StateT) -> tuple[Tensor, StateT]:
        """Read a token a row, and say how likely each is to come next.

        Parameters
        ----------
        tokens : Tensor
            (B,) int64, on any device: the model takes them to its own.
        state
            Of B rows; it is left as it is, so that several may go on from it.

        Returns
        -------
        log_probabilities : Tensor
            (B, V), natural logarithms.
        state
            After the tokens.
        """
