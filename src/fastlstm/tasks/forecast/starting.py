"""Where fitting starts from, what looks on, and where it stands when it is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from fastlstm.data.series.reading import read_series
from fastlstm.data.series.schema import Columns, Schema
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.windows import CovariateScaling
from fastlstm.data.tables.table import Table
from fastlstm.data.times.frequency import Frequency
from fastlstm.errors import InputError
from fastlstm.model.forecaster import ForecastEnsemble, NetworkSettings
from fastlstm.training.learner import Hooks
from fastlstm.wording import many

if TYPE_CHECKING:
    from fastlstm.tasks.forecast.fitting import Prepared

# What a network is given rather than asked for: it comes from the data, and from where training starts.
FROM_THE_DATA = ("layout", "location", "seasons", "context")


class Start(BaseModel):
    """A network to start from; a checkpoint, which has weights of its own, keeps all of it but the weights.

    Parameters
    ----------
    settings : NetworkSettings
        How it is built.
    scaling : CovariateScaling
        Of the covariates that it reads.
    table : Schema
        How the table was read that it learnt from; its categories and steps are kept.
    season : int
        That it was fitted with, in steps.
    learnt : dict
        Name of a series → the tick from which on it has learnt nothing of it.
    weights : dict, optional
        Name → tensor; without them it starts from random ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: NetworkSettings
    scaling: CovariateScaling
    table: Schema
    season: PositiveInt
    learnt: dict[str, int]
    weights: dict[str, Any] | None = Field(default=None, exclude=True, repr=False)

    def agree(self, wanted: NetworkSettings, context: int | None) -> NetworkSettings:
        """Return the settings to go on with.

        Parameters
        ----------
        wanted : NetworkSettings
            What the configuration and the data would give without a start.
        context : int, optional
            The context that was asked for; otherwise the start's is kept.

        Raises
        ------
        InputError
            If they ask for another network than the start's.
        """
        for name, value in wanted:
            own = getattr(self.settings, name)
            if name not in (*FROM_THE_DATA, "dropout") and value != own:
                raise InputError(
                    f"init has {name} {own!r} and {value!r} is asked for: its weights fit only the network that "
                    f"they were trained in, give {name}={own!r} or leave init out"
                )
        kept = {name: getattr(self.settings, name) for name in FROM_THE_DATA}
        return wanted.model_copy(update={**kept, "context": context or self.settings.context})

    def load(self, network: ForecastEnsemble) -> None:
        """Put the weights into a network.

        Parameters
        ----------
        network : ForecastEnsemble
            Built by the settings that ``agree`` gave.

        Raises
        ------
        InputError
            If they do not fit.
        """
        if self.weights is None:
            return
        members = {name.split(".")[1] for name in self.weights if name.startswith("members.")}
        if len(members) != len(network.members):
            raise InputError(f"init has {many(len(members), 'member')}: give members={len(members)}")
        try:
            network.load_state_dict(self.weights)
        except RuntimeError:
            raise InputError(
                f"the weights of init do not fit a context of {network.settings.context}: "
                f"give context={self.settings.context}"
            ) from None


@dataclass(frozen=True)
class FitOptions:
    """How a fit starts, and who looks on.

    Parameters
    ----------
    start : Start, optional
        A network to start from.
    hooks : Hooks
        What keeps where fitting stands, and where it goes on.
    validated : callable, optional
        ``validated(prepared)`` is called after each validation.
    test : bool
        Whether the test part is forecast and reported.
    """

    start: Start | None = None
    hooks: Hooks = field(default_factory=Hooks)
    validated: Callable[[Prepared], None] | None = None
    test: bool = True

    def looking_on(self, prepared: Prepared) -> Hooks:
        """Return what looks on while members are trained.

        Parameters
        ----------
        prepared : Prepared
            All that training needs.
        """
        look = self.validated
        return self.hooks if look is None else replace(self.hooks, validated=lambda *_: look(prepared))


def read_alike(table: Table, columns: Columns, schema: Schema, frequency: str | None) -> SeriesSet:
    """Read a table as that of another fit was read.

    Parameters
    ----------
    table : Table
        The table.
    columns : Columns
        The roles that were asked for, or found.
    schema : Schema
        How the other table was read.
    frequency : str, optional
        The step that was asked for.

    Raises
    ------
    InputError
        If the roles or the step are others.
    """
    for name, known in vars(schema.columns).items():
        asked = getattr(columns, name)
        if asked != known:
            raise InputError(
                f"init was trained with {name} {_shown(known)}, here it is {_shown(asked)}: give the same columns "
                "under the same names, or leave init out"
            )
    if frequency is not None and str(Frequency.parse(frequency)) != schema.frequency:
        raise InputError(
            f"init was trained on steps of {schema.frequency}: frequency {frequency!r} is another"
        )
    return read_series(table, schema.columns, schema=schema)


def _shown(value: object) -> str:
    return ", ".join(map(repr, value)) or "none" if isinstance(value, tuple) else repr(value)
