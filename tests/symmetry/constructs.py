"""Small random fabrics, one family for each construct of a topology file, with failures on request."""

import itertools
import json
import random
import tempfile
from functools import cache
from pathlib import Path

from fabric.errors import TopologyError
from fabric.graph import expand, loads

PATHS = ("rules", "no-relay", "any")
MAX_ENDPOINTS = 18
MAX_BUNDLES = 110


class Draft:
    """A topology file in the making."""

    def __init__(self, rng):
        self.rng = rng
        self.axes, self.devices, self.links, self.include, self.absent = {}, {}, [], [], []
        self.files = {}
        self.n_before = 0

    def group(self, name, axes, kind="switch", **more):
        self.devices[name] = {"kind": kind, "axes": list(axes), **more}

    def link(self, left, right, **more):
        rates = [f"{self.rng.choice((1, 2, 3, 5))}Gb/s", "10Gb/s/3"]
        self.links.append(
            {
                "between": [left, right],
                "name": f"r{self.n_before + len(self.links)}",
                "rate": self.rng.choice(rates),
                **more,
            }
        )

    def size(self, low=2, high=3):
        return self.rng.randint(low, high)

    def text(self, failed=()):
        keys = ("axes", "devices", "links", "include", "absent")
        body = {k: getattr(self, k) for k in keys if getattr(self, k)}
        return json.dumps({"fabric": "random", **body, "failed": list(failed)})


def _nodes(draft, axes, transit):
    """Put endpoints on `axes` and return the group whose devices the relations join."""
    if transit == "all":
        draft.group("gpu", axes, "gpu", transit="all")
        return "gpu"
    draft.group("gpu", axes, "gpu", transit=transit)
    draft.group("router", axes)
    draft.link("gpu", "router")
    return "router"


def _some_switch(draft, node, axes):
    """Join the nodes by a switch on some of their axes, or on one more, or leave it."""
    rng = draft.rng
    if rng.random() < 0.5:
        return
    own = [a for a in axes if rng.random() < 0.5]
    if rng.random() < 0.4:
        draft.axes["k"] = 2
        own.append("k")
    draft.group("leaf", own)
    draft.link(node, "leaf")


def _some_net(draft, transit):
    """Call some rules scale-up, where GPUs relay."""
    if transit == "relay":
        for link in draft.links:
            if draft.rng.random() < 0.4:
                link["net"] = "scale-up"


def _relations(*kinds, oneway=False):
    def build(rng, transit):
        draft = Draft(rng)
        names = ("x", "y")[: len(kinds)]
        for name, kind in zip(names, kinds, strict=True):
            draft.axes[name] = draft.size(2, 4 if kind == "mesh" else 5 if len(kinds) == 1 else 4)
        axes = list(names)
        if rng.random() < 0.3:
            draft.axes["z"] = 2
            axes.insert(rng.randrange(len(axes) + 1), "z")
        node = _nodes(draft, axes, transit)
        for name, kind in zip(names, kinds, strict=True):
            more = {"count": rng.choice((1, 1, 2))}
            if oneway and rng.random() < 0.7:
                more["oneway"] = True
            draft.link(node, node, **{kind: name}, **more)
        _some_switch(draft, node, axes)
        _some_net(draft, transit)
        return draft

    return build


def between_groups(rng, transit):
    """Relations between two groups, some of them peers."""
    draft = Draft(rng)
    draft.axes = {"x": draft.size(2, 4), "y": draft.size(1, 2)}
    draft.group("gpu", ["x", "y"], "gpu", transit=transit)
    draft.group("low", ["x", "y"] if rng.random() < 0.5 else ["x"])
    draft.group("high", ["x"])
    draft.link("gpu", "low")
    draft.link("low", "high", **{rng.choice(("ring", "line", "mesh")): "x"})
    draft.link("low", "high", peer=True) if rng.random() < 0.5 else draft.link("high", "high", ring="x")
    if rng.random() < 0.6:
        draft.group("top", [])
        draft.link("high", "top")
    _some_net(draft, transit)
    return draft


def per_index(rng, transit):
    """Counts by index, on plain axes and on the axis of a ring or a line."""
    draft = Draft(rng)
    draft.axes = {"x": draft.size(2, 4), "y": draft.size()}
    node = _nodes(draft, ["x", "y"], transit)
    draft.link(node, node, **{rng.choice(("ring", "line", "mesh")): "x"}, count=_list(draft, "y"))
    if rng.random() < 0.6:
        draft.link(node, node, **{rng.choice(("ring", "line", "mesh")): "y"})
    own = rng.choice((["x"], ["y"], []))
    draft.group("leaf", own)
    draft.link(node, "leaf", count=_list(draft, rng.choice("xy")))
    _some_net(draft, transit)
    return draft


