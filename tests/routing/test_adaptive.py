"""Efficiencies of adaptive routing: sourced rows, names and numbers."""

import pytest

from fabric.errors import PartError, QuestionError
from fabric.routing import adaptive, spraying_efficiency, sprayings


def test_published_efficiencies():
    assert spraying_efficiency("spectrum-x") == 0.95  # NVIDIA, "up to"
    assert spraying_efficiency("multi-plane") == 0.98  # arXiv 2605.21187, abstract
    assert spraying_efficiency("ideal") == 1.0
    for one in sprayings().values():
        assert one.source
        assert one.locator.startswith("https://") or one.confidence == "derived"


@pytest.mark.parametrize("value", [1, 0.5, "0.75", 1e-3])
def test_a_number_is_itself(value):
    assert spraying_efficiency(value) == float(value)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("spectrum", "unknown adaptive routing 'spectrum'; did you mean spectrum-x[?]$"),
        ("q", "'q'; expected a number up to 1, or one of spectrum-x, multi-plane, ideal"),
        (0, "is 0; expected a number from 0.001 to 1"),
        (1.01, "is 1.01; expected"),
        (float("nan"), "is nan; expected"),
    ],
)
def test_breakers(value, complaint):
    with pytest.raises(QuestionError, match=complaint):
        spraying_efficiency(value)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("x,1.2,published,s,l,", "efficiency is 1.2; expected 1 at most"),
        ("x,0,published,s,l,", "efficiency is 0; expected a rate above 0"),
        ("x,0.9,gossip,s,l,", "unknown confidence 'gossip'"),
        ("x,0.9,published,,l,", "source is empty"),
        ("x,0.9,published,s,l,\nx,0.8,published,s,l,", "second row of this id"),
    ],
)
def test_a_row_without_grounds_does_not_load(tmp_path, monkeypatch, row, complaint):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "adaptive.csv").write_text(",".join(adaptive._COLUMNS) + "\n" + row + "\n")
    monkeypatch.setattr(adaptive.resources, "files", lambda _: tmp_path)
    with pytest.raises(PartError, match=complaint):
        sprayings.__wrapped__()
