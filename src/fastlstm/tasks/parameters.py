"""What the constructors of all estimators share: arguments that are checked, each with its type and bounds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from inspect import signature
from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from fastlstm.errors import InputError
from fastlstm.training.learner import LoopSettings

VALIDATIONS = 20
STEPS_BEFORE_STOPPING = 200  # so few steps have validations so close together that a bad stretch looks long
TARGET_LOSS = (
    1e-3  # a classifier's or a language's validation loss, from which on there is nothing left to learn
)


def as_plain(value: Any) -> Any:
    """Return arguments as JSON can hold them: numpy's numbers, of which grids of parameters are made, as Python's.

    Parameters
    ----------
    value : object
        A mapping, a list, or what stands in one.

    Examples
    --------
    >>> as_plain({"hidden_size": np.int64(64), "quantiles": (np.float32(0.5),)})
    {'hidden_size': 64, 'quantiles': [0.5]}
    """
    if isinstance(value, Mapping):
        return {name: as_plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


Share = Annotated[float, Field(ge=0, lt=1)]
Arguments = Annotated[dict[str, Any], BeforeValidator(as_plain)]


def check_arguments(
    method: Callable[..., Any], given: Iterable[str], *, without: Collection[str] = ()
) -> None:
    """Raise where something is handed on that a method does not take.

    Parameters
    ----------
    method : callable
        What it is handed on to.
    given : iterable of str
        The names of what was given.
    without : collection of str
        Arguments of the method that make no sense here.

    Raises
    ------
    InputError
        The message names the argument, and the nearest one there is.
    """
    known = [name for name in signature(method).parameters if name not in ("self", *without)]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            mend = f"did you mean {near[0]}?" if near else "leave it out"
            raise InputError(f"{name} is no argument of {method.__name__} here: {mend}")


def _kinds(hint: Any) -> set[Any]:
    """Return the types that a hint is made of; those of its members where it is a Literal."""
    if get_origin(hint) is Literal:
        return {type(member) for member in get_args(hint)}
    if get_origin(hint) is Annotated:
        return _kinds(get_args(hint)[0])
    members = [member for member in get_args(hint) if member is not Ellipsis]
    return set().union(*map(_kinds, members)) if members else {hint}


class CheckedParameters(BaseModel):
    """A constructor's arguments; a task adds its own as fields.

    Examples
    --------
    >>> from pydantic import Field
    >>> class Parameters(CheckedParameters):
    ...     hidden_size: int = Field(gt=0)
    >>> Parameters.check({"hidden_size": 0})
    Traceback (most recent call last):
    fastlstm.errors.InputError: hidden_size is 0: it should be greater than 0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _as_given(cls, value: Any, field: ValidationInfo) -> Any:
        """Refuse True and text where numbers are asked for; pydantic would make numbers of them."""
        kinds = _kinds(cls.model_fields[field.field_name or ""].annotation)
        items = value if isinstance(value, list | tuple) else [value]
        if kinds <= {int, float, NoneType} and any(isinstance(item, bool | str) for item in items):
            raise ValueError("should be a valid integer" if int in kinds else "should be a valid number")
        return value

    @classmethod
    def check(cls, arguments: Mapping[str, Any]) -> Self:
        """Check the constructor's arguments.

        A validator of one field may raise ``ValueError("must …")``, which the message goes on with.

        Parameters
        ----------
        arguments : mapping
            What ``get_params`` gives.

        Raises
        ------
        InputError
            If one is out of its bounds or of another type; the message names it.
        """
        try:
            return cls.model_validate(dict(arguments))
        except ValidationError as error:
            first = error.errors()[0]
            reason = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
            if not first["loc"]:  # of a validator of the whole, which names the arguments itself
                raise InputError(reason) from None
            name = str(first["loc"][0])
            raise InputError(f"{name} is {arguments[name]!r}: it {reason}") from None


class EstimatorSettings(BaseModel):
    """What ``config.json`` holds of an estimator; a task adds its own as fields.

    Parameters
    ----------
    parameters : CheckedParameters
        The constructor's arguments; a task says of which type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: CheckedParameters


class TrainingParameters(CheckedParameters):
    """What every training asks for."""

    patience: PositiveInt
    device: str | None
    precision: Literal["auto", "no", "bf16", "fp16"]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    progress: bool

    def loop(
        self,
        steps: int,
        learning_rate: float,
        *,
        validations: int = VALIDATIONS,
        fewest_steps: int = STEPS_BEFORE_STOPPING,
        **settings: float,
    ) -> LoopSettings:
        """Set the training loop.

        Parameters
        ----------
        steps : int
            The most steps.
        learning_rate : float
            The peak of the schedule.
        validations : int
            How many there are in a training of full length.
        fewest_steps : int
            Before which training does not stop early.
        **settings
            Others of :class:`~fastlstm.training.learner.LoopSettings`.
        """
        return LoopSettings(
            steps=steps,
            learning_rate=learning_rate,
            validate_every=max(1, steps // validations),
            patience=self.patience,
            fewest_steps=fewest_steps,
            seed=self.seed,
            progress=self.progress,
            **settings,
        )
