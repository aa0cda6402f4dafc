"""An order of some of the endpoints: who is in a group by numpy, and loads on classes as on every cable."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fabric.costing import cost
from fabric.errors import QuestionError, SelectorError
from fabric.graph import Fabric, loads
from fabric.job import JobQuestion, job
from fabric.job.part import part_of
from fabric.symmetry import NoSymmetryError

TEXT = """
fabric: small
axes: {pod: 3, block: 2, r: 3, rack: [block, r], tray: 3, slot: 4, chip: 2, spine: 2}
devices:
  gpu: {kind: gpu, axes: [pod, rack, tray, slot], transit: relay}
  nvswitch: {kind: switch, axes: [pod, rack, chip]}
  nic: {kind: nic, axes: [pod, rack, tray, slot]}
  leaf: {kind: switch, axes: [pod, block, slot]}
  spine: {kind: switch, axes: [pod, spine]}
  core: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nvswitch], rate: 800Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 200Gb/s, net: host}
  - {between: [nic, leaf], rate: 100Gb/s}
  - {between: [leaf, spine], rate: 300Gb/s}
  - {between: [spine, core], rate: 400Gb/s}
"""
SIZES = {"pod": 3, "block": 2, "r": 3, "tray": 3, "slot": 4}
ALL = "(pod rack tray slot) -> "

CHOSEN = [
    ("pod1-2/tray0-1", "(dp pp=3 tp=8)", {"pod": (1, 3), "tray": (0, 2)}),
    ("rack0-2/tray1-2/gpu", "(dp pp=3 tp=8)", {"block": (0, 1), "tray": (1, 3)}),
    ("rack0-1", "(dp tp=12)", {"block": (0, 1), "r": (0, 2)}),
    ("pod2/tray0-1", "(pp=2 dp tp=4)", {"pod": (2, 3), "tray": (0, 2)}),
    # Five, and two of three racks beyond them, divide no axis.
    ("pod0/tray0-1", "(dp tp=16)", {"pod": (0, 1), "tray": (0, 2)}),
]


@pytest.fixture(scope="module")
def small() -> Fabric:
    return loads(TEXT)


def names_of(chosen: dict[str, tuple[int, int]]) -> np.ndarray:
    """Return the names of the ranks that are chosen, in the order of their axes."""
    ranges = [range(*chosen.get(axis, (0, n))) for axis, n in SIZES.items()]
    found = []
    for index in np.ndindex(*(len(r) for r in ranges)):
        pod, block, r, tray, slot = (of[i] for of, i in zip(ranges, index, strict=True))
        found.append(f"pod{pod}/rack{3 * block + r}/tray{tray}/gpu{slot}")
    return np.array(found, dtype=object)


def cut(words: str, n: int) -> dict[str, int]:
    sizes = {w.partition("=")[0]: int(w.partition("=")[2] or 0) for w in words.strip("()").split()}
    known = math.prod(size for size in sizes.values() if size)
    return {name: size or n // known for name, size in sizes.items()}


@pytest.mark.parametrize(("among", "words", "chosen"), CHOSEN)
def test_groups_by_reshape(small: Fabric, among: str, words: str, chosen: dict[str, tuple[int, int]]) -> None:
    names = names_of(chosen)
    sizes = cut(words, len(names))
    for over in sizes:
        work = job(small, JobQuestion(method="links", order=ALL + words, among=among, over=(over,)))
        ranks = work.route.__self__.ranks  # type: ignore[attr-defined]
        found = {frozenset(ranks.expanded.names[v] for v in row) for row in ranks.devices.tolist()}
        cube = np.moveaxis(names.reshape(list(sizes.values())), list(sizes).index(over), -1)
        assert found == {frozenset(row) for row in cube.reshape(-1, sizes[over]).tolist()}


@pytest.mark.some(1)
@pytest.mark.parametrize("routing", ["ecmp", "rail"])
@pytest.mark.parametrize("collective", ["all-gather", "all-to-all"])
@pytest.mark.parametrize(("among", "words", "chosen"), CHOSEN[:4])
def test_on_classes_as_on_every_cable(
    small: Fabric,
    among: str,
    words: str,
    chosen: dict[str, tuple[int, int]],
    collective: str,
    routing: str,
) -> None:
    for over in cut(words, len(names_of(chosen))):
        asked = {"order": ALL + words, "among": among, "over": (over,), "routing": routing}
        by = [
            cost(small, collective, "1GB", calibration="wire", is_bounded=False, method=method, **asked)
            for method in ("axes", "links")
        ]
        assert by[0].time_s == pytest.approx(by[1].time_s, rel=1e-9)
        assert (by[0].n_ranks, by[0].n_instances, by[0].n_domains) == (
            by[1].n_ranks,
            by[1].n_instances,
            by[1].n_domains,
        )


def test_an_order_of_listed_ranks_is_that_of_the_axes(small: Fabric) -> None:
    """Two selectors in the order of the axes are one; in another order they are not."""
    order, over = f"{ALL}(dp pp=3 tp=8)", ("pp",)
    one = job(small, JobQuestion(method="links", order=order, over=over, among="pod1-2/tray0-1"))
    listed = "(ranks) -> (dp pp=3 tp=8)"
    both = ("pod1/tray0-1/gpu", "pod2/tray0-1/gpu")
    two = job(small, JobQuestion(method="links", order=listed, over=over, ranks=both))
    devices = [work.route.__self__.ranks.devices for work in (one, two)]  # type: ignore[attr-defined]
    assert np.array_equal(*devices)
    # A last block that is not full: a pod and a third of one, which no order of axes says.
    part = job(
        small, JobQuestion(order="(ranks) -> (dp tp=12)", over=("dp",), ranks=("pod0/gpu", "pod2/rack0-1"))
    )
    assert (part.shape.n, part.n_instances) == (8, 12)


def test_listed_ranks_have_no_axes(small: Fabric) -> None:
    with pytest.raises(QuestionError, match=r"ranks are listed one by one; number them by \(ranks\) -> "):
        job(small, JobQuestion(order=f"{ALL}(dp tp=8)", over=("tp",), ranks=("pod0/gpu",)))
    with pytest.raises(QuestionError, match="leave over, among and order out"):
        JobQuestion(over=("pod",), ranks=("pod0/gpu",))


def test_a_part_is_as_if_nothing_else_were(small: Fabric) -> None:
    """A fabric of one pod is that of three with one chosen, but for the links up to the core."""
    one = loads(TEXT.replace("pod: 3", "pod: 1"))
    order = f"{ALL}(dp tp=12)"
    for over in ("dp", "tp"):
        alone = cost(one, "all-reduce", "1GB", order=order, over=(over,), calibration="wire")
        part = cost(small, "all-reduce", "1GB", order=order, over=(over,), among="pod1", calibration="wire")
        assert part.time_s == pytest.approx(alone.time_s, rel=1e-12)


def test_what_is_down_elsewhere_does_not_count() -> None:
    failed = loads(
        TEXT + "failed: [pod2/block0/leaf0, pod1/rack2/tray1/gpu3, [pod0/block0/leaf0, pod0/spine0]]"
    )
    part = part_of(failed.blueprint, "pod1-2/tray1-2")
    down = [(s.text, tuple((t.axis, t.lo, t.hi) for t in s.terms)) for s in part.failed]
    assert down == [
        ("pod2/block0/leaf0", (("pod", 1, 1), ("block", 0, 0), ("slot", 0, 0))),
        ("pod1/rack2/tray1/gpu3", (("pod", 0, 0), ("rack", 2, 2), ("tray", 0, 0), ("slot", 3, 3))),
    ]
    assert part.marked_cables == ()
    assert [part.axes[a].size for a in ("pod", "rack", "tray", "slot")] == [2, 6, 2, 4]


@pytest.mark.parametrize(
    ("change", "among", "fault"),
    [
        (("", ""), "rack1-3", "rack1-3 is no product of block, r"),
        (("slot: 4,", "slot: 4, card: 2,"), "gpu0-1", "nic is shared by endpoints along slot"),
        (("nvswitch], rate", "gpu], mesh: slot, rate"), "gpu0-1", "gpu-gpu tells the indices of slot apart"),
        (("", "failed: [pod0/rack4/tray0/gpu0]"), "rack0-2", "speaks of rack, of which the job has a part"),
    ],
)
def test_breakers(change: tuple[str, str], among: str, fault: str) -> None:
    text = TEXT.replace(*change) if change[0] else TEXT + change[1]
    if "card: 2" in change[1]:
        text = text.replace(
            "nic: {kind: nic, axes: [pod, rack, tray, slot]}",
            "nic: {kind: nic, axes: [pod, rack, tray, card]}",
        )
        text = text.replace("{between: [nic, leaf]", "{between: [nic, leaf], count: 1")
    with pytest.raises(NoSymmetryError, match=fault):
        part_of(loads(text).blueprint, among)


def test_a_selector_that_cannot_be_read(small: Fabric) -> None:
    with pytest.raises(SelectorError, match="no axis 'pot'; did you mean pod"):
        cost(small, "all-gather", "1MB", order=f"{ALL}(dp tp=4)", among="pot0/gpu", over=("tp",))
