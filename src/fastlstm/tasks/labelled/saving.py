"""A fitted estimator of labels into a run folder, and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.model.sequence import SequenceNetwork
from fastlstm.runs import NETWORK, VOCABULARY, Run
from fastlstm.tasks.labelled.model import Model
from fastlstm.tasks.labelled.pictures import draw_evaluation
from fastlstm.tasks.labelled.settings import Parameters, RunSettings
from fastlstm.tasks.saving import Contents

if TYPE_CHECKING:
    from fastlstm.tasks.labelled.fitted import FittedLabels


def saved_labels(estimator: FittedLabels) -> Contents:
    """Return what a run folder is to hold.

    Parameters
    ----------
    estimator : FittedLabels
        Fitted or loaded.
    """
    model = estimator.model_
    first = model.networks[0]
    assert isinstance(first, SequenceNetwork)
    settings = RunSettings(
        parameters=Parameters.check(estimator.get_params()),
        network=first.settings,
        members=len(model.networks),
        target=model.target,
        temperature=model.temperature,
        threshold=model.threshold,
        scaling=model.scaling,
        sequences=estimator.sequences_,
        texts=estimator.texts_,
        kind=estimator.kind_,
    )
    vocabularies = {VOCABULARY: model.tokenizer.to_json()} if model.tokenizer else {}
    plots = {} if estimator.report_ is None else draw_evaluation(estimator.report_.validation)
    return Contents(settings, {NETWORK: model.networks.state_dict()}, vocabularies, plots)


def restore_labels(estimator: FittedLabels, run: Run, settings: RunSettings) -> None:
    """Give an estimator what a run folder holds of estimators of labels alone.

    Parameters
    ----------
    estimator : FittedLabels
        With the run's configuration.
    run : fastlstm.runs.Run
        What ``load_run`` gives.
    settings : RunSettings
        The run's.
    """
    networks = nn.ModuleList(SequenceNetwork(settings.network) for _ in range(settings.members))
    estimator.model_ = Model(
        settings.target,
        run.weigh(networks),
        settings.scaling,
        Tokenizer.from_json(run.vocabulary()) if settings.texts else None,
        settings.parameters.longest,
        settings.temperature,
        settings.threshold,
    )
    estimator.sequences_, estimator.texts_, estimator.kind_ = (
        settings.sequences,
        settings.texts,
        settings.kind,
    )
