"""The tool that changes lines: what it changes, and that it tells what is noticed from what is not."""

import ast

import pytest

from tools import mutants

SOURCE = '''"""A module."""

LIMIT = 7


def half(n: int) -> int:
    """Return half of an even number."""
    if n % 2 != 0 and n > 0:
        raise ValueError(f"{n + 1} is odd")
    return n // 2
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a project of one module, of whose two lines that can be changed a test holds one."""
    (tmp_path / "fabric" / "room").mkdir(parents=True)
    (tmp_path / "tests" / "room").mkdir(parents=True)
    (tmp_path / "fabric" / "__init__.py").touch()
    (tmp_path / "fabric" / "room" / "__init__.py").touch()
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    (tmp_path / "fabric" / "room" / "half.py").write_text(SOURCE)
    (tmp_path / "tests" / "room" / "test_half.py").write_text(
        "from fabric.room.half import half\n\ndef test_half():\n    assert half(6) == 3\n"
    )
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    return tmp_path


def test_each_change_is_of_one_place_and_leaves_words_and_limits(project):
    found = list(mutants.mutants(project / "fabric" / "room" / "half.py"))
    assert {(line, told.partition("  ->  ")[2]) for line, told, _ in found} == {
        *((8, new) for new in ("(n % 2 != 0)", "(n > 0)", "(n % 2 == 0)", "(n >= 0)", "3", "1")),
        *((9, new) for new in ("pass",)),
        *((10, new) for new in ("(n * 2)", "3")),
    }
    for line, _, text in found:
        ast.parse(text)
        before, after = SOURCE.splitlines(), text.splitlines()
        assert [i for i, (a, b) in enumerate(zip(before, after, strict=True), 1) if a != b] == [line]


def test_what_a_test_sees_is_noticed_and_nothing_else(project):
    file = (project / "fabric" / "room" / "half.py").relative_to(project)
    is_noticed = {
        told: mutants.is_noticed(project, file, text)
        for _, told, text in mutants.mutants(project / file)
        if told in ("n // 2  ->  (n * 2)", "n > 0  ->  (n >= 0)")
    }
    assert is_noticed == {"n // 2  ->  (n * 2)": True, "n > 0  ->  (n >= 0)": False}
    assert (project / file).read_text() == SOURCE


def test_a_test_that_fails_anyway_is_no_answer(project):
    (project / "tests" / "room" / "test_half.py").write_text("def test_half():\n    assert 1 == 2\n")
    file = (project / "fabric" / "room" / "half.py").relative_to(project)
    with pytest.raises(RuntimeError, match=r"test_half\.py::test_half fails with nothing changed"):
        mutants.is_noticed(project, file, SOURCE)


def test_a_file_without_tests_is_not_taken_for_held(project):
    (project / "tests" / "room" / "test_half.py").unlink()
    file = (project / "fabric" / "room" / "half.py").relative_to(project)
    assert not mutants.is_noticed(project, file, SOURCE.replace("//", "*"))


def test_tests_that_import_it_are_asked_wherever_they_stand(project):
    other = project / "tests" / "other"
    other.mkdir()
    for name, line in {
        "by": "from fabric.room.half import half",
        "of": "from fabric.room import half",
        "no": "from fabric.room import halves",
    }.items():
        (other / f"test_{name}.py").write_text(line)
    file = (project / "fabric" / "room" / "half.py").relative_to(project)
    assert mutants.near(project, file) == [
        str(file), "tests/room/test_half.py", "tests/other/test_by.py", "tests/other/test_of.py",
    ]  # fmt: skip
