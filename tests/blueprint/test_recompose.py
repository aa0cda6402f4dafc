"""Composed axes that an including file declares as another product, against sets of indices."""

import itertools
import json
import math
import random

import pytest

from fabric.blueprint import loads_blueprint
from fabric.errors import TopologyError
from fabric.graph import load
from fabric.graph.expanded import expand


def factors(rng, size):
    """Return a random list of numbers, sometimes with a one, whose product is `size`."""
    found = []
    while math.prod(found) < size:
        rest = size // math.prod(found)
        found.append(rng.choice([d for d in range(2, rest + 1) if rest % d == 0]))
    if rng.random() < 0.3:
        found.insert(rng.randrange(len(found) + 1), 1)
    return found


def has_common_cuts(old, new):
    """Return whether every two steps of the products divide one another."""
    steps = [math.prod(side[at:]) for side in (old, new) for at in range(len(side) + 1)]
    return all(max(x, y) % min(x, y) == 0 for x, y in itertools.combinations(steps, 2))


def indices_of(axes, product, at):
    """Return the indices of slot at which a device stands, given its index on some axes."""
    found = set()
    for index, digits in enumerate(itertools.product(*(range(axes[a]) for a in product))):
        here = dict(zip(product, digits, strict=True)) | {"slot": index}
        if all(here[a] == i for a, i in at.items()):
            found.add(index)
    return found


def devices(axes, product, name, place):
    """Return {name of a device: the indices of slot at which it stands}."""
    size = {**axes, "slot": math.prod(axes[a] for a in product)}
    found = {}
    for index in itertools.product(*(range(size[a]) for a in place)):
        words = [f"{a}{i}" for a, i in zip(place[:-1], index, strict=False)]
        full = "/".join([*words, f"{name}{index[-1] if index else ''}"])
        found[full] = indices_of(axes, product, dict(zip(place, index, strict=True)))
    return found


def some_place(rng, product):
    return rng.choice([["slot"], [a for a in product if rng.random() < 0.6]])


@pytest.mark.some(1)
@pytest.mark.parametrize("block", range(3))
def test_devices_meet_where_they_have_an_index_of_the_axis_in_common(block, tmp_path):
    n_refused = n_new = 0
    for seed in range(block * 60, block * 60 + 60):
        rng = random.Random(seed)
        size = rng.choice([4, 6, 8, 12, 16, 24])
        old = {f"o{'abcdef'[i]}": n for i, n in enumerate(factors(rng, size))}
        new = {f"n{'abcdef'[i]}": n for i, n in enumerate(factors(rng, size))}
        place = {"low": ["slot"], "mid": some_place(rng, list(old)), "top": some_place(rng, list(new))}
        item = {group: {"kind": "switch", "axes": axes} for group, axes in place.items()}
        rules = [{"between": pair, "rate": "1Gb/s"} for pair in itertools.combinations(place, 2)]
        inner = {"fabric": "inner", "axes": {**old, "slot": list(old)}, "links": rules[:1]}
        inner["devices"] = {group: item[group] for group in ("low", "mid")}
        (tmp_path / "inner.fabric.json").write_text(json.dumps(inner))
        outer = {"fabric": "outer", "include": "./inner.fabric.json", "links": rules[1:]}
        outer |= {"axes": {**new, "slot": list(new)}, "devices": {"top": item["top"]}}
        if not has_common_cuts(list(old.values()), list(new.values())):
            with pytest.raises(TopologyError, match="axis 'slot' redeclared with a product that cuts it"):
                loads_blueprint(json.dumps(outer), base=tmp_path)
            n_refused += 1
            continue
        blueprint = loads_blueprint(json.dumps(outer), base=tmp_path)
        n_new += len(blueprint.axes) > len(old) + len(new) + 1
        e = expand(blueprint)
        names = e.names.all()
        at = {}
        for group, axes in place.items():
            product = list(new) if group == "top" else list(old)
            at |= devices({**old, **new}, product, group, axes)
        assert sorted(names) == sorted(at), seed
        own = dict(zip(names, e.group.tolist(), strict=True))
        wanted = {(x, y) for x, y in itertools.combinations(names, 2) if own[x] != own[y] and at[x] & at[y]}
        assert {(names[t], names[h]) for t, h in zip(e.tail, e.head, strict=True)} == wanted, seed
    assert min(n_refused, n_new) > 3


