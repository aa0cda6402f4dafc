"""The suite itself: a test whose assertions never ran is no test."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest

def test_of_nothing():
    for value in ():
        assert value

def test_of_one_of_two():
    for values in ((), (1,)):
        for value in values:
            assert value

def test_of_an_error():
    with pytest.raises(ValueError, match="could not convert"):
        float("a")

@pytest.mark.parametrize("values", [(), (1,)])
def test_case_by_case(values):
    for value in values:
        assert value
"""


def test_an_assertion_must_run(tmp_path):
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "test_loops.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, tmp_path], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    failed = re.findall(r"^FAILED test_loops.py::(\S+) - .*no assertion ran", done.stdout, re.MULTILINE)
    assert failed == ["test_of_nothing", "test_case_by_case[values0]"]
    assert "2 failed, 3 passed" in done.stdout


def test_no_test_patches_by_a_dotted_path():
    # Whoever moves a module finds its imports, not the names of modules within strings.
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"\.setattr\(\s*[\"']fabric\.", line)
    ]
    assert found == []
