"""Site names in every verb: a device by the name of its site is the device by its axes."""

import json
import re

import pytest

import fabric
from fabric.blueprint.site_selectors import site_text
from tests.hall import HALL, NAMES

SHIFTED = 'names: {leaf: "leaf{su}-{slot+1}", spine: "spine{spine+1}", node: "su{su}/node{node+1}"}\n'

OWN = {
    "gpu": "su1/node2/gpu1",
    "other": "su0/node0/gpu0",
    "server": "su1/node2",
    "servers": "su0-1/node0-1",
    "leaf": "su0/leaf1",
    "spine": "spine1",
}
SITE = {
    "gpu": "h2-02/gpu1",
    "other": "h1-00/gpu0",
    "server": "h2-02",
    "servers": "h[1-2]-[00-01]",
    "leaf": "dc1-s0-l02",
    "spine": "dc1-sp2",
}
VERBS = {
    "max_flow": lambda f, at: fabric.max_flow(f, at["gpu"], at["other"]),
    "max_flow of places": lambda f, at: fabric.max_flow(f, at["server"], "su0", paths="any"),
    "max_flow on links": lambda f, at: fabric.max_flow(f, at["gpu"], [at["other"]], method="links"),
    "throughput": lambda f, at: fabric.throughput(f, among=at["servers"]),
    "throughput to a root": lambda f, at: fabric.throughput(f, fabric.Traffic("all-to-one", root=at["gpu"])),
    "throughput of a matrix": lambda f, at: fabric.throughput(f, {(at["gpu"], at["other"]): 1.0}),
    "bottleneck": lambda f, at: fabric.bottleneck(f, among=at["servers"]),
    "bound": lambda f, at: fabric.bound(f, "broadcast", "1MiB", among=at["servers"]),
    "bound from a root": lambda f, at: fabric.bound(f, "broadcast", "1MiB", root=at["gpu"]),
    "cost": lambda f, at: fabric.cost(f, "all-reduce", "1MiB", among=at["servers"]),
    "cost of ranks": lambda f, at: fabric.cost(f, "all-reduce", "1MiB", ranks=[at["gpu"], at["other"]]),
    "chunk_bound": lambda f, at: fabric.chunk_bound(f, "all-gather", among=at["server"]),
    "transfer": lambda f, at: fabric.transfer(f, [(at["gpu"], at["other"])], "1MiB"),
    "fail": lambda f, at: fabric.throughput(fabric.fail(f, at["leaf"]), drop_unreachable=True),
    "fail a cable": lambda f, at: fabric.throughput(fabric.fail(f, (at["leaf"], at["spine"]))),
    "fail by words": lambda f, at: fabric.throughput(fabric.fail(f, f"{at['leaf']} - {at['spine']} x 1")),
    "fail a server": lambda f, at: fabric.throughput(fabric.fail(f, f"{at['server']}/*")),
    "degrade": lambda f, at: fabric.throughput(fabric.degrade(f, (at["spine"], "1/2"))),
    "degrade by words": lambda f, at: fabric.throughput(fabric.degrade(f, f"{at['leaf']} - spine at 1/2")),
    "failures": lambda f, at: fabric.failures(f, among=at["servers"]),
    "place": lambda f, at: fabric.place(
        f, ["2/1"], down=[at["server"]], node=["su", "node"], calibration="wire"
    ),
    "share": lambda f, at: fabric.share(f, [f"a={at['server']}", "b=su0"]),
    "flow_network": lambda f, at: fabric.flow_network(f, at["gpu"], at["other"])[0],
    "to_networkx": lambda f, at: fabric.to_networkx(fabric.fail(f, at["gpu"])),
}


def told(answer, words):
    """Return an answer, in which what the question itself said is not told."""
    if not hasattr(answer, "to_json"):
        return sorted(map(str, answer.nodes(data=True))), sorted(map(str, answer.edges(data=True)))
    text = answer.to_json()
    for word in sorted(words.values(), key=len, reverse=True):
        text = text.replace(f'"{word}"', '"?"')
    return json.loads(text)


@pytest.mark.some(3)
@pytest.mark.parametrize("verb", VERBS)
def test_a_device_by_its_site_name_is_the_device_by_its_axes(verb):
    f = fabric.loads(HALL + NAMES)
    by_site, by_axes = VERBS[verb](f, SITE), VERBS[verb](f, OWN)
    both = {**SITE, **{f"own {key}": word for key, word in OWN.items()}}
    assert told(by_site, both) == told(by_axes, both)
    # A file without names has no such devices, and answers the same, but for what a scheduler calls nodes.
    if verb != "place":
        assert told(VERBS[verb](fabric.loads(HALL), OWN), both) == told(by_axes, both)
    with pytest.raises(fabric.FabricError, match="h2-02|h1-00|dc1-s|h\\[1-2\\]"):
        VERBS[verb](fabric.loads(HALL), SITE)


