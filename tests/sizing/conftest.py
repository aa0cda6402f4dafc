"""The random fabrics of the layer above, for the laws of a bill."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def constructs():
    """Return the random fabrics by construct."""
    path = Path(__file__).parents[1] / "symmetry" / "constructs.py"
    spec = importlib.util.spec_from_file_location("design_constructs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