GRAMMAR = """\
fabric: b300-spectrum-8su      # 4,096 GPUs, 128 leaves, 64 spines; two disjoint rail groups
include: {fabric: hgx-b300, over: {su: 8, half: 2, node: 32}}
axes: {group: 2, r: 4, slot: [group, r], spine: 32}      # splits the included axis slot: 8
devices:
  leaf:  {part: sn5600, axes: [su, half, slot]}
  spine: {part: sn5600, axes: [group, spine]}
links:
  - {between: [nic, leaf], rate: 800Gb/s, each: [1, 32]}
  - {between: [leaf, spine], rate: 800Gb/s, each: [32, 64]}
"""


def test_the_first_example_of_the_grammar(tmp_path):
    (tmp_path / "rails.fabric.yaml").write_text(GRAMMAR)
    fabric = load(tmp_path / "rails.fabric.yaml")
    assert fabric.skipped == ()
    axes = fabric.blueprint.axes
    # The template's sockets are the groups of rails.
    assert [axes[a].parts for a in ("slot", "socket", "lane")] == [("group", "r"), ("group",), ("r",)]
    e = expand(fabric.blueprint)
    assert [int((e.group == g).sum()) for g in range(6)] == [4096, 1024, 1024, 4096, 128, 64]
    rows = e.rule == [r.name for r in e.rules].index("leaf-spine")
    slot, group = e.coordinates["slot"], e.coordinates["group"]
    assert (slot[e.tail[rows]] // 4 == group[e.head[rows]]).all()
    assert rows.sum() == 128 * 32


INNER = (
    "{fabric: in, axes: {socket: 2, lane: 4, slot: [socket, lane]}, devices: {gpu: {kind: gpu, axes: [slot]},"
)
INNER += "cpu: {kind: switch, axes: [socket]}}, links: [{between: [gpu, cpu], rate: 1Gb/s}]}"

PRODUCTS = {
    "as it was": ("slot: [socket, lane]", {"slot": ("socket", "lane")}),
    "finer": ("a: 2, b: 2, slot: [socket, a, b]", {"slot": ("socket", "a", "b"), "lane": ("a", "b")}),
    "coarser": ("rail: 8, slot: [rail]", {"slot": ("rail",), "rail": ("socket", "lane")}),
    "elsewhere": (
        "group: 4, r: 2, slot: [group, r]",
        {"slot": ("group", "r"), "group": ("socket", "lane.group"), "lane": ("lane.group", "r")},
    ),
    "split twice": (
        "g: 2, r: 4, slot: [g, r], u: 2, v: 2, lane: [u, v]",
        {"slot": ("g", "r"), "socket": ("g",), "lane": ("u", "v"), "r": ("u", "v")},
    ),
    "of products": (
        "a: 2, b: 2, c: 2, ab: [a, b], slot: [ab, c]",
        {"slot": ("ab", "c"), "socket": ("a",), "lane": ("b", "c"), "ab": ("a", "b")},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("axes", "parts"), PRODUCTS.values(), ids=PRODUCTS)
def test_what_axes_become(axes, parts, tmp_path):
    (tmp_path / "in.fabric.yaml").write_text(INNER)
    text = f"{{fabric: out, islands: 2, include: ./in.fabric.yaml, axes: {{{axes}}}}}"
    blueprint = loads_blueprint(text, base=tmp_path)
    found = {name: axis.parts for name, axis in blueprint.axes.items() if axis.parts}
    assert found == parts
    assert expand(blueprint).n_bundles == 8


MISFITS = {
    "another order": (
        "slot: [lane, socket]",
        r"axis 'slot' redeclared with 'lane' at another place; got \[lane, socket\] of 4 x 2; expected \[soc",
    ),
    "other cuts": (
        "a: 2, b: 3, slot: [a, b]",
        "axis 'slot' redeclared with a wrong product; got 2 x 3 = 6; expected 8",
    ),
    "a name that is taken": (
        "group: 4, r: 2, slot: [group, r], lane.group: 3",
        "axis 'slot' redeclared, with 'lane.group' for what lane and group share; got .* rename the axis",
    ),
    "a product that is itself": ("x: [slot], slot: [x]", "axis cycle: 'x' is part of itself"),
}


@pytest.mark.parametrize(("axes", "match"), MISFITS.values(), ids=MISFITS)
def test_products_that_do_not_fit(axes, match, tmp_path):
    (tmp_path / "in.fabric.yaml").write_text(INNER)
    with pytest.raises(TopologyError, match=match):
        loads_blueprint(f"{{fabric: out, include: ./in.fabric.yaml, axes: {{{axes}}}}}", base=tmp_path)
