"""Joins and counts against the wording of the grammar: every pair of devices is tried, one by one.

A random file is made as plain data (`Model`), which is written as JSON for the program and enumerated here
with nothing but loops. Seeded, so that a failure has a number.
"""

import itertools
import json
import math
import random
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from fabric.blueprint import census, loads_blueprint
from fabric.blueprint.census import degrees
from fabric.blueprint.grid import full_grid
from fabric.blueprint.join import join
from fabric.errors import LimitError, TopologyError
from fabric.graph.expanded import expand


@dataclass
class Model:
    """One file as data: axes with a size or parts, groups with axes, rules with structured sides."""

    axes: dict = field(default_factory=dict)
    groups: dict = field(default_factory=dict)
    rules: list = field(default_factory=list)
    absent: list = field(default_factory=list)

    def parts(self, axis):
        spec = self.axes[axis]
        return [axis] if isinstance(spec, int) else [p for part in spec for p in self.parts(part)]

    def size(self, axis):
        return math.prod(self.axes[p] for p in self.parts(axis))

    def primitives(self, group):
        return [p for axis in self.groups[group] for p in self.parts(axis)]

    def index(self, device, axis):
        """Return the index of a device on an axis, the last part fastest."""
        flat = 0
        for p in self.parts(axis):
            flat = flat * self.axes[p] + device[p]
        return flat

    def devices(self, group):
        own = self.primitives(group)
        return [
            dict(zip(own, i, strict=True)) for i in itertools.product(*(range(self.axes[p]) for p in own))
        ]

    def name(self, group, device):
        words = [f"{axis}{self.index(device, axis)}" for axis in self.groups[group][:-1]]
        last = self.groups[group][-1:]
        return "/".join([*words, group + "".join(str(self.index(device, a)) for a in last)])

    def matches(self, terms, device):
        return all(lo <= self.index(device, axis) <= hi for axis, (lo, hi) in terms.items())

    def pins(self, terms):
        return {p for axis, (lo, hi) in terms.items() if lo == hi for p in self.parts(axis)}


def joined(model, rule):
    """Return {(left device, right device): cables} of a rule, by name, as the grammar says it."""
    (left, left_terms), (right, right_terms) = rule["between"]
    kind, along = rule.get("relation", (None, []))
    free = {p for axis in along for p in model.parts(axis)} | (
        model.pins(left_terms) & model.pins(right_terms)
    )
    equal = set(model.primitives(left)) & set(model.primitives(right)) - free
    size = math.prod(model.size(axis) for axis in along)
    twisted = {p for axis in rule.get("twist", {}) for p in model.parts(axis)}

    def position(device):
        flat = 0
        for axis in along:
            flat = flat * model.size(axis) + model.index(device, axis)
        return flat

    def fits(x, y):
        if any(x[p] != y[p] for p in equal - twisted):
            return False
        i, j = (position(x), position(y)) if kind else (0, 0)
        is_wrap = kind == "ring" and i == size - 1
        for axis, k in rule.get("twist", {}).items():
            shift = k if is_wrap else 0
            if (model.index(x, axis) + shift) % model.size(axis) != model.index(y, axis):
                return False
        return {
            None: True,
            "mesh": i != j,
            "ring": size > 1 and j == (i + 1) % size,
            "line": j == i + 1,
            "pairs": (i, j) in {tuple(map(flat_index(model, along), pair)) for pair in rule.get("pairs", [])},
        }[kind]

    found = {}
    for x, y in itertools.product(model.devices(left), model.devices(right)):
        names = model.name(left, x), model.name(right, y)
        is_twice = left == right and not rule["oneway"] and names[::-1] in found
        if not model.matches(left_terms, x) or not model.matches(right_terms, y):
            continue
        if names[0] != names[1] and fits(x, y) and not is_twice:
            found[names] = cables(model, rule, x, y)
    return {names: n for names, n in found.items() if n}


def flat_index(model, along):
    def flat(digits):
        value = 0
        for axis, digit in zip(along, digits, strict=True):
            value = value * model.size(axis) + digit
        return value

    return flat


def cables(model, rule, x, y):
    if isinstance(rule["count"], int):
        return rule["count"]
    ((axis, numbers),) = rule["count"].items()
    return numbers[model.index(x if set(model.parts(axis)) <= set(x) else y, axis)]


# Random files.


