"""Where training stands, as a file: what it takes to go on exactly from there. Nothing in it is ever unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fastlstm.errors import RunError
from fastlstm.training.parts import part_of


@dataclass(frozen=True)
class TrainingState:
    """Where training stands after a step.

    Parameters
    ----------
    tensors : dict
        Weights, the best ones yet, the optimizer's moments, the states of the random generators.
    numbers : dict
        The step, the history and the like, as JSON holds it.
    """

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with ``name.``, by the rest of their names.

        Parameters
        ----------
        name : str
            The part.

        Examples
        --------
        >>> import torch
        >>> TrainingState({"best.weight": torch.ones(1), "step": torch.ones(1)}, {}).part("best")
        {'weight': tensor([1.])}
        """
        return part_of(self.tensors, name)

    def to_bytes(self) -> bytes:
        """Return the state as one safetensors file, its numbers as JSON in the header."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        return save(tensors, metadata={"numbers": json.dumps(self.numbers)})

    @classmethod
    def read(cls, path: Path) -> TrainingState:
        """Read what ``to_bytes`` made.

        Parameters
        ----------
        path : Path
            The file.

        Raises
        ------
        RunError
            If it is missing, cut short, or no such file.

        Examples
        --------
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "state")
        ...     _ = path.write_bytes(TrainingState({"step": torch.tensor([7])}, {"loss": 0.1}).to_bytes())
        ...     TrainingState.read(path)
        TrainingState(tensors={'step': tensor([7])}, numbers={'loss': 0.1})
        """
        try:
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                numbers = json.loads((file.metadata() or {})["numbers"])
        except (FileNotFoundError, SafetensorError, KeyError, ValueError) as error:
            raise RunError(
                f"{path} is missing, was cut short or altered ({error}): copy it again, or train again"
            ) from None
        return cls(tensors, numbers)
