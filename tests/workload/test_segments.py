"""Segments of nodes in blocks: the closed forms against every state of small blocks."""

import itertools

import numpy as np
import pytest

from fabric.errors import QuestionError
from fabric.workload.segments import blocks_for, chance_of_room, held_segments, usable_part


@pytest.mark.parametrize(
    ("unavailability", "parts"),
    [(0.01, [0.9900, 0.8887, 0.9173, 0.8882, 0.8345]), (0.05, [0.9500, 0.8760, 0.6986, 0.8372, 0.3972])],
)
def test_eighteen_trays_are_as_usable_as_was_worked_out(unavailability, parts):
    found = [usable_part(18, unavailability, segment) for segment in (1, 4, 9, 16, 18)]
    assert [round(part, 4) for part in found] == parts


def states(n_nodes, unavailability):
    """Yield how many nodes are up in each state, and its chance."""
    for up in itertools.product((0, 1), repeat=n_nodes):
        k = sum(up)
        yield k, (1 - unavailability) ** k * unavailability ** (n_nodes - k)


@pytest.mark.parametrize(("n_nodes", "segment", "p"), [(7, 3, 0.2), (5, 1, 0.5), (6, 6, 0.1), (4, 5, 0.3)])
def test_the_usable_part_is_the_mean_over_all_states(n_nodes, segment, p):
    mean = sum(k // segment * segment / n_nodes * chance for k, chance in states(n_nodes, p))
    assert usable_part(n_nodes, p, segment) == pytest.approx(mean, rel=1e-12)


def test_room_in_unlike_blocks_is_the_sum_over_all_states():
    p, segment = 0.2, 2
    chances = np.zeros(6)
    for (a, pa), (b, pb), (c, pc) in itertools.product(states(5, p), states(3, p), states(3, p)):
        chances[a // segment + b // segment + c // segment] += pa * pb * pc
    for n in range(7):
        found = chance_of_room(n, {5: 1, 3: 2}, p, segment)
        assert found == pytest.approx(chances[n:].sum(), abs=1e-14)


def test_as_few_blocks_suffice_as_are_needed_and_one_less_does_not():
    for segment, availability in ((16, 0.999), (4, 0.99999), (18, 0.9)):
        n = blocks_for(40, 18, 0.03, segment=segment, availability=availability)
        assert chance_of_room(40, {18: n}, 0.03, segment) >= availability
        assert chance_of_room(40, {18: n - 1}, 0.03, segment) < availability


def test_a_million_gpus_of_racks_want_few_more():
    # 13,888 segments of 16 in racks of 18 at 1 %: a rack has none with chance 0.07 %.
    n = blocks_for(13_888, 18, 0.01, segment=16, availability=0.999)
    without = 1 - float(held_segments(18, 0.01, 16)[1])
    assert 13_888 + n * without < n < 13_888 + n * without + 5 * (n * without) ** 0.5


def test_nodes_that_are_never_up_are_never_enough():
    assert blocks_for(1, 4, 1.0, segment=1, availability=0.5) is None
    assert usable_part(4, 1.0, 1) == 0.0
    assert usable_part(4, 0.0, 3) == 0.75


@pytest.mark.parametrize(("n_nodes", "p", "segment"), [(0, 0.1, 1), (4, 0.1, 0), (4, -0.1, 1), (4, 1.1, 1)])
def test_what_is_no_block_is_refused(n_nodes, p, segment):
    with pytest.raises(QuestionError, match=r"a block has nodes|unavailability: got"):
        usable_part(n_nodes, p, segment)
