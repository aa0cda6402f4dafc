"""A step of training: laws on a small fabric, every collective against `cost`, and what cannot be asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fabric.costing import cost, moe_cost
from fabric.errors import NoPathError, QuestionError
from fabric.graph import Fabric, loads
from fabric.reporting.heat import heat_map, heat_title
from fabric.schedule import Moe
from fabric.schedule.algorithms import busbw_factor
from fabric.units import format_gbytes
from fabric.workload import Assumption, parse_job
from fabric.workload.exchanges import exchanges
from fabric.workload.layout import lay_out, read_dimensions
from fabric.workload.on_fabric import site, timed_exchanges
from fabric.workload.step import micro_compute_s, span_time, step_time
from fabric.workload.tiers import turns
from fabric.workload.train import train
from fabric.workload.workload import PARALLEL, Parallel, Workload

JOBS = Path(__file__).parents[2] / "topologies" / "jobs"
TEXT = """
fabric: pods
include: {{fabric: hgx-h100, over: {{pod: 2, rack: 2, node: 2}}}}
axes: {{spine: 2}}
devices:
  leaf: {{part: 64x400G, axes: [pod, rack]}}
  spine: {{part: 64x400G, axes: [pod, spine]}}
  core: {{part: 64x400G, axes: [spine]}}
links:
  - {{between: [nic, leaf], rate: {nic}Gb/s}}
  - {{between: [leaf, spine], rate: {leaf}Gb/s, count: 8}}
  - {{between: [spine, core], rate: {spine}Gb/s, count: 4}}
