"""Max-min fair rates against their definition: explicit programs of every source, link by link."""

import random

import numpy as np
import pytest
from scipy import optimize, sparse

from fabric.errors import FabricError
from fabric.flow import fair, fair_trees
from fabric.flow.by_links import pattern_demand
from fabric.flow.throughput import throughput
from fabric.flow.traffic import FittedTraffic, Traffic
from fabric.graph import expand, forwarding, loads, select
from fabric.workload.share import share
from fabric.workload.sharing import TrafficJob

_TOLERANCES = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}


class Explicit:
    """All jobs, with every source and every link by itself; the last variables are the rates of the jobs."""

    def __init__(self, fabric, jobs, paths):
        e = expand(fabric)
        equal, shared, owed = [], [], []
        capacity = np.repeat(e.alive * e.rate_gbps, 2)
        for j, job in enumerate(jobs):
            ends = e.is_endpoint & ~e.failed
            if job.among:
                ends &= select(fabric, job.among)
            fitted = FittedTraffic(fabric.blueprint, job.traffic, job.among or None)
            demand = pattern_demand(e, ends, fitted, pattern=job.traffic.pattern)
            for source in np.unique(demand.source).tolist():
                of = demand.source == source
                wanted = np.bincount(demand.target[of], demand.amount[of], minlength=e.n_devices)
                moves = forwarding(e, np.arange(e.n_devices) == source, wanted > 0, paths=paths)
                k, n = len(moves.tail), moves.n_states
                ones, arcs = np.ones(k), np.arange(k)
                net = sparse.coo_matrix((ones, (moves.tail, arcs)), shape=(n, k))
                equal.append(net - sparse.coo_matrix((ones, (moves.head, arcs)), shape=(n, k)))
                supply = np.zeros((n, len(jobs)))
                supply[moves.target[wanted > 0], j] = -wanted[wanted > 0]
                supply[moves.source[source], j] = wanted.sum()
                owed.append(supply)
                on = np.flatnonzero(moves.link >= 0)
                at = (moves.link[on], on)
                shared.append(sparse.coo_matrix((np.ones(len(on)), at), shape=(len(capacity), k)))
        flows = sparse.block_diag(equal)
        self.n_jobs, self.n_flows = len(jobs), flows.shape[1]
        self.balance = sparse.hstack([flows, -sparse.csr_matrix(np.concatenate(owed))]).tocsr()
        self.load = sparse.hstack([*shared, sparse.csr_matrix((len(capacity), len(jobs)))]).tocsr()
        self.capacity = capacity

    def most(self, worth, least):
        """Return the largest worth of the rates that are each at least as asked."""
        cost = np.append(np.zeros(self.n_flows), -np.asarray(worth, dtype=float))
        bounds = [(0, None)] * self.n_flows + [(low, None) for low in least]
        found = optimize.linprog(
            cost,
            A_ub=self.load,
            b_ub=self.capacity,
            A_eq=self.balance,
            b_eq=np.zeros(self.balance.shape[0]),
            bounds=bounds,
            method="highs",
            options=_TOLERANCES,
        )
        assert found.status == 0, found.message
        return -found.fun, found.x[self.n_flows :]

    def level(self, rising, held):
        """Return the largest t that all that rise reach, by one more variable."""
        n = self.n_flows + self.n_jobs
        floors = sparse.lil_matrix((int(rising.sum()), n + 1))
        for row, j in enumerate(np.flatnonzero(rising).tolist()):
            floors[row, self.n_flows + j], floors[row, n] = -1.0, 1.0
        load = sparse.hstack([self.load, sparse.csr_matrix((self.load.shape[0], 1))])
        balance = sparse.hstack([self.balance, sparse.csr_matrix((self.balance.shape[0], 1))])
        least = np.where(rising, 0.0, held * (1 - 1e-9))
        found = optimize.linprog(
            np.append(np.zeros(n), -1.0),
            A_ub=sparse.vstack([load, floors]),
            b_ub=np.append(self.capacity, np.zeros(floors.shape[0])),
            A_eq=balance,
            b_eq=np.zeros(balance.shape[0]),
            bounds=[(0, None)] * self.n_flows + [(low, None) for low in least] + [(0, None)],
            method="highs",
            options=_TOLERANCES,
        )
        assert found.status == 0, found.message
        return float(found.x[-1])

    def fair(self):
        """Return max-min fair rates: at each level, each job that no solution lets rise is held."""
        rising, held = np.ones(self.n_jobs, dtype=bool), np.zeros(self.n_jobs)
        while rising.any():
            t = self.level(rising, held)
            least = np.where(rising, t, held) * (1 - 1e-8)
            stuck = [
                j
                for j in np.flatnonzero(rising)
                if self.most(np.eye(self.n_jobs)[j], least)[0] <= t * (1 + 1e-5)
            ]
            assert stuck
            held[stuck], rising[stuck] = t, False
        return held


