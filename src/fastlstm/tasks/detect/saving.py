"""A fitted detector into a run folder, and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm.runs import Run
from fastlstm.tasks.detect.inputs import Carried
from fastlstm.tasks.detect.judging import Detection, Ended
from fastlstm.tasks.detect.running import Memory, build_network
from fastlstm.tasks.detect.settings import Parameters, RunSettings

if TYPE_CHECKING:
    from fastlstm.tasks.detect.fitted import FittedDetector


def saved_detector(detector: FittedDetector) -> tuple[RunSettings, dict[str, Tensor]]:
    """Return what a run folder is to hold: ``config.json`` and ``model.safetensors``.

    Parameters
    ----------
    detector : FittedDetector
        Fitted or loaded.
    """
    detection = detector.detection_
    network = {f"network.{name}": value for name, value in detection.network.state_dict().items()}
    ends = [_arrays(ended.memory) for ended in detector.ended_.values()]
    memory = {f"memory.{name}": torch.from_numpy(np.stack([end[name] for end in ends])) for name in ends[0]}
    settings = RunSettings(
        parameters=Parameters.check(detector.get_params()),
        network=detection.network.settings,
        scaling=detection.scaling,
        scorer=detection.scorer,
        learnt_scorer=detection.learnt_scorer,
        baseline=detector.baseline_,
        table=detector.schema_,
        names=detection.scaling.channels.names,
        ticks=[ended.tick for ended in detector.ended_.values()],
        kind=detector.kind_,
    )
    return settings, {**network, **memory}


def restore_detector(detector: FittedDetector, run: Run, settings: RunSettings) -> None:
    """Give a detector what a run folder holds of detectors alone.

    Parameters
    ----------
    detector : FittedDetector
        With the run's configuration.
    run : fastlstm.runs.Run
        What ``load_run`` gives.
    settings : RunSettings
        The run's.
    """
    network = build_network(settings.network)
    network.load_state_dict(run.part("network"))
    memory = run.part("memory")
    limits = dict(zip(map(str, settings.names), settings.ticks, strict=True))
    detector.detection_ = Detection(
        network.eval(),
        settings.scaling,
        settings.scorer,
        settings.learnt_scorer or settings.scorer,
        limits,
    )
    detector.baseline_ = settings.baseline
    detector.ended_ = {
        str(name): Ended(_memory({key: value[place] for key, value in memory.items()}), tick)
        for place, (name, tick) in enumerate(zip(settings.names, settings.ticks, strict=True))
    }
    detector.schema_ = settings.table
    detector.kind_ = settings.kind
    detector.table_ = detector.verdicts_ = None


def _arrays(memory: Memory) -> dict[str, npt.NDArray[Any]]:
    assert memory.state is not None
    return {
        **{f"carried.{name}": value for name, value in memory.carried._asdict().items()},
        **{f"state.{place}": part.detach().cpu().numpy() for place, part in enumerate(memory.state)},
        **{f"pending.{place}": made for place, made in enumerate(memory.pending)},
        "smooth": memory.smooth,
        "since": np.array([memory.since]),
        "age": np.array([memory.age]),
    }


def _memory(tensors: dict[str, Tensor]) -> Memory:
    carried = Carried(*(tensors[f"carried.{name}"].numpy().copy() for name in Carried._fields))
    return Memory(
        carried,
        (tensors["state.0"].clone(), tensors["state.1"].clone()),
        tuple(tensors[f"pending.{place}"].numpy().copy() for place in range(tensors["smooth"].shape[0] - 1)),
        tensors["smooth"].numpy().copy(),
        int(tensors["since"][0]),
        int(tensors["age"][0]),
    )
