"""What every estimator has of its base: it is saved, loaded, and its arguments are checked."""

from typing import Any, ClassVar

import pytest
import torch
from matplotlib.figure import Figure
from pydantic import PositiveInt, model_validator
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fastlstm.errors import InputError, RunError
from fastlstm.runs.run import WEIGHTS
from fastlstm.tasks import load
from fastlstm.tasks.parameters import CheckedParameters, EstimatorSettings
from fastlstm.tasks.saving import Contents, SavedEstimator
from fastlstm.training.learner import TrainingResult


class Parameters(CheckedParameters):
    first: PositiveInt
    last: PositiveInt

    @model_validator(mode="after")
    def _in_order(self) -> "Parameters":
        if self.first > self.last:
            raise ValueError(f"first is {self.first} and last {self.last}: swap them")
        return self


class RunSettings(EstimatorSettings):
    parameters: Parameters
    unit: str


class Report:
    training = TrainingResult([{"step": 1.0, "loss": 0.5, "validation_loss": 0.25}])
    metrics: ClassVar = {"validation": {"model": {"mae": 0.0}}}


class Counter(SavedEstimator):
    """Adds up the numbers from first to last."""

    task = "count"
    run_settings = RunSettings
    fitted_by = "total_"

    def __init__(self, first: int = 1, last: int = 4) -> None:
        self.first = first
        self.last = last

    def fit(self) -> "Counter":
        self.total_ = torch.arange(self.first, self.last + 1).sum()
        self._take_report(Report())
        self.notes_ = ["a note"]
        return self

    def _contents(self) -> Contents:
        return Contents(
            RunSettings(parameters=Parameters.check(self.get_params()), unit="steps"),
            {"sum": {"total": self.total_}, "summary": {"zeros": torch.zeros(2)}},
            plots={"curve": Figure()},
        )

    def _restore(self, run: Any, settings: RunSettings) -> None:
        assert settings.unit == "steps"
        self.total_ = run.part("sum")["total"]


class Other(Counter):
    task = "other"


def test_what_is_saved_is_loaded_and_saved_again(tmp_path) -> None:
    Counter(last=10).fit().save(tmp_path / "run")
    loaded = Counter.load(tmp_path / "run")
    assert loaded.get_params() == {"first": 1, "last": 10}
    assert loaded.total_ == 55
    assert loaded.history_ == [{"step": 1.0, "loss": 0.5, "validation_loss": 0.25}]
    assert loaded.metrics_ == {"validation": {"model": {"mae": 0.0}}}
    assert (loaded.report_, loaded.notes_) == (None, [])
    plots = tmp_path / "run" / "plots"
    assert loaded.pictures_ == {
        name: (plots / f"{name}.png").read_bytes() for name in ("curve", "learning_curve")
    }
    loaded.save(tmp_path / "again")
    for name in ("config.json", "model.safetensors", "plots/curve.png"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_what_a_fit_tells_takes_the_place_of_what_was_told_before(tmp_path) -> None:
    Counter().fit().save(tmp_path / "run")
    again = Counter.load(tmp_path / "run")
    again._take_report(Report())
    assert (again.history_, again.metrics_) == (Report.training.history, Report.metrics)
    assert (again.pictures_, again.notes_, type(again.report_)) == ({}, [], Report)


def test_a_run_of_another_task_is_refused(tmp_path) -> None:
    Counter().fit().save(tmp_path / "run")
    with pytest.raises(RunError, match="run is a run of the task 'count': load it with"):
        Other.load(tmp_path / "run")


def test_what_a_later_version_wrote_is_told(tmp_path) -> None:
    Counter().fit().save(tmp_path / "run")
    with pytest.raises(RunError, match="is a run of 'count', which this version of fastlstm does not know"):
        load(tmp_path / "run")

    class Fewer(Counter):
        def __init__(self, first: int = 1) -> None:
            self.first = first

    with pytest.raises(RunError, match="was trained with last, which this version of fastlstm does not know"):
        Fewer.load(tmp_path / "run")


def test_another_default_type_of_torch_is_told(tmp_path) -> None:
    fitted = Counter().fit()
    fitted.save(tmp_path / "run")
    torch.set_default_dtype(torch.float64)
    try:
        for call in (lambda: Counter.load(tmp_path / "run"), lambda: fitted.save(tmp_path / "again")):
            with pytest.raises(InputError, match=r"call torch\.set_default_dtype\(torch\.float32\) first"):
                call()
    finally:
        torch.set_default_dtype(torch.float32)


class Weighed(Counter):
    """Once had a weight of another size."""

    def _restore(self, run: Any, settings: RunSettings) -> None:
        run.weigh(torch.nn.Linear(1, 2), {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)})


def test_a_run_whose_weights_fit_no_network_is_refused(tmp_path) -> None:
    Counter().fit().save(tmp_path / "run")
    with pytest.raises(
        RunError, match=r"the weights of .*run fit no network of this version .*: train again"
    ):
        Weighed.load(tmp_path / "run")


class Lacking(Counter):
    """Once was saved without its mean."""

    def _restore(self, run: Any, settings: RunSettings) -> None:
        self.mean_ = run.part("sum")["mean"]


def test_a_run_without_a_tensor_is_refused_and_the_tensor_named(tmp_path) -> None:
    Counter().fit().save(tmp_path / "run")
    with pytest.raises(RunError, match=rf"run/{WEIGHTS} holds no sum\.mean: it was altered, or another"):
        Lacking.load(tmp_path / "run")


class Broken(Counter):
    def _restore(self, run: Any, settings: RunSettings) -> None:
        raise RuntimeError("out of memory")


def test_what_goes_wrong_beside_the_weights_is_told_as_it_is(tmp_path) -> None:
    Counter().fit().save(tmp_path / "run")
    with pytest.raises(RuntimeError, match="out of memory"):
        Broken.load(tmp_path / "run")


def test_what_was_not_fitted_is_not_saved(tmp_path) -> None:
    with pytest.raises(NotFittedError):
        clone(Counter().fit()).save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": 0}, "first is 0: it should be greater than 0"),
        ({"first": 5}, "first is 5 and last 4: swap them"),
        ({"middle": 2}, "middle is 2: it "),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InputError) as error:
        Parameters.check({**Counter().get_params(), **arguments})
    assert str(error.value).startswith(message)
