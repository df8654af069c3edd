"""What estimators share whose models stand alone as one file."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from fastlstm.runs.export import Exported, Standalone, write_onnx
from fastlstm.tasks.saving import SavedEstimator


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
        description = {"task": self.task, "fastlstm": version("fastlstm"), **model.description}
        return write_onnx(replace(model, description=description), path)

    def _standalone(self) -> Standalone:
        """Return the model with all that is done to its inputs."""
        raise NotImplementedError
