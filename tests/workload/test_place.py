"""Placements: who fits, where, and what it is worth."""

import json
import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fabric
from fabric.cli import app as command_line
from fabric.errors import FabricError
from fabric.graph import select
from fabric.reporting.segments import segment_curve
from fabric.workload.nodes import nodes_of
from fabric.workload.room import FreeNodes, NodeJob

ROOT = Path(__file__).parents[2]
RACKS = """
fabric: racks
axes: {pod: 2, rack: 3, tray: 6, slot: 2, chip: 2, spine: 2}
devices:
  gpu:  {kind: gpu, axes: [pod, rack, tray, slot], transit: relay}
  nvs:  {kind: switch, axes: [pod, rack, chip]}
  host: {kind: host, axes: [pod, rack, tray]}
  nic:  {kind: nic, axes: [pod, rack, tray, slot]}
  leaf: {kind: switch, axes: [pod, slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nvs], rate: 800Gb/s, net: scale-up}
  - {between: [gpu, host], rate: 200Gb/s, net: host}
  - {between: [gpu, nic], rate: 400Gb/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s}
"""


@pytest.fixture(scope="module")
def racks():
    return fabric.loads(RACKS)


def listed(nodelist):
    """Return the names that a host list says."""
    names = []
    for part in re.findall(r"[^,\[]+(?:\[[^\]]*\])?", nodelist):
        stem, _, ranges = part.strip(",").partition("[")
        if not ranges:
            names.append(stem)
        for one in filter(None, ranges.rstrip("]").split(",")):
            lo, _, hi = one.partition("-")
            names += [f"{stem}{i}" for i in range(int(lo), int(hi or lo) + 1)]
    return names


def test_nodes_and_blocks_are_those_of_the_exports(racks):
    nodes = nodes_of(racks)
    assert (nodes.axes, nodes.block_axes) == (("pod", "rack", "tray"), ("pod", "rack"))
    text = fabric.export(racks, "slurm-block").files[""]
    blocks = [listed(line.split("Nodes=")[1]) for line in text.splitlines() if "Nodes=" in line]
    names = nodes.names(np.arange(36))
    assert sorted(map(sorted, blocks)) == sorted(
        sorted(n for n, b in zip(names, nodes.block, strict=True) if b == block) for block in range(6)
    )


def test_boxes_without_a_domain_of_several_are_blocks_by_their_leaf():
    nodes = nodes_of(fabric.load(ROOT / "topologies" / "superpod-h100-4su.fabric.yaml"))
    assert (nodes.axes, nodes.block_axes) == (("su", "node"), ("su",))
    assert nodes.count(nodes.is_there).tolist() == [32, 32, 32, 31]


def test_a_node_is_down_where_any_of_its_endpoints_is(racks):
    broken = fabric.fail(racks, "pod0/rack1/tray2/gpu1")
    nodes = nodes_of(broken, down=["pod1/rack0/tray0-1", "pod1/rack2/tray5/nic0"])
    assert nodes.names(np.flatnonzero(nodes.is_there & ~nodes.is_up)) == (
        "pod0-rack1-tray2",
        "pod1-rack0-tray0",
        "pod1-rack0-tray1",
        "pod1-rack2-tray5",
    )


@pytest.mark.seeds(1, of=20)
def test_only_the_endpoints_of_a_placement_are_left_up(racks, seed):
    rng = np.random.default_rng(seed)
    down = ["pod0/rack0/tray0", "pod1/rack2/tray3-5"]
    nodes = nodes_of(racks, down=down)
    for n in (1, 5, 17):
        places = rng.choice(np.flatnonzero(nodes.is_up.reshape(-1)), n, replace=False)
        alone = fabric.expand(nodes.alone(places))
        up = alone.is_endpoint & ~alone.failed
        wanted = np.zeros(alone.n_devices, dtype=bool)
        for name in nodes.names(places):
            wanted |= select(racks, name.replace("-", "/") + "/gpu")
        assert (up == wanted).all()


