"""What estimators share whose models stand alone as one file."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

from fastlstm import __version__
from fastlstm.errors import InputError
from fastlstm.runs.export import Exported, Standalone, write_onnx
from fastlstm.tasks.saving import SavedEstimator


def refuse_layer_norm(layer_norm: bool) -> None:
    """Raise where the layers of a model are normalised.

    Parameters
    ----------
    layer_norm : bool
        Whether they are.

    Raises
    ------
    InputError
        With the mend.
    """
    if layer_norm:
        raise InputError("export: ONNX's LSTM has no layer_norm: fit with layer_norm=False")


class ExportableEstimator(SavedEstimator):
    """An estimator whose model can be written as a graph; a task says of what, by ``_standalone``."""

    def export(self, path: str | Path) -> Exported:
        """Write the model as one file of ONNX, which runs without fastlstm and PyTorch.

        Scaling, calendar, all members and calibration are part of it: it takes the numbers of a table as they are. The
        file's metadata say, under the key ``fastlstm``, what each input and output is. Before it is written ONNX
        Runtime is asked about made-up inputs, and must answer as PyTorch does.

        Parameters
        ----------
        path : str or Path
            The file to make, ``.onnx``; one that is there is replaced.

        Returns
        -------
        fastlstm.runs.export.Exported
            The inputs and outputs, and how far the answers were apart; printed as text.

        Raises
        ------
        InputError
            If ONNX has no graph of the model, or the libraries of the extra ``onnx`` are missing.
        RunError
            If the file cannot be written.
        """
        model = self._require_fitted()._standalone()
        on_cpu = copy.deepcopy(
            model.module
        ).cpu()  # where training was elsewhere, the networks are there still
        description = {"task": self.task, "fastlstm": __version__, **model.description}
        return write_onnx(replace(model, module=on_cpu, description=description), path)

    def _standalone(self) -> Standalone:
        """Return the model with all that is done to its inputs."""
        raise NotImplementedError
