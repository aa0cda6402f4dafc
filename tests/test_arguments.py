"""Odd arguments: whatever a public function is given, it answers or ends in an error of ours."""

import inspect
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, Unpack

import numpy as np
import pytest

import fabric
from fabric.arguments import check_fields, checked, signature_of
from fabric.errors import ArgumentError, FabricError
from fabric.workload import parse_job

ROOT = Path(__file__).parents[1]
LOG = ROOT / "tests" / "interop" / "data"

TEXT = """
fabric: small
axes: {node: 4, slot: 2, spine: 2}
devices:
  gpu: {kind: gpu, axes: [node, slot]}
  leaf: {kind: switch, axes: [slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""


class Unshowable:
    """Something that cannot be shown."""

    def __repr__(self):
        raise RuntimeError


ODD = [
    "no_such_thing",
    "rack",
    "axes ",
    "",
    "\x1b[31m",
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    math.nan,
    math.inf,
    np.int64(3),
    b"rack0",
    [],
    [None],
    ["no_such_thing"],
    {"a": 1},
    {("gpu0", "gpu1"): math.nan},
    object(),
    "topologies/gb300-nvl72.fabric.yaml",
    Path("topologies/gb300-nvl72.fabric.yaml"),
    np.zeros(2),
    print,
    fabric.Traffic(),
]


LONE = "{fabric: lone, axes: {i: 1}, devices: {gpu: {kind: gpu, axes: [i]}}}"
PAIR = """{fabric: pair, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},
  links: [{between: [gpu, leaf], rate: 400Gb/s}]}"""


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Return sound arguments of every public verb."""
    f = fabric.loads(TEXT)
    named = fabric.loads(TEXT + "names: {leaf: 'l{slot}'}\n")
    pair, lone = fabric.loads(PAIR), fabric.loads(LONE)
    log = fabric.read_log(next(LOG.glob("*.txt")) if list(LOG.glob("*.txt")) else next(LOG.iterdir()))[0]
    graph = fabric.to_networkx(f)
    cables = tmp_path_factory.mktemp("found") / "cables.dot"
    cables.write_text(fabric.export(f, "dot").files[""])
    return {
        "audit": {"design": f, "sources": [cables], "format": "dot"},
        "bom": {"fabric": f},
        "bottleneck": {"fabric": f},
        "bound": {"fabric": f, "collective": "all-gather"},
        "by_site_names": {"fabric": named, "answer": fabric.throughput(named)},
        "calibrate": {"logs": [log], "fabric": f, "name": "mine", "date": "2026-01-01"},
        "check": {"fabric": f},
        "chunk_bound": {"fabric": f, "collective": "all-gather"},
        "compare_log": {"log": log, "fabric": f},
        "cost": {"fabric": f, "collective": "all-reduce", "size": "1MiB"},
        "degrade": {"fabric": f},
        "design": {"gpus": 64, "rack": "hgx-h100", "leaf": "qm9700"},
        "diff": {"before": f, "after": f},
        "expand": {"fabric": f},
        "explain": {"text": "1.8TB/s"},
        "export": {"fabric": f, "format": "dot"},
        "fail": {"fabric": f},
        "failures": {"fabric": pair},
        "flow_network": {"fabric": f, "source": "node0/gpu0", "target": "node1/gpu0"},
        "from_networkx": {"graph": graph},
        "load": {"path": ROOT / "topologies" / "gb300-nvl72.fabric.yaml"},
        "load_job": {"path": ROOT / "topologies" / "jobs" / "llama3-405b-16384.job.yaml"},
        "loads": {"text": TEXT},
        "max_flow": {"fabric": f, "source": "node0/gpu0", "target": "node1/gpu0"},
        "moe_cost": {
            "fabric": f,
            "way": "dispatch",
            "moe": fabric.Moe(tokens=128, hidden=64, top_k=2, n_experts=8, bytes_per_value=1),
        },
        "open_boxes": {"fabric": f},
        "place": {"fabric": f, "jobs": ["2/2"], "calibration": "wire"},
        "read_cabling": {"sources": [cables], "format": "dot", "rates": "400Gb/s"},
        "probe": {"fabric": f},
        "read_log": {"path": next(LOG.iterdir())},
        "report": {"fabric": lone, "out": tmp_path_factory.mktemp("odd") / "report"},
        "scale": {
            "gpus": [8],
            "rack": "hgx-h100",
            "leaf": "qm9700",
            "collectives": ["broadcast"],
            "has_knees": False,
            "has_bounds": False,
        },
        "load_serving": {"path": ROOT / "topologies" / "jobs" / "mooncake-qwen3-8b.serve.yaml"},
        "serve": {
            "job": fabric.ServingJob(
                "s",
                fabric.load_job(ROOT / "topologies" / "jobs" / "qwen3-8b-small.job.yaml").model,
                fabric.Pool("node0", 2),
                fabric.Pool("node1", 2),
                512,
            ),
            "fabric": f,
        },
        "share": {"fabric": f, "jobs": ["a=node0-1", "b=node2-3:busy=0.5"]},
        "sweep": {"fabric": f, "collective": "all-reduce", "sizes": "1MiB..2MiB"},
        "thresholds": {"fabric": f, "sizes": ["1MiB"], "collectives": ["all-reduce"]},
        "throughput": {"fabric": f},
        "to_networkx": {"fabric": f},
        "trace": {"fabric": f, "what": "all-reduce", "size": "1MiB"},
        "train": {
            "job": parse_job(
                "{job: a, model: qwen3-8b, batch: {sequences: 8, length: 8}, assume: {peak: 1}}"
            ),
            "fabric": f,
        },
        "transfer": {"fabric": f, "pairs": [("node0/gpu0", "node1/gpu0")], "size": "1MiB"},
    }