def random_model(rng, letters, known=None):
    """Return a file whose names start with `letters`; what it refers to may be in `known`, its includes."""
    model = Model(axes=dict(known.axes) if known else {}, groups=dict(known.groups) if known else {})
    own = Model()
    for axis in "abc":
        own.axes[letters + axis] = model.axes[letters + axis] = rng.choice([1, 2, 2, 3, 4])
    composed = rng.sample([letters + a for a in "abc"], 2)
    own.axes[f"{letters}m"] = model.axes[f"{letters}m"] = composed
    if rng.random() < 0.3:
        rest = next(letters + a for a in "abc" if letters + a not in composed)
        own.axes[f"{letters}n"] = model.axes[f"{letters}n"] = [rest, f"{letters}m"]
    for group in "gh":
        name = f"{letters}{group}"
        own.groups[name] = model.groups[name] = random_place(rng, model)
    for number in range(rng.randint(1, 4)):
        rule = random_rule(rng, model, f"{letters}r{number}")
        # Most rules that join nothing are left out, or few files would be sound.
        if rule is not None and (rng.random() < 0.05 or joined(model, rule)):
            own.rules.append(rule)
    if rng.random() < 0.4:
        group = rng.choice(sorted(own.groups))
        own.absent.append((group, random_terms(rng, model, group, 0.8)))
    return own


def random_place(rng, model):
    place, taken = [], set()
    for axis in rng.sample(sorted(model.axes), len(model.axes)):
        parts = model.parts(axis)
        size = math.prod(model.axes[p] for p in {*taken, *parts})
        if not taken & set(parts) and size <= 24 and rng.random() < 0.6:
            place.append(axis)
            taken |= set(parts)
    return place


def random_terms(rng, model, group, chance):
    """Return terms that match some device of `group`."""
    terms = {}
    for axis in sorted(model.axes):
        if set(model.parts(axis)) <= set(model.primitives(group)) and rng.random() < chance:
            lo = rng.randrange(model.size(axis))
            hi = lo if rng.random() < 0.6 else rng.randrange(lo, model.size(axis))
            trial = {**terms, axis: (lo, hi)}
            if any(model.matches(trial, d) for d in model.devices(group)):
                terms = trial
    return terms


def random_rule(rng, model, name):
    left, right = rng.choice(sorted(model.groups)), rng.choice(sorted(model.groups))
    if rng.random() < 0.3:
        right = left
    terms = [random_terms(rng, model, g, 0.15) for g in (left, right)]
    shared = set(model.primitives(left)) & set(model.primitives(right))
    common = [axis for axis in sorted(model.axes) if set(model.parts(axis)) <= shared]
    rule = {"name": name, "oneway": rng.random() < 0.2, "count": rng.randint(1, 3)}
    kind = rng.choice([None, "mesh", "ring", "ring", "line", "pairs"]) if common else None
    if kind is None and left == right:
        wide = [axis for axis in common if model.size(axis) > 1]
        if not wide:
            return None
        axis = rng.choice(wide)
        i, j = rng.sample(range(model.size(axis)), 2)
        terms = [{axis: (i, i)}, {axis: (j, j)}]
    rule["between"] = [(left, terms[0]), (right, terms[1])]
    taken = set()
    if kind is not None:
        along = [rng.choice(common)]
        others = [a for a in common if not set(model.parts(a)) & set(model.parts(along[0]))]
        if kind == "pairs" and others and rng.random() < 0.5:
            along.append(rng.choice(others))
        taken = {p for axis in along for p in model.parts(axis)}
        rule["relation"] = (kind, along)
        if kind == "pairs":
            rule["pairs"] = random_pairs(rng, model, along, is_same=left == right, is_ordered=rule["oneway"])
            if not rule["pairs"]:
                return None
    both = model.pins(terms[0]) & model.pins(terms[1])
    movable = [a for a in common if not set(model.parts(a)) & (taken | both)]
    if kind == "ring" and movable and rng.random() < 0.6:
        axis = rng.choice(movable)
        rule["twist"] = {axis: rng.randint(-3, 5)}
        taken |= set(model.parts(axis))
    listed = [
        axis
        for axis in sorted(model.axes)
        if any(set(model.parts(axis)) <= set(model.primitives(g)) for g in (left, right))
        and not set(model.parts(axis)) & (taken | both)
    ]
    if listed and rng.random() < 0.4:
        axis = rng.choice(listed)
        rule["count"] = {axis: [rng.randint(0, 2) for _ in range(model.size(axis))]}
    return rule


