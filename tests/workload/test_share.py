"""Laws of jobs that share a fabric."""

import itertools
import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest

import fabric
from fabric.cli import app as command_line
from fabric.errors import FabricError, LimitError
from fabric.flow import fair
from fabric.flow.certificate import GAP
from fabric.symmetry import NoSymmetryError
from fabric.workload import share as share_module
from fabric.workload.phases import best_offsets, random_phase
from fabric.workload.share import share

ROOT = Path(__file__).parents[2]
RACKS = """
fabric: racks
axes: {rack: 4, slot: 4, spine: 2}
devices:
  gpu:  {kind: gpu, axes: [rack, slot]}
  leaf: {kind: switch, axes: [rack]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s}
"""
RAILS = """
fabric: rails
axes: {node: 4, slot: 4, spine: 4}
devices:
  gpu:  {kind: gpu, axes: [node, slot], transit: relay}
  nvs:  {kind: switch, axes: [node]}
  leaf: {kind: switch, axes: [slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nvs], rate: 3600Gb/s, net: scale-up}
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s}
"""


@pytest.fixture(scope="module")
def racks():
    return fabric.loads(RACKS)


def too_large():
    msg = "too large"
    raise LimitError(msg)


def no_symmetry():
    msg = "left to real links"
    raise NoSymmetryError(msg)


def rates(answer):
    return [job.rate_gbps for job in answer.jobs]


@pytest.mark.parametrize(
    ("job", "traffic"),
    [
        ("a=*", fabric.Traffic()),
        ("a=rack1-3", fabric.Traffic()),
        ("a=*:all-to-all:over=rack", fabric.Traffic("all-to-all", ("rack",))),
        ("a=rack0-2:shift:over=slot:by=2", fabric.Traffic("shift", ("slot",), by=2)),
        ("a=*:halves:over=rack", fabric.Traffic("halves", ("rack",))),
        ("a=rack0-1:one-to-all:root=rack0/gpu0", fabric.Traffic("one-to-all", root="rack0/gpu0")),
    ],
)
def test_one_job_has_the_throughput_of_today(racks, job, traffic):
    (row,) = share(racks, [job]).jobs
    today = fabric.throughput(racks, traffic, among=row.among or None)
    assert row.rate_gbps == pytest.approx(today.per_endpoint_gbps, rel=1e-9)
    assert row.alone_gbps == pytest.approx(today.per_endpoint_gbps, rel=1e-9)
    assert (row.status, row.n_endpoints) == ("optimal", today.n_endpoints)
    assert {price.link for price in row.binding} == {price.link for price in today.binding}
    assert (row.stretch, [one.job for one in row.neighbours]) == (pytest.approx(1.0), ["a"])


@pytest.mark.parametrize(
    "jobs",
    [
        ["a=rack0-1:one-to-all:root=rack0/gpu0", "b=*:all-to-one:root=rack3/slot2/gpu"],
        ["a=rack0-1:one-to-all:root=rack0/gpu0", "b=*:shift:over=rack", "c=slot1-2:halves:over=rack"],
    ],
)
def test_roots_are_answered_on_classes_as_on_links(racks, jobs, monkeypatch):
    # A root sent all jobs to real links, where 1,152 GPUs were too many.
    on_classes = share(racks, jobs)
    monkeypatch.setattr(share_module, "kept_by_all", lambda plans: no_symmetry())
    on_links = share(racks, jobs)
    assert (on_classes.method, on_links.method) == ("axes", "links")
    assert on_classes.status == on_links.status == "optimal"
    assert rates(on_classes) == pytest.approx(rates(on_links), rel=1e-8)
    assert [job.alone_gbps for job in on_classes.jobs] == pytest.approx(
        [job.alone_gbps for job in on_links.jobs], rel=1e-8
    )


