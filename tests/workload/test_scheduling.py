"""What schedulers read of placements, read back."""

import re

import pytest
import yaml

import fabric
from fabric.interop.export.schedulers import hostlist
from fabric.interop.sources import Survey
from fabric.interop.sources.schedulers import hosts
from fabric.workload.nodes import nodes_of
from fabric.workload.scheduling import kueue_jobs, slurm_blocks
from tests.workload.test_place import RACKS, listed


@pytest.fixture(scope="module")
def racks():
    return fabric.loads(RACKS)


def test_blocks_hold_every_node_once_and_are_those_of_the_export(racks):
    nodes = nodes_of(racks, down=["pod0/rack0/tray0"])
    *blocks, sizes = slurm_blocks(nodes).splitlines()
    nodes_told = [host for line in blocks for host in listed(line.split("Nodes=")[1])]
    assert len(nodes_told) == len(set(nodes_told)) == int(nodes.is_there.sum())
    least, *more = map(int, sizes.removeprefix("BlockSizes=").split(","))
    assert all(size == least * 2 ** (i + 1) for i, size in enumerate(more))
    exported = dict(fabric.export(racks, "slurm-block").files)[""].splitlines()
    assert {line.split("Nodes=")[1] for line in blocks} == {
        line.split("Nodes=")[1] for line in exported if line.startswith("BlockName")
    }


def test_blocks_of_other_axes(racks):
    lines = slurm_blocks(nodes_of(racks, block=["pod"])).splitlines()
    assert [line.split()[0] for line in lines if line.startswith("BlockName")] == [
        f"BlockName=pod{i}" for i in range(racks.blueprint.axes["pod"].size)
    ]


def test_pods_of_a_segment_are_under_one_label_that_the_export_gives(racks):
    answer = fabric.place(racks, ["A_big=12/6", "b=7/3", "c=99"], calibration="wire")
    text = kueue_jobs(answer, nodes_of(racks))
    big, odd = (one for one in yaml.safe_load_all(text) if one)
    assert "# c: does not fit: " in text
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", big["metadata"]["name"])
    assert big["spec"]["parallelism"] == big["spec"]["completions"] == 12
    near = big["spec"]["template"]["metadata"]["annotations"]
    label = near["kueue.x-k8s.io/podset-slice-required-topology"]
    assert near["kueue.x-k8s.io/podset-slice-size"] == "6"
    # Three does not divide seven.
    assert odd["spec"]["template"]["metadata"]["annotations"] == {
        "kueue.x-k8s.io/podset-unconstrained-topology": "true"
    }
    exported = yaml.load_all(dict(fabric.export(racks, "kueue").files)["nodes.yaml"], yaml.CSafeLoader)
    labels = {node["metadata"]["name"]: node["metadata"]["labels"] for node in exported}
    affinity = big["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (near,) = term["matchExpressions"]
    assert (near["key"], len(near["values"])) == ("kubernetes.io/hostname", 12)
    assert near["values"] == listed(answer.jobs[0].best.nodelist)
    # Whole segments under each value of the label.
    values = [labels[host][label] for host in near["values"]]
    assert all(values.count(value) % 6 == 0 for value in values)


def test_boxes_under_a_leaf_are_told_by_the_lowest_tier():
    f = fabric.loads(
        RACKS.replace(
            "nvs:  {kind: switch, axes: [pod, rack, chip]",
            "nvs:  {kind: switch, axes: [pod, rack, tray, chip]",
        )
    )
    answer = fabric.place(f, ["a=4/2"], calibration="wire")
    (job,) = yaml.safe_load_all(kueue_jobs(answer, nodes_of(f)))
    near = job["spec"]["template"]["metadata"]["annotations"]
    label = near["kueue.x-k8s.io/podset-slice-required-topology"]
    exported = yaml.load_all(dict(fabric.export(f, "kueue").files)["nodes.yaml"], yaml.CSafeLoader)
    pods = {node["metadata"]["labels"][label] for node in exported}
    assert len(pods) == 2


@pytest.mark.parametrize(
    "names", [["a"], ["n0", "n1", "n3"], ["n08", "n09", "n10"], ["r0-t[".strip("["), "r0-t11", "x1y"]]
)
def test_names_come_back_from_their_list(names):
    found = Survey()
    assert sorted(hosts(hostlist(names), ("", 0), found)) == sorted(names)
    assert not found.problems
