# A file and what it lacks are read side by side.
# ruff: noqa: E501
"""The network file of ASTRA-sim: only products, with their numbers, and why not otherwise."""

from pathlib import Path

import pytest
import yaml

import fabric
from fabric.errors import QuestionError

ROOT = Path(__file__).parents[2]
BOXES = """
fabric: boxes
axes: {rack: 4, slot: 8, chip: 2}
devices:
  gpu: {kind: gpu, axes: [rack, slot], transit: relay}
  chip: {kind: switch, axes: [rack, chip]}
  nic: {kind: nic, axes: [rack, slot]}
  leaf: {kind: switch, axes: [slot]}
links:
  - {between: [gpu, chip], rate: 450Gb/s, count: 4, net: scale-up}
  - {between: [gpu, nic], rate: 200Gb/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
"""


def network(text):
    f = fabric.load(ROOT / text) if text.endswith(".yaml") else fabric.loads(text)
    return yaml.safe_load(fabric.export(f, "astra-sim").files[""])


def gbps(found):
    """Return the bandwidths in Gb/s: ASTRA-sim multiplies what stands there by 2**30 bytes."""
    return [value * 2**30 * 8 / 1e9 for value in found["bandwidth"]]


@pytest.mark.parametrize(
    ("text", "shapes", "sizes", "rates", "latency"),
    [
        # A card sends no more than it gets from its GPU.
        (BOXES, ["Switch", "Switch"], [8, 4], [3600, 200], [25, 500]),
        ("topologies/patterns/rail-only.fabric.yaml", ["Switch"] * 2, [8, 4], [3600, 400], [25, 500]),
        ("topologies/patterns/bcube.fabric.yaml", ["Switch"] * 2, [4, 4], [400, 400], [500, 500]),
    ],
)
def test_a_product_is_written_innermost_first(text, shapes, sizes, rates, latency):
    found = network(text)
    assert (found["topology"], found["npus_count"], found["latency"]) == (shapes, sizes, latency)
    assert gbps(found) == pytest.approx(rates, rel=1e-5)


def test_a_torus_and_a_mesh_of_endpoints():
    text = "{fabric: t, axes: {x: 4, y: 3, z: 1}, devices: {gpu: {kind: gpu, axes: [x, y, z], "
    text += "transit: all}}, links: ["
    text += "{between: [gpu, gpu], name: a, ring: x, rate: 100Gb/s, count: 2, net: scale-up}, "
    text += "{between: [gpu, gpu], name: b, mesh: y, rate: 50Gb/s}]}"
    found = network(text)
    assert (found["topology"], found["npus_count"]) == (["FullyConnected", "Ring"], [3, 4])
    assert gbps(found) == pytest.approx([50, 200], rel=1e-5)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("topologies/patterns/fat-tree.fabric.yaml", "edge-agg joins edge with agg, along no axis alone"),
        ("topologies/patterns/hyperx.fabric.yaml", "joins router with router, along no axis alone"),
        ("topologies/patterns/jellyfish.fabric.yaml", "astra-sim: "),
        ("topologies/systems/tpu-v4-4x4x8-twisted.fabric.yaml", "is no ring or full mesh along one axis"),
        (BOXES.replace("leaf: {kind: switch, axes: [slot]}", "leaf: {kind: switch, axes: []}"), "along rack and slot"),
        (BOXES + "failed: [rack0/nic0]\n", "something is absent, down or slow"),
        (BOXES + "degraded: [[rack0/nic0, 1/2]]\n", "something is absent, down or slow"),
        (BOXES.replace("  - {between: [nic, leaf], rate: 400Gb/s}\n", "islands: 4\n"), "along axis rack alone"),
        (BOXES.replace("rate: 400Gb/s}", "rate: 400Gb/s, count: {slot: [1, 1, 1, 1, 1, 1, 1, 2]}}"), "same everywhere"),
    ],
)  # fmt: skip
def test_what_is_no_product_says_why(text, why):
    with pytest.raises(QuestionError, match=why) as caught:
        network(text)
    assert "products of rings, full meshes and switches" in str(caught.value)