"""
RATES = {"nic": 400, "leaf": 400, "spine": 400}
SMALL = {
    "layers": 16, "hidden": 4096, "ffn": 8192, "heads": 32, "kv_heads": 8, "head_dim": 128,
    "vocabulary": 32000,
}  # fmt: skip
EXPERTS = SMALL | {"experts": 16, "top_k": 2, "expert_ffn": 4096}


def pods(**rates: float) -> Fabric:
    return loads(TEXT.format(**RATES | rates))


def job(*, model: dict | None = None, order: str = "", **said) -> Workload:
    data = {"job": "small", "model": model or SMALL, "batch": {"sequences": 64, "length": 4096}, **said}
    data |= {"order": order} if order else {}
    return parse_job(__import__("json").dumps(data))


DENSE = job(parallel={"tp": 8, "pp": 2, "dp": 4})
LONG = job(parallel={"tp": 4, "cp": 2, "pp": 2, "vpp": 2, "dp": 4}, sharding="zero-3", recompute="full")
SPARSE = job(model=EXPERTS, parallel={"tp": 2, "ep": 16, "pp": 2, "dp": 16}, order="pp dp tp")
WORKS = {"dense": DENSE, "long": LONG, "sparse": SPARSE, "summed": replace(DENSE, sharding="none")}


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return pods()


@pytest.mark.some(1)
@pytest.mark.parametrize("name", WORKS)
def test_parts_add_up_to_the_step(fabric, name):
    answer = train(WORKS[name], fabric)
    parts = answer.compute_s + answer.bubble_s + answer.exposed_s
    assert parts == pytest.approx(answer.step_s, rel=1e-12)
    assert answer.exposed_s == pytest.approx(sum(d.exposed_s for d in answer.dimensions))
    assert answer.tokens_per_s * answer.step_s == pytest.approx(64 * 4096)
    assert {d.group for d in answer.dimensions} == {
        "dense": {"tp", "pp", "dp"},
        "long": {"tp", "cp", "pp", "dp"},
        "sparse": {"tp", "ep", "pp", "dp", "edp"},
        "summed": {"tp", "pp", "dp"},
    }[name]
    flops = WORKS[name].model.flops_per_token(4096) * 64 * 4096
    assert answer.tflops * 1e12 * answer.step_s * 64 == pytest.approx(flops)


@pytest.mark.some(1)
@pytest.mark.parametrize("name", WORKS)
def test_every_collective_is_that_of_cost(fabric, name):
    """A step of one collective alone takes what `cost` says; so do all of every job, each by itself."""
    at = site(fabric, WORKS[name], "measured", "ecmp")
    layout, timed = timed_exchanges(at)
    for one in timed:
        asked = {"order": layout.order, "over": layout.over[one.exchange.group]}
        if one.exchange.moe is not None:
            alone = moe_cost(fabric, one.exchange.collective, one.exchange.moe, **asked)
        else:
            sent = one.exchange.collective, one.exchange.size_bytes
            alone = cost(fabric, *sent, is_bounded=False, **asked)
        assert one.paced.cost.time_s == alone.time_s
        assert (one.paced.cost.name, one.paced.cost.binding) == (alone.chosen.name, alone.binding)
        # Nothing to compute, nothing to hide behind, and no other: the span is the collective.
        only = replace(one, overlap=0.0)
        assert span_time(0.0, [only]).total_s == pytest.approx(alone.time_s * one.exchange.times)


def test_bytes_of_llama_by_hand():
    # arXiv 2407.21783: 405.85e9 parameters on 8 x 16 ranks are 6.3 GB in bf16 and 12.7 GB in fp32, of which
    # 127 of 128 ranks get or give their part; a layer sends 8 times 7/8 of 8,192 x 16,384 values for each
    # micro-batch.
    answer = train(JOBS / "llama3-405b-16384.job.yaml")
    rows = {d.group: d for d in answer.dimensions}
    own = 405853388800 / 128
    assert rows["dp"].sent_bytes == pytest.approx((2 + 4) * own * 127 / 128)
    assert [round(size * own / 1e9, 1) for size in (2, 4)] == [6.3, 12.7]
    assert rows["tp"].sent_bytes == pytest.approx(8 * 7 / 8 * 8192 * 16384 * 2 * 126 / 16 * 16)
    assert rows["tp"].sent_bytes == pytest.approx(240e9, rel=0.02)
    assert (rows["tp"].where, rows["dp"].where) == ("nvswitch", "core")


@pytest.mark.some(1)
@pytest.mark.parametrize("name", WORKS)
def test_bytes_by_tier_are_what_is_sent(fabric, name):
    _, timed = timed_exchanges(site(fabric, WORKS[name], "wire", "ecmp"))
    for one in timed:
        n, moe = one.paced.job.shape.n, one.exchange.moe
        turned = sum(turns(one.paced).values())
        # What the schedule has a rank send; nothing is relayed where every GPU has a card of its own.
        assert turned == pytest.approx(one.paced.sent_bytes, rel=1e-9)
        if one.paced.cost.algorithm in ("ring", "direct") and moe is None:
            factor = busbw_factor(one.exchange.collective, n)
            assert turned == pytest.approx(factor * one.exchange.size_bytes, rel=1e-6)


def test_bytes_turn_where_groups_lie(fabric):
    """Eight ranks of a node turn in its NVSwitch; replicas of four pods' racks go as far as they must."""
    answer = train(DENSE, fabric)
    sent = {(t.group, t.place): t.n_bytes for t in answer.turned}
    assert {p for (group, p), n in sent.items() if group == "tp" and n} == {"nvswitch"}
    # dp pp tp: a replica is the two nodes of a rack, and four replicas are a rack each.
    assert {p for (group, p), n in sent.items() if group == "pp" and n} == {"leaf"}
    assert {p for (group, p), n in sent.items() if group == "dp" and n} == {"spine", "core"}
    # A ring of four racks crosses two times within pods and two times between them.
    assert sent["dp", "spine"] == pytest.approx(sent["dp", "core"])


@pytest.mark.some(1)
@pytest.mark.parametrize("name", WORKS)
@pytest.mark.parametrize("calibration", ["measured", "wire"])
def test_more_bandwidth_never_slows_a_step(name, calibration):
    times = [
        train(WORKS[name], pods(**rates), calibration=calibration).step_s
        for rates in ({"spine": 50, "leaf": 100}, {"leaf": 100, "spine": 100}, {})
    ]
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in zip(times, times[1:], strict=False))


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("rule", "rate"), [("nic-leaf", "nic"), ("leaf-spine", "leaf"), ("spine-core", "spine")]
)
def test_what_a_tenth_more_gains_is_what_it_gains(rule, rate):
    """The gain of a class of links is the step on a fabric that has a tenth more of it."""
    work = replace(SPARSE, overlap={**SPARSE.overlap, "pp": Assumption(0.0), "dp": Assumption(0.0)})
    slow = {"nic": 200, "spine": 100, "leaf": 200}
    before = train(work, pods(**slow), calibration="wire")
    gains = dict(before.gains)
    rates = RATES | slow
    after = train(work, pods(**rates | {rate: rates[rate] * 1.1}), calibration="wire")
    assert gains[rule] == pytest.approx(1 - after.step_s / before.step_s, abs=1e-9)
    faster = train(replace(work, achieved=Assumption(0.55)), pods(**slow), calibration="wire")
    assert gains["compute"] == pytest.approx(1 - faster.step_s / before.step_s, abs=1e-9)
    assert before.binding == before.gains[0].of
    assert gains[before.binding] == max(gains.values())


