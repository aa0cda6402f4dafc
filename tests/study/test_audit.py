"""An audit finds the faults that were made, no more, and says what they cost."""

import json
import random
import re

import pytest

import fabric
from fabric import cli
from fabric.errors import FabricError, QuestionError, TopologyError
from fabric.graph import fail, loads
from fabric.interop.export import export
from fabric.interop.sources import read_sources
from fabric.sizing.cable_plan import CablePlan
from fabric.study.audit import audit
from tests.hgx_cluster import ALL_NAMES, hgx_cluster

HGX = hgx_cluster(names=ALL_NAMES)
MINI = """\
fabric: mini-net
axes: {node: 4, rail: 2, spine: 2}
devices:
  node:  {kind: host, axes: [node], endpoint: true}
  leaf:  {kind: switch, axes: [rail]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [node, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""
DESIGNS = {"hgx": HGX, "mini": MINI}
WRITTEN = ["dot", "edges", "lldp", "netbox", "p2p-ethernet", "p2p-infiniband"]


def ends(text):
    return [((c.a.node, c.a.port), (c.z.node, c.z.port)) for c in CablePlan(loads(text).blueprint).cables()]


def written(cables, form, folder):
    """Return files of a format with these cables."""
    if form == "lldp":
        return [lldp(cables, node, folder) for node in sorted({end[0] for cable in cables for end in cable})]
    path = folder / f"found.{form}"
    if form == "p2p-ethernet":
        lines = ["A-Rack,A-U,A-Node Name,A-Type,A-Port,Z-Rack,Z-RU,Z-Node Name,Z-Type,Z-Port"]
        lines += [f",,{a[0]},,{a[1]},,,{z[0]},,{z[1]}" for a, z in cables]
    elif form == "p2p-infiniband":
        lines = ["Rack,U,Name,HCA/Port,Rack,U,Name,Port"]
        lines += [f",,{a[0]},{a[1]},,,{z[0]},{z[1]}" for a, z in cables]
    elif form == "netbox":
        lines = ["side_a_device,side_a_name,side_b_device,side_b_name"]
        lines += [f"{a[0]},{a[1]},{z[0]},{z[1]}" for a, z in cables]
    elif form == "edges":
        lines = ["source,source_port,target,target_port", *(",".join(a + z) for a, z in cables)]
    else:
        lines = ['graph "x" {', *(f'"{a[0]}":"{a[1]}" -- "{z[0]}":"{z[1]}"' for a, z in cables), "}"]
    path.write_text("\n".join(lines) + "\n")
    return [path]


def lldp(cables, node, folder):
    seen = [(a, z) for cable in cables for a, z in (cable, cable[::-1]) if a[0] == node]
    interfaces = [
        {
            "name": a[1],
            "chassis": [{"name": [{"value": z[0]}]}],
            "port": [{"id": [{"type": "ifname", "value": z[1]}]}],
        }
        for a, z in seen
    ]
    path = folder / f"{node}.json"
    path.write_text(json.dumps({"lldp": [{"interface": interfaces}]}))
    return path


def spoil(cables, seed, n):
    """Return cables with `n` faults of different cables, and how many there are of each kind."""
    rng = random.Random(seed)
    cables, kinds = list(cables), dict.fromkeys(("swapped", "missing", "extra"), 0)
    numbers = list(range(len(cables)))
    rng.shuffle(numbers)
    gone = []
    for at in range(n):
        kind = rng.choice(list(kinds))
        kinds[kind] += 1
        if kind == "swapped":
            one = numbers.pop()
            # Not of the same nodes: there nobody sees a difference but ports.
            near = {end[0] for end in cables[one]}
            two = next(n for n in numbers if not near & {end[0] for end in cables[n]})
            numbers.remove(two)
            (a, z), (b, y) = cables[one], cables[two]
            cables[one], cables[two] = (a, y), (b, z)
        elif kind == "missing":
            gone.append(numbers.pop())
        else:
            leaf, spine = cables[-1][0][0], cables[-1][1][0]
            cables.append(((leaf, f"swp{60 + at}"), (spine, f"swp{60 + at}")))
    return [cable for n, cable in enumerate(cables) if n not in gone], kinds


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("design", DESIGNS)
def test_what_was_built_as_designed_has_no_fault(design, form, tmp_path):
    answer = audit(loads(DESIGNS[design]), written(ends(DESIGNS[design]), form, tmp_path), form)
    assert (answer.status, answer.groups, answer.moves, answer.notes) == ("as designed", (), (), ())
    assert answer.n_right == answer.n_planned == answer.n_found


OWN = [
    "containerlab", "cytoscape", "dot", "graphml", "infragraph", "netbox", "netlab", "node-link",
    "nvidia-air", "p2p-ethernet", "p2p-infiniband",
]  # fmt: skip


@pytest.mark.some(8)
@pytest.mark.parametrize("form", OWN)
@pytest.mark.parametrize("design", DESIGNS)
def test_our_own_exports_are_read_back(design, form, tmp_path):
    files = export(loads(DESIGNS[design]), form).files
    (tmp_path / "x").write_text(files.get("", files.get("cables.csv")))
    assert audit(loads(DESIGNS[design]), [tmp_path / "x"], form).status == "as designed"


@pytest.mark.some(1)
@pytest.mark.parametrize("form", ["graphml", "node-link", "cytoscape"])
def test_graphs_name_devices_and_faults_are_told_of_nodes(form, tmp_path):
    # A cable of a card that is down is left out of the graph; what is inside the boxes is no cable.
    lost = fail(loads(HGX), ("su1/node2/nic5", "su1/leaf5"))
    (tmp_path / "x").write_text(export(lost, form).files[""])
    (group,) = audit(loads(HGX), [tmp_path / "x"], form).groups
    assert (group.kind, group.n, group.faults[0].planned) == ("missing", 1, ("gpu1-2 - l1-5",))


@pytest.mark.some(1)
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("form", ["p2p-ethernet", "dot", "lldp"])
def test_exactly_the_faults_that_were_made(seed, form, tmp_path):
    text = DESIGNS[["hgx", "mini"][seed % 2]]
    cables, kinds = spoil(ends(text), seed, [1, 2, 5, 3][seed % 4] if "hgx" in text else 1 + seed % 2)
    answer = audit(loads(text), written(cables, form, tmp_path), form)
    counted = dict.fromkeys(kinds, 0)
    for group in answer.groups:
        counted[group.kind] = counted.get(group.kind, 0) + group.n
    assert counted == kinds
    assert len(answer.moves) == sum(kinds.values())


def test_the_cost_of_missing_cables_is_that_of_failed_ones(tmp_path):
    cables = ends(HGX)
    lost = [cable for cable in cables if cable[0][0] == "l1-3" and cable[1][0] in ("s0", "s1")]
    answer = audit(loads(HGX), written([c for c in cables if c not in lost], "dot", tmp_path), "dot")
    (group,) = answer.groups
    assert (group.kind, group.node, group.n, group.n_of) == ("missing", "l1-3", 4, 12)
    hgx = loads(HGX)
    failed = fail(hgx, "su1/leaf3 - spine0", "su1/leaf3 - spine1")
    rates = [fabric.throughput(f).per_endpoint_gbps for f in (failed, hgx)]
    assert group.kept == pytest.approx(rates[0] / rates[1])


def test_collectives_that_are_asked_for_are_priced_and_ways_on_are_counted(tmp_path):
    lost = [cable for cable in ends(MINI) if cable[0][0] == "leaf1" and cable[1][0] == "spine0"]
    (file,) = written([c for c in ends(MINI) if c not in lost], "dot", tmp_path)
    answer = audit(loads(MINI), [file], "dot", collectives=["all-reduce", "all-gather"], size="64MiB")
    (group,) = answer.groups
    whole = loads(MINI)
    failed = fail(whole, "leaf1 - spine0")
    for name, kept in group.collectives.items():
        rates = [fabric.cost(f, name, "64MiB").busbw_gbps for f in (failed, whole)]
        assert kept == pytest.approx(rates[0] / rates[1])
    assert list(group.collectives) == ["all-reduce", "all-gather"]
    # One spine of two, by two cables each; the cables to servers below it do not lead on.
    assert group.ways == ("leaf1", 2, 4)
    assert "leaf1 has 2 of 4 ways on" in group.text
    with pytest.raises(QuestionError, match="unknown collective 'all-redcue'"):
        audit(whole, [file], "dot", collectives=["all-redcue"])


def test_a_report_for_a_pull_request_is_a_table_and_boxes_to_tick(tmp_path):
    (file,) = written(ends(MINI)[1:], "dot", tmp_path)
    lines = audit(loads(MINI), [file], "dot").to_markdown().splitlines()
    assert lines[0] == "**mini-net**: 15 of 16 cables are as designed; 15 found."
    assert lines[2] == "| fault | at | cables | cost | found, planned |"
    assert lines[4].startswith("| missing | `node0` | 1 of 2 | all-to-all keeps ")
    assert lines[-1] == "- [ ] add leaf0 swp1 - node0 port1"
    (file,) = written(ends(MINI), "dot", tmp_path)
    assert audit(loads(MINI), [file], "dot").to_markdown().count("\n") == 1


def test_the_cost_of_a_swap_across_rails(tmp_path):
    # The cable of rail 0 goes to leaf1 and that of rail 1 to leaf0: nothing is lost but the order of rails.
    (a, z), (b, y) = ends(MINI)[:2]
    built = [(a, y), (b, z), *ends(MINI)[2:]]
    answer = audit(loads(MINI), written(built, "dot", tmp_path), "dot")
    (group,) = answer.groups
    assert (group.kind, group.n, group.kept) == ("swapped", 1, pytest.approx(1.0))
    assert set(group.faults[0].planned) == {"leaf0 swp1 - node0 port1", "leaf1 swp1 - node0 port2"}


PLANES = """\
fabric: planes
axes: {plane: 2, leaf: 4, spine: 4}
devices:
  node:  {kind: host, axes: [leaf], endpoint: true}
  leaf:  {kind: switch, axes: [leaf]}
  spine: {kind: switch, axes: [plane, spine]}
