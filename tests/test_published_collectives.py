"""Every published number in topologies/measured/published.yaml, held to the tolerance of its row."""

from pathlib import Path

import pytest

from fabric.errors import QuestionError
from tools.pages.accuracy import Case, Result, evaluate_case, page, read_cases

FOLDER = Path(__file__).parent.parent / "topologies" / "measured"
CASES = read_cases(FOLDER / "published.yaml")


@pytest.mark.some(8)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.group}: {c.what}")
def test_published(case: Case) -> None:
    result = evaluate_case(case, FOLDER)
    assert result.ours > 0
    if not case.why:
        assert result.is_held, f"published {case.published}, ours {result.ours}"


def test_most_numbers_are_held() -> None:
    assert sum(not c.why for c in CASES) > 0.85 * len(CASES)
    assert all(len(c.why) > 3 for c in CASES if c.why)


def test_one_value_for_each_class_of_links_and_kind_of_transfer() -> None:
    # Rows of one system ask the same calibration; none brings values of its own.
    assert {c.asked["calibration"] for c in CASES if "calibration" in c.asked} == {"wire", "measured"}


def test_a_number_off_by_more_than_its_tolerance_is_not_held() -> None:
    case = CASES[0]
    assert Result(case, case.published * (1 + 0.9 * case.tolerance)).is_held
    assert not Result(case, case.published * (1 + 1.1 * case.tolerance)).is_held
    assert not Result(case, case.published * (1 - 1.1 * case.tolerance)).is_held


def test_page_shows_every_case_with_its_reason() -> None:
    results = tuple(Result(c, 2 * c.published) for c in CASES)
    text = page(results)
    assert text.count("| 2.000 |") == len(CASES)
    for case in CASES:
        assert f"| {case.what} |" in text
        assert case.why in text


def test_cases_that_cannot_be_asked(tmp_path: Path) -> None:
    file = tmp_path / "cases.yaml"
    row = "{what: a, kind: cost, published: 1, tolerance: 0.1"
    file.write_text(f"groups: [{{title: t, source: s, rows: [{row}, quantity: speed}}]}}]")
    with pytest.raises(QuestionError, match="a: unknown quantity 'speed'"):
        read_cases(file)
    file.write_text(
        f"groups: [{{title: t, source: s, rows: [{row}, quantity: busbw}}]}}]".replace("cost", "guess")
    )
    (case,) = read_cases(file)
    with pytest.raises(QuestionError, match="unknown kind of case 'guess'; known are cost, bound, chunks"):
        evaluate_case(case, tmp_path)