ALONE = {
    "failures": lambda f: fabric.failures(f),
    "failures in pairs": lambda f: fabric.failures(f, pairs=True),
    "probe": lambda f: fabric.probe(f, "gpu-leaf"),
    "throughput": lambda f: fabric.throughput(fabric.fail(f, "su0/slot1/leaf"), drop_unreachable=True),
    "bottleneck": lambda f: fabric.bottleneck(fabric.fail(f, "su0/slot1/leaf"), drop_unreachable=True),
    "cost": lambda f: fabric.cost(
        fabric.fail(f, "su0/slot1/leaf"), "all-to-all", "1MiB", drop_unreachable=True
    ),
    "thresholds": lambda f: fabric.thresholds(f, sizes=["1MiB"], collectives=["all-reduce"]),
    "check": lambda f: fabric.check(f),
    "open_boxes": lambda f: fabric.throughput(fabric.open_boxes(f)),
}


@pytest.mark.some(2)
@pytest.mark.parametrize("verb", ALONE)
def test_names_that_look_like_selectors_of_others_change_no_answer(verb):
    expect = 'expect: ["survives any one spine at 0.5", "survives any one leaf - spine at 0.1"]\n'
    answers = [ALONE[verb](fabric.loads(text)).to_dict() for text in (HALL + expect, HALL + expect + SHIFTED)]
    assert answers[0] == answers[1]


@pytest.fixture
def built(tmp_path):
    """Return a design with names that look like selectors, and its cables but one of leaf0-2."""
    design = fabric.loads(HALL + SHIFTED)
    edges = fabric.export(design, "dot").files[""].splitlines()
    gone = next(line for line in edges if "leaf0-2" in line and "spine1" in line)
    found = tmp_path / "found.dot"
    found.write_text("\n".join(line for line in edges if line != gone) + "\n")
    return design, found


def test_an_audit_costs_the_cable_that_is_missing_and_no_other_of_that_word(built):
    design, found = built
    (group,) = fabric.audit(design, [found], "dot").groups
    (fault,) = group.faults
    assert "leaf0-2" in fault.planned[0]
    assert "spine1" in fault.planned[0]
    without = fabric.throughput(fabric.fail(fabric.loads(HALL), ("su0/leaf1", "spine0")))
    healthy = fabric.throughput(fabric.loads(HALL))
    assert group.kept == pytest.approx(without.per_endpoint_gbps / healthy.per_endpoint_gbps)


@pytest.mark.parametrize("is_like", [True, False])
def test_an_import_marks_in_words_that_are_no_name_of_another(built, is_like, tmp_path):
    design, found = built
    if is_like:
        (tmp_path / "hall.fabric.yaml").write_text(HALL + SHIFTED)
        design = fabric.load(tmp_path / "hall.fabric.yaml")
    rates = {"rates": "400Gb/s"} if not is_like else {"like": design, "folder": tmp_path}
    again = fabric.loads(fabric.read_cabling([found], "dot", **rates).text, base=tmp_path).blueprint
    (down,) = again.cables_down
    assert [site_text(again, end.text) for end in (down.left, down.right)] == ["leaf0-2", "spine1"]


DAMAGED = HALL + NAMES + "failed: [su0/leaf1]\n"


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("ask", "named"),
    [
        (lambda f: fabric.throughput(f), "h1-00/gpu1"),
        (lambda f: fabric.bottleneck(f), "h1-00/gpu1"),
        (lambda f: fabric.bound(f, "all-gather"), "h1-00/gpu1"),
        (lambda f: fabric.cost(f, "all-to-all", "1MiB"), "h1-00/gpu1"),
        (lambda f: fabric.max_flow(f, "su0/node0", "su1/node0", devices=True), "dc1-s0-l01"),
        (lambda f: fabric.chunk_bound(f, "all-gather", among="su1/node0"), "h2-00/gpu0"),
        (lambda f: fabric.transfer(f, [("su1/node0/gpu0", "su1/node1/gpu1")], "1MiB"), "h2-01/gpu1"),
        (lambda f: fabric.failures(f), "dc1-sp1"),
        (lambda f: fabric.failures(f), "dc1-s0-l01 - dc1-sp1"),
        (lambda f: fabric.probe(f, "gpu-leaf"), "h2-[00-01]/gpu"),
        (lambda f: fabric.place(f, ["1/1"], node=["su", "node"], calibration="wire"), "h1-00/gpu1"),
        (lambda f: fabric.share(f, ["a=su1/node0", "b=su1/node1"]), "h2-01"),
        (lambda f: fabric.check(f), "dc1-sp1 cuts off"),
    ],
)
def test_an_answer_calls_devices_as_the_site_does(ask, named):
    f = fabric.loads(DAMAGED + 'expect: ["survives any one spine at 0.9"]\n')
    answer = ask(f)
    shown = fabric.by_site_names(f, answer)
    assert type(shown) is type(answer)
    assert named in shown.to_json()
    assert named not in answer.to_json()
    # Only devices are called otherwise, and nothing that names a place of them is left by the axes.
    assert [line.split(":")[0] for line in shown.to_json().splitlines()] == [
        line.split(":")[0] for line in answer.to_json().splitlines()
    ]
    assert not re.search(r"su\d/(node\d|leaf\d)|\bspine\d", shown.to_json())


def test_an_answer_without_names_of_the_site_is_refused():
    f = fabric.loads(HALL)
    with pytest.raises(fabric.QuestionError, match=r"hall has no names of the site; give its file names:"):
        fabric.by_site_names(f, fabric.throughput(f))
    graph = fabric.from_networkx(fabric.to_networkx(f))
    with pytest.raises(fabric.QuestionError, match="names of the site needs axes"):
        fabric.by_site_names(graph, fabric.throughput(graph))
