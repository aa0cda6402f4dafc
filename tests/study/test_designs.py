"""The design that a file is like, and others beside it."""

from pathlib import Path

import pytest

from fabric.errors import QuestionError
from fabric.flow.throughput import throughput
from fabric.graph import fail, load, loads
from fabric.sizing import design
from fabric.sizing.summary import summarize
from fabric.study.designs import alternatives, departs, design_like, first_of, front, options_of

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
PARTS = {"rack": "gb300-nvl72", "leaf": "sn5610"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gb300-nvl72-1152", {**PARTS, "planes": 2}),
        ("superpod-h100-4su", {"rack": "dgx-h100", "leaf": "qm9700"}),
        ("million", {"rack": "gb300-nvl72", "leaf": "sn6800"}),
    ],
)
def test_shipped_files_are_like_a_design_of_the_same_switches(name, options):
    fabric = load(TOPOLOGIES / f"{name}.fabric.yaml")
    summary = summarize(fabric)
    found, built = design_like(fabric, summary)
    assert found == options
    assert built.gpus == summary.n_endpoints
    assert departs(summary, built) == ""


@pytest.mark.parametrize(
    "given",
    [
        {**PARTS},
        {**PARTS, "planes": 2, "oversubscription": {"leaf": "2:1"}},
        {**PARTS, "layout": "rail-only"},
        {"rack": "hgx-h100", "leaf": "qm9700", "layout": "tor"},
        {"rack": "hgx-h100", "leaf": "qm9700", "oversubscription": {"leaf": "3:1"}},
    ],
)
def test_what_a_design_wrote_is_read_back(given):
    built = design(**given, gpus=576)
    summary = summarize(built.fabric)
    found = options_of(built.fabric, summary)
    assert departs(summary, design(**found, gpus=576)) == ""
    assert {k: found.get(k) for k in ("rack", "leaf", "planes", "layout")} == {
        k: given.get(k) for k in ("rack", "leaf", "planes", "layout")
    }


def test_a_file_that_departs_says_where():
    summary = summarize(design(**PARTS, gpus=576, layout="rail-only").fabric)
    assert departs(summary, design(**PARTS, gpus=576)) == "9 spines where the file has 12"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}, "
         "links: [{between: [gpu, leaf], rate: 400Gb/s}]}", "one template"),
        ("{fabric: box, include: hgx-h100}", "0 tiers"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_design_is_refused(text, why):
    fabric = loads(text)
    with pytest.raises(QuestionError, match=why):
        options_of(fabric, summarize(fabric))


def test_rates_are_those_that_throughput_proves():
    found = {one.what: one for one in alternatives({**PARTS, "planes": 2}, 72)}
    built = design(**PARTS, planes=2, gpus=72)
    own = found["as it is"]
    assert own.rate_gbps == pytest.approx(throughput(built.fabric).per_endpoint_gbps)
    axes = built.blueprint.groups["leaf"].axes
    down = throughput(fail(built.fabric, first_of(axes, "leaf")))
    assert own.kept == pytest.approx(down.per_endpoint_gbps / own.rate_gbps)
    assert own.command == "fabtopo design --rack gb300-nvl72 --leaf sn5610 --planes 2 --gpus 72"
    # Nothing on the front is beaten: as much rate, as much left, for less.
    best = list(front(tuple(found.values())))
    for one in best:
        for other in found.values():
            is_no_worse = other.rate_gbps >= one.rate_gbps and (other.kept or 0) >= (one.kept or 0)
            assert not (is_no_worse and sum(other.cost_usd) < sum(one.cost_usd))


def test_fewer_switches_by_other_blocks_are_an_alternative():
    built = design(**PARTS, planes=2, gpus=1152, block=1)
    options, same = design_like(built.fabric, summarize(built.fabric))
    assert options["block"] == 1
    assert same.switches == built.switches
    own, other, *_ = alternatives(options, 1152)
    assert (own.n_switches, other.n_switches) == (sum(built.switches.values()), 82)
    assert own.n_switches > other.n_switches
    assert "--block" in own.command
    assert "--block" not in other.command
