"""What README and manual show is what the program does."""

import re

import pytest

from tools.pages import manual

PAGES = {str(page): found for page in manual.pages() if (found := manual.blocks(page))}


@pytest.fixture
def reader(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return manual.Reader


def read(page, reader, *, slow):
    """Return how many blocks of a page were run, and how many looked at."""
    someone, n_read, n_seen = reader(page), 0, 0
    for block in PAGES[page]:
        try:
            if "not run" in block.remarks:
                continue
            if "slow" in block.remarks and not slow:
                someone.glance(block)
                n_seen += 1
            else:
                someone.read(block)
                n_read += 1
        except Exception as error:
            error.add_note(f"{page}:{block.line}; what it prints may be renewed: make manual")
            raise
    return n_read, n_seen


def n_with(page, remark):
    return sum(remark in block.remarks for block in PAGES[page])


@pytest.mark.some(2)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_what_the_program_does(page, reader):
    n_slow, n_not = n_with(page, "slow"), n_with(page, "not run")
    assert read(page, reader, slow=False) == (len(PAGES[page]) - n_slow - n_not, n_slow)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_asks_for_exists(page, reader):
    someone = reader(page)
    blocks = [b for b in PAGES[page] if b.language in ("sh", "console") and "not run" not in b.remarks]
    for block in blocks:
        someone.glance(block)
    assert blocks or all(b.language not in ("sh", "console") for b in PAGES[page])


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if n_with(page, "slow")])
def test_the_slow_blocks_too(page, reader):
    assert read(page, reader, slow=True) == (len(PAGES[page]) - n_with(page, "not run"), 0)


def test_what_is_not_run_says_why():
    remarks = [
        (page, b.line, *r) for page, blocks in PAGES.items() for b in blocks for r in b.remarks.items()
    ]
    assert remarks
    assert [r for r in remarks if r[2] not in manual.REMARKS or len(r[3]) < 4] == []
    assert sum(r[2] == "not run" for r in remarks) <= 6


def test_most_blocks_are_run_at_once():
    all_blocks = [block for blocks in PAGES.values() for block in blocks]
    assert len(all_blocks) > 60
    assert sum(bool({"slow", "not run"} & set(block.remarks)) for block in all_blocks) < 0.2 * len(all_blocks)


def test_the_tutorial_and_the_answers_to_questions_are_quick_and_whole():
    told = [page for page in PAGES if page.startswith(("docs/tutorial", "docs/how-to/"))]
    assert len(told) > 10
    assert [page for page in told if n_with(page, "slow") or n_with(page, "not run")] == []


def test_a_difference_is_seen():
    assert manual.is_as_shown("a\n  ...\nd\n", "a\nb\nc\nd\n")
    assert manual.is_as_shown("a\n...\n", "a\n")
    assert not manual.is_as_shown("a\n", "a\nb\n")
    assert not manual.is_as_shown("a\n...\nd\n", "a\nb\n")


def test_lines_that_are_left_out_stay_so_when_a_page_is_renewed():
    printed = "rate of all: 12 Gb/s\n  method: axes\n  optimal, in 8 steps\n"
    assert manual.like("rate of all: 11 Gb/s\n...\n", printed) == "rate of all: 12 Gb/s\n...\n"
    assert manual.like("rate of all: 11 Gb/s\n", printed) == printed
    assert manual.like("nothing of the kind\n...\n", printed) == ""


@pytest.mark.parametrize(
    ("language", "text", "why"),
    [
        ("yaml", "fabric: x\naxes: {a: 0}\n", "axes.a"),
        ("yaml", "jobs: [{run: fabtopo check --nothing}]\n", "--nothing"),
        ("python", "fabric_is_not_imported.load()\n", "is not defined"),
        ("python", ">>> 1 + 1\n3\n", "Expected:\n    3\nGot:\n    2"),
        ("console", "$ fabtopo explain 1.8TB/s\nsomething else\n", "14.4 Tb/s"),
        ("console", "$ fabtopo check nothing.fabric.yaml\n", "file not found"),
        ("console", "fabtopo explain 1.8TB/s\n", "begins with a command"),
        ("sh", "fabtopo check nothing.fabric.yaml\n", "file not found"),
        ("sh", "make nothing\n", "nothing: not there"),
        ("sh", "nothing --at all\n", "not found"),
        ("csv", "gpus.csv one,two\n", "one,two"),
        ("json", "{\n", "Expecting"),
        ("", "$ fabtopo explain 1.8TB/s\n", "a session is a block of console or python"),
        ("nothing", "x\n", "nothing"),
    ],
)
def test_a_wrong_block_is_caught(language, text, why, reader):
    block = manual.Block(1, language, text, {})
    with pytest.raises((AssertionError, NameError, ValueError)) as caught:  # noqa: PT011 - matched below
        reader("docs/nothing.md").read(block)
    told = re.sub(r"^ +", "", str(caught.value), flags=re.MULTILINE)
    assert re.sub(r"^ +", "", why, flags=re.MULTILINE) in told


@pytest.mark.parametrize(
    ("language", "text", "why"),
    [
        ("sh", "fabtopo nothing\n", "no command"),
        ("console", "$ fabtopo check x --nothing\n", "no option"),
        ("python", "fabric.nothing(f)\n", "fabric has no"),
    ],
)
def test_a_wrong_block_is_caught_without_running_it(language, text, why, reader):
    block = manual.Block(1, language, text, {"slow": "for a test"})
    with pytest.raises(manual.WrongPageError, match=why):
        reader("docs/nothing.md").glance(block)