def test_relabelling_racks_changes_nothing(fabric):
    """Racks numbered in another order are the same racks: classes, and every cable, say so."""
    text = TEXT.format(**RATES)
    other = loads(text.replace("{pod: 2, rack: 2, node: 2}", "{rack: 2, pod: 2, node: 2}"))
    work = replace(DENSE, order="(pod rack node slot) -> (dp pp tp)")
    one, two = train(work, fabric), train(work, other)
    assert one.step_s == pytest.approx(two.step_s, rel=1e-12)
    assert one.dimensions == two.dimensions


def test_a_dimension_of_one_sends_nothing(fabric):
    alone = job(parallel={"tp": 1, "pp": 1, "dp": 64})
    assert [d.group for d in train(alone, fabric).dimensions] == ["dp"]
    assert list(exchanges(job(parallel={"dp": 1}))) == []
    named = train(replace(alone, order="(pod rack node slot) -> (dp pp=1 cp=1 tp=1)"), fabric)
    assert named.step_s == train(alone, fabric).step_s


def test_compute_is_flops_over_what_gpus_have():
    text = "{fabric: one, axes: {i: 2}, devices: {gpu: {part: h100_sxm5, axes: [i]}, s: {part: nvswitch3, "
    box = loads(text + "axes: []}}, links: [{between: [gpu, s], link: nvlink4}]}")
    work = job(parallel={"tp": 2}, assume={"achieved": 1.0})
    answer = train(work, box)
    assert [d.group for d in answer.dimensions] == ["tp"]
    flops = work.model.flops_per_token(4096) * 64 * 4096
    assert answer.compute_s == pytest.approx(flops / (2 * 989e12))


def test_tp_that_leaves_the_domain_is_slower_and_the_class_is_named(fabric):
    inside = train(replace(DENSE, order="dp pp tp"), fabric)
    outside = train(replace(DENSE, order="tp dp pp"), pods(spine=100))
    tp = next(d for d in outside.dimensions if d.group == "tp")
    assert outside.step_s > 2 * inside.step_s
    assert (tp.where, tp.n_domains, tp.binding) == ("core", 8, "spine-core")
    assert outside.binding == "spine-core"
    assert next(t for t in outside.turned if (t.group, t.place) == ("tp", "core")).is_inside is False


def test_experts_that_leave_the_rack_are_slower_and_the_class_is_named():
    slow = pods(leaf=50)
    near = train(job(model=EXPERTS, parallel={"ep": 8, "pp": 2, "dp": 32}, order="pp dp"), slow)
    far = train(job(model=EXPERTS, parallel={"ep": 16, "pp": 2, "dp": 32}, order="dp pp"), slow)
    rows = [next(d for d in answer.dimensions if d.group == "ep") for answer in (near, far)]
    assert [row.where for row in rows] == ["nvswitch", "spine"]
    assert rows[1].time_s > 2 * rows[0].time_s
    assert rows[1].binding == "leaf-spine"


def test_ranks_of_several_selectors_are_those_of_one(fabric):
    """Three racks of four: a last pod that is not full, listed rack by rack, against the same on axes."""
    parts = ("pod0/gpu", "pod1/rack0/gpu")
    layout = {"tp": 8, "pp": 2, "dp": 3}
    data = {"sequences": 48, "length": 4096}
    listed = train(replace(job(parallel=layout, batch=data), among=parts, order="dp pp tp"), fabric)
    assert (listed.method, listed.n_ranks) == ("axes", 48)
    assert listed.order == "(ranks) -> (dp=3 pp=2 tp=8)"
    whole = train(DENSE, fabric)
    tp = [next(d for d in answer.dimensions if d.group == "tp") for answer in (listed, whole)]
    assert tp[0].time_s == pytest.approx(tp[1].time_s)
    assert {t.place for t in listed.turned if t.group == "dp" and t.n_bytes} == {"spine", "core"}


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_the_best_of_all_orders_is_the_best_of_each(fabric, every):
    best = train(DENSE, fabric, order="all")
    assert len(best.orders) == 6
    for placed in best.orders[::every]:
        assert train(DENSE, fabric, order=placed.order).step_s == pytest.approx(placed.step_s)
    assert best.step_s == min(placed.step_s for placed in best.orders)
    assert [p.step_s for p in best.orders] == sorted(p.step_s for p in best.orders)