@pytest.mark.slow
def test_more_jobs_than_a_program_of_moves_holds_are_shared():
    # 84,448 variables were refused.
    jobs = ["a=su0/node0-3", "b=su1/node3-20", "c=su2-3/node4-8", "d=su0-3/node21-30:shift:over=su"]
    jobs += ["e=su0/node4-7", "g=su0/node8-9/gpu0-3"]
    pods = fabric.load(ROOT / "topologies/superpod-h100-4su.fabric.yaml")
    answer = share(pods, jobs)
    assert (answer.status, answer.n_variables > fair.MAX_MOVES) == ("optimal", True)
    # Non-blocking: none slows another.
    for job in answer.jobs:
        assert job.rate_gbps == pytest.approx(job.alone_gbps, rel=1e-7)
    # Of 31 others 24 are in other nodes, reached by the cards.
    assert answer.jobs[0].rate_gbps == pytest.approx(400 * 31 / 24, rel=1e-7)


@pytest.mark.some(3)
@pytest.mark.parametrize("way", ["rate", "slowdown"])
@pytest.mark.seeds(3, of=60)
def test_what_is_too_much_for_one_program_is_an_interval_that_holds_the_rate(racks, seed, way, monkeypatch):
    # Ended in an error: more than 400,000 variables.
    jobs = [*some_jobs(random.Random(f"apart {seed}")), "z=*:all-to-all:busy=0.5"]
    exact = share(racks, jobs, fair=way)
    monkeypatch.setattr(share_module, "pose_together", lambda questions: too_large())
    found = share(racks, jobs, fair=way)
    assert (exact.status, found.status) == ("optimal", "bounded")
    assert found.why == "too large"
    for job, right in zip(found.jobs, exact.jobs, strict=True):
        assert job.alone_gbps == pytest.approx(right.alone_gbps, rel=1e-8)
        assert job.certificate.lower_gbps <= right.rate_gbps * (1 + 1e-8)
        assert job.certificate.upper_gbps >= right.rate_gbps * (1 - 1e-8)
        assert job.stretch >= right.stretch * (1 - 1e-8)
    assert "at most" in str(found)


def test_a_cut_off_job_takes_nothing_of_an_interval(racks, monkeypatch):
    f = fabric.fail(racks, "leaf0")
    monkeypatch.setattr(share_module, "pose_together", lambda questions: too_large())
    lost, other = share(f, ["a=rack0", "b=rack1-3"]).jobs
    assert (lost.status, lost.rate_gbps) == ("cut off", 0)
    assert other.rate_gbps == pytest.approx(other.alone_gbps)


def test_disjoint_jobs_on_rails_of_a_1_to_1_fabric_do_not_slow_each_other():
    rails = fabric.loads(RAILS)
    answer = share(rails, ["a=node0-1", "b=node2-3", "c=node0-1:all-to-all:over=slot"])
    apart = share(rails, ["a=node0-1", "b=node2-3"])
    for job in apart.jobs:
        assert job.rate_gbps == pytest.approx(job.alone_gbps, rel=1e-9)
        assert [one.job for one in job.neighbours] == [job.name]
    # What shares the NVLinks of its nodes does slow it.
    assert answer.jobs[2].rate_gbps < answer.jobs[2].alone_gbps


@pytest.mark.parametrize("k", [2, 3, 8])
def test_two_halves_behind_a_leaf_get_at_least_half_each(k):
    text = f"{{fabric: h, axes: {{r: 3, i: {2 * k}}}, devices: {{gpu: {{kind: gpu, axes: [r, i]}}, "
    text += "leaf: {kind: switch, axes: [r]}, top: {kind: switch, axes: []}}, "
    text += "links: [{between: [gpu, leaf], rate: 100Gb/s}, "
    f = fabric.loads(text + "{between: [leaf, top], rate: 200Gb/s}]}")
    answer = share(f, [f"a=i0-{k - 1}", f"b=i{k}-{2 * k - 1}"])
    for job in answer.jobs:
        assert job.rate_gbps >= 0.5 * job.alone_gbps * (1 - 1e-9)
    assert rates(answer)[0] == pytest.approx(rates(answer)[1], rel=1e-8)
    assert {price.link for price in answer.jobs[0].binding} == {"leaf-top"}


