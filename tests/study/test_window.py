"""States drawn over a window of time, against all states one by one."""

import itertools
import math
import random

import pytest

from fabric import fail, failures, load, loads, throughput
from fabric.errors import LimitError, QuestionError
from fabric.study.failures.network import job_of
from fabric.study.failures.rates import FailureRate
from fabric.study.failures.states import Down
from fabric.study.failures.stopping import left_by_restart
from fabric.study.failures.window import Failing, _compositions, _numbers, known_part
from fabric.symmetry.marked import form_of_damage

TEXT = """
fabric: planes
axes: {i: 3, plane: 2}
devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: [plane]}}
links: [{between: [gpu, leaf], rate: 400Gb/s}]
"""
RATES = (
    FailureRate("leaf", "leaves", 1 / 500, 50.0, "test", "given"),
    FailureRate("gpu-leaf", "cables", 1 / 1000, 50.0, "test", "given"),
)


def all_states():
    """Yield every set of leaves and cables that may be down, with its probability once long has passed."""
    cables = [f"gpu{i} - leaf{p}" for i, p in itertools.product(range(3), range(2))]
    odds = {**dict.fromkeys(["leaf0", "leaf1"], 0.1), **dict.fromkeys(cables, 0.05)}
    for n in range(len(odds) + 1):
        for down in itertools.combinations(odds, n):
            p = math.prod(odds[x] / (1 + odds[x]) if x in down else 1 / (1 + odds[x]) for x in odds)
            yield down, p


def exact():
    """Return the mean part of the healthy all-to-all, and of the time that a job is stopped."""
    fabric, kept, stopped, known = loads(TEXT), 0.0, 0.0, {}
    for down, p in all_states():
        up = [
            [x for x in range(2) if f"leaf{x}" not in down and f"gpu{i} - leaf{x}" not in down]
            for i in range(3)
        ]
        key = tuple(sorted(map(tuple, up)))
        if key not in known:
            ends = [i for i in range(3) if up[i]]
            # Of three GPUs a majority is two that share a leaf.
            pairs = [(a, b) for a, b in itertools.combinations(ends, 2) if set(up[a]) & set(up[b])]
            try:
                there = throughput(fail(fabric, *down), drop_unreachable=True) if pairs else None
            except QuestionError:
                there = None
            n = there.n_endpoints if there else 0
            known[key] = (there.per_endpoint_gbps * n / 2400 if there else 0.0), n
        kept, stopped = kept + p * known[key][0], stopped + p * (known[key][1] < 3)
    return kept, stopped


def test_a_long_window_is_the_sum_over_all_states():
    kept, stopped = exact()
    found = failures(loads(TEXT), rates=RATES, window="3650d", samples=100).over_time
    assert found.kept == pytest.approx(kept, abs=4 * found.error + 1e-4)
    assert 0 < found.error < 0.01
    assert found.stopped == pytest.approx(stopped, rel=0.2)
    assert sum(one.probability for one in found.strata) == pytest.approx(1 - found.left_out, abs=1e-9)
    # Rare numbers of failures are seen as well as common ones.
    assert found.strata[-1].n_samples >= 100 / 2 / len(found.strata) / 6
    assert found.n_states < found.n_samples / 3
    assert found.unsolved == 0


def test_a_window_and_pairs_agree_on_what_two_failures_leave():
    rare = tuple(rate.__class__(rate.of, "", rate.per_hour / 100, 50.0, "", "given") for rate in RATES)
    answer = failures(loads(TEXT), rates=rare, pairs=True, window="36500d", samples=50)
    low, high = answer.availability
    assert low - 4 * answer.over_time.error - 1e-5 <= answer.over_time.kept
    assert answer.over_time.kept <= high + 4 * answer.over_time.error + 1e-5


def test_a_seed_is_one_answer():
    fabric = loads(TEXT)
    one, again, other = (
        failures(of, rates=RATES, window="90d", samples=4, seed=seed).over_time
        for of, seed in ((fabric, 1), (loads(TEXT), 1), (fabric, 2))
    )
    assert one == again
    assert one.kept != other.kept
    assert abs(one.kept - other.kept) < 6 * (one.error + other.error)
    assert "at least" in str(one)
    assert [row["n_failures"] for row in one.table()][:3] == [0, 1, 2]


def test_a_short_window_begins_with_all_up():
    failing = [Failing("device", "leaf", 2, 1 / 500, 50.0)]
    # Two states: q(t) = a / (a + m) (1 - exp(-(a + m) t)).
    a, m, t = 1 / 500, 1 / 50, 30.0
    steps = [(k + 0.5) * t / 10_000 for k in range(10_000)]
    q = [a / (a + m) * (1 - math.exp(-(a + m) * x)) for x in steps]
    none, alone = known_part(failing, t)
    assert none == pytest.approx(sum((1 - x) ** 2 for x in q) / len(q), rel=1e-6)
    assert sum(alone) == pytest.approx(sum(2 * x * (1 - x) for x in q) / len(q), rel=1e-6)


