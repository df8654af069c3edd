"""The members of an ensemble, trained one after the other, as one training that can be left and gone on with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from torch import nn

from fastlstm.training.checkpoint import TrainingState
from fastlstm.training.learner import Hooks, TrainingResult


def trained_members(hooks: Hooks, ensemble: nn.Module) -> list[TrainingResult]:
    """Return how the members went that were trained before, and give the ensemble their weights.

    Parameters
    ----------
    hooks : Hooks
        Of the whole training; its ``resume`` says where to go on.
    ensemble : torch.nn.Module
        All members, in training or not.
    """
    if hooks.resume is None:
        return []
    ensemble.load_state_dict(hooks.resume.part("ensemble"))
    ensemble.eval()  # training sees to the mode of what it trains alone
    return [TrainingResult(**result) for result in hooks.resume.numbers["trained"]]


def member_hooks(hooks: Hooks, ensemble: nn.Module, trained: Sequence[TrainingResult]) -> Hooks:
    """Return what looks on while the next member is trained.

    Parameters
    ----------
    hooks : Hooks
        Of the whole training. Its ``checkpoint`` is given where the member stands, beside those that are done.
    ensemble : torch.nn.Module
        All members.
    trained : sequence of TrainingResult
        How those went that are done.
    """
    keep, resume = hooks.checkpoint, None
    if hooks.resume is not None and len(trained) == len(hooks.resume.numbers["trained"]):
        resume = TrainingState(hooks.resume.part("training"), hooks.resume.numbers["training"])
    if keep is None:
        return replace(hooks, resume=resume)

    def checkpoint(state: TrainingState) -> None:
        tensors = {
            **{f"ensemble.{name}": value for name, value in ensemble.state_dict().items()},
            **{f"training.{name}": value for name, value in state.tensors.items()},
        }
        numbers: dict[str, Any] = {
            "trained": [asdict(result) for result in trained],
            "training": state.numbers,
        }
        keep(TrainingState(tensors, numbers))

    return replace(hooks, checkpoint=checkpoint, resume=resume)
