"""Traffic patterns: who sends what to whom, checked by what each is for."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import get_args

import networkx as nx
import numpy as np
import pytest

from fabric.schedule.algorithms import Shape, n_rings, ring_order
from fabric.schedule.patterns import Edges, binary_tree, edges, power, two_trees
from fabric.schedule.tree import Kind

KINDS = [kind for kind in get_args(Kind) if kind not in ("rotated-rings", "to-switches", "from-switches")]
SIZES = [2, 3, 4, 5, 7, 8, 13, 16, 36, 72]


def matrix(kind: Kind, m: int, by: int = 1) -> np.ndarray:
    found = edges(kind, m, by)
    amount = np.zeros((m, m))
    np.add.at(amount, (found.source, found.target), found.weight)
    return amount


def check_edges(found: Edges, m: int) -> None:
    """Raise where messages are not among m members, go nowhere, or the busiest member has not 1 to do."""
    ends = np.concatenate([found.source, found.target])
    assert ((ends >= 0) & (ends < m)).all(), "a member that does not exist"
    assert (found.source != found.target).all(), "a message to oneself"
    assert (found.weight > 0).all(), "an empty message"
    most = max(np.bincount(end, found.weight).max() for end in (found.source, found.target))
    assert most == pytest.approx(1), "the busiest member has another share"


@pytest.mark.some(24)
@pytest.mark.parametrize("m", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_busiest_member_sends_or_receives_one_byte(kind: Kind, m: int) -> None:
    if kind in ("fold", "unfold") and power(m) == m:
        assert not len(edges(kind, m).source)
    else:
        check_edges(edges(kind, m), m)


@pytest.mark.parametrize(
    ("source", "target", "weight", "complaint"),
    [
        ([0, 1], [1, 2], [1.0, 1.0], "does not exist"),
        ([0, 1], [1, 1], [1.0, 1.0], "to oneself"),
        ([0, 1], [1, 0], [1.0, 0.0], "an empty message"),
        ([0, 1], [1, 0], [0.5, 0.5], "another share"),
    ],
)
def test_wrong_edges_are_caught(source: list, target: list, weight: list, complaint: str) -> None:
    wrong = Edges(np.array(source), np.array(target), np.array(weight))
    with pytest.raises(AssertionError, match=complaint):
        check_edges(wrong, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_sends_where_there_is_nobody_else(kind: Kind) -> None:
    assert not len(edges(kind, 1).source)
    assert not len(edges(kind, 0).source)


@pytest.mark.parametrize("m", SIZES)
class TestMeaning:
    def test_pairwise_is_all_to_all_others(self, m: int) -> None:
        np.testing.assert_allclose(matrix("pairwise", m), (1 - np.eye(m)) / (m - 1))

    def test_rings_are_shifts(self, m: int) -> None:
        ring = matrix("ring", m)
        np.testing.assert_array_equal(ring, np.roll(np.eye(m), 1, axis=1))
        np.testing.assert_array_equal(matrix("two-way-ring", m), (ring + ring.T) / 2)
        for by in range(1, m):
            np.testing.assert_array_equal(matrix("shift", m, by), np.linalg.matrix_power(ring, by))
            np.testing.assert_array_equal(matrix("shift", m, -by), matrix("shift", m, by).T)

    def test_a_shift_all_the_way_round_sends_nothing(self, m: int) -> None:
        assert not matrix("shift", m, m).any()

    def test_exchanges_pair_the_corners_of_a_cube(self, m: int) -> None:
        p = power(m)
        assert p <= m < 2 * p
        cube = np.zeros((m, m))
        for bit in range(p.bit_length() - 1):
            step = matrix("exchange", m, 1 << bit)
            np.testing.assert_array_equal(step, step.T)
            np.testing.assert_array_equal(step @ step, np.diag((np.arange(m) < p) * 1.0))
            cube += step
        assert nx.is_isomorphic(nx.from_numpy_array(cube[:p, :p]), nx.hypercube_graph(p.bit_length() - 1))
        assert not cube[p:].any()

    def test_folding_leaves_a_power_of_two(self, m: int) -> None:
        fold = matrix("fold", m)
        p = power(m)
        # Each of the rest has a partner of its own among the first.
        np.testing.assert_array_equal(fold.sum(axis=1), np.arange(m) >= p)
        assert fold.sum(axis=0)[:p].max() <= 1
        assert not fold[:, p:].any()
        np.testing.assert_array_equal(matrix("unfold", m), fold.T)

    def test_binomial_steps_tell_everyone_once(self, m: int) -> None:
        told = np.zeros(m)
        told[0] = 1
        for bit in range((m - 1).bit_length()):
            step = matrix("binomial", m, 1 << bit)
            assert (told[step.sum(axis=1) > 0] == 1).all(), "who does not know tells"
            told += step.sum(axis=0)
            np.testing.assert_array_equal(matrix("binomial", m, -(1 << bit)), step.T)
        np.testing.assert_array_equal(told, np.ones(m))

    def test_the_root_and_all_others(self, m: int) -> None:
        star = np.zeros((m, m))
        star[0, 1:] = 1 / (m - 1)
        np.testing.assert_array_equal(matrix("from-root", m), star)
        np.testing.assert_array_equal(matrix("to-root", m), star.T)

    def test_two_trees(self, m: int) -> None:
        check_two_trees(*two_trees(m))
        up = np.zeros((m, m))
        for parent in two_trees(m):
            inner = np.flatnonzero(parent >= 0)
            np.add.at(up, (inner, parent[inner]), 0.5 if m > 2 else 1)
        np.testing.assert_array_equal(matrix("tree-up", m), up)
        np.testing.assert_array_equal(matrix("tree-down", m), up.T)


def check_two_trees(*parents: np.ndarray) -> None:
    """Raise where two arrays of parents are no pair of trees for full bandwidth.

    Sanders, Speck, Träff 2009: binary trees of logarithmic depth, of which no member is inside both.
    """
    m = len(parents[0])
    for parent in parents:
        tree = nx.DiGraph((int(p), i) for i, p in enumerate(parent) if p >= 0)
        assert nx.is_arborescence(tree), "no tree"
        assert len(tree) == m, "no tree of all members"
        children = np.bincount(parent[parent >= 0], minlength=m)
        assert children.max() <= 2, "more than two children"
        depth = nx.dag_longest_path_length(tree)
        assert depth == math.ceil(math.log2(m)), "a tree that is too deep"
    # A member with two children in one tree is a leaf of the other.
    received = sum(np.bincount(parent[parent >= 0], minlength=m) for parent in parents)
    assert received.max() <= 2, "a member receives more than the whole"


@pytest.mark.parametrize(
    ("parents", "complaint"),
    [
        ((binary_tree(8), binary_tree(8)), "more than the whole"),
        ((np.array([-1, 0, 0, 0]), binary_tree(4)), "more than two children"),
        ((np.array([-1, 0, 1, 2]), binary_tree(4)), "too deep"),
        ((np.array([-1, 2, 1, 0]), binary_tree(4)), "no tree"),
        ((np.array([1, -1, -1, 1]), binary_tree(4)), "of all members"),
    ],
)
def test_other_pairs_of_trees_are_caught(parents: tuple[np.ndarray, np.ndarray], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_two_trees(*parents)


def test_trees_are_those_of_nccl() -> None:
    # The drawings in github NVIDIA/nccl, src/graph/trees.cc, above ncclGetBtree and ncclGetDtree.
    assert binary_tree(14).tolist() == [-1, 2, 4, 2, 8, 6, 4, 6, 0, 10, 12, 10, 8, 12]
    assert two_trees(12)[1].tolist() == [1, 3, 1, 11, 5, 7, 5, 3, 9, 7, 9, -1]
    assert two_trees(13)[1].tolist() == [9, -1, 3, 5, 3, 9, 7, 5, 7, 1, 11, 0, 11]


@pytest.mark.some(10)
@pytest.mark.parametrize(
    "shape",
    [
        *(Shape((g,) * k) for k in range(2, 6) for g in range(1, 6)),
        *map(Shape, ((1, 2), (3, 1, 2), (2, 5), (4, 3, 3, 1), (1, 1, 5), (2, 3, 2, 3, 2), (7, 4))),
    ],
    ids=lambda shape: ".".join(map(str, shape.sizes)),
)
def test_rings_enter_each_domain_once_and_turn_by_one_place(shape: Shape) -> None:
    domain = np.repeat(np.arange(shape.n_domains), shape.sizes)
    entries = defaultdict(Counter)
    for turn in range(n_rings(shape)):
        order = np.array(ring_order(shape.sizes, turn))
        assert sorted(order.tolist()) == list(range(shape.n))
        crossing = domain[order] != domain[np.roll(order, -1)]
        assert crossing.sum() == shape.n_domains
        for rank in np.roll(order, -1)[crossing].tolist():
            entries[int(domain[rank])][rank] += 1
    for d, g in enumerate(shape.sizes):
        times = entries[d].values()
        assert len(times) == g, "a rank that no ring enters has an idle NIC"
        assert max(times) - min(times) <= 1


@pytest.mark.parametrize(("g", "k"), [(g, k) for g in range(1, 6) for k in (2, 4)])
def test_rings_over_an_even_number_of_domains_keep_to_their_rails(g: int, k: int) -> None:
    for turn in range(g):
        order = ring_order((g,) * k, turn)
        for a, b in zip(order, (*order[1:], order[0]), strict=True):
            assert a // g == b // g or a % g == b % g