def random_pairs(rng, model, along, *, is_same, is_ordered):
    flat = flat_index(model, along)
    places = list(itertools.product(*(range(model.size(axis)) for axis in along)))
    found = {}
    for _ in range(rng.randint(1, 6)):
        i, j = rng.choice(places), rng.choice(places)
        key = (flat(i), flat(j))
        if is_same and not is_ordered:
            key = min(key), max(key)
        if not is_same or i != j:
            found.setdefault(key, (i, j))
    return list(found.values())


def written(rng, model, rule, each=None):
    """Return a rule as a file has it."""
    item = {"between": [side_text(rng, model, *side) for side in rule["between"]]}
    item |= {
        "rate": f"{rule.get('rate', 1)}Gb/s",
        "name": rule["name"],
        "oneway": rule["oneway"],
        "count": rule["count"],
    }
    kind, along = rule.get("relation", (None, None))
    if kind == "pairs":
        pairs = [[d[0] if len(d) == 1 else list(d) for d in pair] for pair in rule["pairs"]]
        item["wiring"] = {"pattern": "pairs", "along": along if len(along) > 1 else along[0], "pairs": pairs}
    elif kind:
        item[kind] = along[0]
    if "twist" in rule:
        item["twist"] = rule["twist"]
    return item | ({"each": each} if each else {})


def side_text(rng, model, group, terms):
    last = model.groups[group][-1:]
    words, tail = [], ""
    for axis, (lo, hi) in terms.items():
        index = f"{lo}" if lo == hi and rng.random() < 0.9 else f"{lo}-{hi}"
        if [axis] == last and rng.random() < 0.5:
            tail = index
        else:
            words.append(axis + index)
    rng.shuffle(words)
    return "/".join([*words, group + tail])


def file_text(rng, name, own, scope, **more):
    """Return the file of `own`; `scope` knows the axes and groups of its includes too."""
    data = {"fabric": name} | more
    data["axes"] = own.axes
    data["devices"] = {g: {"kind": "nic", "axes": axes} for g, axes in own.groups.items()}
    data["links"] = [written(rng, scope, rule, rule.get("each")) for rule in own.rules]
    data["absent"] = [side_text(rng, scope, *side) for side in own.absent]
    return json.dumps(data)


def merged(*models):
    whole = Model()
    for model in models:
        whole.axes |= model.axes
        whole.groups |= model.groups
        whole.rules += model.rules
        whole.absent += model.absent
    return whole


def prefixed(model, prefix):
    """Return `model` as an include with ``as: prefix`` brings it."""

    def new(name):
        return f"{prefix}.{name}"

    def side(old):
        return new(old[0]), {new(a): bounds for a, bounds in old[1].items()}

    rules = []
    for rule in model.rules:
        rule = rule | {"name": new(rule["name"]), "between": [side(s) for s in rule["between"]]}
        for key in ("twist", "count"):
            if isinstance(rule.get(key), dict):
                rule[key] = {new(a): value for a, value in rule[key].items()}
        if "relation" in rule:
            rule["relation"] = (rule["relation"][0], [new(a) for a in rule["relation"][1]])
        rules.append(rule)
    axes = {new(a): s if isinstance(s, int) else [new(p) for p in s] for a, s in model.axes.items()}
    groups = {new(g): [new(a) for a in place] for g, place in model.groups.items()}
    return Model(axes, groups, rules, [side(s) for s in model.absent])


def random_fabric(seed, folder):
    """Return the text of a random file, which may have up to two includes, and what it says as one model."""
    rng = random.Random(seed)
    includes, items = [], []
    for letters in ("x", "y")[: rng.choice([0, 0, 1, 2])]:
        inner = random_model(rng, letters)
        path = folder / f"{letters}{seed}.fabric.yaml"
        path.write_text(file_text(rng, letters, inner, inner))
        item = {"fabric": f"./{path.name}"}
        if rng.random() < 0.4:
            item["as"] = "left" if letters == "x" else "right"
            inner = prefixed(inner, item["as"])
        if rng.random() < 0.6:
            item["over"] = {"o": 2} if rng.random() < 0.7 else {"o": 2, "q": 2}
            inner.groups = {g: [*item["over"], *place] for g, place in inner.groups.items()}
            inner.axes |= item["over"]
        includes.append(inner)
        items.append(item)
    known = merged(*includes)
    split = {}
    for axis in sorted(known.axes):
        if known.axes[axis] == 4 and rng.random() < 0.5:
            split |= {axis: [f"s{axis[-1]}", f"t{axis[-1]}"], f"s{axis[-1]}": 2, f"t{axis[-1]}": 2}
        elif known.axes[axis] == 2 and rng.random() < 0.2:
            split |= {axis: [f"v{axis[-1]}"], f"v{axis[-1]}": 2}
    split = {a: s for a, s in split.items() if consistent(known, split)}
    known.axes |= split
    own = random_model(rng, "z", known)
    own.axes |= split
    whole = merged(known, own)
    for rule in own.rules:
        # The number of cables that the first device of each side has; wrong if another has more or fewer.
        first, is_even = expected_each(whole, rule)
        if all(first) and rng.random() < (0.5 if is_even else 0.05):
            rule["each"] = first
    more = {"include": items if rng.random() < 0.5 or len(items) > 1 else items[0]} if items else {}
    return file_text(rng, "z", own, whole, **more), whole


