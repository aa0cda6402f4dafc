"""Named patterns: their degrees, diameters and symmetry, their seeds, and what they refuse."""

import itertools
import json
import random
from collections import Counter

import jsonschema
import networkx as nx
import numpy as np
import pytest

from fabric.blueprint import json_schema, loads_blueprint
from fabric.blueprint.reader import read_text
from fabric.blueprint.schema import WiringItem
from fabric.blueprint.wiring import PATTERNS
from fabric.blueprint.wiring.dragonfly import dragonfly
from fabric.blueprint.wiring.finite_field import field, prime_power
from fabric.blueprint.wiring.random_graphs import jellyfish, xpander
from fabric.blueprint.wiring.slim_fly import slim_fly
from fabric.errors import TopologyError
from fabric.graph import expand, load, loads


def graph(pairs, n):
    """Return the graph of the pairs; none is there twice or of one node."""
    found = nx.Graph()
    found.add_nodes_from(range(n))
    found.add_edges_from(pairs.tolist())
    assert found.number_of_edges() == len(pairs)
    assert nx.number_of_selfloops(found) == 0
    return found


def degrees(g):
    return Counter(d for _, d in g.degree)


def edges(pairs):
    return {frozenset(pair) for pair in pairs.tolist()}


# --- dragonfly -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrangement", ["absolute", "relative"])
@pytest.mark.parametrize(
    "shape", [(9, 4, 1), (7, 3, 1), (7, 3, 3), (4, 3, 2), (12, 5, 2), (3, 8, 1), (2, 2, 2)]
)
def test_dragonfly_shares_out_the_cables_of_every_two_groups(shape, arrangement):
    n_groups, n_routers, cables = shape
    pairs = dragonfly((n_groups, n_routers), cables=cables, arrangement=arrangement)
    g = graph(pairs, n_groups * n_routers)
    between = Counter(frozenset(end // n_routers for end in pair) for pair in pairs.tolist())
    assert between == dict.fromkeys(map(frozenset, itertools.combinations(range(n_groups), 2)), cables)
    h, more = divmod(cables * (n_groups - 1), n_routers)
    wanted = Counter({h: n_groups * (n_routers - more)}) + Counter({h + 1: n_groups * more})
    assert degrees(g) == wanted


def ports_of(arrangement, n_groups, cables):
    """Return the group that each port of each group leads to, by the words of the rule."""
    for i in range(n_groups):
        if arrangement == "absolute":
            order = [p if p < i else p + 1 for p in range(n_groups - 1)]
        else:
            order = [(i + p + 1) % n_groups for p in range(n_groups - 1)]
        yield order * cables


@pytest.mark.parametrize("arrangement", ["absolute", "relative"])
@pytest.mark.parametrize(("n_groups", "n_routers", "cables"), [(9, 4, 1), (7, 3, 1), (5, 4, 2), (7, 6, 4)])
def test_ports_of_the_routers_of_a_group_are_consecutive(arrangement, n_groups, n_routers, cables):
    ports = list(ports_of(arrangement, n_groups, cables))
    h = cables * (n_groups - 1) // n_routers
    wanted = set()
    for i, j in itertools.combinations(range(n_groups), 2):
        out, back = ([p for p, to in enumerate(ports[a]) if to == b] for a, b in ((i, j), (j, i)))
        wanted |= {
            frozenset((i * n_routers + p // h, j * n_routers + q // h))
            for p, q in zip(out, back, strict=True)
        }
    assert edges(dragonfly((n_groups, n_routers), cables=cables, arrangement=arrangement)) == wanted


def test_rotations_of_the_groups_keep_the_relative_arrangement():
    kept = {}
    for arrangement in ("absolute", "relative"):
        pairs = dragonfly((9, 4), cables=2, arrangement=arrangement)
        kept[arrangement] = edges((pairs + 4) % 36) == edges(pairs)
    assert kept == {"absolute": False, "relative": True}


def dcell(n, level):
    """Return the servers of a DCell and its links between servers, as its paper builds it."""
    if level == 0:
        return n, set()
    t, inside = dcell(n, level - 1)
    links = {(i * t + a, i * t + b) for i in range(t + 1) for a, b in inside}
    for i in range(t):
        for j in range(i + 1, t + 1):
            links.add((i * t + j - 1, j * t + i))
    return t * (t + 1), links


@pytest.mark.parametrize(("n", "level"), [(2, 1), (4, 1), (2, 2), (3, 2), (2, 3)])
def test_dragonfly_is_the_rule_of_a_dcell(n, level):
    n_servers, links = dcell(n, level)
    found, t = set(), n
    while t < n_servers:
        pairs = dragonfly((t + 1, t))
        copies = range(n_servers // (t * (t + 1)))
        found |= {(c * t * (t + 1) + a, c * t * (t + 1) + b) for c in copies for a, b in pairs.tolist()}
        t *= t + 1
    assert found == links


# --- slim fly --------------------------------------------------------------------------------------------


@pytest.mark.some(2)
@pytest.mark.parametrize("q", [3, 4, 5, 7, 8, 9, 11, 13, 16, 19, 25, 27])
def test_slim_fly_has_diameter_two(q):
    g = graph(slim_fly((2, q, q)), 2 * q * q)
    d = {0: 0, 1: 1, 3: -1}[q % 4]
    assert degrees(g) == {(3 * q - d) // 2: 2 * q * q}
    if q <= 19:
        assert nx.diameter(g) == 2


def test_slim_fly_of_five_is_the_hoffman_singleton_graph():
    assert nx.is_isomorphic(graph(slim_fly((2, 5, 5)), 50), nx.hoffman_singleton_graph())


@pytest.mark.parametrize("q", [2, 3, 4, 5, 8, 9, 16, 25, 27])
def test_tables_are_those_of_a_field(q):
    gf = field(*prime_power(q))
    a, b, c = np.ix_(*[np.arange(q)] * 3)
    for table, rest in ((gf.plus, 0), (gf.times, 1)):
        assert (table == table.T).all()
        assert (table[table[a, b], c] == table[a, table[b, c]]).all()
        assert (table[rest] == np.arange(q)).all()
        assert (np.sort(table[rest:, rest:], axis=1) == np.arange(rest, q)).all()
    assert (gf.times[a, gf.plus[b, c]] == gf.plus[gf.times[a, b], gf.times[a, c]]).all()
    assert (gf.plus[gf.minus[a, b], b] == a).all()
    assert sorted(gf.power.tolist()) == list(range(1, q))


def test_prime_powers():
    wanted = [p**n for p in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31) for n in range(1, 6) if p**n < 32]
    assert [q for q in range(1, 32) if prime_power(q)] == sorted(wanted)


# --- random ----------------------------------------------------------------------------------------------


def test_the_sequence_that_all_chance_comes_from():
    rng = random.Random(1)
    assert [rng.random() for _ in range(2)] == [0.13436424411240122, 0.8474337369372327]


def test_seeds_mean_the_same_for_ever():
    # The first takes out a cable on its way.
    assert jellyfish((8,), degree=3, seed=0).tolist() == [
        *([0, 2], [0, 4], [0, 7], [1, 3], [1, 5], [1, 6], [2, 4], [2, 6], [3, 4], [3, 5], [5, 7], [6, 7])
    ]
    assert jellyfish((8,), degree=3, seed=7).tolist() == [
        *([0, 1], [0, 4], [0, 5], [1, 3], [1, 6], [2, 3], [2, 4], [2, 7], [3, 6], [4, 7], [5, 6], [5, 7])
    ]
    # Dense ones are what a sparse one leaves out, from a degree of half of the others.
    assert jellyfish((6,), degree=4, seed=2).tolist() == [
        [0, 2], [0, 3], [0, 4], [0, 5], [1, 2], [1, 3], [1, 4], [1, 5], [2, 4], [2, 5], [3, 4], [3, 5],
    ]  # fmt: skip
    assert jellyfish((6,), degree=3, seed=1).tolist() == [
        [0, 2], [0, 3], [0, 4], [1, 2], [1, 4], [1, 5], [2, 5], [3, 4], [3, 5],
    ]  # fmt: skip
    assert xpander((3, 3), seed=7).tolist() == [
        *([0, 4], [1, 3], [2, 5], [0, 6], [1, 8], [2, 7], [3, 8], [4, 6], [5, 7])
    ]


@pytest.mark.parametrize("n", range(2, 11))
def test_jellyfish_is_regular_however_dense(n):
    for degree in range(1, n):
        for seed in range(20 if n * degree % 2 == 0 else 0):
            assert degrees(graph(jellyfish((n,), degree=degree, seed=seed), n)) == {degree: n}


@pytest.mark.parametrize(("degree", "kinds"), [(2, [10, 60]), (3, [10, 60])])
def test_every_regular_graph_of_six_comes_up(degree, kinds):
    # Two triangles or a hexagon; what they leave out are K(3, 3) and the prism.
    found = {frozenset(edges(jellyfish((2, 3), degree=degree, seed=seed))) for seed in range(1500)}
    like = Counter(nx.is_bipartite(nx.Graph(map(tuple, g))) for g in found)
    assert sorted(like.values()) == kinds


def test_jellyfish_is_as_short_as_a_random_graph():
    # networkx: another procedure, and the same hops.
    hops = [
        nx.average_shortest_path_length(g)
        for g in (graph(jellyfish((200,), degree=10), 200), nx.random_regular_graph(10, 200, seed=1))
    ]
    assert hops[0] == pytest.approx(hops[1], rel=0.01)


@pytest.mark.parametrize(("n_metas", "n_switches"), [(2, 1), (2, 6), (5, 4), (9, 7)])
def test_xpander_has_a_perfect_matching_between_every_two_metas(n_metas, n_switches):
    pairs = xpander((n_metas, n_switches), seed=3)
    assert degrees(graph(pairs, n_metas * n_switches)) == {n_metas - 1: n_metas * n_switches}
    met = Counter((int(a), int(b) // n_switches) for ends in (pairs, pairs[:, ::-1]) for a, b in ends)
    metas = set(range(n_metas))
    assert met == dict.fromkeys(
        ((a, m) for a in range(n_metas * n_switches) for m in metas - {a // n_switches}), 1
    )


def test_every_matching_comes_up():
    found = Counter(tuple((xpander((2, 3), seed=seed)[:, 1] - 3).tolist()) for seed in range(600))
    assert set(found) == set(itertools.permutations(range(3)))
    assert min(found.values()) > 60


@pytest.mark.parametrize(
    "make", [lambda seed: jellyfish((30,), degree=4, seed=seed), lambda seed: xpander((4, 8), seed=seed)]
)
def test_another_seed_is_another_graph(make):
    assert edges(make(0)) == edges(make(0))
    assert len({frozenset(edges(make(seed))) for seed in range(10)}) == 10


# --- in a file -------------------------------------------------------------------------------------------


def with_rule(group, wiring, huge="1M"):
    return f"""\
fabric: file
axes: {{a: 9, b: 4, half: 2, x: 5, y: 5, huge: {huge}}}
devices:
  ab: {{kind: switch, axes: [a, b]}}
  mms: {{kind: switch, axes: [half, x, y]}}
  far: {{kind: switch, axes: [half, b, huge]}}
links:
  - {{between: [{group}, {group}], name: w, rate: 1Gb/s, wiring: {wiring}}}
"""


REFUSED = {
    # name: (group, wiring with @@ where the error must be, message)
    "unknown": (
        "ab",
        "@@{pattern: dragonfli, along: [a, b]}",
        "unknown pattern 'dragonfli'; did you mean dragonfly?",
    ),
    "foreign parameter": (
        "ab",
        "@@{pattern: dragonfly, along: [a, b], degree: 3}",
        "pattern dragonfly has no degree; it takes cables and arrangement",
    ),
    "parameter of none": (
        "mms",
        "@@{pattern: slim-fly, along: [half, x, y], seed: 3}",
        "pattern slim-fly has no seed; it takes no parameters",
    ),
    "missing parameter": (
        "ab",
        "@@{pattern: jellyfish, along: [a, b]}",
        "pattern jellyfish without degree; give degree, the cables of each switch",
    ),
    "too few axes": (
        "ab",
        "@@{pattern: xpander, along: [a]}",
        r"wrong number of axes for pattern xpander; got 1; expected 2: \[meta, switch\]",
    ),
    "no list of axes": (
        "ab",
        "@@{pattern: dragonfly, along: a}",
        "wrong number of axes for pattern dragonfly",
    ),
    "too many axes": ("mms", "@@{pattern: xpander, along: [half, x, y]}", "wrong number of axes .* got 3"),
    "no cables": ("ab", "{pattern: dragonfly, along: [a, b], cables: @@0}", "zero; got 0"),
    "cables that are no number": ("ab", "{pattern: dragonfly, along: [a, b], cables: @@many}", "got many"),
    "unknown arrangement": (
        "ab",
        "{pattern: dragonfly, along: [a, b], arrangement: @@relativ}",
        "unknown value; got relativ; expected absolute or relative; did you mean relative?",
    ),
    "no arrangement": ("ab", "{pattern: dragonfly, along: [a, b], arrangement: @@}", "no value; give one"),
    "seed below zero": (
        "ab",
        "{pattern: jellyfish, along: a, degree: 2, seed: @@-1}",
        "whole number of at least 0",
    ),
    "seed of a half": (
        "ab",
        "{pattern: jellyfish, along: a, degree: 2, seed: @@0.5}",
        "whole number of at least 0",
    ),
    "degree that is a list": (
        "ab",
        "{pattern: jellyfish, along: a, degree: @@[2]}",
        "whole number of at least 1",
    ),
    "more cables than routers": (
        "ab",
        "@@{pattern: dragonfly, along: [a, b], cables: 5}",
        "more cables between two groups than routers in one; got 5 cables; expected at most 4; "
        "a pair is joined once; parallel cables are the count of the rule",
    ),
    "not square": (
        "far",
        "@@{pattern: slim-fly, along: [half, b, huge]}",
        "sizes do not fit; got 2 x 4 x 1000000; expected 2 x q x q",
    ),
    "three halves": ("mms", "@@{pattern: slim-fly, along: [x, y, half]}", "sizes do not fit; got 5 x 5 x 2"),
    "graph of one": (
        "ab",
        "@@{pattern: jellyfish, along: b, degree: 4}",
        "no graph has 4 switches of degree 4",
    ),
    "odd degrees": (
        "ab",
        "@@{pattern: jellyfish, along: a, degree: 3}",
        "no graph has 9 switches of degree 3; expected a degree below their number, and one of the two even",
    ),
    "large dragonfly": (
        "far",
        "@@{pattern: dragonfly, along: [huge, b]}",
        "pattern too large; got 499,999,500,000 pairs; expected at most 250,000",
    ),
    "large jellyfish": (
        "far",
        "@@{pattern: jellyfish, along: huge, degree: 100}",
        "too large; got 50,000,000 pairs",
    ),
    "large xpander": (
        "far",
        "@@{pattern: xpander, along: [huge, b]}",
        "too large; got 1,999,998,000,000 pairs",
    ),
    "axis of one side only": (
        "ab",
        "@@{pattern: dragonfly, along: [a, half]}",
        "relation axis 'half' is not on both sides: ",
    ),
    "unknown axis": ("ab", "@@{pattern: dragonfly, along: [a, c]}", "unknown axis 'c'"),
    "axis twice": ("ab", "@@{pattern: dragonfly, along: [a, a]}", "axis twice in wiring"),
}


@pytest.mark.some(10)
@pytest.mark.parametrize(("group", "wiring", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_told_where_it_stands(group, wiring, message):
    text = with_rule(group, wiring)
    col = text.splitlines()[-1].index("@@") + 1
    with pytest.raises(TopologyError, match=rf"^w\.fabric\.yaml:8:{col}: links\.w.*{message}"):
        loads(text.replace("@@", ""), path="w.fabric.yaml")


def slim(q):
    return f"""{{fabric: f, axes: {{half: 2, x: {q}, y: {q}}},
      devices: {{sw: {{kind: switch, axes: [half, x, y]}}}}, links: [{{between: [sw, sw], rate: 1Gb/s,
      wiring: {{pattern: slim-fly, along: [half, x, y]}}}}]}}"""


@pytest.mark.parametrize(
    ("q", "todo"), [(6, "take 5 or 7"), (2, "take 3"), (1, "take 3"), (14, "take 13 or 16")]
)
def test_slim_fly_of_another_number(q, todo):
    with pytest.raises(TopologyError, match=f"no such graph of q = {q}; expected .*; {todo}"):
        loads(slim(q))


def test_slim_fly_too_large():
    with pytest.raises(TopologyError, match="pattern too large; got 103,079,215,104 pairs"):
        loads(slim(4096))


def test_the_file_takes_the_parameters_of_the_patterns():
    own = {name for pattern in PATTERNS.values() for name in pattern.parameters}
    assert own | {"pattern", "along"} == set(WiringItem.model_fields)


# What the shape of the file cannot say: sizes, and names of axes.
BEYOND_A_SCHEMA = {
    *("more cables than routers", "not square", "three halves", "graph of one", "odd degrees"),
    *("large dragonfly", "large jellyfish", "large xpander", "axis of one side only", "unknown axis"),
    "axis twice",
}


@pytest.mark.some(10)
@pytest.mark.parametrize("name", REFUSED)
def test_the_schema_refuses_what_the_loader_refuses_by_its_shape(name):
    group, wiring, _ = REFUSED[name]
    data = read_text(with_rule(group, wiring.replace("@@", "")).encode(), "w").data
    found = list(jsonschema.Draft7Validator(json_schema()).iter_errors(data))
    assert bool(found) == (name not in BEYOND_A_SCHEMA)


@pytest.mark.parametrize(
    ("group", "wiring", "n"),
    [
        ("ab", {"pattern": "pairs", "along": "a", "pairs": [[0, 1]]}, 4),
        ("ab", {"pattern": "dragonfly", "along": ["a", "b"], "cables": 2, "arrangement": "relative"}, 72),
        ("ab", {"pattern": "dragonfly", "along": ["a", "b"]}, 36),
        ("mms", {"pattern": "slim-fly", "along": ["half", "x", "y"]}, 175),
        ("ab", {"pattern": "jellyfish", "along": ["a", "b"], "degree": 3, "seed": 5}, 54),
        ("mms", {"pattern": "jellyfish", "along": "x", "degree": "2"}, 50),
        ("ab", {"pattern": "xpander", "along": ["a", "b"], "seed": 1}, 144),
    ],
)
def test_sound_patterns_load_and_are_valid(group, wiring, n):
    text = with_rule(group, json.dumps(wiring), huge=2) + "islands: 0\n"
    jsonschema.Draft7Validator(json_schema()).validate(read_text(text.encode(), "w").data)
    e = expand(loads(text))
    assert e.count.sum() == n


# A graph on a group of devices: all of it, and in the roles that a rule gives its sides.
CUBE = """\
fabric: cube
islands: 0
axes: {{group: 5, router: 4, plane: 2}}
devices:
  left: {{kind: switch, axes: [group, router, plane]}}
  right: {{kind: switch, axes: [router, group]}}
links:
  - {{between: [{between}], rate: 1Gb/s, wiring: {{pattern: dragonfly, along: [group, router]}}{more}}}
"""


def joined(between, more=""):
    """Return the joined pairs of devices by name, the tail first."""
    e = expand(loads(CUBE.format(between=between, more=more)))
    return {(str(e.names[a]), str(e.names[b])) for a, b in zip(e.tail, e.head, strict=True)}


def test_a_pattern_holds_on_each_index_of_the_other_axes():
    found = joined("left, left", ", each: 1")
    assert len(found) == 2 * 10
    for a, b in found:
        assert a.split("/")[-1] == b.split("/")[-1]


def test_a_pattern_has_no_side():
    whole = {frozenset(pair) for pair in joined("plane0/left, left")} | {
        frozenset(pair) for pair in joined("plane1/left, left")
    }
    assert whole == {frozenset(pair) for pair in joined("left, left")}
    for group in range(5):
        for between in (f"group{group}/left, left", f"left, group{group}/left"):
            found = {frozenset(pair) for pair in joined(between)}
            assert found == {pair for pair in whole if any(d.startswith(f"group{group}/") for d in pair)}
    assert len(joined("left, left", ", oneway: true")) == 2 * 2 * 10
    # Between two groups of devices every device of the left has its neighbours of the right.
    assert len(joined("left, right", ", each: [1, 2]")) == 2 * 2 * 10


def test_a_pattern_of_an_included_file(tmp_path):
    (tmp_path / "cube.fabric.yaml").write_text(CUBE.format(between="left, left", more=", each: 1"))
    outer = "fabric: two\nislands: 0\ninclude: {fabric: ./cube.fabric.yaml, over: {pod: 3}, as: in}\n"
    (tmp_path / "two.fabric.yaml").write_text(outer)
    assert len(expand(load(tmp_path / "two.fabric.yaml")).tail) == 3 * 2 * 10


def test_the_pairs_of_a_relation_are_read_only():
    (rule,) = loads_blueprint(CUBE.format(between="left, left", more="")).rules
    with pytest.raises(ValueError, match="read-only"):
        rule.relation.pairs[0, 0] = 1
