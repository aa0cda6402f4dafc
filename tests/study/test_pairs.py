"""Every pair of failures, by orbits and between less and more that is down, against failing two by two."""

import random
from dataclasses import replace

import numpy as np
import pytest

from fabric import failures, loads
from fabric.flow.certificate import Verdict
from fabric.graph import Fabric, expand
from fabric.graph.expanded import Expanded
from fabric.study.failures.covers import _between, pairs_of
from fabric.study.failures.evaluate import Kept, Outcome, evaluate
from fabric.study.failures.events import single_events
from fabric.study.failures.network import job_of
from fabric.study.failures.solving import StateAnswers
from fabric.study.failures.states import Down
from fabric.study.failures.stopping import left_by_restart
from fabric.study.sweeps import Crew

KINDS = ("planes", "rails", "dual ToR", "torus", "risks")


def small_fabric(kind, seed):
    """Return a fabric of a kind that is built, small enough to be written out as one program."""
    rng = random.Random(f"{kind} {seed}")
    rate, up = rng.choice((100, 200, 400)), rng.choice((100, 200, 400))
    n, k = rng.choice((2, 3)), rng.choice((1, 2))
    texts = {
        "planes": f"""{{fabric: a, axes: {{rack: 2, i: {n}, plane: 2}},
            devices: {{
            gpu: {{kind: gpu, axes: [rack, i]}}, leaf: {{kind: switch, axes: [plane, rack]}},
            spine: {{kind: switch, axes: [plane]}}}},
            links: [{{between: [gpu, leaf], rate: {rate}Gb/s}},
                    {{between: [leaf, spine], rate: {up}Gb/s, count: {k}}}]}}""",
        "rails": f"""{{fabric: a, axes: {{box: {n}, slot: 2, chip: {k}}},
            devices: {{
            gpu: {{kind: gpu, axes: [box, slot], transit: relay}},
            nvswitch: {{kind: switch, axes: [box, chip]}}, nic: {{kind: nic, axes: [box, slot]}},
            leaf: {{kind: switch, axes: [slot]}}}},
            links: [{{between: [gpu, nvswitch], rate: 400Gb/s, net: scale-up}},
                    {{between: [gpu, nic], rate: 400Gb/s}}, {{between: [nic, leaf], rate: {rate}Gb/s}}]}}""",
        "dual ToR": f"""{{fabric: a, axes: {{rack: 2, i: {n}, side: 2}},
            devices: {{
            gpu: {{kind: gpu, axes: [rack, i]}}, tor: {{kind: switch, axes: [rack, side]}},
            agg: {{kind: switch, axes: []}}}},
            links: [{{between: [gpu, tor], rate: {rate}Gb/s}},
                    {{between: [tor, agg], rate: {up}Gb/s, count: {k}}}]}}""",
        "torus": f"""{{fabric: a, axes: {{x: {n + 1}, y: {rng.choice((2, 3))}}},
            devices: {{chip: {{kind: gpu,
            axes: [x, y], transit: all}}}},
            links: [{{between: [chip, chip], name: xs, ring: x, rate: {rate}Gb/s}},
                    {{between: [chip, chip], name: ys, mesh: y, rate: {up}Gb/s}}]}}""",
        "risks": f"""{{fabric: a, axes: {{row: 2, i: {n}, plane: {k}}},
            devices: {{
            gpu: {{kind: gpu, axes: [row, i]}}, leaf: {{kind: switch, axes: [row, plane]}},
            spine: {{kind: switch, axes: []}}}},
            links: [{{between: [gpu, leaf], rate: {rate}Gb/s}}, {{between: [leaf, spine], rate: {up}Gb/s}}],
            risk: {{feed: [row], trunk: {{over: [row], down: [[leaf, spine]]}}}}}}""",
    }
    return loads(texts[kind])


def with_down(e, devices, bundles, among):
    """Return a fabric of arrays in which some devices, and a cable of each of some bundles, are down."""
    groups = tuple(replace(g, is_endpoint=g.is_endpoint and among in (None, g.name)) for g in e.groups)
    failed, count = e.failed.copy(), e.failed_count.copy()
    failed[list(devices)] = True
    for bundle in bundles:
        count[bundle] += 1
    fields = {name: getattr(e, name) for name in e.__dataclass_fields__}
    changed = {"groups": groups, "failed": failed, "failed_count": count}
    return Fabric(e.name, graph=Expanded(**{**fields, **changed}))


def hold_to_brute_force(explicit, fabric, paths="rules"):
    """Hold every pair to the explicit program of the fabric with these two down."""
    answer, e = failures(fabric, paths=paths, pairs=True), expand(fabric)
    things = [("device", e.groups[e.group[v]].name, (v, None)) for v in np.flatnonzero(~e.failed).tolist()]
    for b in np.flatnonzero(e.alive > 0).tolist():
        things += [("cable", e.rules[e.rule[b]].name, (None, b))] * int(e.alive[b])
    expected, solved = {}, {}
    for i, (kind, of, one) in enumerate(things):
        for other_kind, other_of, other in things[i + 1 :]:
            down = tuple(sorted(v for v, _ in (one, other) if v is not None))
            cables = tuple(sorted(b for _, b in (one, other) if b is not None))
            if (down, cables) not in solved:
                left = with_down(e, down, cables, answer.among)
                ends = expand(left)
                n = int((ends.is_endpoint & ~ends.failed).sum())
                solved[down, cables] = explicit.explicit_rate(left, paths) if n > 1 else 0.0
            names = tuple(
                o if k == "device" else f"{o} cable" for k, o in ((kind, of), (other_kind, other_of))
            )
            expected.setdefault(names, []).append(solved[down, cables])
    found = {}
    for row in answer.pairs:
        # Where some are cut off, or none is left, the explicit program says 0.
        found.setdefault((row.first, row.second), []).extend([row.kept * answer.rate_gbps] * row.n)
    assert {k: len(v) for k, v in found.items()} == {k: len(v) for k, v in expected.items()}
    for names, rates in expected.items():
        kept = sorted(found[names])
        for rate in sorted(rate for rate in rates if rate > 0):
            at = int(np.argmin([abs(k - rate) for k in kept]))
            assert kept.pop(at) == pytest.approx(rate, rel=1e-7), names
    n = len(things)
    assert sum(row.n for row in answer.pairs) == n * (n - 1) // 2


