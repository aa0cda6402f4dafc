"""What is remembered of a fabric goes with it."""

import gc
import weakref

import pytest

import fabric
from fabric.blueprint.remembered import remembered
from fabric.graph import loads

TEXT = """{fabric: f, axes: {rack: 2, slot: 4, k: 2}, devices: {gpu: {kind: gpu, axes: [rack, slot]},
  leaf: {kind: switch, axes: [rack]}, spine: {part: q3400, axes: [k]}},
 links: [{between: [gpu, leaf], rate: 100Gb/s}, {between: [leaf, spine], rate: 200Gb/s}]}"""

VERBS = {
    "expand": fabric.expand,
    "max_flow": lambda f: fabric.max_flow(f, "rack0", "rack1"),
    "throughput": fabric.throughput,
    "throughput by links": lambda f: fabric.throughput(f, method="links"),
    "bottleneck": fabric.bottleneck,
    "bound": lambda f: fabric.bound(f, "all-reduce"),
    "cost": lambda f: fabric.cost(f, "all-reduce", "1MiB", calibration="wire"),
    "cost, hashed": lambda f: fabric.cost(f, "all-to-all", "1MiB", routing="hashed", calibration="wire"),
    "open_boxes": fabric.open_boxes,
    "bom": fabric.bom,
}


@pytest.mark.some(3)
@pytest.mark.parametrize("verb", VERBS)
def test_no_answer_keeps_a_fabric_alive(verb):
    kept = asked(verb)
    gc.collect()
    assert [ref() is None for ref in kept] == [True, True]


def asked(verb):
    """Ask a verb of a new fabric, and return weak references to it; an `assert` would keep its operands."""
    f = loads(TEXT)
    VERBS[verb](f)
    return weakref.ref(f), weakref.ref(f.blueprint)


def test_the_same_question_is_worked_out_once_and_the_oldest_is_forgotten():
    asked = []

    class Owner:
        pass

    @remembered(2)
    def doubled(owner, n, *, more=0):
        asked.append(n)
        return 2 * n + more

    one, other = Owner(), Owner()
    assert [doubled(one, 1), doubled(one, 1), doubled(one, 2, more=1), doubled(one, 1)] == [2, 2, 5, 2]
    assert asked == [1, 2]
    assert [doubled(one, 3), doubled(one, 1), doubled(one, 2, more=1)] == [6, 2, 5]
    assert asked == [1, 2, 3, 2]
    doubled(other, 1)
    assert asked == [1, 2, 3, 2, 1]
