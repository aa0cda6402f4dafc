"""Training jobs at once: paces against a program, laws of steps beside others, and what cannot be asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from fabric.errors import QuestionError, TopologyError
from fabric.graph import Fabric
from fabric.workload import Assumption, Workload
from fabric.workload.share import share
from fabric.workload.together import is_max_min, paces
from fabric.workload.train import train
from tests.workload.test_train import SMALL, job, pods


@pytest.fixture(scope="module")
def slow() -> Fabric:
    return pods(spine=100)


def once(name: str, *among: str, dp: int = 4) -> Workload:
    """Return a job of replicas alone, which sends once a step; none of it hidden."""
    batch = {"sequences": dp, "length": 4096}
    work = job(parallel={"tp": 8, "dp": dp}, batch=batch, sharding="none")
    return replace(work, name=name, among=among, overlap={**work.overlap, "dp": Assumption(0.0)})


A = once("a", "pod0/rack0/gpu", "pod1/rack0/gpu")
B = once("b", "pod0/rack1/gpu", "pod1/rack1/gpu")
ALONE = replace(
    job(model=SMALL, parallel={"tp": 1, "dp": 1}, batch={"sequences": 1, "length": 4096}), name="alone"
)


@pytest.mark.some(8)
@pytest.mark.parametrize("seed", range(20))
def test_paces_are_lexicographic(seed):
    """Level by level, each the optimum of a linear program with those before held."""
    rng = np.random.default_rng(seed)
    used = rng.uniform(0, 1, (4, 6)) * (rng.random((4, 6)) < 0.6)
    weights = rng.uniform(0.2, 3, 4)
    found = paces(used, weights)
    assert is_max_min(used, weights, found)
    held: dict[int, float] = {}
    while len(held) < len(weights):
        rising = [j for j in range(4) if j not in held]

        def level(
            must: int | None,
            least: float,
            rising: list[int] = rising,
            held: dict[int, float] = held,
        ) -> float:
            # Variables: paces, and the level t that all rising ones reach, or one of them beyond it.
            rows, right = [*np.column_stack([used.T, np.zeros(6)])], [1.0] * 6
            for j in rising:
                row = np.zeros(5)
                row[j] = -weights[j]
                row[4] = 1.0 if must is None else 0.0
                rows.append(row)
                right.append(0.0 if must is None else -least)
            bounds = [(held.get(j, 0.0), held.get(j, 1.0)) for j in range(4)] + [(0, None)]
            aim = np.zeros(5)
            aim[4 if must is None else must] = -1.0
            return -linprog(aim, np.array(rows), right, bounds=bounds).fun

        t = level(None, 0.0)
        stuck = [j for j in rising if level(j, t * (1 - 1e-9)) * weights[j] <= t * (1 + 1e-6)]
        assert stuck
        held |= {j: t / weights[j] for j in stuck}
    np.testing.assert_allclose(found, [held[j] for j in range(4)], rtol=1e-5)


def test_paces_that_are_not_fair_are_told():
    used, weights = np.array([[1.0], [1.0]]), np.ones(2)
    assert is_max_min(used, weights, np.array([0.5, 0.5]))
    assert not is_max_min(used, weights, np.array([0.4, 0.6]))
    assert not is_max_min(used, weights, np.array([0.4, 0.4]))
    assert not is_max_min(used, weights, np.array([0.6, 0.6]))


def test_one_job_has_the_step_of_train(slow):
    (alone,) = share(slow, [A]).jobs
    expected = train(A, slow).step_s
    assert (alone.pace, alone.binding, alone.neighbours) == (1.0, "", ())
    for step_s in (alone.alone_s, alone.together_s, alone.random_s, alone.best_s):
        assert step_s == pytest.approx(expected, rel=1e-6)


def test_two_alike_jobs_of_one_spine_by_hand(slow):
    """Each sends b of its step over the same cores, at half the pace beside the other: 1 + b at worst."""
    answer = share(slow, [A, B])
    assert (answer.status, answer.method) == ("optimal", "axes")
    for one in answer.jobs:
        # All but the part of a ring in nodes is at the pace of the cores.
        assert one.pace == pytest.approx(0.5, rel=0.01)
        assert one.binding == "spine-core"
        assert [n.job for n in one.neighbours] == ["a", "b"]
        assert [n.part for n in one.neighbours] == pytest.approx([0.5, 0.5])
        assert one.busy * one.alone_s == pytest.approx(one.sending_s)
        longer = one.busy * (1 / one.pace - 1)
        assert one.together_s == pytest.approx(one.alone_s * (1 + longer), rel=1e-6)
        # At random phase the other one sends for b of the time; on a circle they meet for 2 b - 1, if at all.
        assert one.random_s == pytest.approx(one.alone_s * (1 + one.busy * longer), rel=1e-6)
        meet = max(2 * one.busy - 1, 0.0) / one.busy
        assert one.best_s == pytest.approx(one.alone_s * (1 + meet * longer), rel=1e-6)


def test_what_is_hidden_stays_hidden(slow):
    """A job whose transfers hide behind its compute is not slowed by half the pace."""
    long = {"sequences": 4 * 64, "length": 4096}
    hidden = replace(A, batch=replace(A.batch, **long), overlap={**A.overlap, "dp": Assumption(1.0)})
    hidden = replace(hidden, batch=replace(hidden.batch, micro=64))
    one, _ = share(slow, [hidden, B]).jobs
    assert one.pace == pytest.approx(0.5, rel=0.01)
    assert one.together_s < one.alone_s * 1.02


def test_jobs_in_pods_of_their_own_do_not_slow_each_other(slow):
    apart = share(slow, [once("a", "pod0/gpu"), once("b", "pod1/gpu")])
    assert [(one.pace, one.binding) for one in apart.jobs] == [(1.0, ""), (1.0, "")]


def test_on_classes_as_on_every_cable(slow):
    """Another route to the loads: both jobs on each cable."""
    from fabric.workload.on_fabric import site
    from fabric.workload.together import _run

    beside = (A.among, B.among)
    for work in (A, B):
        at = site(slow, work, "measured", "ecmp")
        one, two = (_run(replace(at, method=m, beside=beside)) for m in ("axes", "links"))
        assert one.sending_s == pytest.approx(two.sending_s)
        peak = []
        for run in (one, two):
            most = np.zeros(len(run.links.rules))
            np.maximum.at(most, run.links.rule, run.on_link)
            peak.append(most)
        np.testing.assert_allclose(*peak, rtol=1e-6, atol=1e-12)


def test_jobs_that_send_with_every_micro_batch_have_no_offset(slow):
    many = replace(job(model=SMALL, parallel={"tp": 8, "pp": 2, "dp": 2}), name="m", among=A.among)
    one, _ = share(slow, [many, B]).jobs
    assert (one.is_once, one.offset_s, one.best_s) == (False, None, None)
    assert "no offset lasts" in str(share(slow, [many, B]))


@pytest.mark.parametrize(
    ("jobs", "fault"),
    [
        ([A, replace(B, among=("pod0/rack0/gpu", "pod1/rack1/gpu"))], "a and b have endpoints in common"),
        ([A, replace(B, name="a")], "jobs: 'a' is there twice; write NAME=FILE"),
        (
            [replace(ALONE, among=("pod0/rack0/node0/slot0/gpu",)), B],
            "job alone sends nothing, so that it shares nothing",
        ),
        ([A, "b=pod0"], "patterns take the best routes, and job files those of the network"),
    ],
)
def test_what_cannot_be_asked(slow, jobs, fault):
    with pytest.raises(QuestionError, match=fault):
        share(slow, jobs)


def test_files_by_name_and_place(tmp_path, slow):
    text = "{job: f, model: llama3-8b, batch: {sequences: 4, length: 8192}, parallel: {tp: 8, dp: 4}}"
    path = tmp_path / "f.job.yaml"
    path.write_text(text)
    answer = share(
        slow, [f"one=pod0/rack0/gpu,pod1/rack0/gpu:{path}", f"two=pod0/rack1/gpu,pod1/rack1/gpu:{path}"]
    )
    assert [(one.name, one.n_ranks) for one in answer.jobs] == [("one", 32), ("two", 32)]
    common = "f.job.yaml:1:1: among: one and two have endpoints in common; give each endpoints"
    with pytest.raises(TopologyError, match=common):
        share(slow, [f"one={path}", f"two={path}"])
