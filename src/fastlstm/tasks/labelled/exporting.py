"""A fitted classifier or regressor as a model that stands alone, and what its caller must know."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fastlstm.data.sequences.features import SequenceScaling
from fastlstm.data.sequences.schema import SequenceSchema
from fastlstm.data.series.scaling import Standardizer
from fastlstm.data.texts.tokens import Level, Tokenizer
from fastlstm.data.texts.words import word_pattern
from fastlstm.model.sequence import SequenceNetwork
from fastlstm.model.standalone_sequence import StandaloneSequences
from fastlstm.runs.export import Standalone, made_up
from fastlstm.tasks.exporting import refuse_layer_norm
from fastlstm.tasks.labelled.model import AnyTarget, Model
from fastlstm.tasks.labelled.target import ClassTarget, NumberTarget
from fastlstm.wording import listed

STEPS = 24  # of made-up sequences
ANY = "anything past a sequence's end"
IDS = "2 for the first of the vocabulary and so on, 1 for what is not in it"
SPLIT: dict[Level, str] = {
    "word": f"words, {IDS}: of a text in Unicode's NFC with straight apostrophes, in small letters where lowercase, "
    "all that matches the pattern, whatever the case",
    "char": f"Unicode's code points, {IDS}",
    "bpe": "the ids of Hugging Face's tokenizers: Tokenizer.from_str of what is under tokenizer.tokenizers, then "
    "encode(text, add_special_tokens=False)",
}
CATEGORIES = "of a column NAME=CATEGORY 1 where it holds, 0 where another does"


def standalone(model: Model, sequences: SequenceSchema | None) -> Standalone:
    """Return a model that needs nothing but numbers, or tokens.

    Parameters
    ----------
    model : Model
        Trained.
    sequences : SequenceSchema, optional
        How numbers are read.

    Raises
    ------
    InputError
        If there is no graph of it.
    """
    (settings,) = {network.settings for network in model.networks if isinstance(network, SequenceNetwork)}
    refuse_layer_norm(settings.layer_norm)
    told, outputs = _answered(model.target, model.threshold)
    if sequences is not None:
        assert model.scaling is not None
        inputs, example = _of_numbers(model.scaling, sequences)
    else:
        assert model.tokenizer is not None
        inputs, example = _of_tokens(model.tokenizer, model.longest)
    return Standalone(
        module=StandaloneSequences(
            model.networks,
            partial(_member, model.target, model.temperature),
            told,
            model.scaling,
            model.longest,
        ).eval(),
        example=example,
        varying={
            name: {0: "batch"} if name in ("lengths", "static") else {0: "batch", 1: "steps"}
            for name in inputs
        },
        outputs=tuple(outputs),
        description={"per_step": settings.per_step, "inputs": inputs, "outputs": outputs},
    )


def _member(target: AnyTarget, temperature: float, raw: Tensor) -> Tensor:
    return target.answers(raw / temperature)


def _answered(target: AnyTarget, threshold: float | None) -> tuple[Any, dict[str, dict[str, Any]]]:
    """Return what is made of the members' mean, and what to say of it."""
    if isinstance(target, NumberTarget):
        return _alone, {"numbers": {"columns": target.names}}
    if isinstance(target, ClassTarget):
        decided = threshold if target.outputs == 2 else None
        chosen = "the likeliest" if decided is None else f"the second from a probability of {decided:g} on"
        return partial(_with_class, decided), {
            "label": {
                "meaning": f"a place among the classes, 0 the first: {chosen}",
                "classes": target.classes,
            },
            "probabilities": {"classes": target.classes},
        }
    decided = 0.5 if threshold is None else threshold
    return partial(_with_labels, decided), {
        "label": {"meaning": f"1 from a probability of {decided:g} on", "columns": target.names},
        "probabilities": {"columns": target.names},
    }


def _alone(answers: Tensor) -> tuple[Tensor, ...]:
    return (answers,)


def _with_class(threshold: float | None, answers: Tensor) -> tuple[Tensor, ...]:
    label = answers.argmax(-1) if threshold is None else (answers[..., 1] >= threshold).long()
    return label, answers


def _with_labels(threshold: float, answers: Tensor) -> tuple[Tensor, ...]:
    return (answers >= threshold).long(), answers


def _of_numbers(scaling: SequenceScaling, schema: SequenceSchema) -> tuple[dict[str, dict[str, Any]], Any]:
    inputs: dict[str, dict[str, Any]] = {
        "lengths": {"meaning": "how many rows each sequence has, at least 1"},
        "values": {
            "meaning": f"{_meaning(schema, schema.channels != schema.features)}, {ANY}",
            "columns": schema.channels,
        },
    }
    if schema.form == "tidy":
        inputs["values"]["rows"] = "the times at which a feature or a static column was measured"
        inputs["values"]["duplicates"] = schema.duplicates
    timed = (scaling.masked or scaling.irregular) and schema.time_kind != "row"
    if timed:
        unit = (
            f"in the unit of {schema.time!r}" if schema.time_kind in ("integer", "number") else "in seconds"
        )
        inputs["elapsed"] = {"meaning": f"when each row is, {unit} from any beginning, rising; {ANY}"}
    if schema.static_names:
        meaning = _meaning(schema, schema.static_names != schema.static)
        inputs["static"] = {"meaning": f"of each sequence, {meaning}", "columns": schema.static_names}

    of_channels = Standardizer(scaling.mean, scaling.deviation)

    def example(batch: int, generator: torch.Generator) -> dict[str, Tensor]:
        lengths = torch.randint(1, STEPS + 1, (batch,), generator=generator)
        found = {"lengths": lengths, "values": made_up(of_channels, (batch, STEPS), generator)}
        if timed:
            gaps = torch.rand(batch, STEPS, generator=generator, dtype=torch.float64)
            found["elapsed"] = (2 * scaling.unit * gaps).cumsum(1)
        if schema.static_names:
            found["static"] = made_up(scaling.of_static, (batch,), generator)
        return found

    return inputs, example


def _meaning(schema: SequenceSchema, categories: bool) -> str:
    missing = "NaN where missing" + (f" or one of {listed(list(schema.missing))}" if schema.missing else "")
    return f"{CATEGORIES}, {missing}" if categories else missing


def _of_tokens(tokenizer: Tokenizer, longest: int) -> tuple[dict[str, dict[str, Any]], Any]:
    inputs: dict[str, dict[str, Any]] = {
        "lengths": {"meaning": "how many tokens each text has, at least 1"},
        "tokens": {
            "meaning": f"{SPLIT[tokenizer.level]}; an empty text is one unknown token, 1; at most {longest} of a text "
            f"are read; {ANY}",
            "tokenizer": json.loads(tokenizer.to_json()),
        },
    }
    if tokenizer.level == "word":
        inputs["tokens"] |= {"lowercase": tokenizer.lowercase, "pattern": word_pattern().pattern}

    def example(batch: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {
            "lengths": torch.randint(1, STEPS + 1, (batch,), generator=generator),
            "tokens": torch.randint(1, len(tokenizer), (batch, STEPS), generator=generator),
        }

    return inputs, example
