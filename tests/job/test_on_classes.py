"""Loads on classes are those on every cable: exactly where a pattern is symmetric, else on average."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from fabric.errors import QuestionError
from fabric.graph import Fabric, loads
from fabric.job import Job, JobQuestion, job
from fabric.job.differences import RankPlaces
from fabric.schedule import Pattern
from fabric.schedule.patterns import edges
from fabric.symmetry import NoSymmetryError

SYMMETRIC = [Pattern("pairwise", over) for over in ("job", "domain", "rail")]
FAMILIES = (
    "mesh x mesh",
    "ring x ring",
    "ring x mesh",
    "one-way rings",
    "relations between groups",
    "counts by index",
    "composed axes",
    "selectors as sides",
    "two includes",
    "clos",
)


def both(fabric: Fabric, **asked: object) -> tuple[Job, Job] | None:
    """Return the job on classes and on every cable, or None where the ranks are no product of axes."""
    try:
        on_classes = job(fabric, JobQuestion(method="axes", **asked))  # type: ignore[arg-type]
    except (NoSymmetryError, QuestionError):
        return None
    return on_classes, job(fabric, JobQuestion(method="links", **asked))  # type: ignore[arg-type]


def some_jobs(constructs: ModuleType, construct: str, seed: int) -> Iterator[tuple[Job, Job]]:
    fabric, _ = constructs.random_fabric(construct, seed)
    groups = [g.name for g in fabric.blueprint.groups.values() if g.is_endpoint]
    for group, routing in itertools.product(groups, ("ecmp", "rail", "rail-direct")):
        found = both(fabric, among=group if len(groups) > 1 else None, routing=routing)
        if found is not None:
            yield found


def check_equal(hand_made: ModuleType, on_classes: Job, on_links: Job, pattern: Pattern) -> bool:
    """Raise where the loads of a pattern differ; return whether there is a path for it."""
    try:
        one = on_classes.loads(pattern)
    except QuestionError:
        # Both ways: there is no path, or no rail where domains are of unequal size.
        with pytest.raises(QuestionError, match="no permitted path|domains of equal size"):
            on_links.loads(pattern)
        return False
    other = on_links.loads(pattern)
    np.testing.assert_allclose(
        list(hand_made.a_cable(on_classes, one).values()),
        list(hand_made.a_cable(on_links, other).values()),
        rtol=1e-9,
        atol=1e-12,
    )
    np.testing.assert_allclose(one.hops, other.hops, rtol=1e-9, atol=1e-12)
    return True


class TestSymmetric:
    """Every rank sends to all others alike: the averages over relabellings are the loads themselves."""

    def run(self, constructs: ModuleType, hand_made: ModuleType, construct: str, seeds: range) -> int:
        n_equal = 0
        for seed in seeds:
            for on_classes, on_links in some_jobs(constructs, construct, seed):
                assert on_classes.shape == on_links.shape
                assert on_classes.n_instances == on_links.n_instances
                n_equal += sum(check_equal(hand_made, on_classes, on_links, p) for p in SYMMETRIC)
        return n_equal

    @pytest.mark.some(1)
    @pytest.mark.parametrize("construct", FAMILIES)
    def test_few(self, constructs: ModuleType, hand_made: ModuleType, construct: str) -> None:
        n_equal = 0
        for seed in range(5):  # as many as it takes
            n_equal += self.run(constructs, hand_made, construct, range(seed, seed + 1))
            if n_equal > 5:
                break
        assert n_equal > 5

    @pytest.mark.slow
    @pytest.mark.parametrize("construct", FAMILIES)
    def test_many(self, constructs: ModuleType, hand_made: ModuleType, construct: str) -> None:
        assert self.run(constructs, hand_made, construct, range(60)) > 100

    def test_wrong_loads_are_caught(self, hand_made: ModuleType) -> None:
        on_classes, on_links = both(hand_made.leaf_spine(1)) or (None, None)
        other = job(hand_made.leaf_spine(2), JobQuestion(method="links"))
        assert check_equal(hand_made, on_classes, on_links, SYMMETRIC[0])
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            check_equal(hand_made, on_classes, other, SYMMETRIC[0])


# Every kind, with distances that carry from one axis to the next, and that do not.
ANY = [
    Pattern("ring", "job"),
    Pattern("two-way-ring", "job"),
    *(Pattern("shift", "job", by) for by in (1, 2, 3, 5, -1, -4)),
    *(Pattern("exchange", "job", by) for by in (1, 2, 4)),
    *(Pattern("binomial", "job", by) for by in (1, 4, -2)),
    Pattern("fold", "job"),
    Pattern("tree-up", "job"),
    Pattern("tree-down", "job"),
    Pattern("from-root", "job"),
    Pattern("to-root", "job"),
]

# Two plain axes, a domain in the middle of the file's order, a torus, and a one-way ring.
PLACES = {
    "leaf-spine": """
