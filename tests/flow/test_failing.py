"""Laws of failures: asked for or written in the file they are one, and they never help."""

import pytest

from fabric import bound, cost, fail, max_flow, throughput
from fabric.errors import FabricError
from fabric.flow.bottleneck import bottleneck
from fabric.graph import expand

SEEDS = [
    ("clos", 1),
    pytest.param("clos", 2, marks=pytest.mark.slow),
    ("ring x mesh", 1),
    pytest.param("composed axes", 5, marks=pytest.mark.slow),
    ("two includes", 3),
]


def answers(fabric, paths):
    """Return what every solver says, or why it does not."""
    ends = [str(fabric.blueprint.groups[g.name].name) for g in expand(fabric).groups if g.is_endpoint]
    names = [str(n) for n, up in zip(*ends_of(fabric), strict=True) if up]
    asked = [
        lambda: max_flow(fabric, names[0], names[-1], paths=paths).to_dict(),
        lambda: throughput(fabric, among="gpu", paths=paths, drop_unreachable=True).to_dict(),
        lambda: bottleneck(fabric, paths=paths, drop_unreachable=True).to_dict(),
        lambda: bound(fabric, "all-gather", paths=paths).to_dict(),
        lambda: cost(fabric, "all-gather", "1GB", among=ends[0], calibration="wire").to_dict(),
    ]
    return [said(one) for one in asked]


def ends_of(fabric):
    e = expand(fabric)
    own = [v for v in range(e.n_devices) if e.is_endpoint[v]]
    return [e.names[v] for v in own], [not e.failed[v] for v in own]


def said(ask):
    try:
        found = ask()
    except FabricError as error:
        return str(error)
    return {k: v for k, v in found.items() if k not in ("solve_s", "certificate")}


@pytest.mark.some(1)
@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_asked_for_as_in_the_file(constructs, name, seed):
    draft, failed, paths = constructs.random_draft(name, seed)
    assert failed
    in_file = constructs.load(draft, failed)
    asked = fail(constructs.load(draft), *failed)
    assert answers(asked, paths) == answers(in_file, paths)


@pytest.mark.some(1)
@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_failures_never_help(constructs, name, seed):
    draft, failed, paths = constructs.random_draft(name, seed)
    whole = constructs.load(draft)
    broken = fail(whole, *failed)
    names, up = ends_of(broken)
    left = [str(n) for n, is_up in zip(names, up, strict=True) if is_up]
    value = [max_flow(f, left[0], left[-1], paths=paths).value_gbps for f in (whole, broken)]
    assert value[1] <= value[0] * (1 + 1e-9)
    if all(up):
        rate = [throughput(f, paths=paths, among="gpu").per_endpoint_gbps for f in (whole, broken)]
        assert rate[1] <= rate[0] * (1 + 1e-9)
