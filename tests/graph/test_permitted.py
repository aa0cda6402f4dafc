"""The path rule is stated twice, for solvers and for proofs: the two statements are one rule."""

import itertools

import pytest

from fabric.flow.walks import ROLES
from fabric.graph.forwarding import AWAY, _heads
from fabric.graph.permitted import CableWay, is_permitted, is_turn, states_of


@pytest.mark.parametrize("has_relay", [False, True])
@pytest.mark.parametrize("direction", ["up", "down", "peer"])
@pytest.mark.parametrize("is_scale_up", [False, True])
def test_both_statements_permit_the_same(direction, is_scale_up, has_relay):
    roles = [r for r in ROLES if has_relay or (r[1] == AWAY and not r[0].startswith("relay"))]
    for tail, head in itertools.product(roles, roles):
        heads = _heads(tail, direction, is_scale_up=is_scale_up, has_relay=has_relay)
        found = is_permitted(CableWay(direction, is_scale_up), tail, head, has_relay=has_relay)
        assert found == (head in heads), (tail, head)


def test_switches_alone_turn():
    up, down = ("up", AWAY), ("down", AWAY)
    assert is_turn("turn", up, down)
    assert not any(is_turn(t, up, down) for t in ("pass", "end", "relay", "all"))
    assert not is_turn("turn", down, up)


@pytest.mark.parametrize(
    ("transit", "n"),
    [("turn", (2, 6)), ("pass", (2, 6)), ("all", (1, 3)), ("relay", (2, 2)), ("end", (0, 0))],
)
def test_roles_of_a_device(transit, n):
    found = tuple(
        len(states_of(transit, is_source=False, is_target=False, has_relay=legs)) for legs in (False, True)
    )
    assert found == n