@pytest.mark.seeds(1, of=8)
@pytest.mark.parametrize(
    "construct",
    ["clos", *(pytest.param(name, marks=pytest.mark.slow) for name in ("line", "composed axes"))],
)
def test_every_pair_equals_failing_two_by_two(constructs, explicit, construct, seed):
    number = next(
        n
        for n in range(4 * seed, 10_000, 4)
        if expand(constructs.random_fabric(construct, n)[0]).n_bundles <= 14
        and not any(g.kind == "host" for g in expand(constructs.random_fabric(construct, n)[0]).groups)
    )
    hold_to_brute_force(explicit, *constructs.random_fabric(construct, number))


@pytest.mark.slow  # the quick ones ask the same of a construct
@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("kind", KINDS)
def test_every_pair_of_what_is_built_equals_failing_two_by_two(explicit, kind, seed):
    hold_to_brute_force(explicit, small_fabric(kind, seed))


RACKS = """
fabric: racks
axes: {rack: 4, tray: 2, chip: 6, plane: 2, spine: 4}
devices:
  gpu: {kind: gpu, axes: [rack, tray], transit: relay}
  nvswitch: {kind: switch, axes: [rack, chip]}
  nic: {kind: nic, axes: [rack, tray]}
  leaf: {kind: switch, axes: [plane, rack]}
  spine: {kind: switch, axes: [plane, spine]}
links:
  - {between: [gpu, nvswitch], rate: 400Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 800Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s}
"""


@pytest.fixture(scope="module")
def racks():
    """Return the answers of racks, its pairs, and how many states were solved for them."""
    job = job_of(loads(RACKS), None, paths="rules", collective="", over=(), node=())
    answers, asked = StateAnswers(job, evaluate(job, ()), Crew(), None), []
    of = answers.of
    answers.of = lambda states: of(asked.extend(some := list(states)) or some)
    singles = single_events(job)
    answers.of(event.state for event in singles)
    pairs = pairs_of(answers, singles)
    return answers, pairs, set(asked)


@pytest.mark.parametrize("n", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_what_lies_between_has_what_its_own_program_says(racks, n):
    answers, pairs, solved = racks
    settled = {pair.state for pair in pairs} & set(answers.outcomes) - solved
    assert len(settled) > 2 * len(solved)
    for state in sorted(settled)[:: max(1, len(settled) // n)]:
        own, found = evaluate(answers.job, state), answers.outcomes[state]
        assert (found.n_down, found.goes_on, found.cut_off) == (own.n_down, own.goes_on, own.cut_off), state
        assert sum(one.n for one in found.stopped) == sum(one.n for one in own.stopped), state
        assert (found.others.n, found.kept.n) == (own.others.n, own.kept.n), state
        assert found.others.rate_gbps == pytest.approx(own.others.rate_gbps, rel=1e-8), state
        assert found.kept.rate_gbps == pytest.approx(own.kept.rate_gbps, rel=1e-8), state
        assert found.others.certificate.status == "optimal"


def test_pairs_sum_up_whatever_their_order(racks):
    _, pairs, _ = racks
    e = expand(loads(RACKS))
    n = e.n_devices + int(e.alive.sum())
    assert sum(pair.n_twice for pair in pairs) == n * (n - 1)


def kept(rate_gbps, n=4, cut_off=()):
    proof = Verdict(rate_gbps, rate_gbps)
    return Kept(n, rate_gbps, None, "optimal", ("gpu-leaf",), proof, cut_off=cut_off)


@pytest.mark.parametrize(
    "more",
    [
        Outcome(kept(99.0), 0, (), None),
        Outcome(kept(100.0, 3), 0, (), None),
        Outcome(kept(100.0), 1, (), None),
        Outcome(kept(100.0), 0, (("gpu0", 1),), kept(100.0, 3)),
        Outcome(kept(100.0, cut_off=(("gpu0", 1),)), 0, (), None),
        Outcome(replace(kept(100.0), status="bounded"), 0, (), None),
    ],
)
def test_what_differs_says_nothing_of_what_lies_between(more):
    less = Outcome(kept(100.0), 0, (), None)
    assert _between(less, less) == less
    more = replace(more, stopped=tuple(type("Lost", (), {"n": n})() for _, n in more.stopped))
    assert _between(less, more) is None


def test_a_restart_forgets_what_carries_nothing(racks):
    job = racks[0].job
    node = Down("rack0/tray0/gpu")
    own = Down("rack0/tray0/nic"), Down("rack0/tray0/nic", "plane0/rack0/leaf", "nic-leaf")
    other = Down("rack0/tray1/nic"), Down("plane0/rack0/leaf"), Down("rack0/chip0/nvswitch")
    assert left_by_restart(job, own, (node,)) == (node,)
    assert set(left_by_restart(job, other, (node,))) == {node, *other}
    # With both GPUs of a rack out its switches carry nothing.
    both = Down("rack0/tray0/gpu"), Down("rack0/tray1/gpu")
    assert set(left_by_restart(job, other, both)) == set(both)