def some_jobs(rng):
    """Return texts of random jobs on the racks."""
    for name in "abcd"[: rng.randint(2, 4)]:
        lo, low = rng.randrange(3), rng.randrange(3)
        where = f"rack{lo}-{rng.randrange(lo + 1, 4)}/slot{low}-{rng.randrange(low + 1, 4)}"
        yield f"{name}={where}:{rng.choice(['all-to-all', 'all-to-all:over=rack', 'shift:over=slot'])}"


@pytest.mark.seeds(2, of=60)
def test_laws_of_adding_a_job(racks, seed):
    *few, last = some_jobs(random.Random(f"add {seed}"))
    before, after = share(racks, few), share(racks, [*few, last])
    assert before.status == after.status == "optimal"
    for job in after.jobs:
        assert job.rate_gbps <= job.alone_gbps * (1 + 1e-9)
    # The sorted rates of those that were there are never lexicographically above what they were.
    was, now = sorted(rates(before)), sorted(rates(after)[:-1])
    for a, b in zip(was, now, strict=True):
        if abs(a - b) > 1e-7 * a:
            assert b < a
            break


@pytest.mark.seeds(2, of=40)
def test_shared_by_slowdown_each_of_n_jobs_has_an_nth_at_least(racks, seed):
    jobs = list(some_jobs(random.Random(f"slow {seed}")))
    answer = share(racks, jobs, fair="slowdown")
    assert answer.status == "optimal"
    for job in answer.jobs:
        # Each at an nth of its rate alone fits: the mean of the solutions of each alone.
        assert job.rate_gbps >= job.alone_gbps / len(jobs) * (1 - 1e-9)


LINE = """
fabric: line
axes: {job: 3, side: 2}
devices:
  gpu: {kind: gpu, axes: [job, side]}
  near: {kind: switch, axes: [], transit: all}
  mid: {kind: switch, axes: [], transit: all}
  far: {kind: switch, axes: [], transit: all}
links:
  - {between: [job0-1/side0/gpu, near], rate: 100Gb/s, name: a-and-b}
  - {between: [job0/side1/gpu, mid], rate: 100Gb/s, name: a-ends}
  - {between: [job2/side0/gpu, mid], rate: 100Gb/s, name: c-begins}
  - {between: [job1-2/side1/gpu, far], rate: 100Gb/s, name: b-and-c}
  - {between: [near, mid], rate: 10Gb/s}
  - {between: [mid, far], rate: 2Gb/s}
"""


def test_a_new_job_can_speed_up_one_that_it_does_not_meet():
    # a and b share 10 Gb/s, b and c share 2. c takes half of what b had there, and b leaves that to a.
    line = fabric.loads(LINE)
    assert rates(share(line, ["a=job0", "b=job1"])) == pytest.approx([8.0, 2.0])
    answer = share(line, ["a=job0", "b=job1", "c=job2"])
    assert rates(answer) == pytest.approx([9.0, 1.0, 1.0])
    assert [one.job for one in answer.jobs[0].neighbours] == ["a", "b"]
    assert [one.job for one in answer.jobs[1].neighbours] == ["b", "c"]


def test_jobs_are_marks_and_flows_of_one_are_not_averaged_over_another():
    # A shift keeps rotations; a job on one rack leaves none. Averaged over them it would get 300 alone.
    f = fabric.loads(RACKS)
    answer = share(f, ["a=rack0", "b=*", "c=slot1:shift:over=rack"])
    assert answer.status == "optimal"
    assert answer.jobs[2].alone_gbps == pytest.approx(400.0)
    assert rates(answer) == pytest.approx([400 / 3] * 3)


