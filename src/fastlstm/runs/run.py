"""A run that was read: its settings, tensors, vocabularies and pictures, each asked for by its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from fastlstm.errors import RunError
from fastlstm.runs.writing import CONFIG
from fastlstm.training.parts import part_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor, nn

WEIGHTS = "model.safetensors"
PLOTS = "plots"
VOCABULARY = "vocabulary"
NETWORK = "network"

Settings = TypeVar("Settings", bound=BaseModel)
Network = TypeVar("Network", bound="nn.Module")
Value = TypeVar("Value")


class RunConfig(BaseModel):
    """What ``config.json`` holds.

    Parameters
    ----------
    format : int
        The version of this layout.
    fastlstm : str
        The version that wrote it.
    task : str
        Whose run it is.
    weights_sha256 : str
        Of ``model.safetensors``, to tell a file that was cut short or altered.
    vocabularies_sha256 : dict
        Of ``NAME.json``, likewise, by name.
    settings : dict
        The task's own, as it validates them itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    fastlstm: str
    task: str
    weights_sha256: str
    vocabularies_sha256: dict[str, str]
    settings: dict[str, JsonValue]


@dataclass(frozen=True)
class Run:
    """A run folder, read.

    Parameters
    ----------
    folder : Path
        Where it is.
    config : RunConfig
        What ``config.json`` holds.
    tensors : dict
        What ``model.safetensors`` holds; empty where they were not asked for.
    weights_size : int
        Bytes of ``model.safetensors``.
    history : list of dict
        What ``history.csv`` holds.
    metrics : dict
        What ``metrics.json`` holds.
    """

    folder: Path
    config: RunConfig
    tensors: dict[str, Tensor] = field(repr=False)
    weights_size: int
    history: list[dict[str, float]] = field(repr=False)
    metrics: dict[str, Any]

    @property
    def task(self) -> str:
        """Whose run it is: a key of :data:`fastlstm.tasks.TASKS`."""
        return self.config.task

    def settings(self, model: type[Settings]) -> Settings:
        """Validate the task's settings.

        Parameters
        ----------
        model : type of pydantic.BaseModel
            The model that wrote them.

        Returns
        -------
        BaseModel
            An instance of ``model``.

        Raises
        ------
        RunError
            If a key is unknown, missing, or its value is not what it should be; the message names it.
        """
        with explained(self.folder / CONFIG, "settings"):
            return model.model_validate_json(json.dumps(self.config.settings))

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of one part: ``network.head.bias`` is ``head.bias`` of the part ``network``.

        Parameters
        ----------
        name : str
            What stands before the first dot; a run may hold nothing of it.

        Returns
        -------
        dict
            Name → tensor; one that is asked for and not there is a ``RunError``.
        """
        return _Part(self, name, part_of(self.tensors, name))

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return the tensors of one part as arrays of their own.

        Parameters
        ----------
        name : str
            As for ``part``.
        """
        tensors = part_of(self.tensors, name)
        return _Part(self, name, {key: tensor.numpy().copy() for key, tensor in tensors.items()})

    def weigh(self, network: Network, weights: Mapping[str, Tensor] | None = None) -> Network:
        """Give a network its weights, and return it in evaluation mode.

        Parameters
        ----------
        network : torch.nn.Module
            As it was saved, with any weights.
        weights : mapping, optional
            Its tensors by their names. Default: those of the part ``network``.

        Raises
        ------
        RunError
            If they are of other names or sizes than the network's.
        """
        try:
            network.load_state_dict(self.part(NETWORK) if weights is None else weights)
        except RuntimeError:
            raise RunError(
                f"the weights of {self.folder} fit no network of this version of fastlstm ({self.config.fastlstm} "
                "wrote them): train again"
            ) from None
        return network.eval()

    def vocabulary(self, name: str = VOCABULARY) -> str:
        """Return a vocabulary, as JSON.

        Parameters
        ----------
        name : str
            That of its file, without the suffix.

        Raises
        ------
        RunError
            If it is missing or cannot be read.
        """
        path = self.folder / f"{name}.json"
        with explained(path):
            content = path.read_bytes()
        expected = self.config.vocabularies_sha256.get(name)
        if expected is None:
            raise RunError(
                f"{self.folder / CONFIG}: key 'vocabularies_sha256.{name}' is missing; the file was altered, or "
                "another version wrote it"
            )
        refuse_altered(path, content, expected)
        with explained(path):
            return content.decode()

    @property
    def pictures(self) -> dict[str, bytes]:
        """What ``plots`` holds: name without suffix → the bytes of a PNG."""
        return {picture.stem: picture.read_bytes() for picture in sorted((self.folder / PLOTS).glob("*.png"))}


class _Part(dict[str, Value], Generic[Value]):
    """One part of a run's tensors, which says where it lacks what is asked for."""

    def __init__(self, run: Run, name: str, tensors: Mapping[str, Value]) -> None:
        super().__init__(tensors)
        self.run, self.name = run, name

    def __missing__(self, key: str) -> NoReturn:
        raise RunError(
            f"{self.run.folder / WEIGHTS} holds no {self.name}.{key}: it was altered, or another version of fastlstm "
            f"wrote it ({self.run.config.fastlstm}): use that, or train again"
        )


def refuse_altered(path: Path, content: bytes, expected: str) -> None:
    """Raise where a file is not the one that was written.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes
        What was read of it.
    expected : str
        Its sha256, as ``config.json`` has it.

    Raises
    ------
    RunError
        With the mend.
    """
    if hashlib.sha256(content).hexdigest() != expected:
        raise RunError(
            f"{path} was cut short or altered: its sha256 is not the one in {CONFIG}; "
            "copy the run again, or train again"
        )


@contextmanager
def explained(path: Path, *within: str) -> Iterator[None]:
    """Turn what goes wrong on reading a file of a run into one line that names the file and the key.

    Parameters
    ----------
    path : Path
        The file.
    *within : str
        The keys above those that are validated.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in (*within, *first["loc"]))
        found = {"extra_forbidden": f"unknown key {key!r}", "missing": f"key {key!r} is missing"}.get(
            first["type"], f"{key!r}: {first['msg']}" if key else first["msg"]
        )
        raise RunError(f"{path}: {found}; the file was altered, or another version wrote it") from None
    except FileNotFoundError:
        raise RunError(f"{path} is missing: copy the run again, or train again") from None
    except ValueError as error:
        raise RunError(
            f"{path} was cut short or altered: {error}; copy the run again, or train again"
        ) from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}; mend that, or copy the run again") from None
