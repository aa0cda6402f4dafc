"""Random fabrics and questions about their flows, drawn by family and seed."""

import random

import numpy as np

from fabric.flow.traffic import Traffic
from fabric.graph import expand, loads, select

RATES = ("1Gb/s", "2Gb/s", "3Gb/s", "5Gb/s", "8Gb/s/3")


def clos(rng):
    """Racks with an NVLink switch each, leaves per rail or per rack, spines, and perhaps NICs."""
    transit = rng.choice(("end", "relay", "all"))
    leaf = rng.choice(("[pod, slot]", "[pod, rack]", "[slot]"))
    nic = rng.random() < 0.5
    sizes = {"pod": rng.randint(1, 2), "rack": rng.randint(1, 3), "slot": rng.randint(2, 3)}
    axes = {**sizes, "chip": rng.randint(1, 2), "k": rng.randint(1, 3)}
    devices = [
        f"gpu: {{kind: gpu, axes: [pod, rack, slot], transit: {transit}}}",
        "chip: {kind: switch, axes: [pod, rack, chip]}",
        f"leaf: {{kind: switch, axes: {leaf}}}",
        "spine: {kind: switch, axes: [k]}",
    ]
    links = [f"{{between: [gpu, chip], rate: {rng.choice(RATES)}, net: scale-up}}"]
    if nic:
        devices.append("nic: {kind: nic, axes: [pod, rack, slot]}")
        links.append(f"{{between: [gpu, nic], rate: {rng.choice(RATES)}, net: host}}")
    links.append(f"{{between: [{'nic' if nic else 'gpu'}, leaf], rate: {rng.choice(RATES)}}}")
    links.append(f"{{between: [leaf, spine], rate: {rng.choice(RATES)}, count: {rng.randint(1, 2)}}}")
    down = ["gpu", "chip", "leaf", "spine", ("gpu", "chip"), ("leaf", "spine")]
    return axes, devices, links, ("pod", "rack", "slot"), down


def chips(rng):
    """Chips that are joined directly: a mesh, ring or line over each axis, in any mixture."""
    axes = {"x": rng.randint(2, 4), "y": rng.randint(2, 4)}
    links = []
    for axis in axes:
        kind = rng.choice(("mesh", "ring", "line"))
        count = (
            f", count: {{y: {[rng.randint(1, 2) for _ in range(axes['y'])]}}}" if rng.random() < 0.3 else ""
        )
        count = count if axis == "x" else ""
        links.append(
            f"{{between: [gpu, gpu], name: {axis}, {kind}: {axis}, rate: {rng.choice(RATES)}{count}}}"
        )
    return axes, ["gpu: {kind: gpu, axes: [x, y], transit: all}"], links, ("x", "y"), ["gpu", ("gpu", "gpu")]


def uneven(rng):
    """Some racks with a second leaf, and twice the cables on some rails."""
    axes = {"rack": rng.randint(2, 4), "slot": rng.randint(1, 3)}
    counts = [rng.randint(1, 3) for _ in range(axes["slot"])]
    devices = [
        "gpu: {kind: gpu, axes: [rack, slot]}",
        "leaf: {kind: switch, axes: [rack]}",
        "extra: {kind: switch, axes: [rack]}",
        "spine: {kind: switch, axes: []}",
    ]
    links = [
        f"{{between: [gpu, leaf], rate: {rng.choice(RATES)}, count: {{slot: {counts}}}}}",
        f"{{between: [rack0/gpu, extra], rate: {rng.choice(RATES)}}}",
        f"{{between: [leaf, spine], rate: {rng.choice(RATES)}}}",
        f"{{between: [extra, spine], rate: {rng.choice(RATES)}}}",
    ]
    return axes, devices, links, ("rack", "slot"), ["gpu", "leaf", ("leaf", "spine")]


FAMILIES = {"clos": clos, "chips": chips, "uneven": uneven}


PATHS = ("rules", "no-relay", "any")