def _list(draft, axis):
    choice = draft.rng.choice(((1, 2), (1, 1, 3), (0, 1, 2)))
    return {axis: [draft.rng.choice(choice) for _ in range(draft.axes[axis])]}


def composed(rng, transit):
    """Meshes over composed axes whose parts are used apart."""
    draft = Draft(rng)
    draft.axes = {"g": draft.size(2, 3), "r": draft.size(2, 3), "slot": ["g", "r"]}
    axes = ["slot"]
    if rng.random() < 0.4:
        draft.axes["p"] = 2
        axes = rng.choice((["p", "slot"], ["slot", "p"]))
    node = _nodes(draft, axes, transit)
    draft.link(node, node, mesh="slot")
    kind = rng.choice(("mesh", "ring", "line", ""))
    if kind:
        draft.link(node, node, **{kind: rng.choice("gr")})
    for name, own in (("leaf", ["g"]), ("rail", ["r"])):
        if rng.random() < 0.5:
            draft.group(name, own)
            count = _list(draft, own[0]) if rng.random() < 0.3 else 1
            draft.link(node, name, count=count)
    _some_net(draft, transit)
    return draft


def sides(rng, transit):
    """Selectors as sides: ranges, single indices, and sides pinned apart."""
    draft = Draft(rng)
    draft.axes = {"x": draft.size(3, 4), "y": draft.size(2, 3)}
    draft.group("gpu", ["x", "y"], "gpu", transit=transit)
    leaf_axes = rng.choice((["x"], ["y"], ["x", "y"]))
    draft.group("leaf", leaf_axes)
    draft.group("spine", ["s"])
    draft.axes["s"] = 2
    draft.link("gpu", "leaf")
    cut = rng.randrange(1, draft.axes["x"])
    low, high = (f"x0-{cut - 1}", f"x{cut}-{draft.axes['x'] - 1}")
    target = "leaf" if "x" in leaf_axes else "gpu"
    draft.link(f"{low}/{target}", "spine")
    draft.link(f"{high}/{target}", rng.choice(("spine", "spine0", "spine1")))
    one, other = rng.sample(range(draft.axes["x"]), 2)
    node = "gpu" if transit == "all" else "leaf"
    if node == "gpu" or "x" in leaf_axes:
        draft.link(f"x{one}/{node}", f"x{other}/{node}")
        if rng.random() < 0.5:
            kind = rng.choice(("ring", "line", "mesh"))
            draft.link(rng.choice((node, f"{low}/{node}")), node, **{kind: "x"})
    if rng.random() < 0.3:
        draft.absent.append(f"x{one}/y0/gpu")
    _some_net(draft, transit)
    return draft


def two_includes(rng, transit):
    """Two templates over axes of their own, joined by one fabric."""
    draft = Draft(rng)
    for name, prefix in (("one", ""), ("two", "b")):
        part = Draft(rng)
        part.axes = {"slot": part.size(2, 3)}
        part.group("gpu", ["slot"], "gpu", transit=transit)
        part.group("nic", ["slot"], "nic")
        part.link("gpu", "nic", net="host")
        if rng.random() < 0.7:
            part.group("chip", [])
            part.link("gpu", "chip", net="scale-up")
        draft.files[f"{name}.fabric.yaml"] = part.text().replace('"random"', f'"{name}"')
        item = {"fabric": f"{name}.fabric.yaml", "over": {"rack" if not prefix else "tray": part.size(1, 3)}}
        draft.include.append({**item, "as": prefix} if prefix else item)
        draft.n_before += len(part.links)
    draft.axes["s"] = draft.size(1, 2)
    draft.group("leaf", rng.choice((["s"], ["rack"], ["slot"], ["b.slot"])))
    draft.group("spine", ["s"])
    draft.link("nic", "leaf")
    draft.link("b.nic", "leaf")
    draft.link("leaf", "spine")
    return draft


