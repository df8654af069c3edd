"""What a task brings to the training loop, how the loop is set, and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from fastlstm.training.checkpoint import TrainingState
from fastlstm.wording import listed

Batch = TypeVar("Batch")

Stopped = Literal["finished", "early", "interrupted"]
ENDINGS: dict[Stopped, str] = {
    "finished": "all steps done",
    "early": "stopped early, the validation loss was low enough or no longer fell",
    "interrupted": "interrupted; the best weights so far were kept",
}

_PRECISIONS = {"no": "", "bf16": ", in bfloat16", "fp16": ", in float16"}


@dataclass(frozen=True)
class Learner(Generic[Batch]):
    """What a task brings to the loop.

    Parameters
    ----------
    network : torch.nn.Module
        What learns. The loop moves it to the device.
    draw : callable
        ``draw(generator)`` gives a batch, on the device, drawn with a CPU generator.
    loss : callable
        ``loss(network, batch)`` gives a scalar. It must call the network it is given, which may be wrapped.
    validate : callable
        ``validate(network)`` gives the loss to choose weights by.
    describe : callable
        ``describe(network, batch)`` says which data a batch holds, for the message that its loss is not
        finite.
    unit, size : str, callable, optional
        What the throughput counts: ``size(batch)`` of them are in a batch. Default: steps.
    carried, carry : callable
        ``carried()`` gives what goes on from batch to batch beside the weights, for instance the states of streams, and
        ``carry(tensors)`` takes it up where training is resumed. Default: nothing does.
    """

    network: nn.Module
    draw: Callable[[torch.Generator], Batch]
    loss: Callable[[nn.Module, Batch], Tensor]
    validate: Callable[[nn.Module], float]
    describe: Callable[[nn.Module, Batch], str]
    unit: str = "steps"
    size: Callable[[Batch], int] = lambda _: 1
    carried: Callable[[], Mapping[str, Tensor]] = dict
    carry: Callable[[Mapping[str, Tensor]], None] = lambda _: None


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to learn.

    Parameters
    ----------
    steps : int
        The most steps.
    learning_rate : float
        The peak of the one-cycle schedule.
    validate_every : int
        Steps between two validations.
    patience : int
        Stop after so many validations in a row without a lower loss …
    fewest_steps : int
        … but not before so many steps.
    target_loss : float
        Stop once the validation loss is below, whatever the number of steps.
    clip : float
        The largest norm of the gradient of all weights together.
    weight_decay : float
        Decoupled from the gradient (Loshchilov & Hutter 2019).
    warm_up : float
        The share of the steps over which the learning rate rises.
    seed : int
        Of the draws and of dropout.
    progress : bool
        Whether to show a bar on stderr.
    """

    steps: int
    learning_rate: float
    validate_every: int
    patience: int
    fewest_steps: int = 0
    target_loss: float = -math.inf
    clip: float = 1.0
    weight_decay: float = 1e-4
    warm_up: float = 0.1
    seed: int = 0
    progress: bool = True


@dataclass(frozen=True)
class Hooks:
    """What looks on while training goes on.

    Parameters
    ----------
    validated : callable, optional
        ``validated(step, network)`` is called after each validation, without gradients and in evaluation mode;
        what it raises ends training.
    checkpoint : callable, optional
        ``checkpoint(state)`` keeps where training stands: every ``checkpoint_seconds``, and on Ctrl-C. Only a
        training of one process has such a state.
    checkpoint_seconds : float
        At least so long between two of them.
    resume : TrainingState, optional
        Where to go on. With the same learner and settings the result is that of a training that never stopped,
        bit for bit.
    """

    validated: Callable[[int, nn.Module], None] | None = None
    checkpoint: Callable[[TrainingState], None] | None = None
    checkpoint_seconds: float = 60.0
    resume: TrainingState | None = None


