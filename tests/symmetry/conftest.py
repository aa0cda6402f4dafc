"""The modules beside this file, for tests that have no package to import them from."""

import importlib.util
from pathlib import Path

import pytest


def _module(name):
    spec = importlib.util.spec_from_file_location(f"symmetry_{name}", Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def orbits():
    """Return the orbits by brute force."""
    return _module("orbits")


@pytest.fixture(scope="session")
def marked_fabrics():
    """Return the random fabrics with much of the same damage."""
    return _module("marked")
