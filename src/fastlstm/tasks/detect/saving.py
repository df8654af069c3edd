"""A fitted detector into a run folder, and out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from fastlstm.runs import NETWORK, Run
from fastlstm.tasks.detect.inputs import Carried
from fastlstm.tasks.detect.judging import Detection, Ended
from fastlstm.tasks.detect.pictures import draw_scores
from fastlstm.tasks.detect.running import Memory, build_network
from fastlstm.tasks.detect.settings import Parameters, RunSettings
from fastlstm.tasks.saving import Contents

if TYPE_CHECKING:
    from fastlstm.tasks.detect.fitted import FittedDetector

MEMORY = "memory"  # the part of the tensors from which rows go on


def saved_detector(detector: FittedDetector) -> Contents:
    """Return what a run folder is to hold.

    Parameters
    ----------
    detector : FittedDetector
        Fitted or loaded.
    """
    detection = detector.detection_
    ends = [_arrays(ended.memory) for ended in detector.ended_.values()]
    memory = {name: torch.from_numpy(np.stack([end[name] for end in ends])) for name in ends[0]}
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
    plots = {}
    if detector.table_ is not None and detector.verdicts_ is not None:
        plots["scores"] = draw_scores(detector.table_, detector.verdicts_, detector.threshold_)
    return Contents(settings, {NETWORK: detection.network.state_dict(), MEMORY: memory}, plots=plots)


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
    memory = run.arrays(MEMORY)
    limits = dict(zip(map(str, settings.names), settings.ticks, strict=True))
    detector.detection_ = Detection(
        run.weigh(build_network(settings.network)),
        settings.scaling,
        settings.scorer,
        settings.learnt_scorer,
        limits,
    )
    detector.baseline_ = settings.baseline
    detector.ended_ = {
        str(name): Ended(_memory(memory, place), tick)
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


def _memory(arrays: Mapping[str, npt.NDArray[Any]], place: int) -> Memory:
    def own(name: str) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = arrays[name][place]
        return found

    smooth = own("smooth")
    return Memory(
        Carried(*(own(f"carried.{name}") for name in Carried._fields)),
        (torch.from_numpy(own("state.0")), torch.from_numpy(own("state.1"))),
        tuple(own(f"pending.{horizon}") for horizon in range(len(smooth) - 1)),
        smooth,
        int(own("since")[0]),
        int(own("age")[0]),
    )
