"""The cards of a node that NCCL counts: those that carry messages of the ranks to other nodes."""

import re
import shlex
from functools import partial
from pathlib import Path

import pytest

from fabric import costing
from fabric.errors import QuestionError
from fabric.graph import load, loads
from fabric.job import JobQuestion, job
from fabric.nccl import Node, machine, node_of, predict
from fabric.nccl import cards as cards_of_nodes
from fabric.nccl.cards import Cards, node_cards
from fabric.symmetry import NoSymmetryError
from fabric.units import gbps_to_gbytes

# Bounds have tests of their own.
cost = partial(costing.cost, is_bounded=False)

ROOT = Path(__file__).parents[2]
FOUR_H100 = predict(
    machine(Node(sm=90, n_gpus=8, n_nvlinks=18, n_nics=8, nic_gbps=400), 4), "all-reduce", "8GiB"
)


def boxes(devices="", links="", tail="", *, nodes=4):
    """Eight H100 a node, a 400 Gb/s card for each on a leaf of its rail, and what else there is."""
    return loads(f"""
fabric: boxes
axes: {{node: {nodes}, socket: 2, lane: 4, slot: [socket, lane]}}
devices:
  gpu: {{part: h100_sxm5, axes: [node, slot], transit: relay}}
  nvs: {{kind: switch, axes: [node]}}
  psw: {{kind: switch, axes: [node, slot], transit: pass}}
  cpu: {{kind: host, axes: [node, socket], transit: turn}}
  nic: {{kind: nic, axes: [node, slot]}}
  leaf: {{kind: switch, axes: [slot]}}
  spine: {{kind: switch, axes: []}}
{devices}
links:
  - {{between: [gpu, nvs], link: nvlink4, count: 18}}
  - {{between: [gpu, psw], link: pcie5}}
  - {{between: [psw, cpu], link: pcie5}}
  - {{between: [psw, nic], link: pcie5}}
  - {{between: [nic, leaf], rate: 400Gb/s}}
  - {{between: [leaf, spine], rate: 400Gb/s, count: {nodes}}}
{links}
{tail}""")


OTHERS = {
    "none": ("", ""),
    "uncabled DPUs": (
        "  dpu: {kind: nic, axes: [node, socket]}",
        "  - {between: [cpu, dpu], link: pcie5}",
    ),
    "uncabled DPUs as near as the cards": (
        "  dpu: {kind: nic, axes: [node, slot]}",
        "  - {between: [psw, dpu], link: pcie5}",
    ),
    "slower storage cards as near as the cards": (
        "  storage: {kind: nic, axes: [node, slot]}\n  store: {kind: switch, axes: []}",
        "  - {between: [psw, storage], link: pcie5}\n  - {between: [storage, store], rate: 200Gb/s}",
    ),
    "equal storage cards behind the processor": (
        "  storage: {kind: nic, axes: [node, socket]}\n  store: {kind: switch, axes: []}",
        "  - {between: [cpu, storage], link: pcie5}\n  - {between: [storage, store], rate: 400Gb/s}",
    ),
    "cards that do not leave the node": (
        "  front: {kind: nic, axes: [node, slot]}\n  tor: {kind: switch, axes: [node]}",
        "  - {between: [psw, front], link: pcie5}\n  - {between: [front, tor], rate: 400Gb/s}",
    ),
    "faster cards that do not leave the node": (
        "  front: {kind: nic, axes: [node, slot]}\n  tor: {kind: switch, axes: [node]}",
        "  - {between: [psw, front], link: pcie5}\n  - {between: [front, tor], rate: 800Gb/s}",
    ),
    "processors on a network of their own": (
        "  mgmt: {kind: switch, axes: []}",
        "  - {between: [cpu, mgmt], rate: 10Gb/s}",
    ),
}


@pytest.mark.parametrize("method", ["classes", "devices"])
@pytest.mark.parametrize("others", OTHERS)
def test_other_cards_do_not_count(others, method, monkeypatch):
    fabric = boxes(*OTHERS[others])
    if method == "devices":

        def refuse(question):
            msg = "for the test"
            raise NoSymmetryError(msg)

        monkeypatch.setattr(cards_of_nodes, "_on_classes", refuse)
    assert node_cards(fabric.blueprint, None) == Cards(8, pytest.approx(3200), 8)


def test_four_nodes_with_uncabled_dpus_are_those_without():
    # NCCL prints 48 GB/s a channel of 8 on such nodes; the DPUs made it 10 cards of 320 Gb/s and NVLSTree.
    assert gbps_to_gbytes(FOUR_H100.busbw_gbps) == pytest.approx(380.5, abs=0.05)
    for others in OTHERS.values():
        found = cost(boxes(*others), "all-reduce", "8GiB", calibration="nccl", is_bounded=False)
        assert (found.chosen.algorithm, found.chosen.protocol) == ("ring", "Simple")
        assert found.busbw_gbps == pytest.approx(FOUR_H100.busbw_gbps, rel=1e-12)


