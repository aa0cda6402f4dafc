"""The random fabrics by construct, which stand beside the tests of symmetry."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def constructs():
    """Return the random fabrics by construct."""
    path = Path(__file__).parents[1] / "symmetry" / "constructs.py"
    spec = importlib.util.spec_from_file_location("flow_constructs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
