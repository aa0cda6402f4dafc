"""What an import costs, what the package shows, and the guard against the other `fabric`."""

import importlib
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fabric
from fabric import _guard

ROOT = Path(__file__).parents[1]
EXAMPLE = "topologies/gb300-nvl72-1152.fabric.yaml"
RUN = "from fabric.cli import main; sys.argv[0] = 'fabtopo'; main()"


def packages_loaded_by(code, *arguments):
    """Return the top-level packages in memory after `code` ran in an interpreter of its own."""
    program = f"""
import json, sys
try:
    {code}
except SystemExit as stop:
    assert not stop.code, stop.code
print()
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_probe_sees_what_is_loaded():
    assert {"networkx", "json"} <= packages_loaded_by("import networkx")


def test_package_is_light():
    loaded = packages_loaded_by("import fabric")
    assert "fabric" in loaded
    assert not loaded & {"numpy", "scipy", "networkx", "matplotlib", "pydantic", "typer", "yaml"}


@pytest.mark.parametrize("arguments", [["--help"], ["check", EXAMPLE]], ids=lambda arguments: arguments[0])
def test_light_commands_are_light(arguments):
    loaded = packages_loaded_by(RUN, *arguments)
    assert "typer" in loaded
    assert not loaded & {"scipy", "matplotlib"}


@pytest.mark.parametrize("name", fabric.__all__)
def test_public_names_resolve(name):
    assert name in dir(fabric)
    assert getattr(fabric, name).__name__ == name


def test_lazy_names_have_a_home():
    assert set(fabric._HOME) <= set(fabric.__all__)


def test_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="module 'fabric' has no attribute 'laod'"):
        _ = fabric.laod


def test_version_is_that_of_the_distribution():
    assert fabric.__version__ == importlib.metadata.version("fabtopo")


def install(folder, name, *files, **metadata):
    """Lay out a distribution as pip does, by default with a RECORD only."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in [*files, f"{info.name}/METADATA"]))
    for stem, text in metadata.items():
        (info / f"{stem}.txt").write_text(text)


RIVALS = {
    "record": (["fabric/__init__.py"], {}),
    "module": (["fabric.py"], {}),
    "top_level": (["fabric/__init__.py", "other/__init__.py"], {"top_level": "other\nfabric\n"}),
    "editable": (["__editable___finder.py"], {"top_level": "fabric\n"}),
}
NEIGHBOURS = {
    "longer": (["fabrication/__init__.py", "fabric_x.py"], {}),
    "nested": (["other/fabric/__init__.py"], {}),
    "empty": ([], {}),
}


@pytest.mark.parametrize("kind", RIVALS)
def test_guard_refuses(kind, tmp_path, monkeypatch):
    files, metadata = RIVALS[kind]
    install(tmp_path, "fabtopo", "fabric/__init__.py")
    install(tmp_path, "ssh_fabric", *files, **metadata)
    remedy = "'pip uninstall ssh_fabric && pip install --force-reinstall fabtopo'.*virtual environment"
    with pytest.raises(ImportError, match=f"'ssh_fabric' is installed here and owns it too.*{remedy}"):
        _guard.refuse_rivals([str(tmp_path)])

    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert set(_guard.owners(sys.path)) == set(importlib.metadata.packages_distributions()["fabric"])


@pytest.mark.parametrize("kind", NEIGHBOURS)
def test_guard_lets_neighbours_be(kind, tmp_path):
    files, metadata = NEIGHBOURS[kind]
    install(tmp_path, "fabtopo", "fabric/__init__.py")
    install(tmp_path, "other", *files, **metadata)
    _guard.refuse_rivals([str(tmp_path), str(tmp_path / "missing"), str(tmp_path)])
    assert _guard.owners([str(tmp_path)]) == ["fabtopo"]


def test_import_itself_is_guarded(tmp_path, monkeypatch):
    install(tmp_path, "fabric", "fabric.py")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    with pytest.raises(ImportError, match="'fabric' is installed here .*pip uninstall fabric && pip install"):
        importlib.reload(fabric)
