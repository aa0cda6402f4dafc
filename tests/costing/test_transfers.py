"""Transfers at once: rates are max-min fair on the routes of `cost`, by an independent program."""

import random

import numpy as np
import pytest
from scipy import optimize, sparse

import fabric
from fabric.costing.transfers import fair_rates, transfer
from fabric.errors import QuestionError
from fabric.graph import fail, loads

POD = """\
fabric: pod
axes: {pod: 2, i: 4, s: 2}
devices:
  gpu: {kind: gpu, axes: [pod, i]}
  leaf: {kind: switch, axes: [pod]}
  spine: {kind: switch, axes: [s]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 300Gb/s}
"""


def by_programs(a, capacity):
    """Return max-min fair rates by one program a level: the least is raised as far as it goes, and so on."""
    n = a.shape[1]
    fixed = {}
    while len(fixed) < n:
        # Variables: the rates, then the level that those not fixed have at least.
        lower = np.hstack([-np.eye(n), np.ones((n, 1))])[[i for i in range(n) if i not in fixed]]
        rows = np.vstack([np.hstack([a, np.zeros((len(a), 1))]), lower])
        right = np.concatenate([capacity, np.zeros(len(lower))])
        equal = np.eye(n + 1)[list(fixed)] if fixed else None
        found = optimize.linprog(
            [*[0] * n, -1], rows, right, equal, list(fixed.values()) or None, method="highs"
        )
        level = found.x[-1]
        for i in [i for i in range(n) if i not in fixed]:
            # Who cannot have more than the level while the others have at least it, has it.
            bound = [(level, None) if j not in fixed else (fixed[j], fixed[j]) for j in range(n)]
            most = optimize.linprog(-np.eye(n)[i], a, capacity, bounds=bound, method="highs")
            if -most.fun <= level * (1 + 1e-7):
                fixed[i] = level
    return np.array([fixed[i] for i in range(n)])


@pytest.mark.seeds(3, of=60)
def test_rates_are_those_of_programs(seed):
    rng = np.random.default_rng(seed)
    n_links, n = rng.integers(1, 7), rng.integers(1, 7)
    a = rng.random((n_links, n)) * (rng.random((n_links, n)) < 0.5)
    a[rng.integers(n_links), :] += 0.1
    capacity = rng.random(n_links) * 100 + 1
    rate, link = fair_rates(sparse.csc_matrix(a), capacity)
    assert rate == pytest.approx(by_programs(a, capacity), rel=1e-6)
    used = a @ rate
    assert (used <= capacity * (1 + 1e-9)).all()
    # Each has a full link on which none is faster: Bertsekas and Gallager's test of max-min fairness.
    for i, at in enumerate(link.tolist()):
        assert used[at] == pytest.approx(capacity[at])
        assert rate[i] == pytest.approx(rate[a[at] > 0].max())


def test_by_hand():
    # Three of pod 0 send to pod 1 by 600 Gb/s of uplinks: 200 each. The fourth stays in its pod at 400.
    pairs = [("pod0/gpu0", "pod1/gpu0"), ("pod0/gpu1", "pod1/gpu1"), ("pod0/gpu2", "pod1/gpu2")]
    answer = transfer(loads(POD), [*pairs, ("pod0/gpu3", "pod0/gpu0")], "1GB")
    assert [row.rate_gbps for row in answer.rows] == pytest.approx([200, 200, 200, 400])
    assert [row.binding for row in answer.rows] == ["leaf-spine"] * 3 + ["gpu-leaf"]
    assert [row.alone_gbps for row in answer.rows] == pytest.approx([400] * 4)
    assert answer.total_gbps == pytest.approx(1000)


def test_what_one_leaves_the_others_share():
    pairs = [("pod0/gpu0", "pod0/gpu2"), ("pod0/gpu1", "pod0/gpu2")]
    answer = transfer(loads(POD), pairs, ["1GB", "2GB"])
    # 8 Gb at 200 is done after 40 ms; the other has 8 Gb left and now 400.
    assert [row.time_s for row in answer.rows] == pytest.approx([0.04, 0.06])
    assert answer.time_s == pytest.approx(0.06)


def test_one_transfer_is_the_cost_of_a_send():
    pod = loads(POD)
    alone = transfer(pod, [("pod0/gpu0", "pod1/gpu3")], "1GiB").rows[0]
    cost = fabric.cost(
        pod, "send-recv", "1GiB", ranks=["pod0/gpu0", "pod1/gpu3"], calibration="wire", is_bounded=False
    )
    assert alone.rate_gbps == pytest.approx(cost.busbw_gbps)
    assert alone.time_s == pytest.approx(cost.time_s)


def test_the_last_byte_is_late_by_the_cables_that_it_passes():
    # Two leaves and 50 km to the spine and as much from it: 500 us, whatever the size and whoever else sends.
    far = loads(
        POD.replace("300Gb/s}", "300Gb/s, length: 50km}").replace("400Gb/s}", "400Gb/s, length: 20m}")
    )
    pairs = [("pod0/gpu0", "pod1/gpu0"), ("pod0/gpu1", "pod0/gpu2")]
    near, late = (transfer(pod, pairs, ["1GB", "1kB"]).rows for pod in (loads(POD), far))
    assert [row.flight_s for row in near] == [0, 0]
    assert [row.flight_s for row in late] == pytest.approx([500.2e-6, 0.2e-6])
    assert [row.time_s - row.flight_s for row in late] == pytest.approx([row.time_s for row in near])
    assert [row.rate_gbps for row in late] == [row.rate_gbps for row in near]
    cost = fabric.cost(far, "send-recv", "1GB", ranks=pairs[0], calibration="wire", is_bounded=False)
    assert late[0].time_s == pytest.approx(cost.time_s)


@pytest.mark.seeds(2, of=20)
def test_another_transfer_never_speeds_one_up_that_shares_its_full_link(seed):
    rng = random.Random(seed)
    names = [f"pod{p}/gpu{i}" for p in range(2) for i in range(4)]
    pairs = [tuple(rng.sample(names, 2)) for _ in range(rng.randint(1, 5))]
    pod = loads(POD)
    before = transfer(pod, pairs, "1MB")
    after = transfer(pod, [*pairs, pairs[0]], "1MB")
    assert after.rows[0].rate_gbps <= before.rows[0].rate_gbps * (1 + 1e-9)
    # The least rate of all never rises.
    assert min(r.rate_gbps for r in after.rows) <= min(r.rate_gbps for r in before.rows) * (1 + 1e-9)


def test_failures_and_ranges():
    pod = fail(loads(POD), "spine1")
    answer = transfer(pod, [("pod0/gpu0-2", "pod1/gpu0-2")], "1GB")
    assert [row.rate_gbps for row in answer.rows] == pytest.approx([100] * 3)
    assert str(answer).startswith("3 transfers at once: 300 Gb/s")


@pytest.mark.parametrize(
    ("pairs", "size", "fault"),
    [
        ([], "1MB", "at least one"),
        ([("pod0/gpu0", "pod0/gpu0")], "1MB", "is source and target of one transfer"),
        ([("pod0/gpu0-1", "pod1/gpu0")], "1MB", "is 2 endpoints and pod1/gpu0 is 1"),
        ([("pod0/gpu0", "pod1/gpu0")], ["1MB", "2MB"], "2 sizes for 1 transfers"),
    ],
)
def test_what_is_no_transfer_is_refused(pairs, size, fault):
    with pytest.raises(QuestionError, match=fault):
        transfer(loads(POD), pairs, size)
