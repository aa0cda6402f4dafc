"""The checker: sound proofs pass, and every way of breaking one is caught."""

import ast
from pathlib import Path

import numpy as np
import pytest

import fabric.flow.certificate as certificate
from fabric.flow.certificate import check_flow

#        +-- a --+        two ways of 3 and 5 out of s, of 4 and 2 into t, and 9 from b to a
#   s ---+   ^   +--- t
#        +-- b --+
TAIL = np.array([0, 0, 1, 2, 2])
HEAD = np.array([1, 2, 3, 3, 1])
LINK = np.arange(5)
CAPACITY = np.array([3.0, 5.0, 4.0, 2.0, 9.0])
SOURCES = np.array([True, False, False, False])
TARGETS = np.array([False, False, False, True])
FLOW = np.array([3.0, 3.0, 4.0, 2.0, 1.0])
PRICE = np.array([0.0, 0.0, 1.0, 1.0, 0.0])


def check(flow=FLOW, price=PRICE, **changes):
    values = {
        "tail": TAIL,
        "head": HEAD,
        "link": LINK,
        "capacity": CAPACITY,
        "sources": SOURCES,
        "targets": TARGETS,
    }
    return check_flow(**{**values, **changes}, flow=np.array(flow, float), price=np.array(price, float))


def test_a_sound_proof():
    verdict = check()
    assert (verdict.lower_gbps, verdict.upper_gbps, verdict.gap, verdict.status) == (6.0, 6.0, 0.0, "optimal")
    assert verdict.faults == ()


@pytest.mark.parametrize(
    ("flow", "fault"),
    [
        ([3, 4, 5, 2, 2], "a link above its capacity"),
        ([3, 3, 4, 2.1, 0.9], "a link above its capacity"),
        ([3, 3, 3.5, 2, 1], "flow lost or made on the way"),
        ([3, 2.5, 4, 2, 1], "flow lost or made on the way"),
        ([0, 0, 4, 2, 0], "flow lost or made on the way"),
        ([3, -1, 4, 2, 1], "a negative flow"),
        ([4, 2, 4, 2, -1], "a negative flow"),
        ([3, np.nan, 4, 2, 1], "a flow that is no number"),
        ([3, np.inf, 4, 2, 1], "a flow that is no number"),
    ],
)
def test_a_wrong_flow_proves_nothing(flow, fault):
    verdict = check(flow)
    assert fault in verdict.faults
    assert verdict.lower_gbps == 0.0
    assert verdict.status == "bounded"


def test_moves_that_share_a_link_share_its_capacity():
    verdict = check(link=np.array([0, 1, 2, 2, 4]))
    assert verdict.faults == ("a link above its capacity",)


def test_a_link_with_no_capacity_carries_nothing():
    verdict = check(capacity=np.array([3.0, 5.0, 4.0, 2.0, 0.0]))
    assert verdict.faults == ("a link above its capacity",)


def test_a_small_link_is_not_drowned_by_a_large_flow():
    # 1 Gb/s too much on a link of 1, beside a flow of 1e12: far below any slack relative to the total.
    capacity = np.array([1e12, 1.0])
    two = np.array([0, 0]), np.array([1, 1]), np.arange(2), capacity
    ends = np.array([True, False]), np.array([False, True])
    assert check_flow(*two, *ends, np.array([1e12, 2.0]), np.ones(2)).faults == ("a link above its capacity",)


def test_flow_out_of_a_target_is_made():
    tail, head = np.array([0, 1]), np.array([1, 2])
    ends = np.array([True, False, False]), np.array([False, True, True])
    flow = np.array([1.0, 3.0])
    verdict = check_flow(tail, head, np.arange(2), np.full(2, 9.0), *ends, flow, np.zeros(2))
    assert verdict.faults == ("flow lost or made on the way",)


def test_flow_without_a_source_proves_nothing():
    circle = [0.0, 0.0, 0.0, 0.0, 0.0]
    assert check(circle).lower_gbps == 0.0
    assert check(circle).status == "bounded"


def test_rounding_is_paid_for():
    verdict = check(FLOW * (1 + 1e-10))
    assert verdict.faults == ()
    assert verdict.lower_gbps <= 6.0
    assert verdict.status == "optimal"
    lost = check(FLOW - [0, 0, 0, 1e-10, 0])
    assert lost.faults == ()
    assert lost.lower_gbps <= 6.0 - 1e-10


@pytest.mark.parametrize(
    ("price", "upper"),
    [
        ([1, 1, 0, 0, 0], 8.0),  # another cut, larger
        ([0, 0, 2, 2, 0], 6.0),  # any multiple proves the same
        ([0, 0, 1, 0, 0], np.inf),  # a way past it: no bound
        ([0, 0, 0, 0, 0], np.inf),
        ([0, 0, 1, 1, 1], 15.0),
        ([0, 0, 0.5, 1, 0], 8.0),
        ([0, 0, 2, 2, -1], np.inf),
        ([0, 0, 1, np.nan, 0], np.inf),
    ],
)
def test_prices_prove_no_more_than_they_can(price, upper):
    verdict = check(price=price)
    assert verdict.upper_gbps == pytest.approx(upper)
    assert verdict.status == ("optimal" if upper == 6.0 else "bounded")


def test_a_smaller_flow_is_bounded():
    verdict = check(FLOW / 2)
    assert (verdict.lower_gbps, verdict.upper_gbps, verdict.status) == (3.0, 6.0, "bounded")
    assert verdict.gap == 0.5


def test_no_path_is_a_proof_of_nothing():
    none = np.zeros(0, dtype=np.int64)
    verdict = check_flow(none, none, none, CAPACITY, SOURCES, TARGETS, np.zeros(0), np.zeros(5))
    assert (verdict.lower_gbps, verdict.upper_gbps, verdict.status) == (0.0, 0.0, "optimal")


def test_the_checker_imports_no_solver():
    tree = ast.parse(Path(certificate.__file__).read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    # The last one holds names of array types only.
    assert imported == {"__future__", "dataclasses", "typing", "numpy", "fabric.arrays"}