@pytest.mark.seeds(2, of=60)
def test_options_keep_segments_whole_and_leave_room_for_the_rest(racks, seed):
    rng = np.random.default_rng(seed)
    down = [
        f"pod{rng.integers(2)}/rack{rng.integers(3)}/tray{rng.integers(6)}" for _ in range(rng.integers(6))
    ]
    nodes = nodes_of(racks, down=down)
    jobs = [NodeJob(str(i), n := int(rng.integers(1, 16)), int(min(rng.integers(1, 7), n))) for i in range(4)]
    room, used = FreeNodes(nodes, jobs), np.zeros(nodes.is_up.size, dtype=bool)
    for at, job in enumerate(jobs):
        options = room.options(at)
        assert bool(options) == (not room.why_not(at))
        for _, places in options:
            assert len(places) == job.n_nodes == len(np.unique(places))
            assert nodes.is_up.reshape(-1)[places].all()
            assert not used[places].any()
            in_block = np.bincount(nodes.block[places])
            whole, rest = divmod(job.n_nodes, job.segment)
            # Whole segments of each block, and the rest beside one of them or elsewhere.
            assert (in_block // job.segment).sum() == whole
            assert sorted(in_block % job.segment)[-1] == rest
        if options:
            taken = options[rng.integers(len(options))][1]
            room.take(at, taken)
            used[taken] = True
    assert used.sum() == sum(job.n_nodes for at, job in enumerate(jobs) if not room.why_not(at))


def test_best_and_worst_are_what_cost_says_of_these_nodes(racks):
    answer = fabric.place(racks, ["a=12/6", "6/3"], calibration="wire", size="1GB")
    job = answer.jobs[0]
    assert job.fits
    assert job.best.n_blocks == 2
    by_name = fabric.cost(racks, "all-reduce", "1GB", among="pod0/rack0-1", calibration="wire")
    assert job.best.busbw_gbps == pytest.approx(by_name.busbw_gbps, rel=1e-9)
    far = [f"{name.replace('-', '/')}/gpu{i}" for name in listed(job.worst.nodelist) for i in range(2)]
    by_rank = fabric.cost(racks, "all-reduce", "1GB", ranks=far, calibration="wire")
    assert job.worst.busbw_gbps == pytest.approx(by_rank.busbw_gbps, rel=1e-9)
    assert job.worst.busbw_gbps < job.best.busbw_gbps
    # Jobs stand beside one another.
    assert not set(listed(job.best.nodelist)) & set(listed(answer.jobs[1].best.nodelist))


# Six nodes of one rack and two of another are two ranges, numbered as listed.
@pytest.mark.parametrize("asked", ["8/4", pytest.param("8/2", marks=pytest.mark.slow)])
def test_the_step_of_a_job_is_that_of_training_there(racks, asked):
    job = fabric.load_job(ROOT / "topologies" / "jobs" / "qwen3-8b-small.job.yaml")
    job = replace(job, peak=job.peak._replace(value=1000.0), parallel=replace(job.parallel, tp=2), order="")
    (row,) = fabric.place(racks, [asked], calibration="wire", workload=job).jobs
    names = tuple(f"{name.replace('-', '/')}/gpu" for name in listed(row.best.nodelist))
    sized = replace(job, among=names, parallel=replace(job.parallel, dp=0))
    there = fabric.train(sized, racks, calibration="wire")
    assert there.n_ranks == 16
    assert row.best.step_s == pytest.approx(there.step_s)


def test_jobs_are_let_in_in_their_order_and_refused_with_a_reason(racks):
    jobs = ["30/6", "x=8/6", "37", "6/6"]
    answer = fabric.place(racks, jobs, down=["pod1/rack2/tray0"], calibration="wire")
    assert [job.fits for job in answer.jobs] == [True, False, False, False]
    assert answer.n_fit == 1
    assert answer.jobs[1].why == "no room beside the jobs before it"
    assert answer.jobs[2].why == "it wants 37 nodes; 35 are up"
    down = ["pod0/rack0/tray0", "pod0/rack0/tray1", "pod1/rack2/tray0"]
    (job,) = fabric.place(racks, ["30/6"], down=down, calibration="wire").jobs
    assert job.why == "it wants 5 segments of 6; blocks have room for 4"


def test_a_job_does_not_take_what_the_next_one_cannot_do_without(racks):
    # Five trays of each of five racks are up, six of one: the job of 6 wants that one.
    down = [f"pod{p}/rack{r}/tray0" for p in range(2) for r in range(3) if (p, r) != (1, 1)]
    answer = fabric.place(racks, ["4/4", "6/6"], down=down, calibration="wire")
    assert [job.fits for job in answer.jobs] == [True, True]
    assert listed(answer.jobs[1].best.nodelist) == [f"pod1-rack1-tray{t}" for t in range(6)]


def test_what_is_usable_now_counts_the_racks(racks):
    answer = fabric.place(racks, down=["pod0/rack0/tray0", "pod0/rack1/tray0-3"], unavailability=0.0)
    now = {row.segment: row.now for row in answer.curve}
    assert now == pytest.approx({s: sum(k // s * s for k in (5, 2, 6, 6, 6, 6)) / 36 for s in range(1, 7)})
    assert {row.segment: row.expected for row in answer.curve}[4] == pytest.approx(4 / 6)


def test_spares_are_nodes_of_whole_racks(racks):
    (job,) = fabric.place(racks, ["12/6"], unavailability=0.02, availability=0.9, calibration="wire").jobs
    assert job.n_spares == 6 * job.n_blocks_for - 12
    # Two of six racks whole, each with 0.98^6.
    q = 0.98**6
    assert job.chance == pytest.approx(1 - (1 - q) ** 6 - 6 * q * (1 - q) ** 5, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"jobs": ["many"]}, r"jobs: cannot read 'many'; write NODES/SEGMENT"),
        ({"jobs": ["a=2", "a=3"]}, "'a' is there twice"),
        ({"jobs": ["0/1"]}, "cannot read '0/1'"),
        ({"segment": 0}, "segment: got 0"),
        ({"node": ["trey"]}, "node: no axis 'trey' of gpu; did you mean tray"),
        ({"block": ["slot"]}, "block: slot tells no nodes apart"),
        ({"down": ["spine0"]}, "is no place of nodes"),
        ({"down": ["pod9"]}, "beyond the last index"),
        ({"unavailability": 1.5}, "unavailability: got 1.5"),
        ({"availability": 1.0}, "availability: got 1"),
    ],
)
def test_what_does_not_fit_is_refused(racks, options, match):
    with pytest.raises(FabricError, match=match):
        fabric.place(racks, **{"jobs": ["2"], "calibration": "wire", **options})


def test_a_fabric_without_axes_has_no_nodes(racks):
    with pytest.raises(FabricError, match="a placement needs axes"):
        fabric.place(fabric.from_networkx(fabric.to_networkx(racks)), ["2"])


def test_several_kinds_of_endpoints_are_told_by_among():
    text = (
        "{fabric: m, axes: {a: 4, b: 2}, devices: {gpu: {kind: gpu, axes: [a]}, xpu: {kind: gpu, axes: [b]}, "
    )
    text += "leaf: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 1Gb/s}, "
    f = fabric.loads(text + "{between: [xpu, leaf], rate: 1Gb/s}]}")
    with pytest.raises(FabricError, match="endpoints are of several groups"):
        fabric.place(f, ["2"])
    (job,) = fabric.place(f, ["2"], among="gpu", calibration="wire").jobs
    assert job.best.nodelist == "gpu[0-1]"


def test_the_command_writes_what_schedulers_read(tmp_path, monkeypatch, capsys):
    file, curve = tmp_path / "racks.fabric.yaml", tmp_path / "curve.svg"
    file.write_text(RACKS)
    words = ["fabtopo", "place", str(file), "a=12/6", "37", "--calibration", "wire", "--figure", str(curve)]
    monkeypatch.setattr(sys, "argv", [*words, "--format", "slurm"])
    with pytest.raises(SystemExit, match="0"):
        command_line.main()
    out = capsys.readouterr().out.splitlines()
    assert out[1:3] == [
        "#SBATCH --nodes=12 --segment=6",
        "#SBATCH --nodelist=pod0-rack0-tray[0-5],pod0-rack1-tray[0-5]",
    ]
    assert out[3] == "# job1: does not fit: it wants 37 nodes; 36 are up"
    assert curve.read_text().count("<svg") == 1
    monkeypatch.setattr(sys, "argv", [*words[:-2], "--json"])
    with pytest.raises(SystemExit, match="0"):
        command_line.main()
    answer = json.loads(capsys.readouterr().out)
    assert Counter(job["fits"] for job in answer["jobs"]) == {True: 1, False: 1}


def test_the_curve_draws_its_numbers(racks):
    answer = fabric.place(racks, down=["pod0/rack0/tray0"])
    text = segment_curve(answer)
    assert segment_curve(answer) == text
    best = max(answer.curve[1:], key=lambda row: row.expected)
    assert f"segments of {best.segment} nodes can use {100 * best.expected:.3g} %" in re.sub(
        r"\s+", " ", text
    )