@pytest.mark.parametrize(
    ("failed", "n", "gbps"),
    [
        ("[node0/nic3]", 7, 2800),
        ("[node0/nic3, node2/nic1, node2/nic2]", 6, 2400),
        ("[[node1/nic0, slot0/leaf]]", 7, 2800),
        ("[leaf7]", 7, 2800),  # of every node
        ("[nic0-6]", 1, 400),
    ],
)
def test_failed_cards_do_not_count_and_the_least_node_is_what_nccl_agrees_on(failed, n, gbps):
    found = node_cards(boxes(tail=f"failed: {failed}").blueprint, None)
    assert found == Cards(pytest.approx(n), pytest.approx(gbps), 8)


def test_cards_without_another_node_are_none():
    cut = boxes(tail="failed: [node1-3/nic]")
    assert node_cards(cut.blueprint, None) == Cards(0, 0, 8)
    with pytest.raises(QuestionError, match="n_nics is 0; expected at least one NIC with a rate"):
        cost(cut, "all-reduce", "1GiB", calibration="nccl", is_bounded=False)


@pytest.mark.parametrize(
    ("among", "n"), [("slot0/gpu", 1), ("slot0-3/gpu", 4), ("node0-1", 8), ("node0-1/socket1/gpu", 4)]
)
def test_cards_are_those_of_the_ranks(among, n):
    assert node_cards(boxes().blueprint, among) == Cards(n, pytest.approx(400 * n), n)


@pytest.mark.parametrize(
    ("gpus", "cards", "among", "n"), [(8, 4, None, 4), (4, 8, None, 8), (2, 2, "g0/gpu", 1)]
)
def test_cards_of_one_switch_are_shared(gpus, cards, among, n):
    fabric = loads(f"""
fabric: shared
axes: {{node: 3, g: {gpus}, c: {cards}}}
devices:
  gpu: {{kind: gpu, axes: [node, g], transit: relay}}
  nvs: {{kind: switch, axes: [node]}}
  psw: {{kind: switch, axes: [node], transit: pass}}
  nic: {{kind: nic, axes: [node, c]}}
  leaf: {{kind: switch, axes: []}}
links:
  - {{between: [gpu, nvs], link: nvlink3, count: 12}}
  - {{between: [gpu, psw], link: pcie4}}
  - {{between: [psw, nic], link: pcie4}}
  - {{between: [nic, leaf], rate: 200Gb/s}}
""")
    found = node_cards(fabric.blueprint, among)
    assert (found.n, found.gbps) == (n, pytest.approx(200 * n))


@pytest.mark.parametrize(
    ("file", "n", "gbps"),
    [
        # aws-ofi-nccl joins the EFA cards of a GPU; those of a p4de are shared by two.
        ("p5-2-node", 8, 400),
        ("p5en-16-node", 8, 400),
        ("p4de-2-node", 4, 100),
        ("dgx-a100-4-node", 8, 200),
        ("h100-12-node", 8, 400),
    ],
)
def test_shipped_nodes(file, n, gbps):
    fabric = load(ROOT / f"topologies/measured/{file}.fabric.yaml")
    node, _ = node_of(fabric.blueprint, "gpu", job(fabric, JobQuestion()).shape)
    assert (node.n_nics, node.nic_gbps) == (n, pytest.approx(gbps))


def test_two_ports_are_one_card():
    fabric = loads("""
fabric: planes
axes: {node: 4, g: 2, plane: 2}
devices:
  gpu: {kind: gpu, axes: [node, g]}
  nvs: {kind: switch, axes: [node]}
  nic: {kind: nic, axes: [node, g]}
  leaf: {kind: switch, axes: [plane]}
links:
  - {between: [gpu, nvs], link: nvlink5, count: 18}
  - {between: [gpu, nic], link: pcie6}
  - {between: [nic, leaf], rate: 400Gb/s}
""")
    assert node_cards(fabric.blueprint, None) == Cards(2, pytest.approx(1600), 2)


def _rows():
    """Yield the rows of the manual's table of what was measured: what to type, model, measured."""
    text = (ROOT / "docs/collectives.md").read_text()
    table = text.partition("### How near it is")[2].partition("\n\nLarge messages")[0]
    for line in table.splitlines():
        found = re.fullmatch(r"\| `([^`]+)` \| (\S+) \| ([\d.]+) \| ([^|]+) \|", line)
        if found:
            yield pytest.param(*found.groups(), id=found[1])


def test_the_manual_has_its_table():
    assert len(list(_rows())) == 12


@pytest.mark.some(1)
@pytest.mark.parametrize(("typed", "algorithm", "model", "measured"), list(_rows()))
def test_the_table_of_the_manual_is_what_a_user_can_type(typed, algorithm, model, measured, capsys):
    import json

    from fabric.cli.app import app

    file, size, *more = shlex.split(typed)
    path = ROOT / f"topologies/measured/{file}.fabric.yaml"
    words = [
        "cost",
        str(path),
        "--collective",
        "all-reduce",
        "--size",
        size,
        "--calibration",
        "nccl",
        "--json",
    ]
    assert app([*words, *more], standalone_mode=False) in (None, 0)
    answer = json.loads(capsys.readouterr().out)
    assert answer["chosen"]["algorithm"] == algorithm
    assert gbps_to_gbytes(answer["busbw_gbps"]) == pytest.approx(float(model), abs=0.051)
    first = float(measured.split()[0].rstrip(","))
    if not size.endswith("MiB") and "--algorithm nvls-tree" not in typed:
        assert float(model) == pytest.approx(first, rel=0.06)
