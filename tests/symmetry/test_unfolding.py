"""Every real link as seen from every source: its class, looked up alone, counted, and added up."""

import numpy as np
import pytest

from fabric.errors import QuestionError
from fabric.flow.by_refinement import EndpointTraffic, refined_program
from fabric.flow.concurrent import check_concurrent, link_views
from fabric.flow.program import solve_commodities
from fabric.flow.question import Question, pose
from fabric.flow.traffic import Traffic
from fabric.graph import expand, loads
from fabric.symmetry import Lift, RealLink
from fabric.symmetry.lifting import columns

FAMILIES = (
    "mesh x mesh",
    "ring x ring",
    "ring x mesh",
    "line",
    "line x ring",
    "line x mesh",
    "one-way rings",
    "relations between groups",
    "counts by index",
    "composed axes",
    "selectors as sides",
    "two includes",
    "clos",
)
PATTERNS = ("all-to-all", "over", "one-to-all", "all-to-one", "shift", "halves")


def question(fabric, pattern, seed):
    """Return the commodities of a pattern by axes, or None where it does not fit."""
    e = expand(fabric)
    ends = np.flatnonzero(e.is_endpoint & ~e.failed)
    group = e.groups[e.group[ends[seed % len(ends)]]]
    axes = [p for a in group.axes for p in fabric.blueprint.primitives(a)]
    axes = [p for p in axes if fabric.blueprint.axes[p].size > 1]
    if pattern in ("over", "shift", "halves") and not axes:
        return None
    over = () if pattern not in ("over", "shift", "halves") else (axes[seed % len(axes)],)
    root = str(e.names[ends[seed % len(ends)]]) if "one" in pattern else ""
    traffic = Traffic("all-to-all" if pattern == "over" else pattern, over, root)
    try:
        return pose(Question(fabric, traffic, among=group.name, method="axes", drop_unreachable=True))[0]
    except QuestionError:
        return None


def place(e, device):
    """Return the index of a device on every primitive axis of its group."""
    at = {
        a: int(c[device]) for a, c in e.coordinates.items() if not e.coordinates._grid.blueprint.axes[a].parts
    }
    return tuple(sorted((a, i) for a, i in at.items() if i >= 0))


def audit(view, block, lift, work, rng):
    """Compare the classes of links with the labels of single links, and count and add them up."""
    e, q = view.expanded, block.view
    assert len(view.sources) == block.n_alike
    amount = rng.random(len(q.base))
    total = np.zeros(2 * e.n_bundles)
    for source in view.sources.tolist():
        seen = view.seen(source)
        total += np.append(amount, 0.0)[seen]
        # Every class has as many cables as the quotient says, in each direction.
        n_cables = np.bincount(seen[seen >= 0], np.repeat(e.alive, 2)[seen >= 0], minlength=len(q.base))
        ways = [True, *(not e.rules[r].is_peer and not e.rules[r].is_oneway for r in range(len(e.rules)))]
        both = np.array(ways[1:])[q.classes.rule]
        assert n_cables[::2].tolist() == q.classes.count.tolist()
        assert n_cables[1::2].tolist() == np.where(both, q.classes.count, 0).tolist()
    assert view.total(amount) == pytest.approx(total, rel=1e-12, abs=1e-12)
    if lift is None:
        return
    for link in rng.choice(np.flatnonzero(np.repeat(e.alive, 2) > 0), 4).tolist():
        bundle, rule = link // 2, e.rules[int(e.rule[link // 2])]
        if rule.is_oneway and link % 2:
            continue
        ends = place(e, int(e.tail[bundle])), place(e, int(e.head[bundle]))
        is_turned = bool(rule.is_peer and link % 2)
        ends = ends[::-1] if is_turned else ends
        real = RealLink(int(e.rule[bundle]), *ends, bool(link % 2) and not is_turned, is_turned)
        places = work.places(columns([place(e, s) for s in view.sources.tolist()]))
        want = lift.link_class(q, [real], np.zeros(len(view.sources), np.int64), places).tolist()
        assert [int(view.seen(s)[link]) for s in view.sources.tolist()] == want


@pytest.mark.some(1)
@pytest.mark.parametrize("family", FAMILIES)
def test_axes(family, constructs):
    for seed in range(6):
        fabric, _ = constructs.random_fabric(family, seed)
        rng = np.random.default_rng(seed)
        work = question(fabric, PATTERNS[seed], seed)
        if work is None or work.cut_off:
            continue
        lift = Lift(fabric.blueprint, work.apart, work.ties)
        for view, block in zip(link_views(work, fabric.blueprint, lift), work.commodities, strict=True):
            audit(view, block, lift, work, rng)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("family", FAMILIES)
def test_axes_in_quota(family, pattern, constructs):
    n_seen = 0
    for seed in range(24):
        fabric, _ = constructs.random_fabric(family, seed)
        work = question(fabric, pattern, seed)
        if work is None or work.cut_off:
            continue
        n_seen += 1
        lift = Lift(fabric.blueprint, work.apart, work.ties)
        for view, block in zip(link_views(work, fabric.blueprint, lift), work.commodities, strict=True):
            audit(view, block, lift, work, np.random.default_rng(seed))
        verdict = check_concurrent(work, solve_commodities(work.capacity, work.commodities))
        assert (verdict.status, verdict.faults) == ("optimal", ()), (seed, verdict)
    assert n_seen > 6


@pytest.mark.some(1)
@pytest.mark.parametrize("seed", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 1, 3))])
@pytest.mark.parametrize("family", FAMILIES)
def test_refinement(family, seed, constructs, explicit):
    fabric, paths = constructs.random_fabric(family, 40 + seed)
    e = expand(fabric)
    ends = e.is_endpoint & ~e.failed
    rng = np.random.default_rng(seed)
    work = refined_program(e, EndpointTraffic(ends, paths=paths))
    for view, block in zip(work.views, work.commodities, strict=True):
        audit(view, block, None, work, rng)
    answer = solve_commodities(work.capacity, work.commodities)
    verdict = check_concurrent(work, answer)
    assert (verdict.status, verdict.faults) == ("optimal", ())
    assert answer.rate_gbps == pytest.approx(explicit.explicit_rate(fabric, paths), rel=1e-9, abs=1e-9)


def test_a_rack_of_chips_is_looked_at_once():
    # 18 chips differ in nothing that a source could see.
    text = "{fabric: r, axes: {i: 8, chip: 18}, devices: {gpu: {kind: gpu, axes: [i]}, chip: {kind: switch,"
    fabric = loads(text + " axes: [chip]}}, links: [{between: [gpu, chip], rate: 1Gb/s}]}")
    work, _ = pose(Question(fabric, "all-to-all", method="axes"))
    (view,) = link_views(work, fabric.blueprint, Lift(fabric.blueprint))
    assert view.n_pairs == 8 * 8
    assert len(view.seen(0)) == 2 * 8 * 18