@dataclass
class TrainingResult:
    """How training went; the network holds the best weights.

    Parameters
    ----------
    history : list of dict
        One entry a validation: ``step``, ``loss``, ``validation_loss``, ``learning_rate``, ``seconds``.
    stopped : {"finished", "early", "interrupted"}
        Why it ended: all steps done, no better validation for long, or Ctrl-C.
    step : int
        Steps done.
    best_step : int
        The step of the weights that were kept.
    best_loss : float
        Their validation loss.
    seconds : float
        Wall time.
    precision : str
        Of the products: ``"no"`` if they were not mixed, ``"bf16"`` or ``"fp16"``.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    stopped: Stopped = "finished"
    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0
    precision: str = "no"


def outcome(training: Sequence[TrainingResult], parameters: int) -> str:
    """Say what the training of an ensemble took, how it ended, and which weights it left.

    Parameters
    ----------
    training : sequence of TrainingResult
        That of each member.
    parameters : int
        Weights of all members together.

    Examples
    --------
    >>> outcome([TrainingResult(step=1200, best_step=1100, seconds=31.42, precision="bf16")], 9109)
    '1,200 training steps in 31.4 s, in bfloat16 (all steps done); weights of step 1,100; 9,109 parameters'
    >>> outcome([TrainingResult(step=40), TrainingResult(step=30, stopped="early")], 9109)
    '40, 30 training steps in 0.0 s (1 of 2 stopped early, the validation loss was low enough or no longer ...'
    """
    steps = ", ".join(f"{result.step:,}" for result in training)
    best = ", ".join(f"{result.best_step:,}" for result in training)
    seconds = sum(result.seconds for result in training)
    ending = training[-1].stopped
    early = [result.stopped for result in training].count("early")
    some = early > 0 and ending != "interrupted"
    share = f"{early:,} of {len(training):,} " if some and early < len(training) else ""
    word = "step" if steps == "1" else "steps"
    return (
        f"{steps} training {word} in {seconds:.1f} s{_PRECISIONS[training[-1].precision]} "
        f"({share}{ENDINGS['early' if some else ending]}); weights of step {best}; {parameters:,} parameters"
    )


def training_metrics(training: Sequence[TrainingResult], parameters: int) -> dict[str, Any]:
    """Return what ``metrics.json`` holds of the training of an ensemble.

    Parameters
    ----------
    training : sequence of TrainingResult
        That of each member.
    parameters : int
        Weights of all members together.

    Examples
    --------
    >>> training_metrics([TrainingResult(step=40, best_step=30, seconds=1.5)], 9109)
    {'steps': [40], 'best_step': [30], 'seconds': 1.5, 'stopped': 'finished', 'parameters': 9109}
    """
    return {
        "steps": [member.step for member in training],
        "best_step": [member.best_step for member in training],
        "seconds": round(sum(member.seconds for member in training), 2),
        "stopped": training[-1].stopped,
        "parameters": parameters,
    }


def numbered(what: str, which: Tensor) -> str:
    """Say which examples a batch holds, by the first of their numbers.

    Parameters
    ----------
    what : str
        What they are, in the plural.
    which : Tensor
        (B,) int64

    Examples
    --------
    >>> numbered("pairs", torch.tensor([7, 2]))
    'pairs number 7, 2, counted from 0'
    """
    return f"{what} number {listed(which.tolist(), form=str, counted=True)}, counted from 0"


def pass_interrupt_on(training: Sequence[TrainingResult]) -> None:
    """Let a Ctrl-C that ended a training end what it is a part of, too: a backtest is of models that learnt all.

    Parameters
    ----------
    training : sequence of TrainingResult
        That of each member.

    Raises
    ------
    KeyboardInterrupt
        If the last was left.

    Examples
    --------
    >>> pass_interrupt_on([TrainingResult(stopped="early"), TrainingResult()])
    """
    if training[-1].stopped == "interrupted":
        raise KeyboardInterrupt


def history_of(training: TrainingResult | Sequence[TrainingResult]) -> list[dict[str, float]]:
    """Return the history of a training, that of all members of an ensemble one after the other.

    Parameters
    ----------
    training : TrainingResult, or a sequence of them
        That of one network, or of each member.

    Returns
    -------
    list of dict
        Their entries; of members with ``member`` before the other keys, counted from 0.

    Examples
    --------
    >>> history_of([TrainingResult([{"step": 20}]), TrainingResult([{"step": 10}, {"step": 20}])])
    [{'member': 0, 'step': 20}, {'member': 1, 'step': 10}, {'member': 1, 'step': 20}]
    """
    if isinstance(training, TrainingResult):
        return training.history
    return [{"member": member, **entry} for member, result in enumerate(training) for entry in result.history]
