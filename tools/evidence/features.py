"""What a calibration's values multiply, for every measured run: hops and loads, worked out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.costing import calibration
from fabric.costing.channels import channel_limit_gb_s
from fabric.costing.overheads import TRANSFERS, Keys
from fabric.evidence import Point, fabric_text
from fabric.graph import Fabric, loads
from fabric.job import Job, job
from fabric.job.question import JobQuestion
from fabric.schedule import schedules
from fabric.schedule.algorithms import busbw_factor
from fabric.schedule.tree import Transfer, phases
from fabric.units import seconds_to_send


@dataclass(frozen=True, eq=False)
class Way:
    """One algorithm of one run.

    Parameters
    ----------
    algorithm : str
    transfer : str
        Which says how it starts.
    parts : tuple of (str, ndarray of float64, ndarray of float64)
        By kind of transfer, links of every rule passed one after the other, and the time at wire rates of a
        buffer of one byte on every link [s].
    rule : ndarray of int64, shape (links,)
    channels_gb_s : float
        Algbw that the channels of NCCL allow; 0 where they are no limit [GB/s].
    """

    algorithm: str
    transfer: Transfer
    parts: tuple[tuple[Transfer, Floats, Floats], ...]
    rule: Ints
    channels_gb_s: float


@dataclass(frozen=True, eq=False)
class Run:
    """The ways of one run.

    Parameters
    ----------
    keys : tuple of tuple of str
        Of every rule.
    sizes : tuple of int
        Ranks in each domain.
    factor : float
        Busbw over algbw.
    ways : tuple of Way
    """

    keys: Keys
    sizes: tuple[int, ...]
    factor: float
    ways: tuple[Way, ...]

    @property
    def n(self) -> int:
        """Ranks."""
        return sum(self.sizes)


@cache
def fabric_of(text: str) -> Fabric:
    """Return a fabric, read once."""
    return loads(text)


_RUNS: dict[tuple[object, ...], Run] = {}


def setting_of(point: Point) -> tuple[object, ...]:
    """Return what a run is the same on, at any size."""
    reduces = point.is_added_in_switches
    return (point.fabric, point.nic_gbps, point.among, point.domains, point.collective, reduces)


def run_of(point: Point) -> Run:
    """Return what the values of a calibration multiply, for the run of a point at any size."""
    setting = setting_of(point)
    if setting not in _RUNS:
        _RUNS[setting] = _run_of(point)
    return _RUNS[setting]


def job_of(point: Point) -> tuple[Fabric, JobQuestion, Job]:
    """Return the job of a point, with its fabric and the question as it was asked."""
    fabric = fabric_of(fabric_text(point))
    question = JobQuestion(
        among=point.among or None, reduces=("scale-up",) if point.is_added_in_switches else ()
    )
    return fabric, question, job(fabric, question)


def _run_of(point: Point) -> Run:
    fabric, question, work = job_of(point)
    ways = []
    for name, schedule in schedules(point.collective, work.shape, 1.0).items():
        if name not in calibration("measured").algorithms:
            continue
        n_rules, n_links = len(work.links.rules), len(work.links.rule)
        hops, busy = np.zeros((3, n_rules)), np.zeros((3, n_links))
        for phase in phases(schedule):
            kind = TRANSFERS.index(phase.transfer)
            loaded = work.loads(phase.pattern)
            if phase.is_at_once:
                hops[kind] += [work.farthest_s(phase.pattern, one) for one in np.eye(n_rules)]
            else:
                hops[kind] += phase.steps * loaded.hops
            with np.errstate(divide="ignore", invalid="ignore"):
                busy[kind] += np.nan_to_num(
                    loaded.on_link * seconds_to_send(phase.bytes_per_endpoint, 1.0) / work.links.capacity_gbps
                )
        kinds = {p.transfer for p in phases(schedule)}
        transfer = next(k for k in ("in-switch", "all-to-all", "copy") if k in kinds)
        used = busy.any(axis=0)
        limit = channel_limit_gb_s(fabric, question, work.shape, point.collective, name)
        parts = tuple((k, hops[i], busy[i, used]) for i, k in enumerate(TRANSFERS) if k in kinds)
        ways.append(Way(name, transfer, parts, work.links.rule[used], limit or 0.0))
    return Run(work.links.keys, work.shape.sizes, busbw_factor(point.collective, work.shape.n), tuple(ways))


def by_run(points: Sequence[Point]) -> dict[tuple[object, ...], list[int]]:
    """Return the places of the points of every run, by what it ran on."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, p in enumerate(points):
        groups.setdefault((*setting_of(p), p.is_in_place, p.forced), []).append(i)
    return groups