def random_jobs(rng, fabric):
    """Return some jobs on parts of the endpoints of one group."""
    groups = [g for g in fabric.blueprint.groups.values() if g.is_endpoint]
    jobs = []
    for number in range(rng.randint(2, 4)):
        group = rng.choice(groups)
        words = []
        for axis in group.primitives:
            size = fabric.blueprint.axes[axis].size
            # At least two, so that most jobs have somebody to send to.
            if size > 2 and rng.random() < 0.5:
                lo = rng.randrange(size - 1)
                words.append(f"{axis}{lo}-{rng.randrange(lo + 1, size)}")
        traffic, wide = Traffic(), [a for a in group.primitives if fabric.blueprint.axes[a].size > 1]
        if wide and rng.random() < 0.6:
            axis = rng.choice(wide)
            traffic = rng.choice(
                [
                    Traffic("all-to-all", (axis,)),
                    Traffic("shift", (axis,), by=rng.randrange(1, fabric.blueprint.axes[axis].size)),
                    Traffic("halves", (axis,)),
                ]
            )
        jobs.append(TrafficJob(f"j{number}", "/".join([*words, group.name]), traffic))
    return jobs


def some_case(constructs, seed):
    """Return a random fabric with jobs that all have traffic, and the answer; None where they do not fit."""
    rng = random.Random(f"fair {seed}")
    families = list(constructs.CONSTRUCTS)
    draft, failed, paths = constructs.random_draft(families[seed % len(families)], seed)
    fabric = constructs.load(draft, failed)
    jobs = random_jobs(rng, fabric)
    try:
        answer = share(fabric, jobs, paths=paths)
    except FabricError as error:
        return fabric, jobs, paths, str(error)
    return fabric, jobs, paths, answer


@pytest.mark.some(1)
@pytest.mark.seeds(7, of=400)
def test_rates_are_max_min_by_explicit_programs(constructs, seed):
    fabric, jobs, paths, answer = some_case(constructs, seed)
    if isinstance(answer, str):
        assert any(word in answer for word in ("endpoint", "itself", "placed on", "no device"))
        return
    if answer.status == "cut off":
        assert all((job.rate_gbps == 0) == bool(job.cut_off) for job in answer.jobs)
        return
    assert answer.status == "optimal", [job.certificate for job in answer.jobs]
    explicit = Explicit(fabric, jobs, paths).fair()
    assert [job.rate_gbps for job in answer.jobs] == pytest.approx(explicit.tolist(), rel=2e-6)
    for job, row in zip(jobs, answer.jobs, strict=True):
        alone = throughput(fabric, job.traffic, among=job.among, paths=paths)
        assert row.alone_gbps == pytest.approx(alone.per_endpoint_gbps, rel=1e-8)
        assert row.rate_gbps <= row.alone_gbps * (1 + 1e-8)
        assert sum(one.part for one in row.neighbours) == pytest.approx(1.0)


@pytest.mark.some(1)
@pytest.mark.seeds(7, of=60)
@pytest.mark.parametrize("way", ["rate", "slowdown"])
def test_trees_fill_as_moves_do(constructs, seed, way, monkeypatch):
    # Above 75,000 variables share ended in an error.
    fabric, jobs, paths, moves = some_case(constructs, seed)
    if isinstance(moves, str) or moves.status != "optimal":
        assert isinstance(moves, str) or moves.status == "cut off"
        return
    moves = share(fabric, jobs, paths=paths, fair=way)
    with monkeypatch.context() as patch:
        patch.setattr(fair, "MAX_MOVES", 0)
        trees = share(fabric, jobs, paths=paths, fair=way)
        assert trees.status == "optimal"
        patch.setattr(fair_trees, "MAX_ROUNDS", 1)
        rough = share(fabric, jobs, paths=paths, fair=way)
    for exact, found, between in zip(moves.jobs, trees.jobs, rough.jobs, strict=True):
        assert found.rate_gbps == pytest.approx(exact.rate_gbps, rel=1e-6)
        assert found.alone_gbps == pytest.approx(exact.alone_gbps, rel=1e-8)
        # What has not settled is an interval that holds the rate.
        proof = between.certificate
        assert proof.lower_gbps <= exact.rate_gbps * (1 + 1e-6)
        assert proof.upper_gbps >= exact.rate_gbps * (1 - 1e-6)


def test_halves_among_one_of_two_groups_are_answered():
    # The proof looked for the axis of the halves on endpoints that are not on it: KeyError.
    text = (
        "{fabric: m, axes: {a: 4, b: 2}, devices: {gpu: {kind: gpu, axes: [a]}, xpu: {kind: gpu, axes: [b]}, "
    )
    text += "leaf: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 1Gb/s}, "
    f = loads(text + "{between: [xpu, leaf], rate: 1Gb/s}]}")
    answer = throughput(f, Traffic("halves", ("a",)), among="gpu")
    assert (answer.status, answer.per_endpoint_gbps) == ("optimal", pytest.approx(1.0))