def test_relabelled_racks_share_alike(racks):
    here, there = (share(racks, [f"a=rack{i}", f"b=rack{i}-{i + 1}", "c=*"]) for i in (0, 2))
    assert rates(here) == pytest.approx(rates(there), rel=1e-9)


def test_order_of_the_jobs_changes_nothing(racks):
    jobs = ["a=rack0-1", "b=rack1-2/slot0-1", "c=*:all-to-all:over=rack"]
    expected = {job.name: job.rate_gbps for job in share(racks, jobs).jobs}
    for order in itertools.permutations(jobs):
        found = {job.name: job.rate_gbps for job in share(racks, list(order)).jobs}
        assert found == pytest.approx(expected, rel=1e-8)


def test_more_bandwidth_never_lowers_the_lowest(racks):
    jobs = ["a=rack0-1", "b=rack1-3/slot0-1", "c=*:all-to-all:over=rack"]
    wider = fabric.loads(RACKS.replace("[leaf, spine], rate: 400", "[leaf, spine], rate: 500"))
    assert min(rates(share(wider, jobs))) >= min(rates(share(racks, jobs))) * (1 - 1e-9)


def test_a_job_that_is_cut_off_gets_nothing_and_the_others_all(racks):
    broken = fabric.fail(racks, "leaf3")
    answer = share(broken, ["a=rack2-3", "b=rack0-1"])
    assert [job.status for job in answer.jobs] == ["cut off", "optimal"]
    assert answer.status == "cut off"
    assert answer.jobs[0].rate_gbps == 0
    assert answer.jobs[1].rate_gbps == pytest.approx(answer.jobs[1].alone_gbps)
    assert "cut off: 4 endpoints" in str(answer)
    left = share(broken, ["a=rack1-3", "b=rack0-1"], drop_unreachable=True)
    assert left.status == "optimal"
    assert left.jobs[0].n_endpoints == 8


def test_a_slow_cable_is_shared_as_it_is(racks):
    slow = fabric.degrade(racks, "leaf1 - spine0 at 1/2")
    answer = share(slow, ["a=rack0-1", "b=rack2-3", "c=rack1-2/slot0"])
    assert answer.status == "optimal"
    assert [job.alone_gbps for job in answer.jobs] == pytest.approx(
        [fabric.throughput(slow, among=job.among).per_endpoint_gbps for job in answer.jobs], rel=1e-9
    )
    # 600 Gb/s into leaf 1: what a's four and c's one GPU there take from other racks.
    assert 4 * 4 / 7 * rates(answer)[0] + rates(answer)[2] <= 600 * (1 + 1e-9)


def test_a_graph_is_answered_on_links(racks):
    graph = fabric.from_networkx(fabric.to_networkx(racks))
    assert share(graph, ["a=*"]).jobs[0].rate_gbps == pytest.approx(250.0)


def test_a_proof_that_is_broken_is_not_called_optimal(racks, monkeypatch):
    fill = fair.FairProgram.fill

    def doubled(self, takes_part=None):
        found = fill(self, takes_part)
        for answer in found.answers:
            for flow in answer.flow:
                flow *= 2.0
        return found

    monkeypatch.setattr(fair.FairProgram, "fill", doubled)
    answer = share(racks, ["a=slot0-1", "b=slot2-3"])
    assert answer.status == "bounded"
    assert all(job.certificate.faults for job in answer.jobs)


def test_the_million_is_shared():
    million = fabric.load(ROOT / "topologies" / "million.fabric.yaml")
    answer = share(million, ["a=pod0-31", "b=pod32-62"])
    assert answer.status == "optimal"
    for job in answer.jobs:
        assert job.rate_gbps == pytest.approx(job.alone_gbps, rel=1e-8)
        assert job.certificate.gap <= GAP
        assert job.certificate.scope.startswith("on a sample")


