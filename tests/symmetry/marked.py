"""Small fabrics with much of the same damage: what is alike, and what only looks so."""

import json
import random
import re

import numpy as np

from fabric.errors import TopologyError
from fabric.graph import expand, loads

RATE = "1Gb/s"


def _link(left, right, **more):
    return {"between": [left, right], "rate": RATE, **more}


def _nested(rng):
    """Pods of racks of slots, the leaves of a rack or of a slot, spines of a pod or of all, cores between."""
    sizes = {"pod": rng.randint(2, 4), "rack": rng.randint(1, 3), "slot": rng.randint(1, 2), "k": 2, "c": 2}
    axes = ["pod", "rack", "slot"]
    rng.shuffle(axes)
    devices = {"gpu": {"kind": "gpu", "axes": axes, "transit": rng.choice(("end", "all"))}}
    links = []
    foot = "gpu"
    if rng.random() < 0.5:
        devices["nic"] = {"kind": "nic", "axes": axes}
        links.append(_link("gpu", "nic"))
        foot = "nic"
    devices["leaf"] = {
        "kind": "switch",
        "axes": rng.choice((["pod", "rack"], ["pod", "slot"], ["slot"], ["pod"])),
    }
    links.append(_link(foot, "leaf"))
    devices["spine"] = {"kind": "switch", "axes": rng.choice((["pod", "k"], ["k"], ["slot", "k"]))}
    links.append(_link("leaf", "spine", count=rng.choice((1, 2))))
    if rng.random() < 0.5:
        devices["core"] = {"kind": "switch", "axes": ["k", "c"] if rng.random() < 0.5 else ["c"]}
        links.append(_link("spine", "core"))
    if rng.random() < 0.3:
        links.append(_link("gpu", "gpu", mesh=rng.choice(axes), name="mesh"))
    return {"axes": _used(sizes, devices), "devices": devices, "links": links}


def _tagged(rng):
    """A ring, a line or a mesh in each of several pods, or through all of them."""
    kind = rng.choice(("ring", "line", "mesh"))
    sizes = {"pod": rng.randint(2, 4), "x": rng.randint(3, 5 if kind != "mesh" else 4), "k": 2}
    devices = {"gpu": {"kind": "gpu", "axes": ["pod", "x"], "transit": "all"}}
    links = [
        _link("gpu", "gpu", name="round", count=rng.choice((1, 2)), **{kind: rng.choice(("x", "x", "pod"))})
    ]
    devices["top"] = {"kind": "switch", "axes": rng.choice(([], ["k"], ["pod"], ["x"], ["pod", "k"]))}
    links.append(_link("gpu", "top"))
    if "pod" in devices["top"]["axes"]:
        devices["core"] = {"kind": "switch", "axes": rng.choice(([], ["k"]))}
        links.append(_link("top", "core"))
    return {"axes": _used(sizes, devices), "devices": devices, "links": links}


def grid():
    """Five rows and five columns that cross, as large as marks must be for colours to err."""
    devices = {
        "gpu": {"kind": "gpu", "axes": ["x", "y"], "transit": "all"},
        "row": {"kind": "switch", "axes": ["x"]},
        "column": {"kind": "switch", "axes": ["y"]},
    }
    links = [_link("gpu", "row"), _link("gpu", "column")]
    return {"fabric": "grid", "axes": {"x": 5, "y": 5}, "devices": devices, "links": links}


def _celled(rng):
    """Counts by index, and sides of a rule that are a part of an axis."""
    sizes = {"pod": rng.randint(3, 5), "slot": rng.randint(2, 3), "k": 2}
    devices = {
        "gpu": {"kind": "gpu", "axes": ["pod", "slot"], "transit": "all"},
        "leaf": {"kind": "switch", "axes": ["pod"]},
        "spine": {"kind": "switch", "axes": ["k"]},
    }
    n = sizes["pod"]
    count = {"pod": [rng.choice((1, 1, 2)) for _ in range(n)]} if rng.random() < 0.5 else 1
    links = [_link("gpu", "leaf"), _link("leaf", "spine", count=count)]
    if rng.random() < 0.6:
        links.append(_link(f"pod0-{rng.randrange(n - 1)}/gpu", "spine", name="more"))
    return {"axes": _used(sizes, devices), "devices": devices, "links": links}