def consistent(known, split):
    """Return whether every group still stands on every axis once."""
    trial = Model(known.axes | split, known.groups)
    places = [trial.primitives(g) for g in trial.groups]
    return all(len(set(place)) == len(place) for place in places) and all(
        len(set(trial.parts(a))) == len(trial.parts(a)) for a in trial.axes
    )


def expected_each(model, rule):
    """Return the cables of the first left and right device, and whether all devices have as many."""
    pairs, first, is_even = joined(model, rule), [], True
    left, right = (group for group, _ in rule["between"])
    at = Counter()
    for (x, y), n in pairs.items():
        at["both" if left == right else "left", x] += n
        at["both" if left == right else "right", y] += n
    for key, (group, terms) in zip(("left", "right"), rule["between"], strict=True):
        names = [model.name(group, d) for d in model.devices(group) if model.matches(terms, d)]
        found = [at["both" if left == right else key, name] for name in names]
        first.append(found[0])
        is_even = is_even and len(set(found)) == 1
    return first, is_even


def expected_problems(model):
    empty = sum(not joined(model, rule) for rule in model.rules)
    broken = 0
    for rule in model.rules:
        if "each" in rule:
            first, is_even = expected_each(model, rule)
            broken += not is_even or first != rule["each"]
    return empty, broken


def absent_names(model):
    return {
        model.name(group, d)
        for group, terms in model.absent
        for d in model.devices(group)
        if model.matches(terms, d)
    }


BLOCKS = [pytest.param(b, marks=[pytest.mark.slow] if b else []) for b in range(25)]


def loaded(text, folder):
    """Return the blueprint, or what is wrong with it."""
    try:
        return loads_blueprint(text, base=folder), []
    except TopologyError as error:
        return None, [p.what for p in error.problems]


@pytest.mark.parametrize("block", BLOCKS)
def test_expand_joins_what_the_grammar_says(block, tmp_path):
    n_sound = 0
    for seed in range(block * 10, block * 10 + 10):
        text, model = random_fabric(seed, tmp_path)
        empty, broken = expected_problems(model)
        blueprint, what = loaded(text, tmp_path)
        if blueprint is None:
            assert sum("joins nothing" in w for w in what) == empty, (seed, text, what)
            assert bool(broken) == any("each" in w for w in what), (seed, text, what)
            assert all("joins nothing" in w or "each" in w for w in what), (seed, text, what)
            continue
        assert (empty, broken) == (0, 0), (seed, text)
        expanded = expand(blueprint)
        check_expanded(seed, model, expanded)
        check_census(seed, model, blueprint, expanded)
        n_sound += 1
    assert n_sound > 2


@pytest.mark.some(1)
@pytest.mark.parametrize("sizes", [(4, 2), (2, 4), (3, 3), (2, 3, 2), (3, 1, 3), (2, 2, 2, 2)], ids=str)
def test_every_range_of_a_composed_axis_is_counted(sizes):
    # No digit of a range may be thought alike because the digits below it are whole in part of it.
    axes = dict(zip("abcd", sizes, strict=False))
    n = math.prod(sizes)
    for lo, hi in itertools.combinations_with_replacement(range(n), 2):
        data = {"fabric": "a", "axes": axes | {"r": [*axes]}, "absent": [f"r{lo}-{hi}/gpu"], "links": []}
        data["devices"] = {"gpu": {"kind": "gpu", "axes": ["r"]}, "nic": {"kind": "nic", "axes": [*axes]}}
        counted = census(loads_blueprint(json.dumps(data)))
        assert counted.present("gpu") == n - (hi - lo + 1), (lo, hi)


