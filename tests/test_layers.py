"""Imports point down only: also under TYPE_CHECKING, inside functions and through importlib."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fabric"

# From the bottom up. A layer may import those of the lines below its own, and itself.
LAYERS = """
    errors arrays
    arguments
    text
    results units
    schedule parts evidence
    blueprint
    graph
    sizing
    interop
    symmetry
    routing
    flow
    job bounds nccl
    costing
    workload
    study
    reporting
    cli
"""
RANK = {name: rank for rank, line in enumerate(LAYERS.split("\n")) for name in line.split()}
PLOTTING = {"matplotlib", "mpl_toolkits"}


@functools.cache
def nodes(path: str, text: str) -> tuple[ast.AST, ...]:
    """Return all nodes of a module."""
    return tuple(ast.walk(ast.parse(text, path)))


def imports(path: str, text: str) -> Iterator[str]:
    """Yield each imported name in full, ``fabric.graph.load`` for ``from ..graph import load``."""
    for node in nodes(path, text):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                folder = path.split("/")[:-1]
                base = folder[: len(folder) + 1 - node.level] if node.level else []
                stem = [*base, *(node.module or "").split(".")]
                yield from (".".join(filter(None, [*stem, alias.name])) for alias in node.names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def violations(sources: dict[str, str]) -> list[str]:
    """Return one line for each breach in `sources`, a mapping from path (``fabric/graph/x.py``) to text."""
    found = []
    for path, text in sources.items():
        layer, file = path.split("/")[1].removesuffix(".py"), path.split("/")[-1]
        if file in {"utils.py", "common.py"}:
            found.append(f"{path}: name the module after what it does")
        if path == "fabric/__init__.py":  # the lazy public face points at every layer
            continue
        if layer not in RANK:
            found.append(f"{path}: {layer} is no layer")
            continue
        for name in imports(path, text):
            top, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if top in PLOTTING and layer != "reporting":
                found.append(f"{path}: imports {top}, which only reporting may")
            elif top != "fabric" or target in {layer, "__version__"}:
                continue
            elif target not in RANK:
                found.append(f"{path}: imports {name}, which is no layer")
            elif RANK[target] >= RANK[layer]:
                found.append(f"{path}: {layer} imports {target}, which is not below it")
    return found


def shared_class_names(sources: dict[str, str]) -> list[str]:
    """Return one line for each name that several classes of `sources` have, private and inner ones too."""
    homes: dict[str, list[str]] = {}
    for path, text in sources.items():
        for node in nodes(path, text):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(f"{path}:{node.lineno}")
    return [f"{name}: {', '.join(places)}" for name, places in homes.items() if len(places) > 1]


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """Return the text of every module by its path, ``fabric/graph/x.py``."""
    files = [file.relative_to(PACKAGE.parent) for file in PACKAGE.rglob("*.py")]
    texts = {file.as_posix(): (PACKAGE.parent / file).read_text() for file in files}
    assert "fabric/errors.py" in texts
    return texts


def test_imports_point_down(sources):
    assert violations(sources) == []


def test_one_name_is_one_class(sources):
    assert shared_class_names(sources) == []


def test_breaker_of_class_names():
    twice = {
        "fabric/a.py": "class Row: ...\nclass Column: ...",
        "fabric/b/c.py": "def f():\n    class Row: ...",
    }
    assert shared_class_names(twice) == ["Row: fabric/a.py:1, fabric/b/c.py:2"]


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("fabric/errors.py", "import fabric.units", "errors imports units"),
        ("fabric/graph/a.py", "from fabric.flow import max_flow", "graph imports flow"),
        ("fabric/graph/a.py", "if TYPE_CHECKING:\n    from fabric import cli", "graph imports cli"),
        ("fabric/graph/a.py", "def f():\n    import fabric.study.sweep", "graph imports study"),
        ("fabric/graph/a.py", "from ..reporting import figures", "graph imports reporting"),
        ("fabric/graph/__init__.py", "from .. import routing", "graph imports routing"),
        ("fabric/graph/a.py", "importlib.import_module('fabric.flow')", "graph imports flow"),
        ("fabric/sizing/a.py", "import fabric.interop", "sizing imports interop"),
        ("fabric/blueprint/a.py", "import fabric.graph", "blueprint imports graph"),
        ("fabric/routing.py", "import fabric.flow", "routing imports flow"),
        ("fabric/bounds/a.py", "import fabric.job", "bounds imports job"),
        ("fabric/schedule/a.py", "import fabric.graph", "schedule imports graph"),
        ("fabric/nccl/a.py", "from fabric.costing import cost", "nccl imports costing"),
        ("fabric/cli.py", "import fabric", "imports fabric, which is no layer"),
        ("fabric/cli.py", "from fabric import load", "imports fabric.load, which is no layer"),
        ("fabric/cli.py", "from fabric import *", "no layer"),
        ("fabric/study/a.py", "def f():\n    from matplotlib import pyplot", "imports matplotlib"),
        ("fabric/helpers/a.py", "", "helpers is no layer"),
        ("fabric/flow/utils.py", "", "name the module after what it does"),
        ("fabric/flow/common.py", "", "name the module after what it does"),
    ],
)
def test_breakers(path, text, complaint):
    (found,) = violations({path: text})
    assert complaint in found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("fabric/__init__.py", "from fabric.cli import main"),
        ("fabric/units.py", "from fabric.errors import UnitError"),
        ("fabric/blueprint/a.py", "import fabric.parts\nfrom .b import c\nfrom fabric.blueprint import d"),
        ("fabric/graph/a.py", "from .. import blueprint, parts"),
        ("fabric/flow/a.py", "import scipy\nfrom fabric.routing import paths"),
        ("fabric/job/a.py", "from fabric import flow, routing"),
        ("fabric/reporting/a.py", "def f():\n    import matplotlib.pyplot"),
        ("fabric/cli.py", "from fabric import __version__\nfrom fabric.reporting import report"),
    ],
)
def test_sound_imports_pass(path, text):
    assert violations({path: text}) == []