def clos(rng, transit):
    """Racks of relaying GPUs with NICs, hosts, rails, planes and two tiers."""
    draft = Draft(rng)
    draft.axes = {
        "pod": draft.size(1, 2),
        "rack": draft.size(1, 3),
        "slot": draft.size(2, 3),
        "s": draft.size(1, 2),
    }
    draft.axes |= {"plane": 2, "chip": 2}
    draft.group("gpu", ["pod", "rack", "slot"], "gpu", transit=transit)
    if rng.random() < 0.7:
        draft.group("nvswitch", ["pod", "rack", "chip"])
        draft.link("gpu", "nvswitch", net="scale-up")
    draft.group("nic", ["pod", "rack", "slot"], "nic")
    draft.link("gpu", "nic", net="host")
    if rng.random() < 0.4:
        draft.group("host", ["pod", "rack"], "host")
        draft.link("gpu", "host", net="host")
        draft.link("host", "nic", net="host")
    extra = ["plane"] if rng.random() < 0.3 else []
    leaf = rng.choice((["pod", "slot"], ["pod", "rack"], ["pod"]))
    draft.group("leaf", [*leaf, *extra])
    draft.link("nic", "leaf", count=rng.choice((1, 2)))
    draft.group("spine", ["pod", "s", *extra] if rng.random() < 0.6 else ["s", *extra])
    draft.link("leaf", "spine", count=rng.choice((1, 2, 3)))
    if "pod" in draft.devices["spine"]["axes"] and draft.axes["pod"] > 1:
        draft.group("core", ["s", *extra])
        draft.link("spine", "core")
    return draft


CONSTRUCTS = {
    "mesh x mesh": _relations("mesh", "mesh"),
    "ring x ring": _relations("ring", "ring"),
    "ring x mesh": _relations("ring", "mesh"),
    "line": _relations("line"),
    "line x ring": _relations("line", "ring"),
    "line x mesh": _relations("line", "mesh"),
    "one-way rings": _relations("ring", "ring", oneway=True),
    "relations between groups": between_groups,
    "counts by index": per_index,
    "composed axes": composed,
    "selectors as sides": sides,
    "two includes": two_includes,
    "clos": clos,
}


@cache
def random_fabric(construct, seed):
    """Return a fabric of `construct` with ``seed % 4`` failures, and the path rule to ask about."""
    draft, failed, paths = random_draft(construct, seed)
    return load(draft, failed), paths


@cache
def random_draft(construct, seed):
    """Return a draft of `construct`, a list of ``seed % 4`` failures, and the path rule to ask about.

    The seed walks through transits, path rules and numbers of failures; drafts that the checks reject, or
    that are large, are drawn again.
    """
    transit = ("end", "relay", "all")[seed // 4 % 3]
    for attempt in itertools.count():
        rng = random.Random(f"{construct} {seed} {attempt}")
        draft = CONSTRUCTS[construct](rng, transit)
        try:
            e = expand(load(draft))
            if not 2 <= e.is_endpoint.sum() <= MAX_ENDPOINTS or e.n_bundles > MAX_BUNDLES:
                continue
            failed = list(_failures(rng, e, draft, seed % 4))
            broken = expand(load(draft, failed))
        except TopologyError:
            continue
        if (broken.is_endpoint & ~broken.failed).sum() >= 2:
            return draft, failed, PATHS[(seed + seed // 12) % 3]


def load(draft, failed=()):
    """Load a draft, with its templates in a folder of their own."""
    if not draft.files:
        return loads(draft.text(failed))
    with tempfile.TemporaryDirectory() as folder:
        for name, text in draft.files.items():
            (Path(folder) / name).write_text(text)
        return loads(draft.text(failed), base=folder)


def _failures(rng, e, draft, n):
    """Yield devices, prefixes of devices, cables, and single cables of a bundle that are down."""
    for _ in range(n):
        kind = rng.choice(("device", "prefix", "cable", "one cable", "cables"))
        if kind == "device":
            yield str(e.names[rng.randrange(e.n_devices)])
        elif kind == "prefix":
            words = str(e.names[rng.randrange(e.n_devices)]).split("/")
            plain = [w for w in words[:-1] if not w.startswith("gpu")]
            yield "/".join([*rng.sample(plain, min(1, len(plain))), words[-1]])
        else:
            row = rng.randrange(e.n_bundles)
            ends = [str(e.names[int(v)]) for v in (e.tail[row], e.head[row])]
            if kind == "cables":
                ends[1] = ends[1].split("/")[-1]
            yield [*ends, 1] if kind == "one cable" else ends
