"""A fitted forecaster as a model that stands alone, and what its caller must know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fastlstm.data.series.schema import ROLES, Role, Schema
from fastlstm.data.series.windows import CovariateScaling
from fastlstm.data.times.frequency import DAY, MINUTE, Frequency
from fastlstm.errors import InputError
from fastlstm.model.forecaster import NetworkSettings
from fastlstm.model.standalone_forecaster import StandaloneForecaster
from fastlstm.runs.export import Standalone, made_up, sprinkled
from fastlstm.tasks.exporting import refuse_layer_norm
from fastlstm.tasks.forecast.model import ForecastModel
from fastlstm.wording import listed

CODES = "1 for the first category, 2 for the second and so on, 0 where missing or another; numbers as texts without .0"


def standalone(model: ForecastModel, schema: Schema) -> Standalone:
    """Return a forecaster that needs nothing but numbers.

    Parameters
    ----------
    model : ForecastModel
        Trained.
    schema : Schema
        How tables are read.

    Raises
    ------
    InputError
        If there is no graph of it.
    """
    settings = model.settings
    if settings.decoding == "paths":
        raise InputError(
            "export: a forecast of sampled paths is drawn step by step, which is no graph: "
            "fit with decoding='direct'"
        )
    if settings.head in ("student_t", "negative_binomial"):
        raise InputError(
            f"export: ONNX has no quantiles of head={settings.head!r}: fit with head='quantiles' or 'normal'"
        )
    refuse_layer_norm(settings.layer_norm)
    inputs = _inputs(settings, schema)
    return Standalone(
        module=StandaloneForecaster(model.network, model.scaling, schema.calendar).eval(),
        example=partial(_example, settings, model.scaling, schema),
        varying={name: {0: "batch"} for name in inputs},
        outputs=("forecast",),
        description={
            "context": settings.context,
            "horizon": settings.horizon,
            "frequency": schema.frequency,
            "batch": "a series a row",
            "inputs": inputs,
            "outputs": {
                "forecast": {
                    "meaning": "of each step ahead, the quantiles of the target, in its unit",
                    "quantiles": settings.quantiles,
                }
            },
        },
    )


def _inputs(settings: NetworkSettings, schema: Schema) -> dict[str, dict[str, Any]]:
    """Say of each input what it is, in the order of ``StandaloneForecaster.forward``."""
    reach = settings.context + settings.layout.lag
    ahead = f"the {settings.context} steps before the forecast and the {settings.horizon} of it"
    rows = {
        "past": f"the {settings.context} steps before the forecast",
        "future": ahead,
        "static": "the series",
    }
    unknown = f" or one of {listed(schema.columns.missing)}" if schema.columns.missing else ""
    found: dict[str, dict[str, Any]] = {
        "target": {
            "meaning": f"the last {reach} steps, NaN where there is no value{unknown} or no row, and before a series "
            "begins",
            "columns": schema.columns.among or ["each that is a series"]
            if schema.columns.wide
            else schema.columns.target,
        }
    }
    if schema.calendar:
        found["time"] = {
            "meaning": f"{ahead}, in microseconds since 1970-01-01 00:00 on the local clock, a period by its "
            "first day",
            "columns": schema.columns.time_parts or [schema.columns.time],
        }
    for role in ROLES:
        if schema.numeric(role):
            meaning = f"of {rows[role]}, NaN where missing{unknown}"
            found[f"{role}_covariates"] = {"meaning": meaning, "columns": schema.numeric(role)}
    for role in ROLES:
        if schema.categorical(role):
            found[f"{role}_categories"] = {
                "meaning": f"of {rows[role]}, {CODES}",
                "columns": schema.categorical(role),
                "categories": {name: schema.vocabularies[name] for name in schema.categorical(role)},
            }
    return found


def _example(
    settings: NetworkSettings,
    scaling: CovariateScaling,
    schema: Schema,
    batch: int,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Make inputs up, with gaps."""
    context, steps = settings.context, settings.context + settings.horizon
    reach = context + settings.layout.lag
    walk = 20 + torch.randn(batch, reach, generator=generator).cumsum(1)
    found = {"target": sprinkled(walk, generator)}
    if schema.calendar:
        frequency = Frequency.parse(schema.frequency)
        size = frequency.size if frequency.kind == "duration" else frequency.size * DAY
        midnight = DAY * torch.randint(-20_000, 20_000, (batch, 1), generator=generator)
        about = torch.randint(-MINUTE, MINUTE, (batch, 1), generator=generator)  # where days are told apart
        found["time"] = midnight + about + size * torch.arange(steps)
    shapes: dict[Role, Sequence[int]] = {
        "past": (batch, context),
        "future": (batch, steps),
        "static": (batch,),
    }
    for role in ROLES:
        if schema.numeric(role):
            found[f"{role}_covariates"] = made_up(getattr(scaling, role), shapes[role], generator)
    for role in ROLES:
        if schema.categorical(role):
            codes = [
                torch.randint(size, shapes[role], generator=generator) for size in schema.category_sizes(role)
            ]
            found[f"{role}_categories"] = torch.stack(codes, dim=-1)
    return found