@pytest.mark.parametrize("block", BLOCKS)
def test_unequal_rates_are_found_where_two_rules_join_one_pair(block, tmp_path):
    n_found = 0
    for seed in range(block * 6, block * 6 + 6):
        rng = random.Random(seed)
        model = random_model(rng, "z")
        rules = [r for r in (random_rule(rng, model, f"s{n}") for n in range(9)) if r and joined(model, r)]
        model.rules = [rule | {"rate": rng.choice([1, 2])} for rule in rules]
        absent = absent_names(model)
        expected = {
            f"{one['name']} and {two['name']}"
            for one, two in itertools.combinations(model.rules, 2)
            if one["rate"] != two["rate"] and have_common_pair(model, one, two, absent)
        }
        _, what = loaded(file_text(rng, "z", model, model), tmp_path)
        assert sorted(w.partition(": ")[2] for w in what) == sorted(expected), seed
        n_found += len(what)
    assert n_found > 0


def have_common_pair(model, one, two, absent):
    key = tuple if one["oneway"] and two["oneway"] else frozenset
    pairs = [{key(xy) for xy in joined(model, rule) if not absent & set(xy)} for rule in (one, two)]
    return bool(pairs[0] & pairs[1])


def check_expanded(seed, model, expanded):
    absent = absent_names(model)
    names = expanded.names.all()
    wanted = [model.name(g, d) for g in model.groups for d in model.devices(g)]
    assert sorted(names) == sorted(n for n in wanted if n not in absent), seed
    assert [expanded.names[i] for i in range(len(names))] == names, seed
    found = {rule["name"]: {} for rule in model.rules}
    for t, h, r, n in zip(expanded.tail, expanded.head, expanded.rule, expanded.count, strict=True):
        pairs = found[expanded.rules[r].name]
        assert (names[t], names[h]) not in pairs, seed
        pairs[names[t], names[h]] = int(n)
    for rule in model.rules:
        pairs = {xy: n for xy, n in joined(model, rule).items() if not absent & set(xy)}
        same = rule["between"][0][0] == rule["between"][1][0] and not rule["oneway"]
        key = frozenset if same else tuple
        assert {key(xy): n for xy, n in found[rule["name"]].items()} == {
            key(xy): n for xy, n in pairs.items()
        }, (
            seed,
            rule,
        )


def check_census(seed, model, blueprint, expanded):
    counted = census(blueprint)
    names = expanded.names.all()
    ids = {name: i for i, name in enumerate(names)}
    absent = absent_names(model)
    for group in model.groups:
        assert counted.present(group) == sum(
            n in ids for n in (model.name(group, d) for d in model.devices(group))
        )
    for one, rule in zip(counted.rules, model.rules, strict=True):
        pairs = joined(model, rule)
        present = {xy: n for xy, n in pairs.items() if not absent & set(xy)}
        assert one.total == sum(present.values()), (seed, rule)
        assert one.n_cables.sum() == sum(pairs.values()), (seed, rule)
        for is_present, cables_of in ((False, pairs), (True, present)):
            found = degrees(one, counted.n_rows(one.rule), present_only=is_present)
            for side, (group, _) in enumerate(rule["between"]):
                ends = [0, 1] if rule["between"][0][0] == rule["between"][1][0] else [side]
                at = Counter()
                for xy, n in cables_of.items():
                    for end in ends:
                        at[xy[end]] += n
                for device in model.devices(group):
                    name = model.name(group, device)
                    if not is_present or name not in absent:
                        row = class_row(counted.grid, group, device)
                        assert found[side][row] == at[name], (seed, rule, name)


def class_row(grid, group, device):
    """Return the row of the class that holds a device."""
    row = 0
    for p in grid.blueprint.groups[group].primitives:
        at = np.searchsorted(grid.reps[p], device[p], side="right") - 1
        row = row * len(grid.reps[p]) + int(at)
    return row


@pytest.mark.parametrize(
    ("link", "n"),
    [
        ("between: [gpu, leaf]", 6),
        ("between: [gpu, leaf0]", 3),
        ("between: [gpu, gpu], ring: i, name: around", 6),
        ("between: [gpu, gpu], line: i, name: along", 4),
    ],
)
def test_as_many_pairs_as_the_limit_are_joined_and_no_more(link, n):
    text = "{fabric: a, axes: {i: 3, r: 2}, devices: {gpu: {kind: gpu, axes: [i, r]}, "
    text += "leaf: {kind: switch, axes: [r]}}, islands: 2, links: [{%s, rate: 1Gb/s}]}"
    blueprint = loads_blueprint(text % link)
    (rule,) = blueprint.rules
    assert len(join(full_grid(blueprint), rule, limit=n).left) == n
    with pytest.raises(LimitError, match=f"joins {n} pairs; at most {n - 1} more are listed"):
        join(full_grid(blueprint), rule, limit=n - 1)