axes: {pod: 3, node: 3}
devices: {gpu: {kind: gpu, axes: [pod, node]}, leaf: {kind: switch, axes: [pod]},
          top: {kind: switch, axes: []}}
links: [{between: [gpu, leaf], rate: 1Gb/s}, {between: [leaf, top], rate: 1Gb/s, count: 2}]""",
    "turned boxes": """
axes: {slot: 3, box: 3}
devices: {gpu: {kind: gpu, axes: [slot, box], transit: relay}, nvswitch: {kind: switch, axes: [box]},
          leaf: {kind: switch, axes: [slot]}, top: {kind: switch, axes: []}}
links: [{between: [gpu, nvswitch], rate: 9Gb/s, net: scale-up}, {between: [gpu, leaf], rate: 4Gb/s},
        {between: [leaf, top], rate: 4Gb/s}]""",
    "torus": """
axes: {x: 3, y: 3}
devices: {chip: {kind: gpu, axes: [x, y], transit: all}}
links: [{between: [chip, chip], ring: x, rate: 1Gb/s, name: lx},
        {between: [chip, chip], ring: y, rate: 1Gb/s, name: ly}]""",
    "one way": """
axes: {x: 5, z: 2}
devices: {chip: {kind: gpu, axes: [x, z], transit: all}, leaf: {kind: switch, axes: [x]}}
links: [{between: [chip, chip], ring: x, rate: 1Gb/s, oneway: true}, {between: [chip, leaf], rate: 1Gb/s}]""",
}


def relabellings(fabric: Fabric) -> Iterator[tuple[str, ...]]:
    """Yield the ranks in every order that some relabelling of the indices of axes gives, domains together."""
    blueprint = fabric.blueprint
    (group,) = (g for g in blueprint.groups.values() if g.is_endpoint)
    rings = {r.relation.axes[0] for r in blueprint.rules if r.relation}
    every = []
    for axis in group.primitives:
        n = blueprint.axes[axis].size
        turned = [tuple((i + by) % n for i in range(n)) for by in range(n)]
        if axis not in rings:
            turned = list(itertools.permutations(range(n)))
        every.append(dict.fromkeys(turned))
    domain = [a for a in group.primitives if a == "slot"]
    order = [a for a in group.primitives if a not in domain] + domain
    for choice in itertools.product(*every):
        new = dict(zip(group.primitives, choice, strict=True))
        names = []
        for index in itertools.product(*(range(blueprint.axes[a].size) for a in order)):
            at = {a: new[a][i] for a, i in zip(order, index, strict=True)}
            *outer, last = group.primitives
            names.append("/".join([*(f"{a}{at[a]}" for a in outer), f"{group.name}{at[last]}"]))
        yield tuple(names)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "torus" else pytest.mark.slow) for name in PLACES]
)
def test_any_pattern_is_averaged_over_all_relabellings(name: str) -> None:
    fabric = loads(f"fabric: small{PLACES[name]}")
    on_classes = job(fabric, JobQuestion(method="axes"))
    found: dict[Pattern, list[np.ndarray]] = {p: [] for p in ANY}
    for order in relabellings(fabric):
        work = job(fabric, JobQuestion(ranks=order))
        assert work.shape.sizes == on_classes.shape.sizes
        for pattern in ANY:
            found[pattern].append(work.loads(pattern).hops)
    for pattern, hops in found.items():
        np.testing.assert_allclose(
            on_classes.loads(pattern).hops, np.mean(hops, axis=0), err_msg=str(pattern)
        )


class TestBusiest:
    """What the links of the busiest rank carry."""

    @pytest.mark.some(8)
    @pytest.mark.parametrize("pattern", ANY)
    def test_a_cable_of_ones_own_carries_one_byte(self, hand_made: ModuleType, pattern: Pattern) -> None:
        found = both(hand_made.leaf_spine(1, pods=3, nodes=4))
        for work in found or ():
            assert hand_made.a_cable(work, work.loads(pattern))["gpu-leaf"] == pytest.approx(1)

    @pytest.mark.parametrize("method", ["axes", "links"])
    def test_one_rank_of_a_box_crosses(self, hand_made: ModuleType, method: str) -> None:
        # Ranks 3, 7, ... send to the next box by their own NIC; the other one of their PCIe switch is idle.
        work = job(hand_made.pairs(4), JobQuestion(method=method))
        crossing = hand_made.a_cable(work, work.loads(Pattern("shift", "job")))
        assert crossing["nic-leaf"] == pytest.approx(1)
        # Where all four cross, every NIC takes a whole byte.
        assert hand_made.a_cable(work, work.loads(Pattern("shift", "job", 4)))["nic-leaf"] == pytest.approx(1)

    def test_the_root_of_a_torus_has_all_its_cables(self, hand_made: ModuleType) -> None:
        # 26 of 27 parts leave the root over 6 links alike; every other rank has next to nothing to do.
        work = job(hand_made.torus(3, 3, 3))
        for kind in ("from-root", "to-root"):
            found = hand_made.a_cable(work, work.loads(Pattern(kind, "job")))
            assert found == pytest.approx({"lx": 1 / 6, "ly": 1 / 6, "lz": 1 / 6})


class TestRows:
    """Rows by difference against the messages themselves."""

    PLACES = RankPlaces(
        ("a", "b", "c"),
        {"a": 3, "b": 5, "c": 4},
        frozenset("b"),
        frozenset("abc"),
        frozenset("c"),
        {d: float((1, 2)[d[0]] * (1, 3)[d[2]]) for d in itertools.product(range(2), range(5), range(2))},
    )

    def told(self, source: int, target: int) -> int:
        """Return the column of the difference of two ranks, by hand."""
        a, b = (np.unravel_index(rank, (3, 5, 4)) for rank in (source, target))
        return self.PLACES.column[int(a[0] != b[0]), int((b[1] - a[1]) % 5), int(a[2] != b[2])]

    @pytest.mark.some(8)
    @pytest.mark.parametrize("pattern", [*ANY, Pattern("pairwise", "job"), Pattern("shift", "job", 23)])
    def test_every_message_is_counted(self, pattern: Pattern) -> None:
        some = edges(pattern.kind, 60, pattern.by)
        n = len(self.PLACES.differences)
        sent, received = np.zeros((60, n)), np.zeros((60, n))
        for source, target, weight in zip(some.source, some.target, some.weight, strict=True):
            sent[source, self.told(source, target)] += weight
            received[target, self.told(source, target)] += weight
        np.testing.assert_allclose(self.PLACES.mean([(pattern, 1.0)]), sent.mean(axis=0))
        for is_sent, every in ((True, sent), (False, received)):
            rows = self.PLACES.kinds([(pattern, 1.0)], is_sent=is_sent)
            assert {tuple(r.round(9)) for r in rows} == {tuple(r.round(9)) for r in every}

    @pytest.mark.some(16)
    @pytest.mark.parametrize("pinned", ["", "a", "b", "c", "ab", "ac", "bc"])
    @pytest.mark.parametrize("pattern", [*ANY, Pattern("pairwise", "job"), Pattern("shift", "job", 23)])
    def test_blocks_are_sums_of_ranks(self, pattern: Pattern, pinned: str) -> None:
        some = edges(pattern.kind, 60, pattern.by)
        block = [
            tuple(i for a, i in zip("abc", at, strict=True) if a in pinned) for at in np.ndindex(3, 5, 4)
        ]
        for is_sent, ends in ((True, some.source), (False, some.target)):
            every = {b: np.zeros(len(self.PLACES.differences)) for b in block}
            for end, source, target, weight in zip(ends, some.source, some.target, some.weight, strict=True):
                every[block[end]][self.told(source, target)] += weight
            rows = self.PLACES.blocks([(pattern, 1.0)], frozenset(pinned), is_sent=is_sent)
            assert {tuple(r.round(9)) for r in rows} == {tuple(r.round(9)) for r in every.values()}

    @pytest.mark.parametrize("pinned", ["a", "ac", "bc", "abc"])
    def test_blocks_of_part_of_the_axes(self, pinned: str) -> None:
        # A ring along c beside its twins, and one over a and b: what is not pinned is added up.
        every = itertools.product((0, 1), repeat=3)
        ring = RankPlaces(
            ("a", "b", "c"),
            {"a": 3, "b": 5, "c": 4},
            frozenset(),
            frozenset("abc"),
            frozenset("c"),
            {(a, b, c): float((1, 2)[a] * (1, 4)[b] * (1, 3)[c]) for a, b, c in every},
        )
        n_block = 60 // int(np.prod([ring.size[a] for a in pinned]))
        for over, n_kinds in (("domain", 1), ("rail", None)):
            pattern = Pattern("ring", over)  # type: ignore[arg-type]
            rows = ring.blocks([(pattern, 1.0)], frozenset(pinned), is_sent=True)
            np.testing.assert_allclose(rows.sum(axis=1), n_block)
            assert n_kinds is None or len(rows) == n_kinds


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (
                "axes: {x: 4}\ndevices: {chip: {kind: gpu, axes: [x], transit: all}}\n"
                "links: [{between: [chip, chip], line: x, rate: 1Gb/s}]",
                "the places on a line are all different",
            ),
            (
                "axes: {box: 2, slot: 2}\ndevices: {gpu: {kind: gpu, axes: [box, slot], transit: relay},"
                " nv: {kind: switch, axes: [box]}, leaf: {kind: switch, axes: []}}\n"
                "links: [{between: [gpu, leaf], rate: 1Gb/s},"
                " {between: [gpu, nv], rate: 1Gb/s, net: scale-up}]\nfailed: [box1/nv]",
                "the scale-up domains are no product of axes",
            ),
        ],
    )
    def test_what_is_no_product_goes_to_links(self, text: str, why: str) -> None:
        fabric = loads(f"fabric: odd\n{text}")
        with pytest.raises(NoSymmetryError, match=why):
            job(fabric, JobQuestion(method="axes"))
        work = job(fabric)
        assert work.method == "links"
        assert why in work.why

    @pytest.mark.parametrize("among", ["x0-2", "x0-1"])
    def test_a_part_of_a_ring_is_no_product(self, hand_made: ModuleType, among: str) -> None:
        # Ranks 0 to 2 of a ring of 6 are a line, whose ends differ: each is told apart from the others.
        fabric = hand_made.torus(6)
        pattern = Pattern("ring", "job")
        on_classes, on_links = (
            job(fabric, JobQuestion(method=method, among=among)).loads(pattern)
            for method in ("axes", "links")
        )
        np.testing.assert_allclose(on_classes.hops, on_links.hops)
        assert on_classes.on_link.max() == pytest.approx(on_links.on_link.max())

    def test_failed_ranks_take_no_part(self, hand_made: ModuleType) -> None:
        fabric = hand_made.boxes(2, 3, extra="failed: [slot1/gpu]")
        for method in ("axes", "links"):
            assert job(fabric, JobQuestion(method=method)).shape.n == 4
        assert job(fabric, JobQuestion(method="axes", among="slot0/gpu")).shape.n == 2

    def test_no_path(self) -> None:
        fabric = loads("""{fabric: apart, islands: 2, axes: {pod: 2, i: 2},
        devices: {gpu: {kind: gpu, axes: [pod, i]}, leaf: {kind: switch, axes: [pod]}},
        links: [{between: [gpu, leaf], rate: 1Gb/s}]}""")
        work = job(fabric, JobQuestion(method="axes"))
        with pytest.raises(QuestionError, match="no permitted path between pod0/gpu0 and other ranks"):
            work.loads(Pattern("pairwise", "job"))
        with pytest.raises(QuestionError, match="no permitted path"):
            work.optimum([Pattern("pairwise", "job")], [1.0])
        # Inside a pod there is one.
        inside = job(fabric, JobQuestion(method="axes", over=("i",)))
        assert inside.loads(Pattern("pairwise", "job")).hops == pytest.approx([2])
