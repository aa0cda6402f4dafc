"""A dump of cables comes back as the fabric that it is of, whatever its nodes are called and a few faults."""

import json
import random
import sys
from collections import Counter

import pytest

import fabric
from fabric import cli
from fabric.errors import LimitError, QuestionError, TopologyError
from fabric.graph import loads
from fabric.interop.export import export
from fabric.interop.sources import SOURCES

MIXED = ("full-mesh", "hyperx", "torus")
TREES = ("fat-tree", "planes", "rail-groups", "rail-only", "three-tier", "top-of-rack", "two-tier")
SHAPES = TREES + MIXED


def test_shapes_are_those_that_are_drawn(as_drawn):
    assert sorted(SHAPES) == sorted(as_drawn.SHAPES)


def imported(text, tmp_path, form="p2p-ethernet", **options):
    (tmp_path / "dump.csv").write_text(text)
    return fabric.read_cabling([tmp_path / "dump.csv"], form, **{"rates": "400Gb/s", **options})


def pairs_of(answer):
    """Return how many cables the recovered fabric has up between every two nodes of the dump."""
    node = {device: name for name, device in answer.devices.items()}
    graph = fabric.to_networkx(answer.fabric)
    counted = Counter()
    for a, b, data in graph.edges(data=True):
        counted[frozenset((node[a], node[b]))] += data["count"] - data["failed_count"]
    return +counted


def pairs_in(ends):
    return Counter(frozenset((a[0], z[0])) for a, z in ends)


@pytest.mark.some(1)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_clean_dump_is_the_design_again(as_drawn, shape, tmp_path):
    design = as_drawn.drawn(shape)
    answer = imported(as_drawn.point_to_point(*as_drawn.cables_of(design)), tmp_path, name=shape)
    assert (answer.status, answer.n_missing, answer.n_extra, answer.n_absent) == ("axes", 0, 0, 0)
    assert pairs_of(answer) == pairs_in(as_drawn.cables_of(design)[0])
    if shape not in MIXED:  # their axes and rules within a group are numbered another way
        assert [str(row) for row in fabric.diff(design, answer.fabric).rows] == []
    written = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert len(written) <= 12


