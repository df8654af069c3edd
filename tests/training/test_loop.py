import math
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import Tensor, nn

from fastlstm.errors import InputError, RunError, TrainingError
from fastlstm.training.checkpoint import TrainingState
from fastlstm.training.loop import (
    Hooks,
    Learner,
    LoopSettings,
    TrainingResult,
    make_accelerator,
    one_cycle,
    train,
)


class Line(nn.Module):
    """One weight, to be found."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.slope * inputs


def learn(
    network: nn.Module | None = None,
    *,
    draw: Callable[[torch.Generator], Tensor] | None = None,
    loss: Callable[[nn.Module, Tensor], Tensor] | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    hooks: Hooks | None = None,
    steps: int = 100,
    seed: int = 0,
    **settings: float,
) -> TrainingResult:
    """Fit y = 3 x."""

    def distance(network: nn.Module, batch: Tensor) -> Tensor:
        return (network(batch) - 3 * batch).square().mean()

    learner = Learner(
        network=network or Line(),
        draw=draw or (lambda generator: torch.randn(8, generator=generator)),
        loss=loss or distance,
        validate=validate or (lambda network: (network(torch.ones(8)) - 3).square().mean().item()),
        describe=lambda _, batch: f"the batch of {len(batch)}",
    )
    loop = {"learning_rate": 0.2, "validate_every": 10, "patience": 100, "weight_decay": 0.0} | settings
    return train(
        learner, LoopSettings(steps=steps, seed=seed, progress=False, **loop), make_accelerator("cpu"), hooks
    )


def scripted(values: list[float]) -> tuple[Callable[[nn.Module], float], list[float]]:
    """A validation that gives these losses, and the weight at each."""
    losses: Iterator[float] = iter(values)
    slopes: list[float] = []

    def validate(network: nn.Module) -> float:
        slopes.append(network.slope.item())
        return next(losses)

    return validate, slopes


def test_it_learns() -> None:
    network = Line()
    result = learn(network, validate=lambda network: abs(network.slope.item() - 3))
    assert network.slope.item() == pytest.approx(3, abs=0.05)
    assert (result.stopped, result.step) == ("finished", 100)
    assert [entry["step"] for entry in result.history] == list(range(10, 101, 10))
    assert set(result.history[0]) == {"step", "loss", "validation_loss", "learning_rate", "seconds"}
    assert not network.training


def test_the_best_weights_are_kept() -> None:
    network = Line()
    validate, slopes = scripted([5.0, 1.0, 2.0, 3.0])
    result = learn(network, validate=validate, steps=40)
    assert (result.best_step, result.best_loss) == (20, 1.0)
    assert network.slope.item() == slopes[1]


def test_it_stops_when_nothing_gets_better() -> None:
    validate, _ = scripted([5.0, 1.0, 2.0, 1.0, 3.0, 0.0])
    result = learn(validate=validate, patience=3)
    assert (result.stopped, result.step, result.best_step) == ("early", 50, 20)


def test_a_loss_that_is_not_finite_stops_and_names_batch_and_data() -> None:
    calls = 0

    def draw(generator: torch.Generator) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.full((8,), math.inf) if calls == 37 else torch.randn(8, generator=generator)

    network = Line()
    with pytest.raises(
        TrainingError, match=r"the loss of batch 37 is (nan|inf) \(the batch of 8\).*learning_rate"
    ):
        learn(network, draw=draw, validate=lambda network: abs(network.slope.item() - 3))
    assert network.slope.isfinite()


def test_a_validation_loss_that_is_not_finite_stops() -> None:
    with pytest.raises(TrainingError, match="validation loss after step 10 is nan"):
        learn(validate=lambda _: math.nan)


def test_control_c_keeps_the_best_weights() -> None:
    calls = 0

    def draw(generator: torch.Generator) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 35:
            raise KeyboardInterrupt
        return torch.randn(8, generator=generator)

    network = Line()
    validate, slopes = scripted([1.0, 2.0, 3.0])
    result = learn(network, draw=draw, validate=validate)
    assert (result.stopped, result.step, result.best_step) == ("interrupted", 34, 10)
    assert network.slope.item() == slopes[0]


def test_control_c_before_the_first_validation_keeps_the_weights_at_hand() -> None:
    calls = 0

    def draw(generator: torch.Generator) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return torch.ones(8)

    network = Line()
    result = learn(network, draw=draw, validate=lambda _: 0.0)
    assert (result.stopped, result.best_step) == ("interrupted", 5)
    assert network.slope.item() > 0


def noisy() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Unflatten(0, (8, 1)), nn.Linear(1, 16), nn.Dropout(0.5), nn.Linear(16, 1), nn.Flatten(0)
    )


def test_a_seed_repeats_training_bit_for_bit_and_leaves_the_global_one_alone() -> None:
    first, second, other = noisy(), noisy(), noisy()
    torch.manual_seed(11)
    learn(first, seed=1)
    state = torch.get_rng_state()
    torch.manual_seed(11)
    assert torch.equal(state, torch.get_rng_state())
    learn(second, seed=1)
    learn(other, seed=2)
    weights = [
        torch.cat([weight.flatten() for weight in network.parameters()]) for network in (first, second, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [one_cycle(step, 200, 0.5) for step in range(200)]
    peak = rates.index(max(rates))
    assert rates[peak] == 0.5
    assert peak == 20
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] < 1e-4
    assert all(math.isfinite(one_cycle(0, steps, 1.0)) for steps in (1, 2, 3))


def test_a_device_that_is_not_here_is_refused_by_name() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="device 'cuda' is not here"):
        make_accelerator("cuda")


def states(every: int, **arguments: object) -> tuple[nn.Module, TrainingResult, list[TrainingState]]:
    """Train the noisy network in draws of seven batches at once, keeping where it stands every few steps."""
    network, kept = noisy(), []
    ahead: list[Tensor] = []

    def draw(generator: torch.Generator) -> Tensor:
        if not ahead:
            ahead.extend(torch.randn(7, 8, generator=generator))
        return ahead.pop()

    def keep(state: TrainingState) -> None:
        if state.numbers["step"] % every == 0:
            kept.append(TrainingState.read(write(state.to_bytes())))

    hooks = Hooks(checkpoint=keep, checkpoint_seconds=0.0, resume=arguments.pop("resume", None))
    result = learn(
        network,
        draw=draw,
        hooks=hooks,
        validate=lambda net: float((net(torch.ones(8)) - 3).square().mean()),
        **arguments,
    )
    return network, result, kept


def write(content: bytes) -> Path:
    path = Path(tempfile.mkdtemp()) / "state"
    path.write_bytes(content)
    return path


def weights(network: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def test_bfloat16_is_chosen_where_it_is_faster(instruction_set: str) -> None:
    chosen = make_accelerator("cpu", "auto").mixed_precision
    assert chosen == ("bf16" if instruction_set in ("avx512bf16", "amx") else "no")


def test_mixed_precision_ends_with_training() -> None:
    network = Line()
    settings = LoopSettings(steps=3, learning_rate=0.2, validate_every=10, patience=1, progress=False)
    learner = Learner(
        network, lambda _: torch.ones(8), lambda net, batch: net(batch).sum(), lambda _: 1.0, lambda *_: ""
    )
    result = train(learner, settings, make_accelerator("cpu", "bf16"))
    assert result.precision == "bf16"
    assert "forward" not in vars(network)
    exact = torch.tensor([1 + 2**-12])
    assert network(exact).item() == (network.slope * exact).item()


def test_training_that_goes_on_is_training_that_never_stopped_bit_for_bit() -> None:
    whole, result, kept = states(every=17, patience=6)
    assert [state.numbers["step"] for state in kept] == [17, 34, 51, 68, 85][: len(kept)]
    assert len(kept) >= 3
    for state in kept:
        network, later, _ = states(every=1000, resume=state, patience=6)
        assert torch.equal(weights(network), weights(whole))
        assert (later.step, later.stopped, later.best_step) == (result.step, result.stopped, result.best_step)
        told = [{name: entry[name] for name in entry if name != "seconds"} for entry in result.history]
        assert [{name: entry[name] for name in entry if name != "seconds"} for entry in later.history] == told


def test_control_c_waits_for_the_end_of_the_step_and_leaves_a_state_to_go_on_from() -> None:
    whole, _, _ = states(every=1000)
    network, kept = noisy(), []
    calls = 0

    def loss(network: nn.Module, batch: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 43:
            os.kill(os.getpid(), signal.SIGINT)
        return (network(batch) - 3 * batch).square().mean()

    ahead: list[Tensor] = []

    def draw(generator: torch.Generator) -> Tensor:
        if not ahead:
            ahead.extend(torch.randn(7, 8, generator=generator))
        return ahead.pop()

    result = learn(
        network,
        draw=draw,
        loss=loss,
        validate=lambda net: float((net(torch.ones(8)) - 3).square().mean()),
        hooks=Hooks(checkpoint=kept.append),
    )
    assert (result.stopped, result.step) == ("interrupted", 43)
    (state,) = kept
    assert state.numbers["step"] == 43
    again, later, _ = states(every=1000, resume=state)
    assert later.stopped == "finished"
    assert torch.equal(weights(again), weights(whole))


def test_who_looks_on_sees_every_validation_and_may_end_training() -> None:
    seen = []

    def look(step: int, network: nn.Module) -> None:
        assert not network.training
        seen.append(step)
        if step == 30:
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        learn(validate=lambda _: 1.0, hooks=Hooks(validated=look))
    assert seen == [10, 20, 30]


def test_a_state_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(TrainingState({"weight": torch.ones(3)}, {"step": 1}).to_bytes()[:-4])
    with pytest.raises(RunError, match="cut short or altered"):
        TrainingState.read(path)


def test_control_c_is_not_lost_where_training_would_have_stopped_anyway() -> None:
    def interrupted(_: nn.Module) -> float:
        os.kill(os.getpid(), signal.SIGINT)
        return 0.0  # good enough

    result = learn(validate=interrupted)
    assert (result.stopped, result.step) == ("interrupted", 10)


def test_whoever_has_an_accelerator_of_their_own_keeps_it_as_it_is() -> None:
    theirs = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=4)
    try:
        ours = make_accelerator("cpu", "no")
        assert (ours.mixed_precision, ours.gradient_accumulation_steps) == ("no", 1)
        assert (theirs.mixed_precision, theirs.gradient_accumulation_steps) == ("bf16", 4)
        assert Accelerator(cpu=True, mixed_precision="bf16").mixed_precision == "bf16"
        assert learn(steps=10).step == 10
        assert (theirs.mixed_precision, theirs.device.type, theirs.is_main_process) == ("bf16", "cpu", True)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


def test_an_accelerator_may_be_made_after_a_training_with_other_settings() -> None:
    make_accelerator("cpu", "bf16")
    try:
        assert Accelerator(cpu=True, mixed_precision="no").mixed_precision == "no"
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