def _used(sizes, devices):
    return {a: n for a, n in sizes.items() if any(a in d["axes"] for d in devices.values())}


def _crossing(rng):
    """Pods whose spines, or racks and rails whose switches, are shared: damage on several axes at once."""
    n, k = rng.randint(3, 4), rng.randint(3, 4)
    if rng.random() < 0.5:
        sizes = {"pod": n, "slot": rng.randint(1, 3), "spine": k, "core": rng.randint(1, 3)}
        leaf = rng.choice((["pod"], ["pod", "slot"]))
        devices = {
            "gpu": {"kind": "gpu", "axes": ["pod", "slot"], "transit": rng.choice(("end", "all"))},
            "leaf": {"kind": "switch", "axes": leaf},
            "sp": {"kind": "switch", "axes": ["pod", "spine"]},
            "co": {"kind": "switch", "axes": rng.choice((["spine", "core"], ["spine"], ["core"]))},
        }
        count = rng.choice((1, 2))
        links = [_link("gpu", "leaf"), _link("leaf", "sp", count=count), _link("sp", "co")]
    else:
        pods = rng.randint(1, 2)
        sizes = {"pod": pods, "rack": 3, "rail": rng.choice((2, 3)) if pods == 2 else k}
        at = ["pod"] if pods > 1 else []
        devices = {
            "gpu": {"kind": "gpu", "axes": [*at, "rack", "rail"], "transit": "all"},
            "nv": {"kind": "switch", "axes": [*at, "rack"]},
            "leaf": {"kind": "switch", "axes": [*at, "rail"]},
            "top": {"kind": "switch", "axes": []},
        }
        links = [_link("gpu", "nv"), _link("gpu", "leaf", count=2), _link("leaf", "top")]
    return {"axes": _used(sizes, devices), "devices": devices, "links": links}


def _three(rng):
    """Switches on two axes each of three, and counts by index: damage on all of them at once."""
    sizes = {"x": 3, "y": 3, "z": rng.choice((2, 3)), "k": 2}
    devices = {
        "gpu": {"kind": "gpu", "axes": ["x", "y"], "transit": "all"},
        "leaf": {"kind": "switch", "axes": ["x", "z"]},
        "row": {"kind": "switch", "axes": ["y", "z"]},
        "top": {"kind": "switch", "axes": rng.choice((["z"], ["z", "k"], []))},
    }
    count = {"x": rng.choice(([1, 1, 2], [1, 1, 1], [2, 1, 1]))} if rng.random() < 0.5 else 2
    links = [_link("gpu", "leaf", count=count), _link("gpu", "row")]
    links += [_link("leaf", "top"), _link("row", "top", count=2)]
    return {"axes": _used(sizes, devices), "devices": devices, "links": links}


FAMILIES = {
    "nested": _nested,
    "pods of rings": _tagged,
    "grid": lambda rng: grid(),
    "cells": _celled,
    "crossing": _crossing,
    "three axes": _three,
}


def similar(rng, e):
    """Return failures of one or two kinds, each at several places."""
    names = {str(name) for name in e.names}
    found = []
    for _ in range(rng.choice((1, 1, 2))):
        form = [str(e.names[rng.randrange(e.n_devices)])]
        if rng.random() < 0.4:
            row = rng.randrange(e.n_bundles)
            form = [str(e.names[int(v)]) for v in (e.tail[row], e.head[row])]
        if rng.random() < 0.3:
            # A whole pod of them, or a rack.
            form = ["/".join(name.split("/")[:-2] + name.split("/")[-1:]) for name in form]
            form = [re.sub(r"\d+$", "", name) if rng.random() < 0.3 else name for name in form]
        found.append(form)
        # The same on other indices: of one axis, or of any.
        axes = sorted(set(re.findall(r"[a-z]+(?=\d)", "/".join(form))))
        own = rng.sample(axes, min(len(axes), rng.choice((1, 1, 9))))
        for _ in range(rng.randint(1, 4)):
            moves = {axis: rng.randrange(1, 4) for axis in own}
            again = ["/".join(_moved(word, moves) for word in name.split("/")) for name in form]
            if names.issuperset(again):
                found.append(again)
    n = rng.choice((None, None, None, 1))
    return [one[0] if len(one) == 1 else [*one, n] if n else one for one in found]


