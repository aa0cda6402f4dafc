"""Random fabrics and small ones by hand, for tests that have no package to import them from."""

import importlib.util
from pathlib import Path

import pytest


def _module(path):
    spec = importlib.util.spec_from_file_location(f"collective_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def constructs():
    """Return the random fabrics by construct."""
    return _module(Path(__file__).parents[1] / "symmetry" / "constructs.py")


@pytest.fixture(scope="session")
def hand_made():
    """Return the fabrics made by hand."""
    return _module(Path(__file__).parent / "hand_made.py")
