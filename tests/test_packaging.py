"""What the package promises about what it needs, held to what it imports, pins and runs in CI."""

import importlib.metadata
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = PROJECT["dependencies"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENT = re.compile(r"([\w.-]+)>=([\w.]+)")


def plain(name):
    return name.lower().replace("_", "-")


def pins(file):
    lines = (ROOT / file).read_text().splitlines()
    return {plain(name): version for name, _, version in (line.partition("==") for line in lines[1:])}


def imported(file):
    """Return the top-level modules that a file imports, wherever it does so; one is imported a line."""
    return re.findall(r"^\s*(?:import|from(?=.* import )) (\w+)", file.read_text(), re.MULTILINE)


def test_everything_that_is_imported_is_declared():
    files = [ROOT / "fabtopo.py", *(ROOT / "fabric").rglob("*.py")]
    modules = {name for file in files for name in imported(file)} - set(sys.stdlib_module_names)
    owners = importlib.metadata.packages_distributions()
    # pydantic_core is the other half of pydantic, which asks for one version of it exactly.
    needed = {plain(owners[name][0]) for name in modules - {"fabric", "fabtopo", "pydantic_core"}}
    assert {"numpy", "rich", "typer"} <= needed
    # Of the others one is for our own work, and one writes the site.
    extras = [text for name in ("report", "sweep", "dask", "xlsx", "chakra") for text in EXTRAS[name]]
    declared = {plain(REQUIREMENT.match(text)[1]) for text in (*REQUIRED, *extras)}
    assert needed <= declared
    assert declared <= needed, "declared and never imported"


def test_minimums_are_the_ones_that_are_tested():
    lowest = pins("constraints-min.txt")
    for text in (*REQUIRED, *(text for extra in EXTRAS.values() for text in extra)):
        name, version = REQUIREMENT.fullmatch(text).groups()
        assert re.fullmatch(rf"{re.escape(version)}(\.0)*", lowest[plain(name)]), text


def test_set_up_reads_every_lower_bound():
    spec = importlib.util.spec_from_file_location("set_up", ROOT / "tools/setup.py")
    set_up = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(set_up)
    every = [*REQUIRED, *(text for extra in EXTRAS.values() for text in extra)]
    assert set_up.lowest((ROOT / "pyproject.toml").read_text()) == [
        text.replace(">=", "==") for text in every
    ]
    assert (ROOT / set_up.PINS).is_file()
    assert (ROOT / set_up.MINIMUMS).is_file()


def test_pins_cover_what_is_promised():
    assert {plain(REQUIREMENT.match(text)[1]) for text in REQUIRED} <= set(pins("constraints.txt"))


def test_the_workflow_runs_every_python_that_is_promised():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    jobs = workflow["jobs"]
    promised = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert jobs["check"]["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"
    run = {name: " ".join(step.get("run", "") for step in job["steps"]) for name, job in jobs.items()}
    assert "bash .ci/run" in run["check"]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("minimums", "newest"):
        (target,) = re.findall(r"make ([a-z-]+)", run[name])
        assert target in targets


def test_forms_and_hooks_can_be_read_and_name_what_exists():
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml"))
    assert len(forms) == 4
    for file in forms:
        form = yaml.safe_load(file.read_text())
        assert {"name", "description", "body"} <= set(form), file.name
        assert any(field.get("validations", {}).get("required") for field in form["body"]), file.name
    (hooks,) = [
        repo["hooks"] for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    ]
    for hook in hooks:
        assert re.compile(hook.get("files", ""))
        assert ".venv/bin/" in hook["entry"]
        for path in re.findall(r"tests/\S+", hook["entry"]):
            assert (ROOT / path).is_file()
