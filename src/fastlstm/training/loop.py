"""One training loop for every task.

It knows steps, batches, losses and weights, and asks nothing about what is learnt: a task hands it a network
and three functions (:class:`Learner`). Device, mixed precision and data parallelism come from Hugging Face
Accelerate, so that ``accelerate launch`` and ``torchrun`` scale it out unchanged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Generic

import torch
from torch import Tensor, nn

from fastlstm.errors import InputError, TrainingError
from fastlstm.training.checkpoint import TrainingState
from fastlstm.training.interrupts import InterruptsAfterSteps
from fastlstm.training.learner import Batch, Hooks, Learner, LoopSettings, TrainingResult
from fastlstm.training.parts import joined
from fastlstm.training.processes import is_first_process
from fastlstm.training.progress import TrainingProgress
from fastlstm.training.update import WeightUpdate

__all__ = ["Hooks", "Learner", "LoopSettings", "TrainingResult", "make_accelerator", "one_cycle", "train"]

LOSSES_HELD = 25  # losses are looked at so many at a time: each look waits for the device


def one_cycle(step: int, steps: int, peak: float, warm_up: float = 0.1) -> float:
    """Compute the learning rate of a step: up at the beginning, then down to nothing along a cosine.

    Smith & Topin 2019, "Super-convergence", with one phase down: with n steps, w of them at the beginning,
    ``peak (0.1 + 0.9 s / w)`` for s < w, then ``peak (1 + cos(π (s - w) / (n - w))) / 2``.

    Parameters
    ----------
    step : int
        From 0.
    steps : int
        How many there will be.
    peak : float
        The highest rate.
    warm_up : float
        The share of the steps over which it rises.

    Examples
    --------
    >>> [round(one_cycle(step, 100, 1.0), 3) for step in (0, 10, 55, 99)]
    [0.1, 1.0, 0.5, 0.0]
    """
    rise = max(1, int(warm_up * steps))
    if step < rise:
        return peak * (0.1 + 0.9 * step / rise)
    return peak * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


def require_float32() -> None:
    """Raise where torch makes tensors of another type than those of the networks.

    Raises
    ------
    InputError
        With the call that mends it.
    """
    if torch.get_default_dtype() != torch.float32:
        raise InputError(
            f"torch makes tensors of {torch.get_default_dtype()} here, and the networks are of torch.float32: call "
            "torch.set_default_dtype(torch.float32) first"
        )


def make_accelerator(device: str | None = None, precision: str = "no") -> Any:
    """Make the Accelerator for a device and precision.

    Parameters
    ----------
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"mps"`` and so on. Default: what Accelerate finds.
    precision : {"auto", "no", "bf16", "fp16"}
        Mixed precision; ``"auto"`` is bf16 on a CPU that multiplies it faster than float32, else none.

    Raises
    ------
    InputError
        If there is no such device here.
    """
    from fastlstm.training.accelerator import (
        OwnAccelerator,  # deferred: reading or predicting does not need it
    )

    require_float32()
    accelerator = OwnAccelerator(on_cpu=device == "cpu", precision=precision)
    if device not in (None, accelerator.device.type):
        raise InputError(f"device {device!r} is not here: give {accelerator.device.type!r}, or none")
    return accelerator


def train(
    learner: Learner[Batch], settings: LoopSettings, accelerator: Any, hooks: Hooks | None = None
) -> TrainingResult:
    """Learn; the network keeps the weights of the best validation.

    Parameters
    ----------
    learner : Learner
        Network, batches, loss, validation.
    settings : LoopSettings
        How long and how fast.
    accelerator : accelerate.Accelerator
        From :func:`make_accelerator`.
    hooks : Hooks, optional
        What looks on, and where to go on.

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
    shown = settings.progress and is_first_process()
    with (
        torch.random.fork_rng(devices),
        TrainingProgress(settings.steps, shown=shown, unit=learner.unit) as progress,
        InterruptsAfterSteps() as interrupts,
    ):
        torch.manual_seed(settings.seed)
        run = _Run(learner, settings, accelerator, progress, hooks or Hooks())
        try:
            run.steps(interrupts)
        except KeyboardInterrupt:
            run.result.stopped = "interrupted"
        finally:
            run.finish()
    return run.result


