"""One training loop for every task.

It knows steps, batches, losses and weights, and asks nothing about what is learnt: a task hands it a network
and three functions (:class:`Learner`). Device, mixed precision and data parallelism come from Hugging Face
Accelerate, so that ``accelerate launch`` and ``torchrun`` scale it out unchanged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from fastlstm.errors import InputError, TrainingError
from fastlstm.training.progress import TrainingProgress
from fastlstm.training.update import WeightUpdate

Batch = TypeVar("Batch")
Stopped = Literal["finished", "early", "interrupted"]

WARM_UP = 0.1  # the share of the steps over which the learning rate rises
LOSSES_HELD = 25  # losses are looked at so many at a time: each look waits for the device


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
    validate : callable, optional
        ``validate(network)`` gives the loss to choose weights by. Without it the last weights are kept.
    describe : callable
        ``describe(network, batch)`` says which data a batch holds, for the message that its loss is not
        finite.
    """

    network: nn.Module
    draw: Callable[[torch.Generator], Batch]
    loss: Callable[[nn.Module, Batch], Tensor]
    validate: Callable[[nn.Module], float] | None
    describe: Callable[[nn.Module, Batch], str]


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
    clip : float
        The largest norm of the gradient of all weights together.
    weight_decay : float
        Decoupled from the gradient (Loshchilov & Hutter 2019).
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
    clip: float = 1.0
    weight_decay: float = 1e-4
    seed: int = 0
    progress: bool = True


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
    """

    history: list[dict[str, float]] = field(default_factory=list)
    stopped: Stopped = "finished"
    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Compute the learning rate of a step: up over the first tenth, then down to nothing along a cosine.

    Smith & Topin 2019, "Super-convergence", with one phase down: with n steps, a tenth of them w,
    ``peak (0.1 + 0.9 s / w)`` for s < w, then ``peak (1 + cos(π (s - w) / (n - w))) / 2``.

    Parameters
    ----------
    step : int
        From 0.
    steps : int
        How many there will be.
    peak : float
        The highest rate.

    Examples
    --------
    >>> [round(one_cycle(step, 100, 1.0), 3) for step in (0, 10, 55, 99)]
    [0.1, 1.0, 0.5, 0.0]
    """
    rise = max(1, int(WARM_UP * steps))
    if step < rise:
        return peak * (0.1 + 0.9 * step / rise)
    return peak * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


def make_accelerator(device: str | None = None, precision: str = "no") -> Any:
    """Make the Accelerator for a device and precision.

    Parameters
    ----------
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"mps"`` and so on. Default: what Accelerate finds.
    precision : {"no", "bf16", "fp16"}
        Mixed precision.

    Raises
    ------
    InputError
        If there is no such device here.
    """
    from accelerate import Accelerator  # deferred: reading or predicting does not need it
    from accelerate.state import AcceleratorState

    # Accelerate keeps one configuration a process and refuses another; two trainings may well differ.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision=precision)
    if device not in (None, accelerator.device.type):
        raise InputError(f"device {device!r} is not here: give {accelerator.device.type!r}, or none")
    return accelerator


def train(learner: Learner[Batch], settings: LoopSettings, accelerator: Any) -> TrainingResult:
    """Learn; the network keeps the weights of the best validation.

    Parameters
    ----------
    learner : Learner
        Network, batches, loss, validation.
    settings : LoopSettings
        How long and how fast.
    accelerator : accelerate.Accelerator
        From :func:`make_accelerator`.

    Returns
    -------
    TrainingResult
        Ctrl-C ends training with ``stopped = "interrupted"`` rather than an exception.

    Raises
    ------
    TrainingError
        If a loss is no longer finite; the network then holds the best weights so far.
    """
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    shown = settings.progress and accelerator.is_main_process
    with (
        torch.random.fork_rng(devices),
        TrainingProgress(settings.steps, shown=shown) as progress,
    ):
        torch.manual_seed(settings.seed)
        run = _Run(learner, settings, accelerator, progress)
        try:
            run.steps()
        except KeyboardInterrupt:
            run.result.stopped = "interrupted"
        finally:
            run.finish()
    return run.result


