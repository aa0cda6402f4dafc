"""One environment for every test: no display, no colour, no chance; and the fabrics that many tests share.

A test that made no check fails, as where the loop around its assertions was empty; so does `assert all(...)`
of nothing.
"""

import functools
import gc
import importlib.util
import linecache
import os
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from _pytest.assertion import rewrite
from hypothesis import settings
from hypothesis.internal.conjecture import providers

# Typer and Rich draw colours and boxes by these; a CI runner sets some of them.
for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
    os.environ.pop(name, None)
os.environ.update(NO_COLOR="1", MPLBACKEND="Agg")

# The same examples on every run, and no clock: a flaky or timed test is a defect.
settings.register_profile("fabtopo", derandomize=True, deadline=None, database=None)
settings.load_profile("fabtopo")
# Nor by which modules are loaded: Hypothesis draws of the constants that it finds in all of them, and reads
# each for that, which takes a second of every worker.
providers._get_local_constants = lambda: providers._local_constants


class _Checks:
    """How many checks the running test has made; those of a helper count too, those of a fixture do not."""

    n = 0


def _counted(check):
    """Return `check`, a function that fails a test by itself, counted where it is called."""

    @functools.wraps(check)
    def counted(*args, **kwargs):
        _Checks.n += 1
        return check(*args, **kwargs)

    return counted


for home, name in ((pytest, "raises"), (np.testing, "assert_allclose"), (np.testing, "assert_array_equal")):
    setattr(home, name, _counted(getattr(home, name)))


def _passed():
    """Count an assertion that holds; say that nobody asks for its words, which take longer than the check."""
    _Checks.n += 1
    return False


# What rewritten assertions call where they hold, for `enable_assertion_pass_hook`.
rewrite._check_if_assertion_pass_impl = _passed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    _Checks.n = 0
    result = yield
    if isinstance(item, pytest.Function) and not _Checks.n:
        pytest.fail("no check ran: what they stand in, such as a loop, was empty", pytrace=False)
    return result


def _all(values):
    """Return whether all `values` are true, which asserts nothing where there are none."""
    found = list(values)
    caller = sys._getframe(1)
    line = linecache.getline(caller.f_code.co_filename, caller.f_lineno)
    if not found and line.lstrip().startswith("assert "):
        pytest.fail("all() of nothing: what it is asserted of was empty")
    return all(found)


@pytest.hookimpl(tryfirst=True)  # before the slow ones are left out, and before any order is changed
def pytest_collection_modifyitems(items):
    functions = [item for item in items if isinstance(item, pytest.Function)]
    for module in {item.module for item in functions}:
        module.all = _all
    cases = defaultdict(list)
    for item in functions:
        if (mark := item.get_closest_marker("some")) and not item.get_closest_marker("slow"):
            cases[item.module, item.cls, item.originalname, mark.args].append(item)
    for (*_, (n_quick,)), of_one in cases.items():
        for item in _others(of_one, n_quick):
            item.add_marker(pytest.mark.slow)


def _others(cases, n_quick):
    """Return all cases but `n_quick`, which take each value of each parameter about equally often."""
    left = random.Random(cases[0].originalname).sample(cases, len(cases))
    n_seen = Counter()
    for _ in range(min(n_quick, len(cases))):
        quick = min(left, key=lambda item: sum(n_seen[value] for value in item.callspec.indices.items()))
        left.remove(quick)
        n_seen.update(quick.callspec.indices.items())
    return left


def pytest_generate_tests(metafunc):
    for mark in metafunc.definition.iter_markers("seeds"):
        (n_quick,), n = mark.args, mark.kwargs["of"]
        n = (
            n_quick if metafunc.config.option.markexpr == "not slow" else n
        )  # the others would be left out anyway
        slow = (pytest.param(seed, marks=pytest.mark.slow) for seed in range(n_quick, n))
        metafunc.parametrize("seed", [*range(n_quick), *slow])


def pytest_collection_finish():
    # What was imported and collected stays: the garbage collector need not look at it again and again.
    gc.freeze()
    gc.set_threshold(300_000)


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


@pytest.fixture(scope="session")
def as_drawn():
    """Return the topologies of every usual shape, and their cables as tools list them."""
    return _module(Path(__file__).parent / "as_drawn.py")


@pytest.fixture(scope="session")
def explicit():
    """Return the rates by the explicit program, by axes and by refinement."""
    return _module(Path(__file__).parent / "symmetry" / "explicit.py")


@pytest.fixture(scope="session")
def orbits_by_force():
    """Return the orbits by brute force."""
    return _module(Path(__file__).parent / "symmetry" / "orbits.py")
