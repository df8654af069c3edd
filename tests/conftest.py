from contextlib import contextmanager

import pytest
import torch
from hypothesis import settings

from fastlstm import _native

# The same examples in every run; pytest --hypothesis-profile=default draws others.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


ROUNDING = [name for name in _native.instruction_sets() if name in ("avx512bf16", "amx")]


@contextmanager
def using(name):
    before = _native.instruction_set()
    assert _native.use_instruction_set(name)
    yield name
    _native.use_instruction_set(before)


@pytest.fixture(params=_native.instruction_sets())
def instruction_set(request):
    with using(request.param) as name:
        yield name


@pytest.fixture(params=ROUNDING)
def rounding(request):
    """An instruction set that multiplies bfloat16, in use."""
    with using(request.param) as name:
        yield name


@pytest.fixture
def set_threads():
    """Sets torch's threads until the test is over."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request, set_threads):
    set_threads(request.param)
    return request.param
