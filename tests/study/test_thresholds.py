"""What acceptance tests should reach: groups by the axes of the file, and no mark outside the evidence."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from fabric.cli.app import app
from fabric.errors import QuestionError
from fabric.graph import load, loads
from fabric.study.thresholds import groups_of, thresholds

ROOT = Path(__file__).parents[2]
RACKS = """
fabric: racks
include: {fabric: gb200-nvl72, over: {rack: 20}}
devices: {network: {kind: switch, axes: []}}
links: [{between: [nic, network], rate: 400Gb/s}]
"""
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
    # A rail is of the network: inside one rack there is none.
    assert [g.name for g in groups_of(rack)] == ["pair", "tray", "all"]


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
    (rule,) = yaml.safe_load(rules)["superbench"]["rules"].values()
    assert set(rule) == {"function", "criteria", "categories", "metrics"}
    assert rule["metrics"] == ["nccl-bw:node/allreduce_1073741824_busbw"]
    assert rail.pass_gbps is None
    assert "| rail | 4 | all-reduce | 1 GiB |" in found.to_markdown()
    assert re.search(r"^rail +4  all-reduce +1 GiB ", str(found), re.MULTILINE)


def test_groups_of_a_cluster_of_three_tiers():
    """Two GPUs, tray, rack, block, pod, all; under a leaf the GPUs of a rail of a block; a rail of all."""
    million = load(ROOT / "topologies" / "million.fabric.yaml")
    assert {g.name: g.over for g in groups_of(million)} == {
        "pair": ("slot",),
        "tray": ("slot",),
        "rack": ("tray", "slot"),
        "block": ("rack", "tray", "slot"),
        "pod": ("block", "rack", "tray", "slot"),
        "all": ("pod", "block", "rack", "tray", "slot"),
        "leaf": ("rack", "tray"),
        "rail": ("pod", "block", "rack"),
    }


def test_the_readiness_engine_divides_nodes_as_the_groups_do(nodes):
    found = thresholds(nodes, sizes=["64MiB", "1GiB"], collectives=["all-reduce", "reduce-scatter"])
    document = yaml.safe_load(found.to_readiness())
    assert (document["apiVersion"], document["kind"]) == ("cre.nvidia.com/v1alpha1", "Certification")
    rows = {(r.group, r.size_bytes): r for r in found.rows if r.collective == "all-reduce"}
    assert [(c["variant"], c["options"]) for c in document["spec"]["categories"]] == [
        (
            "nccl-all-reduce",
            {
                "testScale": scale,
                "maxBytes": str(1 << 30),
                "thresholds": {"busBandwidthGBps": f"value >= {rows[group, 1 << 30].least}"},
            },
        )
        for group, scale in (("node", "intra-node"), ("all", "full-scale"))
    ]
    racks = loads(RACKS)
    (tray, rack, whole) = yaml.safe_load(
        thresholds(racks, sizes=["1GiB"], collectives=["all-reduce"]).to_readiness()
    )["spec"]["categories"]
    scales = [one["options"]["testScale"] for one in (tray, rack, whole)]
    assert scales == ["intra-node", "intra-rack", "full-scale"]
    assert rack["options"]["enableMNNVL"]


def test_a_script_of_nccl_tests_fails_where_a_test_does(nodes, tmp_path):
    found = thresholds(nodes, groups=["node", "rail"], sizes=["1GiB"], collectives=["all-reduce"])
    (tmp_path / "thresholds.sh").write_text(found.to_script())
    least = found.rows[0].pass_gbps / 8
    for busbw, word, status in ((least * 1.01, "pass", 0), (least * 0.99, "FAIL", 1)):
        row = f"  1073741824     268435456     float     sum      -1   1000.0  100.00  {busbw:.2f}      0"
        (tmp_path / "launch").write_text(f"#!/bin/sh\necho '#  size count'\necho '{row}'\n")
        (tmp_path / "launch").chmod(0o755)
        done = subprocess.run(
            ["sh", tmp_path / "thresholds.sh"],
            env={**os.environ, "LAUNCH": str(tmp_path / "launch")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        assert done.returncode == status
        assert done.stdout.startswith(f"{word} node all_reduce_perf 1073741824 bytes: {busbw:.2f}")
        assert "rail" not in done.stdout


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
    assert re.search(r"^node +8  all-reduce", CliRunner().invoke(app, asked).stdout, re.MULTILINE)
    assert "| node | 8 |" in CliRunner().invoke(app, [*asked, "--format", "md"]).stdout
