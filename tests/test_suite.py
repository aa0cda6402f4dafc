"""The suite itself: a test whose checks never ran is no test."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[1]
TESTS = """
import numpy as np
import pytest

def check(value):
    assert value

def test_of_nothing():
    for value in ():
        assert value

def test_of_nothing_by_a_helper():
    for value in ():
        check(value)

def test_of_one_by_a_helper():
    for value in (1,):
        check(value)

@pytest.fixture
def sound():
    assert True
    return (1,)

def test_of_a_fixture(sound):
    for value in sound[1:]:
        assert value

def test_of_one_by_a_fixture(sound):
    assert sound[0]

def test_of_one_of_two():
    for values in ((), (1,)):
        for value in values:
            assert value

def test_of_an_error():
    with pytest.raises(ValueError, match="could not convert"):
        float("a")

def test_of_no_error():
    for word in ():
        with pytest.raises(ValueError, match="could not convert"):
            float(word)

def test_of_arrays():
    np.testing.assert_array_equal(np.zeros(2), [0, 0])

@pytest.mark.parametrize("values", [(), (1,)])
def test_case_by_case(values):
    for value in values:
        assert value

@pytest.mark.parametrize("values", [(), (1,)])
def test_all_of(values):
    assert True
    assert all(value for value in values)

def test_a_step_may_be_of_none():
    def fits(values):
        return all(value > 0 for value in values)

    assert fits(())
"""


def test_a_check_must_run(tmp_path):
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "test_loops.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, tmp_path], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    failed = re.findall(r"^FAILED test_loops.py::(\S+) - Failed: (.*?):", done.stdout, re.MULTILINE)
    assert failed == [
        ("test_of_nothing", "no check ran"),
        ("test_of_nothing_by_a_helper", "no check ran"),
        ("test_of_a_fixture", "no check ran"),
        ("test_of_no_error", "no check ran"),
        ("test_case_by_case[values0]", "no check ran"),
        ("test_all_of[values0]", "all() of nothing"),
    ]
    assert "6 failed, 8 passed" in done.stdout


def test_no_test_patches_by_a_dotted_path():
    # Whoever moves a module finds its imports, not the names of modules within strings.
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"\.setattr\(\s*[\"']fabric\.", line)
    ]
    assert found == []


def test_of_some_cases_each_value_is_quick(request):
    conftest = request.config.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    cases = [
        SimpleNamespace(originalname="law", callspec=SimpleNamespace(indices={"a": a, "b": b}))
        for a in range(4)
        for b in range(6)
    ]
    for n_quick in range(1, 30):
        slow = conftest._others(cases, n_quick)
        quick = [case.callspec.indices for case in cases if case not in slow]
        assert len(quick) == min(n_quick, 24)
        assert len({case["a"] for case in quick}) == min(n_quick, 4)
        assert len({case["b"] for case in quick}) == min(n_quick, 6)
        assert slow == conftest._others(cases, n_quick)
