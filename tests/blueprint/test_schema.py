"""The JSON Schema: in step with the models, valid draft-07, and of one mind with the loader."""

import copy
import functools
import json
import operator
import random
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from fabric.blueprint import json_schema, loads_blueprint, template_names
from fabric.blueprint.reader import read_file, read_text
from fabric.blueprint.schema import schema_text
from fabric.errors import TopologyError
from fabric.graph import loads

PACKAGE = resources.files("fabric")
TOPOLOGIES = sorted((Path(__file__).parents[2] / "topologies").glob("*.fabric.yaml"))

# Every key of the grammar, once.
SOUND = {
    "fabric": "all-keys",
    "format": 1,
    "about": "Every key.",
    "include": [{"fabric": "gb300-nvl72", "over": {"node": "20", "pod": 1}, "as": "in"}],
    "axes": {"x": 4, "a": 2, "b": "2", "y": ["a", "b"]},
    "devices": {
        "gpu": {"kind": "gpu", "axes": ["x", "y"], "transit": "all", "endpoint": False},
        "leaf": {"part": "sn5600", "axes": []},
    },
    "links": [
        {"between": ["gpu", "gpu"], "name": "m", "mesh": "x", "rate": "1Gb/s", "peer": True, "net": "host"},
        {"between": ["gpu", "gpu"], "name": "t", "ring": "x", "twist": {"a": 1}, "rate": "1Gb/s", "each": 2},
        {"between": ["gpu", "gpu"], "name": "l", "line": "x", "rate": "1Gb/s", "count": {"b": [0, 2]}},
        {
            "between": ["gpu", "gpu"],
            "name": "w",
            "rate": "1Gb/s",
            "wiring": {"pattern": "pairs", "along": ["x", "a"], "pairs": [[[0, 1], [1, 1]]]},
        },
        {"between": ["x0/y1-2/gpu", "leaf"], "rate": "100Gb/s", "oneway": True, "count": 2, "medium": "aoc"},
        {"between": ["leaf", "node0/in.tray0/in.slot0/in.nic"], "rate": "NDR", "length": "3m", "each": 1},
    ],
    "absent": ["x3/*"],
    "failed": ["gpu3", ["gpu1", "leaf"], ["gpu2", "leaf", 1]],
    "risk": {
        "feed": ["x"],
        "tray": {"over": ["in.tray"], "down": ["in.nic", ["gpu", "leaf"]]},
        "all": {"down": ["leaf"]},
    },
    "islands": 20,
}  # fmt: skip

GONE = object()
SLIPS = {
    "no name": (["fabric"], GONE),
    "unknown key": (["fabrik"], "a"),
    "name with markup": (["fabric"], "<b>"),
    "name that is no text": (["fabric"], 7),
    "name too long": (["fabric"], "a" * 81),
    "another format": (["format"], 2),
    "about that is no text": (["about"], 7),
    "include that is no name": (["include"], 7),
    "include of an unknown key": (["include", 0, "ower"], {"a": 2}),
    "include of nothing": (["include", 0, "fabric"], GONE),
    "over zero": (["include", 0, "over", "node"], 0),
    "over a name with a digit": (["include", 0, "over", "n1"], 2),
    "prefix with a digit": (["include", 0, "as"], "p1"),
    "prefix without value": (["include", 0, "as"], None),
    "axis with a digit": (["axes", "x1"], 2),
    "axis of zero": (["axes", "x"], 0),
    "axis of a half": (["axes", "x"], 2.5),
    "axis of true": (["axes", "x"], True),
    "axis too large": (["axes", "x"], 2**53 + 1),
    "axis of a word": (["axes", "x"], "many"),
    "axis of no parts": (["axes", "y"], []),
    "axis of a number": (["axes", "y"], ["a", 2]),
    "device with a digit": (["devices", "cpu0"], {"kind": "host", "axes": []}),
    "device without axes": (["devices", "gpu", "axes"], GONE),
    "device on one axis": (["devices", "gpu", "axes"], "x"),
    "device with part and kind": (["devices", "gpu", "part"], "v100_sxm"),
    "device without part or kind": (["devices", "gpu", "kind"], GONE),
    "device of an unknown kind": (["devices", "gpu", "kind"], "cpu"),
    "device without value": (["devices", "gpu", "transit"], None),
    "device of an unknown transit": (["devices", "gpu", "transit"], "turns"),
    "endpoint that is no flag": (["devices", "gpu", "endpoint"], "no"),
    "device of an unknown key": (["devices", "gpu", "axis"], []),
    "links that are no list": (["links"], {}),
    "rule without sides": (["links", 0, "between"], GONE),
    "rule of one side": (["links", 0, "between"], ["gpu"]),
    "rule of three sides": (["links", 0, "between"], ["gpu", "gpu", "gpu"]),
    "rule without rate": (["links", 0, "rate"], GONE),
    "rate that is a number": (["links", 0, "rate"], 400),
    "rate without unit": (["links", 0, "rate"], "400"),
    "rate below zero": (["links", 0, "rate"], "-1Gb/s"),
    "rate without value": (["links", 0, "rate"], None),
    "rule of two relations": (["links", 0, "ring"], "x"),
    "twist without ring": (["links", 0, "twist"], {"a": 1}),
    "twist by a half": (["links", 1, "twist", "a"], 0.5),
    "peer that is no flag": (["links", 0, "peer"], 1),
    "unknown net": (["links", 0, "net"], "up"),
    "rule name with markup": (["links", 0, "name"], "a|b"),
    "count of zero": (["links", 4, "count"], 0),
    "count list of two axes": (["links", 2, "count"], {"a": [1, 1], "b": [1, 1]}),
    "count list below zero": (["links", 2, "count"], {"b": [-1, 1]}),
    "count list of nothing": (["links", 2, "count"], {"b": []}),
    "each of zero": (["links", 1, "each"], [0, 2]),
    "each of three": (["links", 1, "each"], [2, 2, 2]),
    "wiring without pattern": (["links", 3, "wiring", "pattern"], GONE),
    "wiring without axis": (["links", 3, "wiring", "along"], GONE),
    "wiring of an unknown key": (["links", 3, "wiring", "pair"], []),
    "pairs of three": (["links", 3, "wiring", "pairs"], [[0, 1, 2]]),
    "pairs below zero": (["links", 3, "wiring", "pairs"], [[-1, 0]]),
    "no pairs": (["links", 3, "wiring", "pairs"], []),
    "length without unit": (["links", 5, "length"], 30),
    "length below zero": (["links", 5, "length"], "-3m"),
    "unknown key of a rule": (["links", 5, "lenght"], "3m"),
    "absent that is no list": (["absent"], "gpu3"),
    "absent number": (["absent", 0], 3),
    "failed of four": (["failed", 2], ["gpu2", "leaf", 1, 1]),
    "failed of one": (["failed", 2], ["gpu2"]),
    "failed of zero cables": (["failed", 2], ["gpu2", "leaf", 0]),
    "negative islands": (["islands"], -1),
    "islands that are no number": (["islands"], False),
}


