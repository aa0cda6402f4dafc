"""Serving by two pools: how long the cache of a request is on its way, and how many requests links carry.

::

    prefill  g0 g1 g2 g3      a request's keys and values lie on tp GPUs; each sends its part at once
              |  |  |  |
    decode   g0 g1 g2 g3      same domain, same rail, across rails, or through the host
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fabric.arguments import checked
from fabric.arrays import Ints
from fabric.blueprint.selector import selected_groups
from fabric.blueprint.site_selectors import read_selector
from fabric.costing.calibration import Calibration
from fabric.costing.moe import moe_cost
from fabric.costing.transfers import transfer
from fabric.errors import LimitError, NoPathError
from fabric.flow import max_flow
from fabric.flow.certificate import Verdict
from fabric.flow.commodities import Commodities
from fabric.flow.concurrent import check_concurrent
from fabric.flow.pools import pools_program
from fabric.flow.prices import rank_links
from fabric.flow.program import ClassProgram
from fabric.flow.question import Question, pose
from fabric.graph import EXPAND_LIMIT, Expanded, Fabric, Paths, expand, select, unnamed
from fabric.schedule.algorithms import Moe
from fabric.symmetry import NoSymmetryError, devices_up
from fabric.units import gbytes_per_second, gbytes_to_gbps, seconds_to_send
from fabric.workload.nodes import domain_axes, node_axes
from fabric.workload.on_fabric import selected_endpoints
from fabric.workload.serving import CacheLoad, CacheTransfer, ExpertStep, Serving, ServingFigure
from fabric.workload.serving_job import Pool, ServingJob
from fabric.workload.workload import VALUE_BYTES
from fabric.workload.written import JobFaults

SCALES = {"fp8": 1 + 4 / 128}
"""Bytes of a value on its way to experts, with a float for every 128 (DeepEP)."""
_LOOKED_AT = 4_096
"""Instances of decode that are looked at for each way."""
_SHOWN = 1e-6
_NAMES = ("same domain", "same rail", "across rails")
Pair = tuple[int, int]
"""Source and target of a stream."""
_MANY_PAIRS = 20_000


@checked
def serve(
    job: ServingJob,
    fabric: Fabric,
    *,
    paths: Paths = "rules",
    calibration: str | Path | Calibration = "measured",
    limit: int = EXPAND_LIMIT,
) -> Serving:
    """Return what serving a model by two pools asks of a fabric.

    Parameters
    ----------
    job : ServingJob
        Of `fabric.load_serving`, or made by hand.
    fabric : Fabric
    paths : {"rules", "no-relay", "any"}
    calibration : str, Path or Calibration
        Of the step of experts, as in `moe_cost`.
    limit : int
        Of the expanded form, for the transfers of one request.

    Returns
    -------
    Serving

    Raises
    ------
    TopologyError
        Where its file says what does not fit the fabric.
    QuestionError
        If the job does not fit the fabric.
    LimitError
        If the fabric is too large for real links where these are needed.
    """
    fabric.axes_or_refuse("a serving job")
    n_prefill, n_decode = _pool_sizes(fabric, job)
    work, why = _pools(fabric, job, paths, limit)
    kv_bytes = job.model.kv_bytes_per_token(VALUE_BYTES[job.kv]) * job.prompt
    prefill_s, peak = _prefill_s(job, fabric)
    notes: list[str] = []
    transfers: tuple[CacheTransfer, ...] = ()
    try:
        e = expand(fabric, limit=limit)
    except LimitError as error:
        notes.append(f"transfers of one request: {error}")
    else:
        found = _transfers(fabric, job, e, notes, kv_bytes=kv_bytes, prefill_s=prefill_s, paths=paths)
        transfers = tuple(found)
    rate_gbps, loads, proof = _filled(work)
    most = job.efficiency.value / seconds_to_send(kv_bytes, rate_gbps) if rate_gbps > 0 else 0.0
    if work.cut_off:
        notes.append("GPUs of a pool are cut off from most of the other: not every request can go")
    return Serving(
        job=job.name,
        fabric=fabric.name,
        model=job.model.name,
        n_prefill=n_prefill,
        n_decode=n_decode,
        prompt=job.prompt,
        kv_bytes_per_token=kv_bytes / job.prompt,
        kv_bytes=kv_bytes,
        transfers=transfers,
        requests_per_s=job.requests_per_s,
        most_requests_per_s=most,
        loads=tuple(one._replace(load=one.load * job.requests_per_s / most) for one in loads if most),
        status=proof.status,
        certificate=proof,
        prefill_s=prefill_s,
        experts=_experts(job, fabric, n_decode, calibration),
        assumed=tuple(_assumed(job, peak)),
        notes=(*notes, *([f"loads of links: {why}"] if why else [])),
    )


def _pool_sizes(fabric: Fabric, job: ServingJob) -> tuple[int, int]:
    """Return the endpoints of both pools that are up.

    Raises
    ------
    TopologyError, QuestionError
        If a pool is none, or fewer than one instance.
    """
    blueprint = fabric.axes_or_refuse("a serving job")
    faults, sizes = JobFaults(job), {"prefill": 0, "decode": 0}
    for name, pool in (("prefill", job.prefill), ("decode", job.decode)):
        with faults.at(name, "among"):
            chosen, groups = selected_endpoints(blueprint, pool.among)
            sizes[name] = n = sum(devices_up(blueprint, group, chosen) for group in groups)
            if n < pool.tp:
                ranks = f"{pool.among!r} is {n:,} endpoints that are up; an instance has tp = {pool.tp}"
                faults.say((name, "tp"), ranks, "choose fewer, or more endpoints by among")
    faults.check()
    return sizes["prefill"], sizes["decode"]


def _pools(fabric: Fabric, job: ServingJob, paths: Paths, limit: int) -> tuple[Commodities, str]:
    """Return the traffic from pool to pool as commodities, and why on real links if it is."""
    blueprint = fabric.axes_or_refuse("a serving job")
    try:
        return pools_program(blueprint, job.prefill.among, job.decode.among, paths=paths), ""
    except NoSymmetryError as error:
        why = str(error)
    e = expand(fabric, limit=limit)
    sources, targets = (_members(fabric, e, pool, limit) for pool in (job.prefill, job.decode))
    if len(sources) * len(targets) > _MANY_PAIRS:
        msg = f"{why}, and {len(sources) * len(targets):,} pairs of the pools are too many for real links"
        raise LimitError(msg)
    names = [str(name) for name in e.names]
    matrix = {(names[s], names[t]): 1 / len(targets) for s in sources.tolist() for t in targets.tolist()}
    return pose(Question(unnamed(fabric), matrix, None, (), paths, "links", limit=limit))[0], why


def _filled(work: Commodities) -> tuple[float, list[CacheLoad], Verdict]:
    """Return what all senders together can send [Gb/s], the load of every rule then, and the proof."""
    if work.cut_off:
        return 0.0, [], Verdict(0.0, 0.0)
    program = ClassProgram(work.commodities, work.capacity)
    answer = program.solve()
    proof = check_concurrent(work, answer)
    use = program.least_use(answer.rate_gbps)
    binding, slack = rank_links(work, work.capacity * answer.price, use, None)
    n = sum(commodity.n_alike for commodity in work.commodities)
    loads = [
        CacheLoad(p.link, p.n_cables, p.load, p in binding) for p in (*binding, *slack) if p.load > _SHOWN
    ]
    return proof.lower_gbps * n, loads, proof


def _members(fabric: Fabric, e: Expanded, pool: Pool, limit: int) -> Ints:
    """Return the devices of a pool."""
    return np.flatnonzero(select(fabric, pool.among, limit=limit) & e.is_endpoint & ~e.failed)


def _prefill_s(job: ServingJob, fabric: Fabric) -> tuple[float | None, float]:
    """Return how long the compute of a prompt is on one instance [s], and the peak of a GPU [TFLOPS].

    A forward pass is a third of the FLOPs of training (`Model.flops_per_token`).
    """
    blueprint = fabric.axes_or_refuse("a serving job")
    chosen = read_selector(blueprint, job.prefill.among, needs_group=False)
    group = next(g for g in selected_groups(blueprint, chosen) if blueprint.groups[g].is_endpoint)
    part = blueprint.groups[group].part
    peak = job.peak.value or (part.figures.get(f"{job.compute}_dense_tflops") if part else None) or 0.0
    if not peak:
        return None, 0.0
    flops = job.model.flops_per_token(job.prompt) / 3 * job.prompt
    return flops / (job.prefill.tp * peak * 1e12 * job.achieved.value), peak


def _transfers(
    fabric: Fabric,
    job: ServingJob,
    e: Expanded,
    notes: list[str],
    *,
    kv_bytes: float,
    prefill_s: float | None,
    paths: Paths,
) -> Iterator[CacheTransfer]:
    """Yield what the cache of one request takes, for every way that there is; note which has no path."""
    n = max(job.prefill.tp, job.decode.tp)
    size = math.ceil(kv_bytes / n)

    def told(
        way: str, pairs: Sequence[Pair], rate_gbps: float, sent_s: float, flight_s: float, binding: str
    ) -> CacheTransfer:
        total_s = job.setup.value + sent_s / job.efficiency.value + flight_s
        part = None if prefill_s is None else total_s / (total_s + prefill_s)
        example = f"{e.names[pairs[0][0]]} to {e.names[pairs[0][1]]}"
        return CacheTransfer(way, example, n, rate_gbps, total_s, binding, part)

    out: tuple[Sequence[Pair], float, float] = ((), 0.0, 0.0)
    for way, pairs in _ways(fabric, job, e).items():
        ends = [(str(e.names[s]), str(e.names[t])) for s, t in pairs]
        try:
            moved = transfer(fabric, ends, size, paths=paths)
        except NoPathError as error:
            notes.append(f"{way}: {error}")
            continue
        slowest = max(moved.rows, key=lambda row: row.time_s)
        sent_s = slowest.time_s - slowest.flight_s
        yield told(way, pairs, moved.total_gbps, sent_s, slowest.flight_s, slowest.binding)
        if way != "same domain" and not out[0]:
            out = pairs, sent_s, slowest.flight_s
    streams, sent_s, flight_s = out
    if streams and (host_s := _host_s(fabric, e, streams, size)):
        # In pieces one behind the other: the slower of the two ways tells.
        longest = max(sent_s, host_s)
        bound = "the way to the host" if host_s > sent_s else "the network"
        rate_gbps = gbytes_to_gbps(gbytes_per_second(n * size, longest))
        yield told("through the host", streams, rate_gbps, longest, flight_s, bound)


def _ways(fabric: Fabric, job: ServingJob, e: Expanded) -> dict[str, list[Pair]]:
    """Return the streams of one request by way, from the first instance of prefill to one of decode."""
    blueprint = fabric.axes_or_refuse("a serving job")
    sources, targets = (_members(fabric, e, pool, EXPAND_LIMIT) for pool in (job.prefill, job.decode))
    domain, rail = np.zeros((2, e.n_devices), dtype=np.int64)
    for number, group in enumerate(e.groups):
        own = e.group == number
        if group.is_endpoint and own.any():
            node = node_axes(blueprint, group.name)
            inside = domain_axes(blueprint, group.name, node)
            for axis in blueprint.groups[group.name].primitives:
                index, n = e.coordinates[axis][own], blueprint.axes[axis].size
                domain[own] = domain[own] * n + index if axis in inside else domain[own]
                # Cards of one number in their nodes are on one rail.
                rail[own] = rail[own] * n + index if axis not in node else rail[own]
    from_tp, to_tp = job.prefill.tp, job.decode.tp
    n = max(from_tp, to_tp)
    found: dict[str, list[Pair]] = {}
    for first in range(0, min(len(targets) // to_tp, _LOOKED_AT) * to_tp, to_tp):
        instance = targets[first : first + to_tp]
        for turn in range(min(to_tp, 2)):
            turned = np.roll(instance, -turn)
            ends = np.array([(sources[k * from_tp // n], turned[k * to_tp // n]) for k in range(n)])
            is_near = domain[ends[:, 0]] == domain[ends[:, 1]]
            is_railed = rail[ends[:, 0]] == rail[ends[:, 1]]
            if is_near.all():
                way = "same domain"
            elif is_near.any() or (is_railed.any() and not is_railed.all()):
                continue
            else:
                way = "same rail" if is_railed.all() else "across rails"
            found.setdefault(way, [(int(s), int(t)) for s, t in ends])
        if len(found) == len(_NAMES):
            break
    return {way: found[way] for way in _NAMES if way in found}


def _host_s(fabric: Fabric, e: Expanded, pairs: Sequence[Pair], size: int) -> float:
    """Return how long the streams take from their GPUs to hosts beside them [s]; 0 if they reach none."""
    blueprint = fabric.axes_or_refuse("a serving job")
    worst = 0.0
    for side in (0, 1):
        ends = sorted({pair[side] for pair in pairs})
        group = e.groups[int(e.group[ends[0]])].name
        node = node_axes(blueprint, group)
        at = {axis: e.coordinates[axis][ends[0]] for axis in node}
        near = (
            np.array([g.kind == "host" and not g.is_endpoint for g in e.groups], dtype=np.bool_)[e.group]
            & ~e.failed
        )
        together = [end for end in ends if all(e.coordinates[axis][end] == i for axis, i in at.items())]
        for axis, index in at.items():
            near &= e.coordinates[axis] == index
        hosts = [str(e.names[i]) for i in np.flatnonzero(near).tolist()]
        if not hosts:
            return 0.0
        # By their own ways: what goes through a neighbour takes from that one.
        names = tuple(str(e.names[i]) for i in together)
        value = max_flow(fabric, names, tuple(hosts), paths="no-relay").value_gbps
        streams = sum(pair[side] in together for pair in pairs)
        if not value:
            return 0.0
        worst = max(worst, seconds_to_send(streams * size, value))
    return worst


def _experts(
    job: ServingJob, fabric: Fabric, n_ranks: int, calibration: str | Path | Calibration
) -> ExpertStep | None:
    """Return the all-to-all of a step of decode, every token to each of its experts by itself.

    Experts are dealt evenly, some twice where they are no multiple of the ranks. Shared experts are sent to
    where ranks are more than experts, as DeepSeek-V3 places them (arXiv 2412.19437, section 3.4.2); else each
    rank has its own copy.
    """
    model = job.model
    if not model.experts or n_ranks < 2:
        return None
    top_k = model.top_k + (model.shared_experts if n_ranks > model.experts else 0)
    ways = []
    for way, number in (("dispatch", job.dispatch), ("combine", job.combine)):
        moe = Moe(
            tokens=job.decode_tokens,
            hidden=model.hidden,
            top_k=top_k,
            n_experts=n_ranks * math.ceil(model.experts / n_ranks),
            bytes_per_value=SCALES.get(number, VALUE_BYTES[number]),
        )
        ways.append(
            moe_cost(fabric, way, moe, algorithm="pairwise", calibration=calibration, among=job.decode.among)
        )
    there, back = ways
    return ExpertStep(
        n_ranks=n_ranks,
        tokens=job.decode_tokens,
        top_k=top_k,
        dispatch_s=there.time_s,
        combine_s=back.time_s,
        layers=model.moe_layers,
        time_s=model.moe_layers * (there.time_s + back.time_s),
        binding=max(ways, key=lambda answer: answer.time_s).binding,
    )


def _assumed(job: ServingJob, peak: float) -> Iterator[ServingFigure]:
    yield ServingFigure("part of the wire rate of a transfer", job.efficiency.value, job.efficiency.source)
    yield ServingFigure("seconds of a transfer beside its bytes", job.setup.value, job.setup.source)
    if peak:
        yield ServingFigure("part of the peak FLOPs in prefill", job.achieved.value, job.achieved.source)
        source = job.peak.source if job.peak.value else f"catalogue of parts, {job.compute}"
        yield ServingFigure("peak TFLOPS of a GPU", peak, source)
