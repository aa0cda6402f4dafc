"""Small fabrics whose costs can be worked out by hand, each made once, and what to ask of loads."""

from functools import cache

import numpy as np

from fabric.graph import loads


@cache
def star(n, *, rate=400, switch="kind: switch"):
    """Return n GPUs on one switch."""
    return loads(f"""
fabric: star
axes: {{i: {n}}}
devices: {{gpu: {{kind: gpu, axes: [i]}}, leaf: {{{switch}, axes: []}}}}
links: [{{between: [gpu, leaf], rate: {rate}Gb/s}}]
""")


@cache
def boxes(k, g, *, rate=400, extra="", uplinks=2):
    """Return k boxes of g GPUs: 2 x `rate` inside, `rate` out, a leaf a rail, and one spine."""
    return loads(f"""
fabric: boxes
axes: {{box: {k}, slot: {g}, chip: 2}}
devices:
  gpu: {{kind: gpu, axes: [box, slot], transit: relay}}
  nvswitch: {{kind: switch, axes: [box, chip]}}
  nic: {{kind: nic, axes: [box, slot]}}
  leaf: {{kind: switch, axes: [slot]}}
  spine: {{kind: switch, axes: []}}
links:
  - {{between: [gpu, nvswitch], rate: {rate}Gb/s, net: scale-up}}
  - {{between: [gpu, nic], rate: {2 * rate}Gb/s}}
  - {{between: [nic, leaf], rate: {rate}Gb/s}}
  - {{between: [leaf, spine], rate: {rate}Gb/s, count: {uplinks}}}
{extra}""")


@cache
def leaf_spine(uplinks=1, *, pods=4, nodes=4, spines=2, switch="kind: switch", extra=""):
    """Return leaves of some GPUs and 2 spines, all of 50 GB/s a cable."""
    return loads(f"""
fabric: leaf-spine
axes: {{pod: {pods}, node: {nodes}, spine: {spines}}}
devices:
  gpu: {{kind: gpu, axes: [pod, node]}}
  leaf: {{{switch}, axes: [pod]}}
  spine: {{{switch}, axes: [spine]}}
links:
  - {{between: [gpu, leaf], rate: 400Gb/s}}
  - {{between: [leaf, spine], rate: 400Gb/s, count: {uplinks}}}
{extra}""")


@cache
def pairs(k, *, switch="kind: switch"):
    """Return k boxes of 4 GPUs, of which two share a PCIe switch with two NICs, each on a leaf of its own."""
    return loads(f"""
fabric: pairs
axes: {{box: {k}, half: 2, two: 2, slot: [half, two], chip: 2}}
devices:
  gpu: {{kind: gpu, axes: [box, slot], transit: relay}}
  nvswitch: {{kind: switch, axes: [box, chip]}}
  pcieswitch: {{kind: switch, axes: [box, half]}}
  nic: {{kind: nic, axes: [box, slot]}}
  leaf: {{{switch}, axes: [slot]}}
  spine: {{{switch}, axes: []}}
links:
  - {{between: [gpu, nvswitch], rate: 800Gb/s, net: scale-up}}
  - {{between: [gpu, pcieswitch], rate: 400Gb/s}}
  - {{between: [pcieswitch, nic], rate: 400Gb/s}}
  - {{between: [nic, leaf], rate: 200Gb/s}}
  - {{between: [leaf, spine], rate: 400Gb/s, count: 2}}
""")


@cache
def torus(*sizes):
    """Return a torus of chips, 50 GB/s a cable."""
    names = "xyz"[: len(sizes)]
    axes = ", ".join(f"{a}: {n}" for a, n in zip(names, sizes, strict=True))
    rings = "".join(
        f"  - {{between: [chip, chip], ring: {a}, rate: 400Gb/s, name: l{a}, net: scale-up}}\n" for a in names
    )
    return loads(f"""
fabric: torus
axes: {{{axes}}}
devices: {{chip: {{kind: gpu, axes: [{", ".join(names)}], transit: all}}}}
links:
{rings}""")


def a_cable(work, loads_):
    """Return the bytes on every cable of the busiest link of each rule, by name."""
    links = work.links
    each = np.divide(
        loads_.on_link, links.n_cables, out=np.zeros(len(links.n_cables)), where=links.n_cables > 0
    )
    found = np.zeros(len(links.rules))
    np.maximum.at(found, links.rule, each)
    return dict(zip(links.rules, found.tolist(), strict=True))
