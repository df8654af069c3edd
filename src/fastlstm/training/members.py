"""The members of an ensemble, trained one after the other, as one training that can be left and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from accelerate import Accelerator
from torch import nn

from fastlstm.training.checkpoint import TrainingState
from fastlstm.training.learner import Hooks, Learner, LoopSettings, TrainingResult
from fastlstm.training.loop import train
from fastlstm.training.parts import joined


def train_members(
    ensemble: nn.Module,
    learners: Sequence[Callable[[], Learner[Any]]],
    loop: LoopSettings,
    accelerator: Accelerator,
    hooks: Hooks | None = None,
) -> list[TrainingResult]:
    """Train one member after the other; Ctrl-C ends the one that learns, and those after it do not begin.

    Parameters
    ----------
    ensemble : torch.nn.Module
        All members.
    learners : sequence of callable
        What makes the learner of each of them, once it is its turn.
    loop : LoopSettings
        Of the first; the seed of each other is one more than that of the one before.
    accelerator : Accelerator
        Where to compute.
    hooks : Hooks, optional
        What looks on, and where to go on. ``checkpoint`` is given where a member stands, and the weights of all.

    Returns
    -------
    list of TrainingResult
        How each went, those included that were done when training was left.
    """
    hooks = hooks or Hooks()
    trained: list[TrainingResult] = []
    if hooks.resume is not None:
        ensemble.load_state_dict(hooks.resume.part("ensemble"))
        ensemble.eval()  # training sees to the mode of what it trains alone
        trained = [TrainingResult(**result) for result in hooks.resume.numbers["trained"]]
    for member in range(len(trained), len(learners)):
        looking = _member_hooks(hooks, ensemble, tuple(trained))
        settings = replace(loop, seed=loop.seed + member)
        trained.append(train(learners[member](), settings, accelerator, looking))
        if trained[-1].stopped == "interrupted":
            break
    return trained


def useful_members(trained: Sequence[TrainingResult]) -> int:
    """Count the members that learnt something: all that began, but for one that was left before its first validation.

    Parameters
    ----------
    trained : sequence of TrainingResult
        How each went.

    Examples
    --------
    >>> done, left = TrainingResult([{"step": 10}]), TrainingResult(stopped="interrupted")
    >>> useful_members([done, done]), useful_members([done, left]), useful_members([left])
    (2, 1, 1)
    """
    return max(1, len(trained) - (not trained[-1].history))


def _member_hooks(hooks: Hooks, ensemble: nn.Module, trained: Sequence[TrainingResult]) -> Hooks:
    """Return what looks on while the member learns that comes after those that are trained."""
    keep, resume = hooks.checkpoint, None
    if hooks.resume is not None and len(trained) == len(hooks.resume.numbers["trained"]):
        resume = TrainingState(hooks.resume.part("training"), hooks.resume.numbers["training"])
    if keep is None:
        return replace(hooks, resume=resume)

    def checkpoint(state: TrainingState) -> None:
        tensors = joined({"ensemble": ensemble.state_dict(), "training": state.tensors})
        numbers: dict[str, Any] = {
            "trained": [asdict(result) for result in trained],
            "training": state.numbers,
        }
        keep(TrainingState(tensors, numbers))

    return replace(hooks, checkpoint=checkpoint, resume=resume)