def test_numbers_of_failures_and_what_they_are_of():
    sizes, chances = [4, 7], [0.2, 0.05]
    total = _numbers(sizes, chances)
    assert total[0] == pytest.approx(0.8**4 * 0.95**7)
    drawn = _compositions(sizes, chances, 2, 20_000, random.Random(3))
    weights = {
        (k, 2 - k): math.comb(4, k) * 0.25**k * math.comb(7, 2 - k) * (0.05 / 0.95) ** (2 - k)
        for k in range(3)
    }
    for counts, weight in weights.items():
        part = weight / sum(weights.values())
        error = math.sqrt(part * (1 - part) / 20_000)
        assert drawn.count(counts) / 20_000 == pytest.approx(part, abs=5 * error)


def test_what_cannot_be_drawn_is_refused():
    fabric = loads(TEXT)
    for given, why in (
        ({"window": "0d"}, "window: some time"),
        ({"window": "9d", "samples": 0}, "window: some time"),
        ({"window": "9d", "rates": ""}, "nothing of the fabric has a rate"),
    ):
        with pytest.raises(QuestionError, match=why):
            failures(fabric, **{"rates": RATES, **given})
    often = (FailureRate("gpu-leaf", "", 1.0, 1.0, "", "given"),)
    with pytest.raises(LimitError, match="more than 200 failures at once"):
        failures(loads(TEXT.replace("i: 3", "i: 300")), rates=often, window="9d")


@pytest.mark.parametrize("seed", range(6))
def test_states_that_a_permutation_maps_to_one_another_have_one_form(seed):
    rng = random.Random(seed)
    fabric = load("topologies/gb300-nvl72-1152.fabric.yaml")

    def state(racks, spines, blocks):
        return [
            f"rack{racks[0]}/tray3/nic1",
            f"rack{racks[0]}/tray4/gpu0 - rack{racks[0]}/switchtray2/nvswitch1",
            f"plane1/spine{spines[0]}",
            f"plane0/block{blocks[0]}/leaf2 - plane0/spine{spines[1]} x 1",
        ]

    def drawn():
        blocks = rng.sample(range(8), 2)
        return state([2 * blocks[1] + rng.randrange(2)], rng.sample(range(9), 2), blocks)

    one, other = (form_of_damage(fail(fabric, *drawn()).blueprint) for _ in range(2))
    assert one == other
    assert one != form_of_damage(fail(fabric, *drawn()[:3]).blueprint)


def test_parts_of_several_indices_are_alike_inside():
    # Two leaves of one plane and two others of the other one: two parts of a plane and two pods each. Indices
    # inside a part had labels of their own and one row for both: an IndexError.
    text = """
    fabric: two-planes
    axes: {pod: 6, i: 2, plane: 2, s: 2}
    devices:
      gpu: {kind: gpu, axes: [pod, i]}
      leaf: {kind: switch, axes: [plane, pod]}
      spine: {kind: switch, axes: [plane, s]}
    links: [{between: [gpu, leaf], rate: 200Gb/s}, {between: [leaf, spine], rate: 400Gb/s}]
    """
    for down in (
        ["plane0/leaf0", "plane0/leaf1", "plane1/leaf2", "plane1/leaf3"],
        ["plane0/leaf0", "plane0/leaf1", "plane0/leaf1 - spine0", "plane1/leaf2", "plane1/leaf3"],
        ["plane0/leaf0", "plane0/leaf1 - plane0/spine1", "plane1/leaf2", "plane1/leaf3 - plane1/spine0"],
    ):
        fabric = fail(loads(text), *down)
        by_axes, by_links = (
            throughput(fabric, method=method, drop_unreachable=True).per_endpoint_gbps
            for method in ("axes", "links")
        )
        assert by_axes == pytest.approx(by_links, rel=1e-9)


@pytest.mark.parametrize(
    "gpu", ["rack3/tray5/gpu2", "block1/r1/tray5/module1/die0/gpu", "rack3/tray5/gpu1-2"]
)
def test_a_restart_tells_nothing_apart_inside_of_a_node_that_is_left_out(gpu):
    # A GPU that is down in a tray that is left out was marked twice, so that its rail was told from others.
    fabric = load("topologies/gb300-nvl72-1152.fabric.yaml")
    job = job_of(fabric, None, paths="rules", collective="", over=(), node=())
    rest = left_by_restart(job, (Down(gpu), Down("plane0/spine4")), (Down("rack3/tray5/gpu"),))
    assert rest == (Down("plane0/spine4"), Down("rack3/tray5/gpu"))
    # What lies elsewhere, or in part, stays.
    for other in ("rack2/tray5/gpu2", "rack3/tray6/gpu2", "rack3/tray4-5/gpu2"):
        assert Down(other) in left_by_restart(job, (Down(other),), (Down("rack3/tray5/gpu"),))


def test_a_job_is_known_by_what_it_is(tmp_path):
    from fabric.study.sweeps.fingerprint import fingerprint

    def job(text):
        return job_of(loads(text), None, paths="rules", collective="", over=(), node=())

    assert fingerprint(job(TEXT)) == fingerprint(job(TEXT + "# a comment"))
    assert fingerprint(job(TEXT)) != fingerprint(job(TEXT.replace("400", "401")))