LINK = {
    frozenset([0]): np.array([1.0, 0.0]),
    frozenset([1]): np.array([0.0, 1.0]),
    frozenset([0, 1]): np.array([2.0, 2.0]),
}


def simulated(offset, busy, n=40):
    """Return the mean length of an iteration of two jobs that share one link, moment by moment."""
    compute, phase, left = 1 - busy, [0, 0], [offset, 0.0]
    # Phase 0 computes for `left` seconds more, phase 1 has as much to send; job 1 sends at once.
    left[0] = offset if offset else 0.0
    now, begun = 0.0, [[], []]
    while min(map(len, begun)) < n:
        speed = [1.0 if phase[i] == 0 else 0.5 if phase == [1, 1] else 1.0 for i in (0, 1)]
        step = min(left[i] / speed[i] for i in (0, 1))
        now += step
        for i in (0, 1):
            left[i] -= step * speed[i]
            if left[i] <= 1e-12:
                phase[i] = 1 - phase[i]
                left[i] = busy if phase[i] else compute
                if phase[i]:
                    begun[i].append(now)
    return [float(np.mean(np.diff(times[-10:]))) for times in begun]


@pytest.mark.parametrize("offset", [0.0, 0.1, 0.25, 0.4, 0.5])
def test_two_alike_jobs_take_as_long_as_they_do_moment_by_moment(offset):
    busy = 0.4
    overlap = max(busy - offset, 0.0)
    assert simulated(offset, busy) == pytest.approx([1 + overlap] * 2)
    circle = random_phase(LINK, np.array([busy, busy]))
    # Over all offsets, from 0 to 1: the mean of what the offsets give.
    places = (np.arange(4000) + 0.5) / 4000
    mean = np.mean([1 + max(busy - min(place, 1 - place), 0.0) for place in places])
    assert circle == pytest.approx([mean] * 2, rel=1e-6)


def test_offsets_keep_apart_what_fits_beside_each_other():
    offset, stretch = best_offsets(LINK, np.array([0.5, 0.3]), [1.0, 1.0])
    assert stretch == pytest.approx([1.0, 1.0])
    assert offset[1] == pytest.approx(0.5) or 0.5 <= offset[1] <= 0.7
    # 0.7 + 0.7 of one circle overlap for 0.4 of it, wherever they begin.
    _, stretch = best_offsets(LINK, np.array([0.7, 0.7]), [1.0, 1.0])
    assert stretch == pytest.approx([1.4, 1.4])


def test_periods_that_meet_are_put_on_one_circle():
    # 0.2 of each 1 s, and 0.25 of each 2 s: twice a period there is room for 0.5 s.
    _, stretch = best_offsets(LINK, np.array([0.2, 0.25]), [1.0, 2.0])
    assert stretch == pytest.approx([1.0, 1.0])
    assert best_offsets(LINK, np.array([0.2, 0.25]), [1.0, 1.0 + 1e-9]) is None


@pytest.mark.seeds(2, of=60)
def test_no_offset_of_a_fine_grid_is_better(seed):
    rng = np.random.default_rng(seed)
    busy, every = rng.uniform(0.1, 0.9, 2), [1.0, float(rng.choice([0.5, 1.0, 1.5, 2.0]))]
    slow = {**LINK, frozenset([0, 1]): rng.uniform(1, 4, 2)}
    _, best = best_offsets(slow, busy, every)
    t = (np.arange(6000) + 0.5) / 1000
    first = np.mod(t, every[0]) < busy[0] * every[0]
    for place in np.arange(0, every[1], 0.01):
        second = np.mod(t - place, every[1]) < busy[1] * every[1]
        both = (first & second).mean()
        mean = 1 + both * (slow[frozenset([0, 1])].mean() - 1)
        assert best.mean() <= mean + 5e-3


