"""What an import costs, what the package shows, and the guard against the other `fabric`."""

import importlib
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fabric
import fabtopo

ROOT = Path(__file__).parents[1]
EXAMPLE = "topologies/gb300-nvl72-1152.fabric.yaml"
RACK = "topologies/gb300-nvl72.fabric.yaml"


def modules_after(code):
    """Return the modules in memory after `code` ran in an interpreter of its own."""
    program = f"{code}\nimport json, sys\nprint()\nprint(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules_of(*commands):
    """Return those after `commands`, one after the other: a start costs more than most of them."""
    return modules_after(f"""
import sys, fabtopo
for words in {commands!r}:
    sys.argv = ["fabtopo", *words.split()]
    try:
        fabtopo.main()
    except SystemExit as stop:
        assert not stop.code, (words, stop.code)
""")


def packages(modules):
    """Return the top-level packages of `modules`."""
    return {name.partition(".")[0] for name in modules}


def test_probe_sees_what_is_loaded():
    assert {"networkx", "json"} <= packages(modules_after("import networkx"))


def test_package_is_light():
    loaded = packages(modules_after("import fabric"))
    assert "fabric" in loaded
    assert not loaded & {"numpy", "scipy", "networkx", "matplotlib", "pydantic", "typer", "yaml"}


def test_light_commands_are_light():
    loaded = packages(modules_of("--help", f"check {EXAMPLE}"))
    assert "typer" in loaded
    assert not loaded & {"scipy", "networkx", "highspy", "matplotlib", "rich"}


def test_questions_on_classes_load_no_scipy():
    small = "topologies/patterns/fat-tree.fabric.yaml"
    loaded = packages(modules_of(f"throughput {small}", f"bottleneck {small}"))
    assert {"numpy", "highspy"} <= loaded
    assert not loaded & {"scipy", "networkx", "matplotlib", "rich"}


def test_commands_load_no_more_of_scipy_than_they_ask():
    loaded = modules_of(
        f"cost {RACK} --collective all-reduce",
        f"bound {RACK} --collective all-gather",
        f"max-flow {RACK} --from tray0 --to tray1",
    )
    assert "scipy.sparse" in loaded
    assert not packages(loaded) & {"networkx", "matplotlib", "rich"}
    assert not loaded & {"scipy.optimize", "scipy.special"}


def test_public_names_resolve():
    assert set(fabric.__all__) <= set(dir(fabric))
    assert [name for name in fabric.__all__ if getattr(fabric, name).__name__ != name] == []


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
        fabtopo.refuse_rivals([str(tmp_path)])

    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert set(fabtopo.owners(sys.path)) == set(importlib.metadata.packages_distributions()["fabric"])


@pytest.mark.parametrize("kind", NEIGHBOURS)
def test_guard_lets_neighbours_be(kind, tmp_path):
    files, metadata = NEIGHBOURS[kind]
    install(tmp_path, "fabtopo", "fabric/__init__.py")
    install(tmp_path, "other", *files, **metadata)
    fabtopo.refuse_rivals([str(tmp_path), str(tmp_path / "missing"), str(tmp_path)])
    assert fabtopo.owners([str(tmp_path)]) == ["fabtopo"]


def test_import_itself_is_guarded(tmp_path, monkeypatch):
    install(tmp_path, "fabric", "fabric.py")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    with pytest.raises(ImportError, match="'fabric' is installed here .*pip uninstall fabric && pip install"):
        importlib.reload(fabric)


SSH_TOOL = "raise SystemExit('the SSH tool ran')\n"


def command_beside(folder, *arguments):
    """Run ``fabtopo`` from a copy of its entry module in `folder`, where something was done to ``fabric``."""
    (folder / "fabtopo.py").write_text((ROOT / "fabtopo.py").read_text())
    program = f"import sys; sys.path[:0] = {[str(folder)]!r}; import fabtopo; fabtopo.main()"
    command = [sys.executable, "-P", "-c", program, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_command_notices_the_ssh_tool_that_was_installed_after_us(tmp_path):
    install(tmp_path, "fabtopo", "fabric/__init__.py", "fabtopo.py")
    install(tmp_path, "fabric", "fabric/__init__.py", "fabric/main.py")
    (tmp_path / "fabric/__init__.py").write_text(SSH_TOOL)
    done = command_beside(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "'pip uninstall fabric && pip install --force-reinstall fabtopo'" in done.stderr

    done = command_beside(tmp_path, "check", "x.fabric.yaml", "--json")
    assert (done.returncode, done.stderr) == (2, "")
    told = json.loads(done.stdout)
    assert (told["status"], told["problems"]) == ("error", [])
    assert "'fabric' is installed here and owns it too" in told["message"]


def test_command_notices_that_a_rival_took_our_files_along(tmp_path):
    install(tmp_path, "fabtopo", "fabric/cli/__init__.py", "fabtopo.py")
    done = command_beside(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (2, "")
    missing = f"{tmp_path / 'fabric/__init__.py'} is missing"
    assert done.stderr == f"{missing}; run 'pip install --force-reinstall fabtopo'\n"


@pytest.mark.parametrize("name", ["fabric.py", "fabric/__init__.py"])
def test_command_notices_a_stranger_that_comes_first(name, tmp_path):
    first = tmp_path / "first"
    (first / name).parent.mkdir(parents=True)
    (first / name).write_text(SSH_TOOL)
    with pytest.raises(ImportError, match=r"which is not the package of 'fabtopo' .* leave its folder out"):
        fabtopo.refuse_strangers([str(first), str(ROOT)])
    fabtopo.refuse_strangers([str(ROOT), str(first)])
    fabtopo.refuse_strangers([str(tmp_path / "missing"), str(ROOT)])


def test_whoever_imports_the_distribution_is_told_the_name_of_the_package():
    with pytest.raises(
        AttributeError, match="'fabtopo' has no attribute 'load'; the package is called 'fabric'"
    ):
        _ = fabtopo.load


def test_module_of_the_command_runs():
    command = [sys.executable, "-m", "fabtopo", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"fabtopo {fabric.__version__}\n"