@pytest.mark.some(8)
@pytest.mark.parametrize("says_kinds", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_names_are_not_needed(as_drawn, shape, says_kinds, tmp_path):
    design = as_drawn.drawn(shape)
    ends, switches = as_drawn.renamed(*as_drawn.cables_of(design), seed=len(shape))
    answer = imported(as_drawn.point_to_point(ends, switches if says_kinds else None), tmp_path)
    assert (answer.status, answer.n_missing, answer.n_extra, answer.n_absent) == ("axes", 0, 0, 0)
    assert pairs_of(answer) == pairs_in(ends)
    before, after = (sorted(fabric.expand(f).group.tolist()) for f in (design, answer.fabric))
    assert sorted(Counter(before).values()) == sorted(Counter(after).values())
    assert any("taken for endpoints" in note for note in answer.notes) != says_kinds
    sizes = sorted(axis.size for axis in answer.fabric.blueprint.axes.values() if not axis.parts)
    assert sizes == sorted(axis.size for axis in design.blueprint.axes.values())


def spoiled(ends, seed, n):
    """Return cables of which `n` are gone and the far ends of at most `n` are elsewhere."""
    rng = random.Random(seed)
    ends = list(ends)
    for _ in range(n):
        ends.pop(rng.randrange(len(ends)))
    for k in rng.sample(range(len(ends)), n):
        (near, far), other = ends[k], ends[rng.randrange(len(ends))]
        if other[1][0] not in (near[0], far[0]):
            ends[k] = (near, (other[1][0], f"x{k}"))
    return ends


@pytest.mark.some(2)
@pytest.mark.parametrize("is_renamed", [False, True])
@pytest.mark.parametrize("shape", TREES)
def test_a_few_faults_are_marks_and_nothing_more(as_drawn, shape, is_renamed, tmp_path):
    ends, switches = as_drawn.cables_of(as_drawn.drawn(shape))
    if is_renamed:
        ends, switches = as_drawn.renamed(ends, switches, seed=7)
    clean = pairs_in(ends)
    n = max(1, len(ends) // 60)
    built = spoiled(ends, 11, n)
    answer = imported(as_drawn.point_to_point(built, switches), tmp_path)
    assert answer.status == "axes"
    assert pairs_of(answer) == pairs_in(built)
    assert 0 < answer.n_missing + answer.n_extra + answer.n_absent <= 3 * n
    # Every node of the clean fabric has its place, so nothing else was changed.
    assert answer.n_missing <= (clean - pairs_in(built)).total()


def test_a_rack_that_was_never_bought_is_absent(as_drawn, tmp_path):
    ends, switches = as_drawn.cables_of(as_drawn.drawn("top-of-rack"))
    left = [cable for cable in ends if "rack2-" not in cable[0][0] and cable[0][0] != "leaf2"]
    answer = imported(as_drawn.point_to_point(left, switches), tmp_path)
    assert (answer.status, answer.n_absent, answer.n_missing) == ("axes", 6, 0)
    assert "absent:\n  - rack2/node0-4\n  - leaf2\n" in answer.text


def test_what_has_no_axes_is_listed(tmp_path):
    rng = random.Random(5)
    names = [f"n{k}" for k in range(12)]
    pairs = {tuple(sorted(rng.sample(names, 2))) for _ in range(26)} | {("n0", f"n{k}") for k in range(1, 12)}
    text = "source,target,rate\n" + "".join(f"{a},{b},100Gb/s\n" for a, b in sorted(pairs))
    answer = imported(text, tmp_path, "edges", rates=None)
    assert answer.status == "listed"
    assert pairs_of(answer) == Counter(map(frozenset, pairs))
    assert answer.notes[0] == "no axes explain the cables: every pair is listed"


def test_site_names_are_patterns(as_drawn, tmp_path):
    names = 'names: {node: "gpu{su+1}-{node:02}", leaf: "l{su}.{rail}"}'
    design = loads(f"fabric: two-tier\n{as_drawn.SHAPES['two-tier']}{names}\n")
    answer = imported(as_drawn.point_to_point(*as_drawn.cables_of(design)), tmp_path, name="two-tier")
    # Groups are called by what their nodes are: gpu and l.
    assert 'names: {gpu: "gpu{su+1}-{gpu:02}", l: "l{su}.{rail}"}' in answer.text
    assert [answer.devices[node] for node in ("gpu2-03", "l2.1")] == ["su1/gpu3", "su2/l1"]
    assert as_drawn.cables_of(answer.fabric)[0] == as_drawn.cables_of(design)[0]


def test_rates_are_asked_for_and_checked(as_drawn, tmp_path):
    text = as_drawn.point_to_point(*as_drawn.cables_of(as_drawn.drawn("two-tier")))
    with pytest.raises(QuestionError, match="cables of node-leaf, leaf-spine have no rate"):
        imported(text, tmp_path, rates=None)
    with pytest.raises(QuestionError, match="no rule 'node-lef' was found; rules are node-leaf, leaf-spine"):
        imported(text, tmp_path, rates={"node-lef": "1Gb/s", "": "1Gb/s"})
    answer = imported(text, tmp_path, rates={"node-leaf": "200Gb/s", "": "800Gb/s"})
    assert [rule.rate_gbps for rule in answer.fabric.blueprint.rules] == [200, 800]


def test_too_many_cables_without_axes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["fabric.interop.recovery.recover"], "MAX_LISTED", 10)
    rng = random.Random(2)
    pairs = {tuple(sorted(rng.sample(range(12), 2))) for _ in range(26)} | {(0, k) for k in range(1, 12)}
    text = "source,target,rate\n" + "".join(f"n{a},n{b},1Gb/s\n" for a, b in sorted(pairs))
    with pytest.raises(LimitError, match="more than the 10 that a file may list"):
        imported(text, tmp_path, "edges", rates=None)


EDGES = {
    "source,target,rate\na,b,4Gbx\nc,d,400Gb/s\n,d,400Gb/s\n": (2, 4),
    "source,target,count\na,b,0\na,b,9999\n": (2, 3),
    "source,target,source_kind\na,b,leaf\na,b,host\na,b,switch\n": (2, 4),
    "source,target,sped\na,b,1\n": (1,),
    "from,to\na,b\n": (1,),
    "source,target,source_port,target_port\na,b,1,1\na,c,1,1\na,d,2,\n": (3, 4),
}


@pytest.mark.parametrize(("text", "lines"), EDGES.items())
def test_what_is_wrong_in_a_list_of_edges_is_told_at_once(text, lines, tmp_path):
    with pytest.raises(TopologyError, match=r"dump\.csv:\d+:1: ") as caught:
        imported(text, tmp_path, "edges")
    assert tuple(problem.line for problem in caught.value.problems) == lines


def test_command(as_drawn, monkeypatch, capsys, tmp_path):
    (tmp_path / "dump.csv").write_text(as_drawn.point_to_point(*as_drawn.cables_of(as_drawn.drawn("planes"))))
    words = ["import", str(tmp_path / "dump.csv"), "--format", "p2p-ethernet", "--rate", "node-leaf=400Gb/s"]
    words += ["--rate", "leaf-spine=800Gb/s", "--name", "site-a"]

    def run(*more):
        monkeypatch.setattr("sys.argv", ["fabtopo", *words, *more])
        with pytest.raises(SystemExit, match=r"^\d$") as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()

    status, _, err = run("-o", str(tmp_path / "site-a.fabric.yaml"))
    assert (status, err) == (0, "site-a: 192 cables between 46 nodes\n  axes explain all of them\n")
    assert fabric.load(tmp_path / "site-a.fabric.yaml").name == "site-a"
    assert run("-o", str(tmp_path / "site-a.fabric.yaml"))[0] == 2
    assert json.loads(run("--json")[1])["devices"]["su3-node5"] == "su3/node5"
    del words[2:]
    listing = run()[1]
    assert all(f"\n{name} " in listing for name in SOURCES)


def test_slow_links_are_degraded(as_drawn, tmp_path):
    lines = ["source,source_port,target,target_port,rate"]
    for n, (a, z) in enumerate(as_drawn.cables_of(as_drawn.drawn("rail-only"))[0]):
        lines.append(",".join((*a, *z, "200Gb/s" if n == 5 else "400Gb/s")))
    answer = imported("\n".join(lines) + "\n", tmp_path, "edges", rates=None)
    assert "degraded:\n  - [node1, leaf1, 1, 200Gb/s]\n" in answer.text
    assert (answer.status, answer.n_missing, answer.n_extra) == ("axes", 0, 0)


def test_a_mesh_that_no_axis_runs_along_is_no_crash(tmp_path):
    # A node is called by a sign, so that leaves fall into two classes, and one cable is listed twice.
    rows = [("su0-node0", "port1", "leaf0", "swp1"), ("su0-node1", "port1", "leaf0", "swp2")]
    rows += [("su0-node2", "port1", "leaf0", "swp3"), ("su1-node0", "port1", "leaf1", "swp1")]
    rows += [("su0-node1", "port1", "leaf0", "swp2"), ("su1-node1", "port1", "leaf1", "swp2")]
    rows += [("su1-node2", "port1", "leaf1", "swp3")]
    lines = ["A-Node Name,A-Type,A-Port,Z-Node Name,Z-Type,Z-Port"]
    lines += [f"{a},Host,{p},{z},Switch,{q}" for a, p, z, q in rows]
    lines += ["leaf0,Switch,swp4,spine,Switch,swp1", "{},Switch,swp4,spine,Switch,swp2"]
    (tmp_path / "dump.csv").write_text("\n".join(lines))
    answer = fabric.read_cabling([tmp_path / "dump.csv"], "p2p-ethernet", rates="400Gb/s")
    assert (answer.n_nodes, answer.n_cables) == (10, 8)
    assert sorted(answer.devices) == sorted(
        {end for row in rows for end in (row[0], row[2])} | {"spine", "{}"}
    )


@pytest.mark.parametrize("odd", ["a,b", "s*", "l[eaf", "#x", "x:y"])
def test_names_that_no_file_can_have_are_told_and_left_out(odd, tmp_path):
    lines = ["source,source_port,target,target_port"]
    lines += [f'n{i},p{k},"{odd}{k}",q{i}' for i in range(4) for k in range(2)]
    (tmp_path / "dump.csv").write_text("\n".join(lines))
    answer = fabric.read_cabling([tmp_path / "dump.csv"], "edges", rates="400Gb/s")
    assert (answer.status, answer.n_missing, answer.n_extra) == ("axes", 0, 0)
    assert "names that a file cannot have" in " ".join(answer.notes)
    assert set(answer.devices) == {*(f"n{i}" for i in range(4)), *(f"{odd}{k}" for k in range(2))}


def test_a_host_with_pcie_beside_c2c_comes_back(tmp_path):
    design = loads("{fabric: x, include: gb200-nvl72}")
    (name, text), *_ = export(design, "nccl-topo").files.items()
    (tmp_path / name).write_text(text)
    answer = fabric.read_cabling([tmp_path / name], "nccl-topo")
    # Two Graces with a card for each GPU and a DPU: 4 C2C, 4 + 2 PCIe, 4 x 18 NVLinks to one switch.
    assert answer.n_cables == 4 + 6 + 72


@pytest.mark.parametrize("name", ["", "two words", "a/b", "x" * 81])
def test_a_name_that_no_file_can_have_is_refused(name, as_drawn, tmp_path):
    dump = as_drawn.point_to_point(
        *as_drawn.cables_of(loads(f"fabric: two-tier\n{as_drawn.SHAPES['two-tier']}"))
    )
    with pytest.raises(QuestionError, match=r"^name: got .*; a name holds letters, digits"):
        imported(dump, tmp_path, name=name)
