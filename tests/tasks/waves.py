"""Slow and fast waves to tell apart, and classifiers small enough to learn from them at once."""

import numpy as np
import polars as pl

from fastlstm import Classifier

QUICK = {"hidden_size": 4, "members": 1, "max_steps": 12, "embedding": 4, "progress": False}


def small(**parameters) -> Classifier:
    return Classifier(**(QUICK | parameters))


def waves(n: int = 16, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Two channels, slow or fast, of unequal lengths."""
    generator = np.random.default_rng(seed)
    arrays = []
    for place in range(n):
        steps = np.arange(generator.integers(5, 9))
        phase = generator.uniform(0, 6)
        arrays.append(np.stack([np.sin(steps * (0.4 + place % 2) + phase), steps * 0.1], axis=1))
    return arrays, ["slow", "fast"] * (n // 2)


def long_table() -> pl.DataFrame:
    arrays, kinds = waves()
    return pl.concat(
        pl.DataFrame(
            {
                "stay": [f"s{place}"] * len(array),
                "hour": np.arange(len(array)) ** 2 * 0.5,
                "wave": array[:, 0],
                "ramp": [None, *array[1:, 1].tolist()],
                "kind": [kinds[place]] * len(array),
                "age": [40.0 + place] * len(array),
            }
        )
        for place, array in enumerate(arrays)
    )