class _Run(Generic[Batch]):
    """One call of ``train``."""

    def __init__(
        self, learner: Learner[Batch], settings: LoopSettings, accelerator: Any, progress: TrainingProgress
    ) -> None:
        self.learner = learner
        self.settings = settings
        self.accelerator = accelerator
        self.progress = progress
        self.result = TrainingResult()
        self.best: Mapping[str, Tensor] | None = None
        self.started = time.perf_counter()

    def finish(self) -> None:
        """Leave the best weights in the network; those at hand where none were validated yet."""
        if self.best is not None:
            self.learner.network.load_state_dict(self.best)
        else:
            self.result.best_step = self.result.step
        self.learner.network.eval()
        self.result.seconds = time.perf_counter() - self.started

    def steps(self) -> None:
        """Take the steps, until they are done or no validation was better for long."""
        settings, accelerator, result = self.settings, self.accelerator, self.result
        # Accelerate's own optimizer and clipping ask at every step which optional packages are installed: a
        # third of a millisecond, longer than the update itself. Only the network goes through it.
        network = accelerator.prepare(self.learner.network.train())
        update = WeightUpdate(
            network.parameters(),
            weight_decay=settings.weight_decay,
            clip=settings.clip,
            scaler=accelerator.scaler,
        )
        # Each process of a data-parallel run draws batches of its own.
        generator = torch.Generator().manual_seed(settings.seed + accelerator.process_index)
        losses: list[Tensor] = []
        held: list[Batch] = []
        total, counted = 0.0, 0
        unimproved = 0
        for step in range(settings.steps):
            learning_rate = one_cycle(step, settings.steps, settings.learning_rate)
            batch = self.learner.draw(generator)
            loss = self.learner.loss(network, batch)
            update(loss, learning_rate)
            result.step = step + 1
            losses.append(loss.detach())
            held.append(batch)
            validating = result.step % settings.validate_every == 0 or result.step == settings.steps
            if len(held) == LOSSES_HELD or validating:
                total += self._sum_finite(torch.stack(losses), held)
                counted += len(held)
                losses.clear()
                held.clear()
                rate = result.step / (time.perf_counter() - self.started)
                self.progress.update(
                    result.step, loss=total / counted, best=result.best_loss, steps_a_second=rate
                )
            if validating:
                improved = self._validate(network, total / counted, learning_rate)
                total, counted = 0.0, 0
                unimproved = 0 if improved else unimproved + 1
                if unimproved >= settings.patience and result.step >= settings.fewest_steps:
                    result.stopped = "early"
                    return

    def _validate(self, network: nn.Module, loss: float, learning_rate: float) -> bool:
        """Note how training stands; keep the weights if they are the best yet."""
        result = self.result
        improved, validation_loss = True, math.nan
        if self.learner.validate is not None:
            network.eval()
            with torch.inference_mode():
                validation_loss = self.learner.validate(network)
            network.train()
            if not math.isfinite(validation_loss):
                raise TrainingError(f"the validation loss after batch {result.step} is {validation_loss}")
            improved = validation_loss < result.best_loss
        if improved:
            result.best_loss, result.best_step = validation_loss, result.step
            self.best = {name: value.clone() for name, value in self.learner.network.state_dict().items()}
        result.history.append(
            {
                "step": result.step,
                "loss": loss,
                "validation_loss": validation_loss,
                "learning_rate": learning_rate,
                "seconds": time.perf_counter() - self.started,
            }
        )
        return improved

    def _sum_finite(self, losses: Tensor, batches: list[Batch]) -> float:
        """Sum some losses; raise at the first that is not finite."""
        values = losses.tolist()
        total = math.fsum(values) if all(map(math.isfinite, values)) else math.nan
        if math.isfinite(total):
            return total
        index = next(place for place, value in enumerate(values) if not math.isfinite(value))
        step = self.result.step - len(values) + index + 1
        if self.best is not None:  # the weights at hand may no longer be finite themselves
            self.learner.network.load_state_dict(self.best)
        whose = self.learner.describe(self.learner.network, batches[index])
        raise TrainingError(
            f"the loss of batch {step} is {values[index]} ({whose}): look at those rows for values out of "
            "range, or give a smaller learning_rate"
        )
