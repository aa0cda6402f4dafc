"""What acceptance tests should reach: groups by the axes of the file, and no mark outside the evidence."""

import json

import pytest

from fabric.cli.app import app
from fabric.errors import QuestionError
from fabric.graph import loads
from fabric.study.thresholds import groups_of, thresholds

NODES = """
fabric: four
include: {fabric: hgx-h100, over: {node: 4}}
devices: {network: {kind: switch, axes: []}}
links: [{between: [nic, network], rate: 400Gb/s}]
"""


@pytest.fixture(scope="module")
def nodes():
    return loads(NODES)


def test_groups_are_the_levels_of_the_file(nodes):
    assert [g.name for g in groups_of(nodes)] == ["pair", "node", "all", "rail"]
    rack = loads("fabric: rack\ninclude: gb200-nvl72")
    assert [g.name for g in groups_of(rack)] == ["pair", "tray", "all", "rail"]


def test_marks_lie_below_the_expectation_and_only_inside_the_evidence(nodes):
    found = thresholds(nodes, sizes=["1GiB"], collectives=["all-reduce", "reduce-scatter"])
    rows = {(r.group, r.collective): r for r in found.rows}
    assert {r.n_ranks for r in found.rows} == {2, 4, 8, 32}
    for row in found.rows:
        assert (row.pass_gbps is None) == (row.standing == "extrapolated")
        assert row.pass_gbps is None or 0.5 * row.expected_gbps < row.pass_gbps < 1.1 * row.expected_gbps
    assert rows["all", "all-reduce"].standing == "measured"
    assert rows["all", "reduce-scatter"].least == "none: extrapolated"
    assert rows["node", "all-reduce"].binding == "gpu-nvswitch"


def test_the_forms_that_tools_read(nodes):
    found = thresholds(nodes, groups=["node", "rail"], sizes=["1GiB"], collectives=["all-reduce"])
    node, rail = found.rows
    assert found.to_csv().splitlines()[1] == (f"node,8,all_reduce_perf,1073741824,{node.least},gpu-nvswitch")
    assert "none: extrapolated" in found.to_csv()
    rules = found.to_superbench()
    assert f"lambda x: x < {node.least}" in rules
    assert "rail" not in rules
    assert rail.pass_gbps is None
    assert "| rail | 4 | all-reduce | 1 GiB |" in str(found)


def test_what_cannot_be_asked(nodes, tmp_path):
    with pytest.raises(QuestionError, match="no group 'nod'; did you mean node"):
        thresholds(nodes, groups=["nod"])


def test_the_command(tmp_path, capsys):
    from typer.testing import CliRunner

    file = tmp_path / "four.fabric.yaml"
    file.write_text(NODES)
    asked = ["thresholds", str(file), "--for", "node", "--sizes", "1GiB", "--collectives", "all-reduce"]
    printed = CliRunner().invoke(app, [*asked, "--json"])
    assert printed.exit_code == 0
    (row,) = json.loads(printed.stdout)["rows"]
    assert (row["group"], row["n_ranks"], row["standing"]) == ("node", 8, "measured")
    assert "| node | 8 |" in CliRunner().invoke(app, asked).stdout
