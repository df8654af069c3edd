"""Parts to learn from and parts to choose weights by: the same share of each class in all, groups in one piece."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.series.rows import Integers
from fastlstm.errors import DataError, InputError

TWINS = 0.01  # of examples that are another's twin: fewer flatter nothing, and splits without groups are fast
SPLITS = 7  # of a single network: a seventh chooses the weights


def hold_back(
    examples: int,
    strata: npt.NDArray[np.float64] | None,
    groups: npt.NDArray[np.generic] | None,
    share: float,
    seed: int,
) -> tuple[Integers, Integers]:
    """Split examples in two.

    Parameters
    ----------
    examples, strata, groups, seed
        As for :func:`make_folds`.
    share : float
        How much of the examples, or of the groups, is held back.

    Returns
    -------
    learnt, held : numpy.ndarray
        In the order of the examples.

    Raises
    ------
    InputError
        If nothing would be left of one of both.

    Examples
    --------
    >>> [part.tolist() for part in hold_back(6, np.array([0.0, 0, 0, 1, 1, 1]), None, 0.34, 0)]
    [[1, 2, 3, 5], [0, 4]]
    """
    from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit  # deferred

    units, what = count_units(examples, groups)
    held = round(share * units)
    if not 0 < held < units:
        raise InputError(
            f"test_share is {share:g}: of {units:,} {what}s either the training or the test part would be empty"
        )
    options = {"n_splits": 1, "test_size": held, "random_state": seed}
    rows = np.zeros(examples)
    plain = ShuffleSplit(**options) if groups is None else GroupShuffleSplit(**options)
    parts = plain.split(rows, groups=groups)
    if groups is None and strata is not None and not np.isnan(strata).any():
        counts = np.unique(strata, return_counts=True)[1]
        if counts.min() >= 2 and len(counts) <= min(held, units - held):  # each class on both sides
            parts = StratifiedShuffleSplit(**options).split(rows, strata)
    learnt, test = next(iter(parts))
    return np.sort(np.asarray(learnt, np.int64)), np.sort(np.asarray(test, np.int64))


def count_units(examples: int, groups: npt.NDArray[np.generic] | None) -> tuple[int, str]:
    """Say how many pieces there are that no split tears apart, and what one is called.

    Parameters
    ----------
    examples, groups
        As for :func:`make_folds`.

    Examples
    --------
    >>> count_units(3, None), count_units(3, np.array([7, 7, 9]))
    ((3, 'sequence'), (2, 'group'))
    """
    return (examples, "sequence") if groups is None else (len(np.unique(groups)), "group")


def draw_units(sizes: Integers, wanted: float, seed: int) -> npt.NDArray[np.bool_]:
    """Draw units at random that come to a wanted size together, and never to more.

    What does not fit is passed by, so that one large unit is not held out for all the small ones.

    Parameters
    ----------
    sizes : numpy.ndarray
        (n,) how much each unit holds.
    wanted : float
        How much is drawn at most.
    seed : int
        Of the draw.

    Returns
    -------
    numpy.ndarray
        (n,) whether each was drawn; none, where each is larger than what is wanted.

    Examples
    --------
    >>> draw_units(np.array([900, 10, 20, 30]), 50, 0)
    array([False,  True,  True, False])
    """
    drawn = np.zeros(len(sizes), bool)
    left = wanted
    for unit in np.random.default_rng(seed).permutation(len(sizes)).tolist():
        if sizes[unit] <= left:
            drawn[unit] = True
            left -= sizes[unit]
    return drawn


def make_folds(
    examples: int,
    strata: npt.NDArray[np.float64] | None,
    groups: npt.NDArray[np.generic] | None,
    folds: int,
    seed: int,
) -> list[tuple[Integers, Integers]]:
    """Split examples into parts.

    Parameters
    ----------
    examples : int
        n.
    strata : numpy.ndarray, optional
        (n,) what each part is to hold the same share of.
    groups : numpy.ndarray, optional
        (n,) what is not to be torn apart.
    folds : int
        How many parts, as far as there are examples or groups for them; for 1, one of seven is held out.
    seed : int
        Of the draw.

    Returns
    -------
    list
        For each fold, what is learnt from and what is held out.

    Raises
    ------
    InputError
        If there are fewer than two examples, or than two groups.

    Examples
    --------
    >>> [held.tolist() for _, held in make_folds(4, np.array([0.0, 0, 1, 1]), None, 2, 0)]
    [[1, 2], [0, 3]]
    """
    from sklearn.model_selection import (  # deferred: a second of import
        GroupKFold,
        KFold,
        StratifiedGroupKFold,
        StratifiedKFold,
    )

    units, what = count_units(examples, groups)
    if units < 2:
        only = ("only one " if units else "no ") + what
        raise InputError(
            f"there is {only}: give two or more, to learn from some and choose weights by others"
        )
    parts = min(SPLITS if folds == 1 else folds, units)
    # Where labels are unknown there are no equal shares to hold.
    strata = None if strata is None or np.isnan(strata).any() else strata
    options = {"n_splits": parts, "shuffle": True, "random_state": seed}
    if groups is None:
        splitter = KFold(**options) if strata is None else StratifiedKFold(**options)
    else:
        splitter = GroupKFold(**options) if strata is None else StratifiedGroupKFold(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer members than there are parts
        try:
            found = list(splitter.split(np.zeros(examples), strata, groups))
        except ValueError:  # no class has as many members as there are parts
            plain = KFold if groups is None else GroupKFold
            found = list(plain(**options).split(np.zeros(examples), groups=groups))
    if folds == 1 and groups is not None:  # the part nearest to its share: groups may be of any size
        found = [min(found, key=lambda fold: abs(len(fold[1]) - examples / parts))]
    return [(np.asarray(learnt, np.int64), np.asarray(held, np.int64)) for learnt, held in found[:folds]]


def group_codes(groups: pl.Series | None, source: str) -> Integers | None:
    """Give each group a number, whatever it is called.

    Parameters
    ----------
    groups : polars.Series, optional
        (n,) names.
    source : str
        What messages call the data.

    Raises
    ------
    DataError
        If one has none.

    Examples
    --------
    >>> group_codes(pl.Series(["b", "a", "b"]), "the texts")
    array([1, 0, 1])
    """
    if groups is None:
        return None
    if groups.null_count():
        row = int(groups.is_null().arg_max() or 0)
        raise DataError(
            f"{source}: row {row} has no group, and {groups.null_count():,} in all: give each its own"
        )
    return groups.rank("dense").to_numpy().astype(np.int64) - 1


def twin_codes(examples: Sequence[Hashable]) -> Integers | None:
    """Give equal examples one number, so that none is judged by what has learnt it by heart.

    Parameters
    ----------
    examples : sequence
        n texts, or whatever tells them apart.

    Returns
    -------
    numpy.ndarray or None
        (n,) int64, from 0 in the order of appearance; None where hardly one in a hundred is another's twin.

    Examples
    --------
    >>> twin_codes(["b", "a", "b"]), twin_codes(["b", "a"])
    (array([0, 1, 0]), None)
    """
    numbers: dict[Hashable, int] = {}
    codes = np.array([numbers.setdefault(example, len(numbers)) for example in examples], np.int64)
    return codes if len(codes) - len(numbers) > TWINS * len(codes) else None
