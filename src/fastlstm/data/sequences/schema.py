"""What reading labelled sequences settles, so that new data are read in the same way without being told again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

SequenceForm = Literal["positional", "long", "tidy"]
SequenceTimeKind = Literal["row", "integer", "number", "elapsed", "date", "timestamp"]
Duplicates = Literal["refuse", "mean", "first", "last"]

SERIES_COLUMN = "series"  # what answers call the sequences where the data have no name for them
LABEL_COLUMN = "label"
REMAINING = "remaining"  # the label that is derived from a series' end


class SequenceSchema(BaseModel):
    """How sequences were read, as ``config.json`` keeps it.

    Parameters
    ----------
    form : {"positional", "long", "tidy"}
        Channels told by their place (arrays and ``.ts`` files), a column each, or rows of a variable and a value.
    series, time, groups : str, optional
        Columns: whose a row is, when it is, and what must not be torn apart by a split.
    time_kind : {"row", "integer", "number", "elapsed", "date", "timestamp"}
        What the time column holds; ``row`` where there is none and rows are counted.
    time_format : str, optional
        How a file writes its timestamps (``strftime``).
    features, static : tuple of str
        Columns, or variables of a tidy table: several values a series, and one.
    labels : tuple of str
        Label columns.
    labels_series : str, optional
        The series column of a separate table of labels.
    labels_apart : bool
        Whether the labels stand in a separate table.
    apart : tuple of str
        Those of ``static`` and ``groups`` that stand in the table of labels.
    per_step : bool
        Whether there is a label a step rather than one a series.
    until_end : bool
        Whether the label is the time left until the last row of the series.
    numeric_labels : bool
        Whether labels must be numbers.
    variable, value : str, optional
        Columns of a tidy table.
    columns : tuple of str
        Names of the columns of a file without a header.
    missing : tuple of float
        Numbers that mean unknown.
    duplicates : {"refuse", "mean", "first", "last"}
        What becomes of several values at one time.
    vocabularies : dict
        The categories of each feature and static column that is not numeric.
    number_forms : dict
        How columns of text write their numbers: keys of :data:`fastlstm.data.tables.number_forms.FORMS`.

    Examples
    --------
    >>> schema = SequenceSchema(form="long", features=("wind", "sky"), vocabularies={"sky": ("clear", "mist")})
    >>> schema.channels
    ('wind', 'sky=clear', 'sky=mist')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: SequenceForm
    series: str | None = None
    time: str | None = None
    time_kind: SequenceTimeKind = "row"
    time_format: str | None = None
    features: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    groups: str | None = None
    labels: tuple[str, ...] = ()
    labels_series: str | None = None
    labels_apart: bool = False
    apart: tuple[str, ...] = ()
    per_step: bool = False
    until_end: bool = False
    numeric_labels: bool = False
    variable: str | None = None
    value: str | None = None
    columns: tuple[str, ...] = ()
    missing: tuple[float, ...] = ()
    duplicates: Duplicates = "refuse"
    vocabularies: dict[str, tuple[str, ...]] = {}
    number_forms: dict[str, str] = {}

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels' names: a feature's own, or one for each of its categories."""
        return self._expanded(self.features)

    @property
    def static_names(self) -> tuple[str, ...]:
        """The names of the columns of ``SequenceSet.static``, likewise."""
        return self._expanded(self.static)

    def _expanded(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            channel
            for name in names
            for channel in (
                [f"{name}={category}" for category in self.vocabularies[name]]
                if name in self.vocabularies
                else [name]
            )
        )