links:
  - {between: [node, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s}
"""


def audited(cables, tmp_path):
    return audit(loads(PLANES), written(cables, "dot", tmp_path), "dot").groups


def test_where_the_cables_of_a_node_go_is_said_by_the_axes(tmp_path):
    due = ends(PLANES)
    plane0 = [(a, z) for a, z in due if a[0] == "leaf3" and z[0].startswith("plane0")]
    # Each to another spine of the other plane, at a port that the plan does not use.
    spine = {f"plane0-spine{n}": f"plane1-spine{(n + 1) % 4}" for n in range(4)}
    moved = [(a, (spine[z[0]], "swp9")) for a, z in plane0]
    rest = [cable for cable in due if cable not in plane0]
    (group,) = audited(rest + moved, tmp_path)
    assert (group.kind, group.n, group.to, group.planned_to) == ("moved", 4, "plane1/spine", "plane0/spine")
    assert group.text.startswith("moved: 4 of 9 cables of leaf3 go to plane1/spine instead of plane0/spine; ")
    # Those that are missing were for one plane of two; where all are missing that says nothing.
    (group,) = audited(rest, tmp_path)
    assert group.text.startswith("missing: 4 of 9 cables of leaf3 to plane0/spine; ")
    up = [(a, z) for a, z in due if a[0] == "leaf3" and "spine" in z[0]]
    (group,) = audited([cable for cable in due if cable not in up], tmp_path)
    assert (group.n, group.place) == (8, "")


def test_what_is_swapped_at_one_node_goes_where_it_should(tmp_path):
    due = ends(PLANES)
    (a, z), (b, y) = [cable for cable in due if cable[0][0] == "leaf3" and cable[1][0].endswith("spine2")]
    (group,) = audited([cable for cable in due if cable not in [(a, z), (b, y)]] + [(a, y), (b, z)], tmp_path)
    assert (group.kind, group.place) == ("swapped", "")


def test_a_lost_node_cuts_off(tmp_path):
    cables = [cable for cable in ends(MINI) if cable[0][0] != "node2"]
    (group,) = audit(loads(MINI), written(cables, "dot", tmp_path), "dot").groups
    assert (group.kind, group.node, group.n, group.n_of, group.cut_off) == ("missing", "node2", 2, 2, 1)


def test_moved_and_wrong_ports(tmp_path):
    cables = ends(MINI)
    first, free = cables[0], ("leaf0", "swp50")
    (wrong,) = audit(loads(MINI), written([(first[0], free), *cables[1:]], "dot", tmp_path), "dot").groups
    assert (wrong.kind, wrong.kept) == ("wrong port", pytest.approx(1.0))
    (moved,) = audit(
        loads(MINI), written([(first[0], ("spine0", "swp50")), *cables[1:]], "dot", tmp_path), "dot"
    ).groups
    assert (moved.kind, moved.n) == ("moved", 1)


def test_nodes_alone_are_compared_where_ports_have_other_names(tmp_path):
    cables = [((a[0], f"x{n}"), (z[0], f"y{n}")) for n, (a, z) in enumerate(ends(MINI))]
    answer = audit(loads(MINI), written(cables, "dot", tmp_path), "dot")
    assert answer.status == "as designed"
    assert "nodes alone are compared" in answer.notes[0]
    assert audit(loads(MINI), written(cables[1:], "dot", tmp_path), "dot").groups[0].kind == "missing"


def test_what_is_beside_a_box_is_no_device_of_it(tmp_path):
    cables = [*ends(HGX), (("gpu1-2-bmc0", "eth0"), ("l1-0", "swp60"))]
    (group,) = audit(loads(HGX), written(cables, "dot", tmp_path), "dot").groups
    assert (group.kind, group.n) == ("unknown node", 1)


def test_an_infragraph_knows_nodes_on_several_axes(as_drawn, tmp_path):
    large = as_drawn.SHAPES["three-tier"]
    design = loads(
        f"fabric: x\n{large}".replace("pod: 3, su: 2, node: 5, rail: 4", "pod: 2, su: 2, node: 2, rail: 2")
    )
    lost = fail(design, ("pod1/su1/node0", "pod1/su1/leaf1"))
    (tmp_path / "x").write_text(export(lost, "infragraph").files[""])
    (group,) = audit(design, [tmp_path / "x"], "infragraph").groups
    assert (group.kind, group.faults[0].planned) == ("missing", ("pod1-su1-leaf1 - pod1-su1-node0",))
    # Without names instances are numbered, and no number says where on the axes a node is.
    plain = re.sub(", description: .*}", "}", (tmp_path / "x").read_text())
    (tmp_path / "x").write_text(plain)
    assert "unknown node" in {group.kind for group in audit(design, [tmp_path / "x"], "infragraph").groups}


def test_unknown_nodes_are_told(tmp_path):
    cables = [*ends(MINI), (("node9", "port1"), ("leaf0", "swp40"))]
    (group,) = audit(loads(MINI), written(cables, "dot", tmp_path), "dot").groups
    assert (group.kind, group.n) == ("unknown node", 1)


NDR = """\
fabric: ndr
devices:
  node: {kind: host, axes: [], endpoint: true}
  leaf: {kind: switch, axes: []}
  spine: {kind: switch, axes: []}
links:
  - {between: [node, leaf], rate: NDR}
  - {between: [leaf, spine], rate: NDR}
names: {node: node0, leaf: leaf0, spine: spine0}
ports: {node: "mlx5_0/{n}", leaf: "{n}", spine: "{n}"}
"""
SWEEP = """\
Switch  8 "S-02"  # "leaf0" base port 0 lid 0 lmc 0
[1] "H-01"[1](100001)   # "node0 mlx5_0" lid 3 {speed}
[2] "S-03"[1]   # "spine0" lid 0 4xNDR
Ca  1 "H-01"  # "node0 mlx5_0"
[1](100001) "S-02"[1]   # lid 2 lmc 0 "leaf0" lid 2 {speed}
Switch  8 "S-03"  # "spine0" base port 0 lid 0 lmc 0
[1] "S-02"[2]   # "leaf0" lid 0 4xNDR
"""


def test_a_sweep_has_rates(tmp_path):
    (tmp_path / "sweep").write_text(SWEEP.format(speed="2xNDR"))
    cables = read_sources([tmp_path / "sweep"], "ibnetdiscover").cables
    assert [(c.a, c.z, c.rate_gbps) for c in cables] == [
        (("leaf0", "1"), ("node0", "mlx5_0/1"), 200),
        (("leaf0", "2"), ("spine0", "1"), 400),
    ]
    (group,) = audit(loads(NDR), [tmp_path / "sweep"], "ibnetdiscover").groups
    assert (group.kind, group.n) == ("wrong rate", 1)
    assert group.faults[0].found == ("leaf0 1 - node0 mlx5_0/1 at 200 Gb/s instead of 400",)


BROKEN = {
    "dot": ('graph x {\n"a":"1" -- "b"\n"a":"2" -- "b":"1"\n"a":"2" -- "c":"1"\n}', [2, 4]),
    "p2p-ethernet": ("A-Node Name,A-Port,Z-Node Name,Z-Port\na,1,b,\n,1,b,2\na,1,a,1\n", [2, 3, 4]),
    "p2p-infiniband": ("Rack,U,Name,Port\n", [1]),
    "netbox": ("side_a_device,side_a_nam,side_b_device,side_b_name\n", [1]),
    "edges": ("source,target\na,b\n,b\n", [3]),
    "lldp": ('{"lldp": [', [1]),
    "ibnetdiscover": ('[1] "S-1"[2] # "x"\nSwitch 8 "S-2" # "y"\n[1 what\n', [1, 3]),
}


@pytest.mark.parametrize("form", BROKEN)
def test_what_is_wrong_in_a_source_is_told_at_once(form, tmp_path):
    text, lines = BROKEN[form]
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(TopologyError, match=rf"x.csv:{lines[0]}:1: ") as caught:
        read_sources([tmp_path / "x.csv"], form)
    assert [problem.line for problem in caught.value.problems] == lines


HOSTILE = [b"\0", b'"', b"\xff", b"[" * 50, b",,", b"\n", b"{", b"\x1b[2J"]


@pytest.mark.some(10)
@pytest.mark.parametrize("seed", range(24))
def test_hostile_sources_end_in_an_error_or_in_cables(seed, tmp_path):
    rng = random.Random(seed)
    form = [*WRITTEN, "ibnetdiscover"][seed % 7]
    folder = tmp_path / "f"
    folder.mkdir()
    base = written(ends(MINI), form if form != "ibnetdiscover" else "dot", folder)[0].read_bytes()
    if form == "ibnetdiscover":
        base = SWEEP.format(speed="4xNDR").encode()
    data = bytearray(base)
    for _ in range(rng.randint(1, 30)):
        at = rng.randrange(len(data))
        data[at : at + rng.randint(0, 5)] = rng.choice(HOSTILE)
    (tmp_path / "leaf0.json").write_bytes(bytes(data))
    cables, fault = [], "leaf0.json"
    try:
        cables = read_sources([tmp_path / "leaf0.json"], form).cables
    except FabricError as error:
        fault = str(error)
    assert "leaf0.json" in fault
    names = [name for cable in cables for end in (cable.a, cable.z) for name in end]
    assert [name for name in names if not name.isprintable()] == []


def test_there_is_no_such_format(tmp_path):
    with pytest.raises(QuestionError, match="no format 'p2p' to read; formats are p2p-ethernet"):
        audit(loads(MINI), [tmp_path], "p2p")


def _priced_lines(run, cables, tmp_path):
    """Return what is said of a node that has lost all of its cables."""
    (file,) = written(cables, "dot", tmp_path)
    lines = [line for line in run(str(file), "--format", "dot")[1].splitlines() if "of node0" in line]
    assert lines
    return lines


def test_command(monkeypatch, capsys, tmp_path):
    (tmp_path / "net.fabric.yaml").write_text(MINI)
    cables = ends(MINI)
    (good,) = written(cables, "dot", tmp_path)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["fabtopo", "audit", str(tmp_path / "net.fabric.yaml"), *words])
        with pytest.raises(SystemExit, match=r"^\d$") as stop:
            cli.main()
        return stop.value.code, capsys.readouterr().out

    assert run(str(good), "--format", "dot") == (0, "mini-net: 16 of 16 cables are as designed; 16 found\n")
    written(cables[1:], "dot", tmp_path)
    status, out = run(str(good), "--format", "dot")
    assert status == 1
    assert re.search(
        r"^  missing: 1 of 2 cables of node0; all-to-all keeps 50 %; node0 has 1 of 2 ways on$",
        out,
        re.MULTILINE,
    )
    assert "    add leaf0 swp1 - node0 port1" in out
    assert json.loads(run(str(good), "--format", "dot", "--json")[1])["groups"][0]["kind"] == "missing"
    assert "| fault | at |" in run(str(good), "--format", "dot", "--markdown")[1]
    status, out = run(str(good), "--format", "dot", "--markdown", "--json")
    assert (status, "--json and --markdown ask for two forms" in json.loads(out)["message"]) == (2, True)
    assert all("all-to-all keeps 0 %" in line for line in _priced_lines(run, cables[2:], tmp_path))


def test_three_far_ends_that_went_round_are_one_fault(tmp_path):
    cables = ends(HGX)
    near = [
        cables.index(next(c for c in cables if (c[0][0], c[1][0]) == (f"gpu1-{i}", f"l1-{i}")))
        for i in range(3)
    ]
    far = [cables[n][1] for n in near]
    for n, end in zip(near, [*far[1:], far[0]], strict=True):
        cables[n] = cables[n][0], end
    (group,) = audit(loads(HGX), written(cables, "dot", tmp_path), "dot").groups
    assert (group.kind, len(group.faults)) == ("swapped", 1)
    assert len(group.faults[0].planned) == len(group.faults[0].found) == 3
