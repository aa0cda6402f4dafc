"""The fabrics that are timed, as files and as text."""

import random
from dataclasses import replace
from pathlib import Path

from fabric.graph import Fabric

ROOT = Path(__file__).parents[1]
RACKS = ROOT / "topologies" / "gb300-nvl72-1152.fabric.yaml"
MILLION = ROOT / "topologies" / "systems" / "million-scenario.fabric.yaml"
SUPERPOD = ROOT / "topologies" / "superpod-h100-4su.fabric.yaml"

# The million without parts and host buses: NVLink, one NIC a GPU and three tiers of switches.
BARE = """
fabric: bare-million
axes: {pod: 55, su: 4, block: 8, rack: 8, tray: 18, rail: 4, chip: 18, spine: 128, core: 112}
devices:
  gpu: {kind: gpu, axes: [pod, su, block, rack, tray, rail], transit: relay}
  nvswitch: {kind: switch, axes: [pod, su, block, rack, chip]}
  nic: {kind: nic, axes: [pod, su, block, rack, tray, rail]}
  leaf: {kind: switch, axes: [pod, su, block, rail]}
  spine: {kind: switch, axes: [pod, spine]}
  core: {kind: switch, axes: [spine, core]}
links:
  - {between: [gpu, nvswitch], rate: 400Gb/s, net: scale-up, each: [18, 72]}
  - {between: [gpu, nic], rate: 800Gb/s, net: host, each: 1}
  - {between: [nic, leaf], rate: 800Gb/s, each: [1, 144]}
  - {between: [leaf, spine], rate: 800Gb/s}
  - {between: [spine, core], rate: 800Gb/s}
"""
N_BARE_CABLES = 21_964_800

# A balanced dragonfly of routers of 64 ports: 262,656 endpoints, 648,432 cables.
DRAGONFLY = """
fabric: dragonfly
axes: {group: 513, router: 32, t: 16}
devices: {gpu: {kind: gpu, axes: [group, router, t]}, router: {kind: switch, axes: [group, router]}}
links:
  - {between: [gpu, router], rate: 400Gb/s, each: [1, 16]}
  - {between: [router, router], name: local, mesh: router, rate: 400Gb/s, each: 31}
  - {between: [router, router], name: global, rate: 400Gb/s, each: 16,
     wiring: {pattern: dragonfly, along: [group, router]}}
"""

# Nothing alike but the endpoints of a switch.
JELLYFISH = """
fabric: jellyfish
axes: {sw: 60, t: 6}
devices: {gpu: {kind: gpu, axes: [sw, t]}, switch: {kind: switch, axes: [sw]}}
links:
  - {between: [gpu, switch], rate: 1Gb/s, each: [1, 6]}
  - {between: [switch, switch], name: random, rate: 1Gb/s, each: 6,
     wiring: {pattern: jellyfish, along: sw, degree: 6, seed: 1}}
"""

RANDOM_GRAPH = """
fabric: random-graph
axes: {sw: 500}
devices: {switch: {kind: switch, axes: [sw], endpoint: true, transit: all}}
links:
  - {between: [switch, switch], name: random, rate: 1Gb/s, each: 12,
     wiring: {pattern: jellyfish, along: sw, degree: 12, seed: 1}}
"""
TWISTED = ROOT / "topologies" / "systems" / "tpu-v5p-8x8x16-twisted.fabric.yaml"

TORUS = """
fabric: torus
axes: {x: 16, y: 20, z: 28}
devices:
  chip: {kind: gpu, axes: [x, y, z], transit: all}
links:
  - {between: [chip, chip], name: along-x, rate: 1Gb/s, ring: x}
  - {between: [chip, chip], name: along-y, rate: 1Gb/s, ring: y}
  - {between: [chip, chip], name: along-z, rate: 1Gb/s, ring: z}
"""

# As many GPUs as the program on real links answers in some seconds: one variable a source and a link.
TWO_TIER = """
fabric: two-tier
axes: {leaf: 20, slot: 8, spine: 4}
devices:
  gpu: {kind: gpu, axes: [leaf, slot]}
  leaf: {kind: switch, axes: [leaf]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s}
"""

# What a peer builds as well: NVL72 racks with their NICs, 72 GPUs and 18 NVLink chips each.
NVL72_RACKS = """
fabric: racks
axes: {rack: 4, gpu: 72, chip: 18}
islands: 4
devices:
  gpu: {kind: gpu, axes: [rack, gpu]}
  chip: {kind: switch, axes: [rack, chip]}
  nic: {kind: nic, axes: [rack, gpu]}
links:
  - {between: [gpu, chip], rate: 400Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 800Gb/s, net: host}
"""
N_RACKS = 4

NIC = "pod0/su0/block0/rack0/tray0/nic0"
LEAF = "pod0/su0/block0/leaf0"
SPINE = "pod0/spine0"
ELSEWHERE = (NIC, "pod1/su1/block0/leaf0", "pod2/spine5")


def random_nics(n: int) -> list[str]:
    """Return NICs of the million, drawn at random."""
    draw = random.Random(1).randrange
    return [
        f"pod{draw(55)}/su{draw(4)}/block{draw(8)}/rack{draw(8)}/tray{draw(18)}/nic{draw(4)}"
        for _ in range(n)
    ]


def fresh(fabric: Fabric) -> Fabric:
    """Return `fabric` with a blueprint of its own, so that nothing is known of it from the run before."""
    assert fabric.blueprint is not None
    return replace(fabric, blueprint=replace(fabric.blueprint))


def part_filled() -> Fabric:
    """Return a design of a million GPUs as it is written: the last of its blocks is not full."""
    from fabric.sizing import design

    return design(gpus=1_013_760, rack="gb300-nvl72", leaf="sn6800").fabric


def million(*failed: str, pods: int = 55) -> str:
    """Return the text of the million, with fewer pods or with failed devices."""
    text = MILLION.read_text().replace("pod: 55", f"pod: {pods}").replace("[112, 55]", f"[112, {pods}]")
    return text + (f"failed: [{', '.join(failed)}]\n" if failed else "")