def fabric_of(family, seed, *, n_failed=0):
    """Return a random fabric, and the axes of its endpoints with their sizes."""
    rng = random.Random(f"{family} {seed}")
    axes, devices, links, own, down = FAMILIES[family](rng)
    text = f"{{fabric: {family}, axes: {axes}, devices: {{{', '.join(devices)}}}, links: [{', '.join(links)}]"
    text = text.replace("'", "")
    plain = loads(text + "}")
    names = [str(name) for name in expand(plain).names]
    failed = []
    for _ in range(n_failed):
        what = rng.choice(down)
        if isinstance(what, str):
            failed.append(rng.choice([n for n in names if n.split("/")[-1].rstrip("0123456789") == what]))
        else:
            e = expand(plain)
            cables = [
                f"[{names[a]}, {names[b]}]"
                for a, b in zip(e.tail.tolist(), e.head.tolist(), strict=True)
                if (e.groups[e.group[a]].name, e.groups[e.group[b]].name) == what
            ]
            failed.append(rng.choice(cables))
    fabric = loads(f"{text}, failed: [{', '.join(failed)}]}}") if failed else plain
    return fabric, {axis: axes[axis] for axis in own}, rng


def demands_of(fabric, traffic, *, among=None, gone=()):
    """Return the demands of every pair, by names; `gone` do not take part."""
    e = expand(fabric)
    taking = e.is_endpoint & ~e.failed if among is None else select(fabric, among) & e.is_endpoint & ~e.failed
    ends = [v for v in np.flatnonzero(taking).tolist() if e.names[v] not in gone]
    at = {v: {a: int(c[v]) for a, c in e.coordinates.items() if c[v] >= 0} for v in ends}
    sizes = {a: fabric.blueprint.axes[a].size for a in traffic.over}

    def is_target(s, t):
        if traffic.pattern == "halves":
            (axis,) = traffic.over
            half = sizes[axis] // 2
            return (at[s][axis] < half) != (at[t][axis] < half)
        if traffic.pattern == "shift":
            (axis,) = traffic.over
            return at[t] == {**at[s], axis: (at[s][axis] + traffic.by) % sizes[axis]}
        return not traffic.over or all(at[s][a] == at[t][a] for a in at[s] if a not in traffic.over)

    if traffic.pattern in ("one-to-all", "all-to-one"):
        pairs = [(traffic.root, e.names[v]) for v in ends if e.names[v] != traffic.root]
        return {pair if traffic.pattern == "one-to-all" else pair[::-1]: 1.0 for pair in pairs}
    found = {}
    for s in ends:
        targets = [t for t in ends if t != s and is_target(s, t)]
        found |= {(e.names[s], e.names[t]): 1 / len(targets) for t in targets}
    return found


def patterns(sizes, rng, root):
    """Return one traffic of every kind that fits endpoints on axes of these sizes."""
    axis = rng.choice([a for a, n in sizes.items() if n > 1])
    over = tuple(a for a in sizes if a == axis or rng.random() < 0.4)
    return [
        Traffic(),
        Traffic("all-to-all", over),
        Traffic("one-to-all", root=root),
        Traffic("all-to-one", root=root),
        Traffic("shift", (axis,), by=rng.randint(1, sizes[axis] - 1)),
        Traffic("halves", (axis,)),
    ]


def alive(fabric):
    e = expand(fabric)
    return [str(e.names[v]) for v in np.flatnonzero(e.is_endpoint & ~e.failed)]


PAIRS_OF_A_LEAF = """
{fabric: a, axes: {leaf: 3, i: 2}, islands: %d, devices: {gpu: {kind: gpu, axes: [leaf, i]},
 sw: {kind: switch, axes: [leaf]}, nic: {kind: nic, axes: [leaf, i]}, top: {kind: switch, axes: []}},
 links: [{between: [gpu, nic], rate: 4Gb/s}, {between: [nic, sw], rate: 4Gb/s}, {between: [sw, top], rate:
 6Gb/s}], failed: [%s]}
"""