class _Run(Generic[Batch]):
    """One call of ``train``."""

    def __init__(
        self,
        learner: Learner[Batch],
        settings: LoopSettings,
        accelerator: Any,
        progress: TrainingProgress,
        hooks: Hooks,
    ) -> None:
        self.learner = learner
        self.settings = settings
        self.accelerator = accelerator
        self.progress = progress
        self.hooks = hooks
        self.result = TrainingResult(precision=accelerator.mixed_precision)
        self.best: Mapping[str, Tensor] | None = None
        self.began = self.started = self.kept = time.perf_counter()
        self.processed = 0  # since this process began, in the learner's own unit
        self.losses: list[float] = []  # since the last validation
        self.unimproved = 0
        # Each process of a data-parallel run draws batches of its own.
        self.generator = torch.Generator().manual_seed(settings.seed + accelerator.process_index)
        # A learner may draw the batches of many steps at once: where the generator stood then, and how many of
        # them were used since.
        self.drawn_from = self.drawn_to = self.generator.get_state()
        self.used = 0

    def finish(self) -> None:
        """Leave the best weights in the network; those at hand where none were validated yet.

        And the network as it was: Accelerate puts a ``forward`` of mixed precision before its own.
        """
        for name in ("forward", "_original_forward"):
            vars(self.learner.network).pop(name, None)
        if self.best is not None:
            self.learner.network.load_state_dict(self.best)
        else:
            self.result.best_step = self.result.step
        self.learner.network.eval()
        self.result.seconds = time.perf_counter() - self.started

    def steps(self, interrupts: InterruptsAfterSteps) -> None:
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
        if self.hooks.resume is not None:
            self._restore(self.hooks.resume, update)
        losses: list[Tensor] = []
        held: list[Batch] = []
        for step in range(result.step, settings.steps):
            learning_rate = one_cycle(step, settings.steps, settings.learning_rate, settings.warm_up)
            batch = self._draw()
            loss = self.learner.loss(network, batch)
            update(loss, learning_rate)
            result.step = step + 1
            losses.append(loss.detach())
            held.append(batch)
            validating = result.step % settings.validate_every == 0 or result.step == settings.steps
            if len(held) == LOSSES_HELD or validating:
                self._note(losses, held)
            ended = False
            if validating:
                improved = self._validate(network, learning_rate)
                self.unimproved = 0 if improved else self.unimproved + 1
                tired = self.unimproved >= settings.patience and result.step >= settings.fewest_steps
                ended = tired or result.best_loss < settings.target_loss
            try:
                interrupts.check()
            except KeyboardInterrupt:
                self._note(losses, held)
                self._keep(update)
                raise
            if ended and result.step < settings.steps:
                result.stopped = "early"
                return
            if time.perf_counter() - self.kept > self.hooks.checkpoint_seconds:
                self._note(losses, held)
                self._keep(update)

    def _draw(self) -> Batch:
        batch = self.learner.draw(self.generator)
        state = self.generator.get_state()
        if torch.equal(state, self.drawn_to):
            self.used += 1
        else:
            self.drawn_from, self.drawn_to, self.used = self.drawn_to, state, 1
        return batch

    def _note(self, losses: list[Tensor], batches: list[Batch]) -> None:
        """Look at some losses, and show how far training is."""
        if losses:
            self.losses += self._finite(torch.stack(losses), batches)
            self.processed += sum(map(self.learner.size, batches))
            losses.clear()
            batches.clear()
            mean = math.fsum(self.losses) / len(self.losses)
            rate = self.processed / (time.perf_counter() - self.began)
            self.progress.update(self.result.step, loss=mean, best=self.result.best_loss, rate=rate)

    def _keep(self, update: WeightUpdate) -> None:
        """Hand out where training stands."""
        self.kept = time.perf_counter()
        if self.hooks.checkpoint is None or self.accelerator.num_processes > 1:
            return
        parts: dict[str, Mapping[str, Tensor]] = {
            "network": self.learner.network.state_dict(),
            "best": self.best or {},
            "update": update.state(),
            "random": {"cpu": torch.get_rng_state(), "draws": self.drawn_from},
            "carried": self.learner.carried(),
        }
        tensors = {name: value.clone() for name, value in joined(parts).items()}
        if self.accelerator.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.accelerator.device)
        result = self.result
        numbers = {
            "step": result.step,
            "best_step": result.best_step,
            "best_loss": result.best_loss,
            "history": result.history,
            "losses": self.losses,
            "unimproved": self.unimproved,
            "used": self.used,
            "seconds": time.perf_counter() - self.started,
        }
        self.hooks.checkpoint(TrainingState(tensors, numbers))

    def _restore(self, state: TrainingState, update: WeightUpdate) -> None:
        """Stand where another run stood."""
        numbers, random = state.numbers, state.part("random")
        self.learner.network.load_state_dict(state.part("network"))  # into the views of the flat tensor
        self.best = state.part("best") or None
        update.restore(state.part("update"))
        self.drawn_to = random["draws"]
        self.generator.set_state(self.drawn_to)
        for _ in range(numbers["used"]):
            self._draw()
        torch.set_rng_state(random["cpu"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"], self.accelerator.device)
        self.learner.carry(state.part("carried"))
        result = self.result
        result.step, result.history = numbers["step"], list(numbers["history"])
        result.best_step, result.best_loss = numbers["best_step"], numbers["best_loss"]
        self.losses, self.unimproved = list(numbers["losses"]), numbers["unimproved"]
        self.started -= numbers["seconds"]

    def _validate(self, network: nn.Module, learning_rate: float) -> bool:
        """Note how training stands; keep the weights if they are the best yet."""
        result = self.result
        network.eval()
        with torch.inference_mode():
            validation_loss = self.learner.validate(network)
        network.train()
        if not math.isfinite(validation_loss):
            raise TrainingError(
                f"the validation loss after step {result.step} is {validation_loss}: give a smaller learning "
                "rate, or precision='no' where there is mixed precision"
            )
        improved = validation_loss < result.best_loss
        if improved:
            result.best_loss, result.best_step = validation_loss, result.step
            self.best = {name: value.clone() for name, value in self.learner.network.state_dict().items()}
        result.history.append(
            {
                "step": result.step,
                "loss": math.fsum(self.losses) / len(self.losses),
                "validation_loss": validation_loss,
                "learning_rate": learning_rate,
                "seconds": time.perf_counter() - self.started,
            }
        )
        self.losses = []
        if self.hooks.validated is not None:
            network.eval()
            with torch.inference_mode():
                self.hooks.validated(result.step, network)
            network.train()
        return improved

    def _finite(self, losses: Tensor, batches: list[Batch]) -> list[float]:
        """Return some losses; raise at the first that is not finite."""
        values: list[float] = losses.tolist()
        if all(map(math.isfinite, values)):
            return values
        index = next(place for place, value in enumerate(values) if not math.isfinite(value))
        step = self.result.step - len(values) + index + 1
        if self.best is not None:  # the weights at hand may no longer be finite themselves
            self.learner.network.load_state_dict(self.best)
        whose = self.learner.describe(self.learner.network, batches[index])
        raise TrainingError(
            f"the loss of batch {step} is {values[index]} ({whose}): look at those rows for values out of "
            "range, or give a smaller learning_rate"
        )
