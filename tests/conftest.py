"""One environment for every test: no display, no colour, no chance; and the fabrics that many tests share.

A test that holds assertions of which none ran, as where a loop around them was empty, fails.
"""

import importlib.util
import inspect
import os
import re
from pathlib import Path

import pytest
from _pytest.assertion import util
from hypothesis import settings

# Typer and Rich draw colours and boxes by these; a CI runner sets some of them.
for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
    os.environ.pop(name, None)
os.environ.update(NO_COLOR="1", MPLBACKEND="Agg")

# The same examples on every run, and no clock: a flaky or timed test is a defect.
settings.register_profile("fabtopo", derandomize=True, deadline=None, database=None)
settings.load_profile("fabtopo")

HAS_ASSERTED = pytest.StashKey[bool]()


def pytest_assertion_pass(item):
    item.stash[HAS_ASSERTED] = True
    # One is enough: for this hook pytest puts every assertion into words, which doubles the time of all.
    util._assertion_pass = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    if isinstance(item, pytest.Function) and not item.stash.get(HAS_ASSERTED, False):
        if re.search(r"^\s+assert\b", inspect.getsource(item.function), re.MULTILINE):
            pytest.fail("no assertion ran: what they stand in, such as a loop, was empty", pytrace=False)
    return result


def _module(path):
    """Return a module beside the tests, which have no package to import it from."""
    spec = importlib.util.spec_from_file_location(f"tests_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def constructs():
    """Return the random fabrics by construct."""
    return _module(Path(__file__).parent / "symmetry" / "constructs.py")


@pytest.fixture(scope="session")
def hand_made():
    """Return the small fabrics whose costs can be worked out by hand."""
    return _module(Path(__file__).parent / "hand_made.py")
