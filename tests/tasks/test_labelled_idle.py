"""What is asked for and would change nothing is refused, and what has a use is not."""

import numpy as np
import pytest

from fastlstm import Classifier
from fastlstm.errors import InputError

QUICK = {"hidden_size": 4, "members": 1, "max_steps": 3, "embedding": 4, "progress": False}
NUMBERS = list(np.random.default_rng(0).normal(size=(16, 6)))
TEXTS = ["a dull film", "a fine film"] * 8
TWO, FOUR = ["a", "b"] * 8, ["a", "b", "c", "d"] * 4
STEPS = {"label": [(array > 0).tolist() for array in NUMBERS], "per_step": True}


@pytest.mark.parametrize(
    ("parameters", "data", "roles", "message"),
    [
        ({"pooling": "max"}, NUMBERS, STEPS, "pooling is 'max': .* nothing to pool; leave it out"),
        (
            {"threshold": 0.3},
            NUMBERS,
            {"label": FOUR},
            "threshold is 0.3: .* between two classes, .* 4; leave it out",
        ),
        (
            {"augmentation": 0.2},
            TEXTS,
            {"label": TWO},
            "augmentation is 0.2: .* and not to the texts .* leave it",
        ),
        (
            {},
            NUMBERS,
            {"label": TWO, "vectors": "glove.txt"},
            "vectors are for the words .* leave vectors out",
        ),
    ],
)
def test_what_would_change_nothing_is_refused(parameters, data, roles, message) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        Classifier(**QUICK, **parameters).fit(data, **roles)


@pytest.mark.parametrize(
    ("parameters", "data", "roles"),
    [
        ({"convolution": True}, NUMBERS, STEPS),
        ({"pooling": "max", "convolution": True}, NUMBERS, {"label": FOUR}),
        ({"threshold": 0.3}, NUMBERS, {"label": TWO}),
        ({"threshold": 0.3}, NUMBERS, {"label": np.arange(48).reshape(16, 3) % 2}),
        ({"augmentation": 0.0, "pooling": "max", "convolution": True}, TEXTS, {"label": TWO}),
    ],
)
def test_what_has_a_use_is_not_refused(parameters, data, roles) -> None:
    fitted = Classifier(**QUICK, **parameters).fit(data, **roles)
    assert len(fitted.predict_proba(data)) == (16 * 6 if roles is STEPS else 16)