def diagonal(rng, e):
    """Return failures of one kind at places that differ on several axes at once, and sometimes another."""
    names = {str(name) for name in e.names}
    sizes = {axis: int(index.max()) + 1 for axis, index in e.coordinates.items()}
    found = []
    for _ in range(rng.choice((1, 1, 2))):
        form = [str(e.names[rng.randrange(e.n_devices)])]
        if rng.random() < 0.5:
            row = rng.randrange(e.n_bundles)
            form = [str(e.names[int(v)]) for v in (e.tail[row], e.head[row])]
        last = {g.name: g.axes[-1] for g in e.groups if g.axes}
        axes = sorted({last.get(w, w) for w in re.findall(r"[a-z]+(?=\d)", "/".join(form))})
        own = rng.sample(axes, min(len(axes), rng.randint(2, 3)))
        images = {axis: rng.sample(range(sizes[axis]), sizes[axis]) for axis in own}
        for i in range(rng.randint(2, max(2, min((sizes[a] for a in own), default=2)))):
            places = {axis: image[i % len(image)] for axis, image in images.items()}
            words = (name.split("/") for name in form)
            again = ["/".join(_put(word, last, places) for word in name) for name in words]
            if names.issuperset(again):
                found.append(again)
    if rng.random() < 0.3:
        found.append([str(e.names[rng.randrange(e.n_devices)])])
    n = rng.choice((None, None, 1))
    return [one[0] if len(one) == 1 else [*one, n] if n else one for one in found]


def _put(word, last, places):
    """Return a word of a name with its index replaced, if its axis has a new one."""
    name, index = re.fullmatch(r"([a-z]+)(\d*)", word).groups()
    return f"{name}{places.get(last.get(name, name), index)}" if index else word


def _moved(word, moves):
    """Return a word of a name with its index some places on, if any."""
    name, index = re.fullmatch(r"([a-z]+)(\d*)", word).groups()
    return f"{name}{(int(index) + moves.get(name, 0)) % 5}" if index else word


def slowed(rng, damage):
    """Return damage as what is degraded, of one part or two."""
    parts = rng.choice((["1/2"], ["1/2"], [0.25, "50%"], ["750Mb/s", "1/4"]))
    return [[x, rng.choice(parts)] if isinstance(x, str) else [*x, rng.choice(parts)] for x in damage]


def marked_fabric(family, seed, *, is_slow=False):
    """Return a fabric of a family with failures, and often with devices that are absent, of few kinds.

    With `is_slow` cables are degraded too, and less has failed.
    """
    rng = random.Random(f"{family} {seed} slow" if is_slow else f"{family} {seed}")
    while True:
        body = {"fabric": "marked", **FAMILIES[family](rng)}
        try:
            e = expand(loads(json.dumps(body)))
            if family == "grid":
                cells = rng.sample([(x, y) for x in range(5) for y in range(5)], rng.randint(7, 12))
                body["failed"] = [
                    f"x{x}/gpu{y}" if rng.random() < 0.8 else [f"x{x}/gpu{y}", f"row{x}"] for x, y in cells
                ]
            else:
                body["failed"] = (diagonal if family in ("crossing", "three axes") else similar)(rng, e)
                if rng.random() < 0.3:
                    body["absent"] = [x for x in similar(rng, e) if isinstance(x, str)]
            if is_slow:
                draw = diagonal if family in ("grid", "crossing", "three axes") else similar
                body["degraded"] = slowed(rng, draw(rng, e))
                body["failed"] = body["failed"][:1] if rng.random() < 0.5 else []
            fabric = loads(json.dumps(body))
        except TopologyError:
            continue
        e = expand(fabric)
        if 2 <= np.count_nonzero(e.is_endpoint & ~e.failed) <= {"grid": 25, "crossing": 18}.get(family, 14):
            return fabric