VERBS = [n for n in fabric.__all__ if inspect.isfunction(getattr(fabric, n))]


def test_every_public_verb_is_tried(calls):
    assert set(calls) == set(VERBS)


def arguments_of(name):
    verb = getattr(fabric, name)
    plain = inspect.signature(verb)
    spelled = signature_of(plain, inspect.get_annotations(inspect.unwrap(verb), eval_str=True))
    return [p for p in spelled.parameters.values() if p.name not in ("out", "base", "arguments")]


@pytest.mark.seeds(1, of=8)
@pytest.mark.parametrize("name", VERBS)
def test_an_odd_argument_is_answered_or_refused(calls, name, seed, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # a name of a file is of none here
    verb, refusals = getattr(fabric, name), []
    for number, parameter in enumerate(arguments_of(name)):
        for odd in ODD[(number + seed) % 8 :: 8]:
            given = {**calls[name], parameter.name: odd}
            more = ()
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                more = (given.pop(parameter.name),)
            try:
                verb(*(given.pop("fabric"), *more) if more else (), **given)
            except FabricError as error:
                refusals.append(str(error))
    assert len(refusals) >= len(ODD) // 24
    assert all(refusals)
    assert not [r for r in refusals if "__init__" in r or "\x1b" in r]


@pytest.mark.parametrize("name", VERBS)
def test_an_unknown_argument_is_named(calls, name):
    with pytest.raises(ArgumentError, match=r"no argument 'metod'"):
        getattr(fabric, name)(**calls[name], metod="axes")


@pytest.mark.parametrize(
    ("name", "argument", "value", "match"),
    [
        ("max_flow", "paths", "no_relay", "paths: got 'no_relay'; expected .*; did you mean no-relay"),
        ("throughput", "paths", "ANY", "did you mean any"),
        ("bound", "paths", "rule", "did you mean rules"),
        ("flow_network", "paths", "norelay", "did you mean no-relay"),
        ("throughput", "method", "expanded", "expected auto, axes, refinement or links"),
        ("max_flow", "method", "explicit", "expected auto, axes, refinement or links"),
        ("throughput", "over", "node", r"expected a list of names; write \['node'\]"),
        ("bound", "over", "node", r"write \['node'\]"),
        ("cost", "over", "node", r"write \['node'\]"),
        ("cost", "ranks", "node0/gpu0", r"write \['node0/gpu0'\]"),
        ("cost", "reduces", "scale-up", "expected a list"),
        ("cost", "routing", "ECMP", "did you mean ecmp"),
        ("cost", "method", "refinement", "does not tell ranks apart"),
        ("max_flow", "method", "refinement", "not answered by refinement"),
        ("max_flow", "fabric", "my.fabric.yaml", r"load it first: fabric.load\(path\)"),
        ("cost", "limit", True, "expected a whole number"),
        ("throughput", "drop_unreachable", 1, "expected True or False"),
    ],
)
def test_a_choice_that_there_is_not_is_refused_with_the_nearest(calls, name, argument, value, match):
    with pytest.raises(FabricError, match=match):
        getattr(fabric, name)(**{**calls[name], argument: value})


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"pattern": "all2all"}, "Traffic: pattern: .*did you mean all-to-all"),
        ({"over": "node"}, r"write \['node'\]"),
        ({"by": 1.0}, "expected a whole number"),
        ({"by": 2**63}, "at most"),
    ],
)
def test_fields_are_held_to_their_types(fields, match):
    with pytest.raises(ArgumentError, match=match):
        fabric.Traffic(**fields)


def test_lists_become_the_tuples_that_fields_declare():
    assert fabric.Traffic(over=["node"]).over == ("node",)


def test_options_are_spelled_out_and_checked():
    class Options(TypedDict, total=False):
        paths: Literal["rules", "any"]
        n: int

    def verb(where, **options: Unpack[Options]):
        return where, options

    verb.__annotations__["options"] = Unpack[Options]
    known = checked(verb)
    assert known("here", n=np.int64(3)) == ("here", {"n": 3})
    with pytest.raises(ArgumentError, match="verb: paths: got 'rule'; expected rules or any; did you mean"):
        known("here", paths="rule")
    with pytest.raises(ArgumentError, match="no argument 'm'"):
        known("here", m=3)
    with pytest.raises(ArgumentError, match="verb: where missing"):
        known()


def test_what_cannot_be_shown_is_named_by_its_type():
    with pytest.raises(ArgumentError, match="max_flow: paths: got a Unshowable; expected"):
        fabric.max_flow(fabric.loads(TEXT), "node0/gpu0", "node1/gpu0", paths=Unshowable())


def test_a_check_of_fields_fires():
    @dataclass(frozen=True)
    class Point:
        x: "float"

    check_fields(Point(1))
    with pytest.raises(ArgumentError, match="Point: x: got 'a'; expected a number"):
        check_fields(Point("a"))
