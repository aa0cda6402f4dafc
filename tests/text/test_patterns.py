"""Patterns of names are read both ways."""

import random

import pytest

from fabric.errors import QuestionError
from fabric.text.patterns import read_pattern


@pytest.mark.some(8)
@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read_back(seed):
    rng = random.Random(seed)
    fields = ["pod", "slot", "r"][: rng.randint(1, 3)]
    text = "".join(
        rng.choice(["a-", "dc1_", "x."])
        + f"{{{f}{rng.choice(['', '+1', '+10'])}{rng.choice(['', ':02', ':3'])}}}"
        for f in fields
    )
    pattern = read_pattern(text + rng.choice(["", "-z"]), fields)
    names = {}
    for _ in range(200):
        index = {f: rng.randint(0, 120) for f in fields}
        name = pattern.show(index)
        assert pattern.read(name) == index
        assert names.setdefault(name, index) == index
        assert pattern.read(name + "0x") is None


@pytest.mark.parametrize("name", ["l9", "l009", "l09x", "", "l-1", "l٠٩", "l00"])
def test_what_is_not_written_is_not_read(name):
    assert read_pattern("l{slot+1:02}", ["slot"]).read(name) is None


def test_a_field_may_stand_twice_and_has_one_value():
    pattern = read_pattern("r{rack}-u{rack}", ["rack"])
    assert pattern.read("r3-u3") == {"rack": 3}
    assert pattern.read("r3-u4") is None


@pytest.mark.parametrize(
    "text", ["{a}{b}", "x1{a}", "{a}2", "{a}{", "{c}", "{}", "a}b", "{a!r}", "{a.b}", "{a:99x}"]
)
def test_what_cannot_be_read_back_is_refused(text):
    with pytest.raises(QuestionError, match="field|number|expected"):
        read_pattern(text, ["a", "b"])
