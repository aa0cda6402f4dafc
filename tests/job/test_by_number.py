"""Ranks cut into groups by number: what patterns put on links on classes is what they do on cables."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from fabric import Fabric, loads
from fabric.errors import FabricError, NoPathError, QuestionError
from fabric.job import Job, JobQuestion
from fabric.job.in_order import ranks_in_order
from fabric.job.jobs import job, jobs
from fabric.job.numbering import members
from fabric.job.ranks import load_of_kinds
from fabric.schedule.tree import Pattern
from tests.job.test_pairs import BASE, PLAIN, SHARED, damaged, seconds_by_rule

WIDE = BASE.replace("slot: 4", "slot: 6").replace("fabric: tail", "fabric: wide")
FABRICS = {"rails": BASE, "wide": WIDE, "shared cards": SHARED, "plain": PLAIN}
KINDS = ("ring", "two-way-ring", "line", "tree-up", "from-root", "pairwise")


def drawn(rng: random.Random, text: str) -> tuple[Fabric, JobQuestion]:
    """Return a fabric, perhaps with gaps, and a job on it whose groups are cut by number."""
    fabric = loads(damaged(rng, text) if rng.random() < 0.5 else text)
    blueprint = fabric.axes_or_refuse("a test")
    axes = blueprint.groups["gpu"].axes
    asked = JobQuestion(order="(ranks) -> (b a)" if rng.random() < 0.5 else f"({' '.join(axes)}) -> (b a)")
    if asked.order.startswith("(ranks)"):
        outer = [f"{axes[0]}{i}/gpu" for i in range(blueprint.axes[axes[0]].size)]
        rng.shuffle(outer)
        inner = (
            f"{outer.pop().removesuffix('/gpu')}/{axes[1]}0-{rng.randrange(blueprint.axes[axes[1]].size)}/gpu"
        )
        asked = replace(asked, ranks=(*outer[: rng.randint(0, len(outer))], inner))
    n = ranks_in_order(blueprint, replace(asked, order="")).n
    sizes = [k for k in range(2, n + 1) if n % k == 0]
    if not sizes:
        msg = "one rank"
        raise QuestionError(msg)
    a = rng.choice(sizes)
    order = asked.order.replace("(b a)", f"(b={n // a} a={a})")
    return fabric, replace(asked, order=order, over=(rng.choice(["a", "b"]) if a < n else "a",))


def patterns_of(work: Job) -> list[Pattern]:
    """Return patterns that a job has messages of."""
    overs = ("job", "domain", "rail") if work.shape.is_even else ("job", "domain")
    every = [Pattern(kind, over) for kind in KINDS for over in overs]
    return [pattern for pattern in every if max(map(len, members(work.shape, pattern))) > 1]


def compare(name: str, seed: int) -> int:
    """Hold classes to cables, and return how many patterns were compared."""
    rng = random.Random(f"{name} {seed}")
    try:
        fabric, asked = drawn(rng, FABRICS[name])
        on_cables = jobs(fabric, replace(asked, method="links"))
    except FabricError:
        return 0  # nobody is left, or all that is left is one rank
    on_classes = jobs(fabric, replace(asked, method="axes"))
    assert [work.shape for work in on_classes] == [work.shape for work in on_cables]
    assert [work.n_instances for work in on_classes] == [work.n_instances for work in on_cables]
    n = 0
    for one, two in zip(on_classes, on_cables, strict=True):
        latency_s = np.linspace(1, 2, len(one.links.rules))
        for pattern in patterns_of(one):
            try:
                expected = seconds_by_rule(two, pattern)
            except NoPathError:
                with pytest.raises(NoPathError, match="no permitted path"):
                    seconds_by_rule(one, pattern)
                continue
            np.testing.assert_allclose(
                seconds_by_rule(one, pattern), expected, rtol=1e-6, err_msg=f"{pattern}"
            )
            on_rule = [w.loads(pattern).mean * w.loads(pattern).hops for w in (one, two)]
            np.testing.assert_allclose(*on_rule, rtol=1e-9, atol=1e-12, err_msg=f"{pattern}")
            assert one.farthest_s(pattern, latency_s) == pytest.approx(two.farthest_s(pattern, latency_s))
            n += 1
    if len(on_classes) > 1:
        n += compare_at_once(rng, on_classes, on_cables)
    return n


def compare_at_once(rng: random.Random, on_classes: tuple[Job, ...], on_cables: tuple[Job, ...]) -> int:
    """Hold groups of all kinds at once, each with a pattern of its own, to cables."""
    every = [[Pattern(kind, "job") for kind in ("ring", "two-way-ring", "pairwise")] for _ in on_classes]
    mixes = [[(rng.choice(some), rng.choice((1.0, 2.0)))] for some in every]
    seconds = []
    for works in (on_cables, on_classes):
        try:
            load = load_of_kinds([(w, mix) for w, mix in zip(works, mixes, strict=True) if w.shape.n > 1])
        except NoPathError:
            return 0
        links = works[0].links
        part = np.divide(load, links.capacity_gbps, out=np.zeros(len(load)), where=links.capacity_gbps > 0)
        peak = np.zeros(len(links.rules))
        np.maximum.at(peak, links.rule, np.where(links.is_inner, 0.0, part))
        seconds.append(peak)
    np.testing.assert_allclose(seconds[1], seconds[0], rtol=1e-6, err_msg=f"{mixes}")
    return 1


@pytest.mark.some(1)
@pytest.mark.parametrize("name", FABRICS)
def test_loads_on_classes_are_those_on_cables(name):
    assert sum(compare(name, seed) for seed in range(3)) > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", FABRICS)
def test_many_loads_on_classes_are_those_on_cables(name):
    assert sum(compare(name, seed) for seed in range(40)) > 300


def test_groups_that_straddle_racks_are_sorted_by_how_they_lie():
    """Racks of six: of nine groups of eight, some lie 6 + 2, some 4 + 4 and some 2 + 6."""
    fabric = loads(WIDE)
    order = "(pod rack slot) -> (b a=8)"
    for method in ("axes", "links"):
        found = jobs(fabric, JobQuestion(order=order, over=("a",), method=method))
        assert [(work.shape.sizes, work.n_instances) for work in found] == [
            ((6, 2), 3),
            ((4, 4), 3),
            ((2, 6), 3),
        ]
    with pytest.raises(QuestionError, match="groups lie in domains in different ways"):
        job(fabric, JobQuestion(order=order, over=("a",)))


def test_all_groups_together_send_what_each_would():
    """The groups that lie in different ways put on every link what one listed job of all of them does."""
    fabric = loads(WIDE)
    pattern = Pattern("ring", "job")
    asked = JobQuestion(order="(pod rack slot) -> (b a=8)", over=("a",))
    total = sum(work.loads(pattern).hops * work.shape.n * work.n_instances for work in jobs(fabric, asked))
    # By hand: 72 ranks in nine rings; a ring in two racks has two messages between them, by two cards each.
    names = list(fabric_rules(fabric))
    assert total[names.index("nic-leaf")] == pytest.approx(2 * 2 * 9)
    assert total[names.index("gpu-nv")] == pytest.approx(2 * (72 - 2 * 9))


def fabric_rules(fabric: Fabric) -> list[str]:
    return [rule.name for rule in fabric.axes_or_refuse("a test").rules]


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"ranks": ("pod0/gpu", "pod0/rack1/gpu")}, "ranks: pod0/rack1/gpu0 is listed twice"),
        ({"ranks": ("pod0/nic",)}, "nic is no endpoint"),
        ({"ranks": ("pod0/gpu", "pod9/gpu")}, "pod9 is beyond the last index, pod2"),
        (
            {"ranks": ("pod0/gpu",), "order": "(slot) -> (b a=4)"},
            "ranks are listed one by one; number them by",
        ),
        ({"ranks": ("pod0/gpu",), "order": "(ranks) -> (b a=5)"}, "16 ranks on the left, 5 on the right"),
        ({"ranks": ("pod0/gpu",), "over": ("c",)}, "over: no dimension 'c'"),
    ],
)
def test_what_no_numbering_can_be(asked, fault):
    with pytest.raises(FabricError, match=fault):
        jobs(loads(BASE), JobQuestion(**{"order": "(ranks) -> (b a=4)", "over": ("a",), **asked}))


def test_ranks_that_are_down_are_left_out_or_refused():
    """Numbers run on over what is down; a rank that is listed is meant."""
    fabric = loads(BASE + "failed: [pod0/rack0/gpu]\n")
    found = jobs(fabric, JobQuestion(order="(pod rack slot) -> (b a=4)", over=("a",)))
    assert [(work.method, work.shape.sizes, work.n_instances) for work in found] == [("axes", (4,), 11)]
    with pytest.raises(
        QuestionError, match="4 of the ranks that are listed have failed, such as pod0/rack0/gpu0"
    ):
        jobs(fabric, JobQuestion(ranks=("pod0/gpu",), order="(ranks) -> (b a=4)", over=("a",)))