def test_what_is_always_on_has_no_period_of_its_own(racks):
    answer = share(racks, ["a=slot0-1:busy=0.4:every=1.53s", "b=*", "c=slot0-1:busy=0.4:every=1.53s"])
    assert [job.best_stretch is not None for job in answer.jobs] == [True] * 3
    assert answer.jobs[0].best_stretch <= answer.jobs[0].stretch + 1e-12


def gapped_pods(n_pods):
    """Return pods of 2 x 2 GPUs, of the last one only a quarter, as designs leave places over."""
    text = f"{{fabric: pods, axes: {{pod: {n_pods}, leaf: 2, slot: 2, spine: 2, core: 2}}, "
    text += "devices: {gpu: {kind: gpu, axes: [pod, leaf, slot]}, leaf: {kind: switch, axes: [pod, leaf]}, "
    text += "spine: {kind: switch, axes: [pod, spine]}, core: {kind: switch, axes: [spine, core]}}, links: ["
    text += "{between: [gpu, leaf], rate: 4Gb/s}, {between: [leaf, spine], rate: 2Gb/s}, "
    text += "{between: [spine, core], rate: 1Gb/s}], "
    return fabric.loads(text + f"absent: [pod{n_pods - 1}/leaf1/*, pod{n_pods - 1}/leaf0/slot1/gpu]}}")


def test_a_shift_round_pods_of_which_one_is_not_full():
    # Every pod is told apart, since only rotations keep a shift: each source must cost its own way only.
    small, more, large = (share(gapped_pods(n), ["a=*:shift:over=pod"]) for n in (6, 12, 18))
    assert {answer.method for answer in (small, more, large)} == {"axes"}
    assert large.n_variables - more.n_variables == more.n_variables - small.n_variables
    # 4 GPUs send out of each pod by 4 cables of 1 Gb/s to the cores.
    assert large.jobs[0].rate_gbps == pytest.approx(1.0)
    links = fabric.throughput(gapped_pods(6), fabric.Traffic("shift", ("pod",)), method="links")
    assert small.jobs[0].rate_gbps == pytest.approx(links.per_endpoint_gbps)


@pytest.mark.parametrize(
    ("jobs", "match"),
    [
        ([], "jobs: 0; expected from 1"),
        (["a=rack0", "a=rack1"], "'a' is there twice"),
        (["a b=rack0"], "cannot read 'a b=rack0'"),
        (["a=rack0:ring"], "did you mean|expected all-to-all"),
        (["a=rack0:bussy=0.5"], "did you mean busy"),
        (["a=rack0:busy=0"], "above 0 up to 1"),
        (["a=rack0:busy=0.5:every=0s"], "takes some time"),
        (["a=rack9"], "beyond the last index"),
        (["a=rack0:shift:over=slot:by=4"], "leads every endpoint to itself"),
        ([f"j{i}=rack0:busy=0.5" for i in range(7)], "at most 6 that communicate part of the time"),
    ],
)
def test_what_is_no_job_is_refused(racks, jobs, match):
    with pytest.raises(FabricError, match=match):
        share(racks, jobs)


def test_the_command_says_who_holds_whom_back(tmp_path, monkeypatch, capsys):
    file = tmp_path / "racks.fabric.yaml"
    file.write_text(RACKS)
    words = ["fabtopo", "share", str(file), "gpt=slot0-1:busy=0.4", "bert=slot2-3:busy=0.5"]
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", [*words, *more])
        with pytest.raises(SystemExit, match="0"):
            command_line.main()
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= 80 or more
        told = " ".join(out.split())
        if not more:
            assert "held back by leaf-spine, which carries gpt 50 %, bert 50 %" in told
            assert "an iteration takes 1.143 x as long at random phase, 1 x with offset 400 ms" in told
    answer = json.loads(out)
    assert answer["status"] == "optimal"
    assert [job["rate_gbps"] for job in answer["jobs"]] == pytest.approx([700 / 3] * 2)