@functools.cache
def validator():
    return jsonschema.Draft7Validator(json_schema())


def changed(path, value):
    """Return the sound file with one slip."""
    file = copy.deepcopy(SOUND)
    *above, last = path
    place = file
    for step in above:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return file


def test_the_shipped_schema_is_what_the_models_say():
    text = (PACKAGE / "blueprint" / "fabric.schema.json").read_text(encoding="utf-8")
    assert text == schema_text(), "write it again from schema_text()"


def slips(data):
    """Return what the schema refuses."""
    return [error.message for error in validator().iter_errors(data)]


def test_the_schema_is_draft_07():
    meta = jsonschema.Draft7Validator(jsonschema.Draft7Validator.META_SCHEMA)
    assert list(meta.iter_errors(json_schema())) == []


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.name)
def test_topologies_are_valid(path):
    assert slips(read_file(path).data) == []


def test_templates_are_valid():
    texts = {name: (PACKAGE / "templates" / f"{name}.fabric.yaml").read_bytes() for name in template_names()}
    assert [(name, slips(read_text(text, name).data)) for name, text in texts.items()] == [
        (name, []) for name in texts
    ]


def test_every_key_of_the_grammar_is_valid():
    assert slips(SOUND) == []
    assert loads(json.dumps(SOUND)).blueprint.n_devices("in.gpu") == 20 * 72


@pytest.mark.some(10)
@pytest.mark.parametrize(("path", "value"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_refused_by_schema_and_loader(path, value):
    file = changed(path, value)
    assert slips(file)
    with pytest.raises(TopologyError, match=":1:"):
        loads(json.dumps(file))


JUNK = [None, 0, -1, 1.5, 2, 2**52, 9**20, True, [], {}, ["x"], ["a", "b"], ["x", "x"], ["gpu", "gpu"]]
JUNK += [
    {"x": 2},
    {"a": [1, 2]},
    {"y": 1},
    "",
    "x",
    "b",
    "y",
    "x1",
    "x0/gpu",
    "y0-2",
    "*",
    "x0/*",
    "gpu",
    "leaf",
]
JUNK += ["in.gpu", "in.slot", "node", "2Gb/s", "pcie5", "sn5600", "hgx-h100"]
KEYS = ["x", "a", "gpu", "mesh", "ring", "line", "twist", "count", "each", "in.slot", "absent", "as", "over"]


def places(node, path=()):
    """Yield the path of every value below `node`."""
    for step in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield (*path, step)
        yield from places(node[step], (*path, step))


@pytest.mark.parametrize("block", [pytest.param(b, marks=[pytest.mark.slow] if b else []) for b in range(10)])
def test_whatever_is_changed_the_answer_is_a_fabric_or_a_list_of_problems(block):
    n_refused = 0
    for seed in range(block * 60, block * 60 + 60):
        rng, file = random.Random(seed), copy.deepcopy(SOUND)
        for _ in range(rng.choice([1, 1, 2, 3, 5])):
            *above, last = rng.choice(list(places(file)))
            place = functools.reduce(operator.getitem, above, file)
            if rng.random() < 0.2:
                del place[last]
            elif isinstance(place, dict) and rng.random() < 0.2:
                place[rng.choice(KEYS)] = rng.choice(JUNK)
            elif rng.random() < 0.3:
                other = functools.reduce(operator.getitem, rng.choice(list(places(file))), file)
                place[last] = copy.deepcopy(other)
            else:
                place[last] = rng.choice(JUNK)
            if not file:
                break
        try:
            loads_blueprint(json.dumps(file))
        except TopologyError as error:
            n_refused += bool(error.problems)
    assert n_refused > 30