def test_overlapping_dimensions_share_links(fabric):
    """Two that run at once need what both put on the busiest link; two that are run in turn add."""
    _, timed = timed_exchanges(site(fabric, LONG, "wire", "ecmp"))
    dp = [one for one in timed if one.exchange.group == "dp"]
    cp = [one for one in timed if one.exchange.group == "cp"]
    beside = [replace(one, overlap=1.0) for one in (*dp, *cp)]
    busiest = float(np.max(np.sum([one.busy_s for one in beside], axis=0)))
    alone = [span_time(0.0, [replace(one, overlap=1.0) for one in some]).total_s for some in (dp, cp)]
    together = span_time(0.0, beside)
    assert together.total_s == pytest.approx(max(busiest, *alone))
    assert together.total_s <= sum(alone) * (1 + 1e-12)
    assert sum(together.exposed_s.values()) == pytest.approx(together.total_s)
    # Long compute hides all of it.
    assert span_time(100.0, beside).total_s == 100.0


@pytest.mark.parametrize("part", [0.0, 0.3, 1.0])
def test_more_overlap_never_slows_a_step(fabric, part):
    _, timed = timed_exchanges(site(fabric, DENSE, "measured", "ecmp"))
    compute_s = micro_compute_s(replace(DENSE), 989.0)
    steps = [
        step_time(DENSE, compute_s, [replace(one, overlap=x) for one in timed]).total_s
        for x in (part, min(part + 0.2, 1.0))
    ]
    assert steps[1] <= steps[0] * (1 + 1e-12)


@pytest.mark.some(1)
@pytest.mark.parametrize("name", WORKS)
def test_on_classes_as_on_every_cable(fabric, name):
    """Another route to every number: the same job on each cable of the fabric."""
    one, two = (train(WORKS[name], fabric, calibration="wire", method=m) for m in ("axes", "links"))
    assert (one.method, two.method) == ("axes", "links")
    assert one.step_s == pytest.approx(two.step_s, rel=1e-9)
    for a, b in zip(one.turned, two.turned, strict=True):
        assert a[:2] == b[:2]
        assert a.n_bytes == pytest.approx(b.n_bytes, rel=1e-9, abs=1e-3)


def test_groups_of_experts_by_numpy():
    layout = lay_out("i", ("pp", "dp", "cp", "tp"), Parallel(tp=2, cp=3, ep=12, pp=2, dp=4))
    assert layout.order == "(i) -> (pp=2 dp_out=2 dp_in=2 cp=3 tp=2)"
    assert layout.over["ep"] == ("dp_in", "cp", "tp")
    assert layout.over["dp"] == ("dp_out", "dp_in", "cp")
    assert (layout.sizes["ep"], layout.sizes["edp"], layout.sizes["dp"]) == (12, 2, 12)
    between = lay_out("i", ("dp", "pp", "tp"), Parallel(tp=2, ep=8, pp=3, dp=4))
    assert between.order == "(i) -> (dp=4 pp=3 tp=2)"
    assert (between.over["ep"], between.over["edp"]) == (("dp", "tp"), ())


