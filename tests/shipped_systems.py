"""Systems of `topologies/systems` and templates, read and expanded once for all that is asked of them."""

import functools
from pathlib import Path

from fabric.graph import expand, load, loads

SYSTEMS = Path(__file__).parents[1] / "topologies" / "systems"


@functools.cache
def read(name):
    """Return a system, or a fabric of one template."""
    path = SYSTEMS / f"{name}.fabric.yaml"
    return load(path) if path.exists() else loads(f"{{fabric: one, include: {name}}}")


@functools.cache
def links(name):
    """Return every device and cable of it."""
    return expand(read(name), limit=4_000_000)