def test_experts_in_a_place_of_their_own(fabric):
    """Next to each other, as the fastest of dp, they are the folded ones; elsewhere groups lie elsewhere."""
    near = job(model=EXPERTS, parallel={"ep": 8, "pp": 2, "dp": 32}, order="pp dp")
    folded = train(near, fabric)
    placed = train(replace(near, order="pp dp ep"), fabric)
    assert placed.step_s == folded.step_s
    assert [(d.group, d.where) for d in placed.dimensions] == [(d.group, d.where) for d in folded.dimensions]
    far = train(replace(near, order="ep pp dp"), fabric)
    rows = {d.group: d for d in far.dimensions}
    # Eight experts, each on one of the racks' halves: every group of them spans both pods.
    assert (rows["ep"].where, rows["ep"].n_ranks, rows["edp"].n_ranks) == ("core", 8, 4)
    assert far.step_s > folded.step_s
    tried = {placed.order for placed in train(near, fabric, order="all").orders}
    assert {"pp dp", "dp pp", "pp dp ep", "ep pp dp"} <= tried
    assert len(tried) == 2 + 6
    with pytest.raises(QuestionError, match="ep = 16 with a place of its own divides dp = 8"):
        lay_out("i", ("dp", "ep", "tp"), Parallel(tp=2, dp=8, ep=16))


@pytest.mark.parametrize(
    ("order", "fault"),
    [
        ("dp pp xp", "'xp' is no dimension; "),
        ("dp dp", "order: dp stands twice"),
        ("dp tp=4", "'tp=4', and the layout has tp = 8"),
        ("dp tp", "pp missing; name each dimension of the layout"),
    ],
)
def test_orders_that_cannot_be(order, fault):
    with pytest.raises(QuestionError, match=fault):
        read_dimensions(order, Parallel(tp=8, pp=2, dp=4), ["i"])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"parallel": {"tp": 8, "pp": 3}}, "64 ranks are no whole number of replicas of tp x cp x pp = 24"),
        ({"parallel": {"tp": 8, "dp": 4}}, "tp x cp x pp x dp = 32 ranks, and 64 endpoints are chosen"),
        ({"among": "pot0"}, "no device group or axis 'pot'; did you mean pod"),
        ({"precision": {"compute": "fp4"}}, "no fp4 FLOPs are known of h100_sxm5"),
        ({"order": "(pod rack node) -> (dp pp tp)"}, "name each of them once"),
    ],
)
def test_what_does_not_fit(fabric, change, fault):
    with pytest.raises(Exception, match=fault) as caught:
        train(job(**{"parallel": {"tp": 8}, **change}), fabric)
    assert "Error" in type(caught.value).__name__


def test_a_job_without_a_fabric():
    with pytest.raises(QuestionError, match="job small names no fabric; give a topology file"):
        train(DENSE)


def test_boxes_without_a_network_have_no_path_for_replicas():
    boxes = loads("{fabric: a, islands: 2, include: {fabric: hgx-h100, over: {node: 2}}}")
    with pytest.raises(NoPathError, match="job small: dp: no permitted path between node0/gpu0 and other"):
        train(job(parallel={"tp": 8}), boxes)


def test_ideal_routes_cannot_be_added_up(fabric):
    with pytest.raises(QuestionError, match="transfers that overlap are added up for ecmp, hashed"):
        train(DENSE, fabric, routing="ideal")


def test_the_picture_has_the_numbers_of_the_table(fabric):
    answer = train(SPARSE, fabric)
    picture = heat_map(answer)
    for cell in answer.turned:
        if cell.n_bytes:
            assert f">{format_gbytes(cell.n_bytes)}<" in picture
        assert f">{cell.place}<" in picture
    assert heat_title(answer) in " ".join(picture.split())
    assert picture == heat_map(answer)
    assert all(format_gbytes(t.n_bytes) in str(answer) for t in answer.turned)
    assert "compute" in answer.to_markdown()


def test_assumptions_are_printed_with_their_source(fabric):
    work = job(parallel={"tp": 8}, assume={"achieved": {"value": 0.4, "source": "a run of ours"}})
    text = " ".join(str(train(work, fabric)).split())
    assert "given: part of the peak FLOPs 0.4, a run of ours" in text
    assert "given: part of tp beside the compute 0, assumed" in text
    assert "given: peak TFLOPS 989, catalogue of parts, h100_sxm5, bf16" in text


def test_every_dimension_has_an_overlap():
    assert set(DENSE.overlap) == set(PARALLEL)


def test_moe_of_an_exchange():
    found = next(e for e in exchanges(SPARSE) if e.collective == "dispatch")
    assert found.moe == Moe(2048, 4096, 2, 16, 2.0, n_groups=1, max_groups=1)
    assert found.times == 16 / 2 * 2
