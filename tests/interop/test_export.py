"""Formats of other tools: the cables of the plan, each once, and what schedulers need to know."""

import contextlib
import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import networkx as nx
import pytest
import yaml

from fabric import cli
from fabric.cli import exchange
from fabric.errors import QuestionError
from fabric.graph import expand, load, loads
from fabric.graph.exchange import from_networkx, to_networkx
from fabric.interop.export import FORMATS, export
from fabric.interop.export.schedulers import hostlist
from fabric.sizing.cable_plan import CablePlan
from tests.hgx_cluster import hgx_cluster

HGX = hgx_cluster()
# 2 hosts x 2 GPUs, one NVSwitch a host, one card of 400G a GPU, one leaf a rail, two spines.
MINI = """\
fabric: mini-pod
axes: {node: 2, slot: 2, spine: 2}
devices:
  gpu:      {kind: gpu, axes: [node, slot], transit: relay}
  nvswitch: {kind: switch, axes: [node]}
  nic:      {kind: nic, axes: [node, slot]}
  leaf:     {kind: switch, axes: [slot]}
  spine:    {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nvswitch], rate: 3600Gb/s, net: scale-up, each: [1, 2]}
  - {between: [gpu, nic], rate: 504Gb/s, net: host, each: [1, 1]}
  - {between: [nic, leaf], rate: 400Gb/s, each: [1, 2]}
  - {between: [leaf, spine], rate: 400Gb/s, each: [2, 2]}
"""
ROOT = Path(__file__).parents[2]
RACKS = "topologies/gb300-nvl72-1152.fabric.yaml"


@pytest.fixture(scope="module")
def planned():
    """Return the ends of the cables of the plan, as a count of (node, port, node, port)."""
    return Counter(ends(cable) for cable in CablePlan(loads(HGX).blueprint).cables())


def ends(cable):
    return (cable.a.node, cable.a.port, cable.z.node, cable.z.port)


def text(name, of=HGX):
    files = export(loads(of), name).files
    return files[""] if "" in files else files


def table(content):
    return list(csv.DictReader(io.StringIO(content)))


def test_point_to_point_lists(planned):
    rows = table(text("p2p-ethernet"))
    sides = [("A-Node Name", "A-Port"), ("Z-Node Name", "Z-Port")]
    assert Counter(tuple(row[k] for side in sides for k in side) for row in rows) == planned
    assert {(row["A-Type"], row["Z-Type"]) for row in rows} == {("Host", "Switch"), ("Switch", "Switch")}
    head, *body = csv.reader(io.StringIO(text("p2p-infiniband")))
    assert head == ["Rack", "U", "Name", "HCA/Port", "Rack", "U", "Name", "Port"]
    assert Counter((r[2], r[3], r[6], r[7]) for r in body) == planned


def test_dot(planned):
    content = text("dot")
    links = re.findall(r'^  "(.+?)":"(.+?)" -- "(.+?)":"(.+?)"$', content, re.MULTILINE)
    assert Counter(links) == planned
    roles = dict(re.findall(r'^  "(.+?)" \[role="(.+?)"', content, re.MULTILINE))
    assert roles["gpu0-00"] == "host"
    assert (roles["su0-leaf0"], roles["spine0"]) == ("leaf", "spine")
    assert set(roles) == {node for link in links for node in (link[0], link[2])}


def test_netbox(planned):
    files = text("netbox")
    devices = {row["name"] for row in table(files["devices.csv"])}
    interfaces = Counter((row["device"], row["name"]) for row in table(files["interfaces.csv"]))
    cables = table(files["cables.csv"])
    sides = [("side_a_device", "side_a_name"), ("side_b_device", "side_b_name")]
    assert Counter(tuple(row[k] for side in sides for k in side) for row in cables) == planned
    assert set(interfaces.values()) == {1}
    assert {device for device, _ in interfaces} == devices
    assert set(interfaces) == {tuple(row[k] for k in side) for row in cables for side in sides}
    assert {row["type"] for row in table(files["interfaces.csv"])} == {"400gbase-x-osfp", "800gbase-x-osfp"}
    assert all(float(row["length"]) > 0 and row["length_unit"] == "m" for row in cables)


def test_laboratories(planned):
    clab = yaml.safe_load(text("containerlab"))["topology"]
    pairs = [[end.split(":") for end in link["endpoints"]] for link in clab["links"]]
    used = Counter((node, port) for pair in pairs for node, port in pair)
    assert set(used.values()) == {1}
    assert {node for node, _ in used} == set(clab["nodes"])
    nodes = Counter((a, z) for a, _, z, _ in planned.elements())
    assert Counter((a[0], z[0]) for a, z in pairs) == nodes
    netlab = yaml.safe_load(text("netlab"))
    assert Counter(tuple(k for k in link if k != "bandwidth") for link in netlab["links"]) == nodes
    assert {link["bandwidth"] for link in netlab["links"]} == {400_000_000, 800_000_000}
    air = json.loads(text("nvidia-air"))["content"]
    assert (
        Counter(tuple(v for end in link for v in (end["node"], end["interface"])) for link in air["links"])
        == planned
    )
    assert {node["os"] for name, node in air["nodes"].items() if "leaf" in name} == {"cumulus-vx"}


def test_ibsim_names_every_cable_at_both_ends(planned):
    ports = {}
    for block in text("ibsim").strip().split("\n\n"):
        head, *lines = block.splitlines()
        kind, n, name = re.fullmatch(r'(Switch|Hca)\t(\d+) "(.+)"', head).groups()
        assert int(n) == len(lines)
        assert (kind == "Hca") == name.startswith("gpu")
        for line in lines:
            own, far, to = re.fullmatch(r'\[(\d+)\]\t"(.+)"\[(\d+)\]', line).groups()
            ports[name, own] = (far, to)
    assert all(ports[far] == here for here, far in ports.items())
    assert len(ports) == 2 * planned.total()


def test_slurm_trees_have_every_node_once():
    lines = text("slurm-tree").splitlines()
    assert lines == [
        "SwitchName=spine-tier0 Switches=leaf-tier[0-1]",
        "SwitchName=leaf-tier0 Nodes=gpu0-[00-03]",
        "SwitchName=leaf-tier1 Nodes=gpu1-[00-03]",
    ]
    tree, block = yaml.safe_load(text("slurm"))
    assert tree["tree"]["switches"][0] == {"switch": "spine-tier0", "children": "leaf-tier[0-1]"}
    assert block["block"]["block_sizes"] == [1, 2, 4, 8]
    assert len(block["block"]["blocks"]) == 8


def test_blocks_are_scale_up_domains():
    lines = export(load(RACKS), "slurm-block").files[""].splitlines()
    assert lines[3] == "BlockName=rack3 Nodes=rack3-tray[0-17]"
    assert lines[-1] == "BlockSizes=18,36,72,144,288"
    # Rails and planes are one switch to a scheduler, a block of racks below all of them.
    tree = export(load(RACKS), "slurm-tree").files[""].splitlines()
    assert tree[0] == "SwitchName=spine-tier0 Switches=leaf-tier[0-7]"
    assert tree[1] == "SwitchName=leaf-tier0 Nodes=rack0-tray[0-17],rack1-tray[0-17]"


def test_topograph():
    model = yaml.safe_load(text("topograph"))
    assert model["switches"] == {"spine-tier0": {"switches": ["leaf-tier0", "leaf-tier1"]}}
    first = model["blocks"][0]
    assert (first["switch"], first["nodes"]) == ("leaf-tier0", ["gpu0-00"])


def test_kueue():
    files = text("kueue")
    topology, flavor = yaml.safe_load_all(files["topology.yaml"])
    levels = [level["nodeLabel"] for level in topology["spec"]["levels"]]
    assert levels[-1] == "kubernetes.io/hostname"
    assert flavor["spec"]["topologyName"] == topology["metadata"]["name"] == "hgx"
    nodes = list(yaml.load_all(files["nodes.yaml"], yaml.CSafeLoader))
    assert len(nodes) == 8
    for node in nodes:
        assert set(levels) <= set(node["metadata"]["labels"])
    tiers = Counter(node["metadata"]["labels"]["fabric.topograph.run/tier-0"] for node in nodes)
    assert tiers == {"leaf-tier0": 4, "leaf-tier1": 4}


@pytest.mark.parametrize("name", ["graphml", "node-link", "cytoscape"])
def test_graphs_come_back(name, tmp_path):
    content = text(name)
    if name == "graphml":
        (tmp_path / "g.graphml").write_text(content)
        graph = nx.read_graphml(tmp_path / "g.graphml", force_multigraph=True)
    elif name == "node-link":
        graph = nx.node_link_graph(json.loads(content), edges="edges")
    else:
        graph = nx.cytoscape_graph(json.loads(content))
    original = to_networkx(loads(HGX))
    assert Counter((min(a, b), max(a, b)) for a, b in graph.edges()) == Counter(
        (min(a, b), max(a, b)) for a, b in original.edges()
    )
    assert nx.get_node_attributes(graph, "kind") == nx.get_node_attributes(original, "kind")
    if name != "cytoscape":
        assert expand(from_networkx(graph)).n_cables == expand(loads(HGX)).n_cables


def test_simai_of_a_small_pod():
    lines = text("simai", MINI).splitlines()
    assert lines[:2] == ["10 2 2 4 12 GPU", "4 5 6 7 8 9"]
    # A GPU has its cable to the domain's switch, and that of its card to the leaf of its rail.
    assert [line for line in lines[2:] if line.startswith("1 ")] == [
        "1 4 3600Gbps 0.000025ms 0",
        "1 7 400Gbps 0.000500ms 0",
    ]
    assert len(lines) == 2 + 12


def test_simai_counts_one_card_for_each_gpu_of_a_box():
    head, _, *links = text("simai").splitlines()
    assert head == f"{64 + 32 + 16 + 4} 8 32 20 {len(links)} h100_sxm5"
    cards = Counter(line.split()[0] for line in links if " 400Gbps " in line and int(line.split()[0]) < 64)
    assert len(cards) == 64
    assert set(cards.values()) == {1}


def test_simai_needs_gpus_in_domains_of_one_size():
    with pytest.raises(QuestionError, match="there are no GPUs"):
        text("simai", MINI.replace("kind: gpu", "kind: host, endpoint: true"))


def test_what_there_is_not_is_named():
    with pytest.raises(QuestionError, match="no format 'netbx'; did you mean netbox"):
        export(loads(MINI), "netbx")
    with pytest.raises(QuestionError, match="the format dot"):
        export(from_networkx(to_networkx(loads(MINI))), "dot")


def test_formats_are_the_same_in_any_process():
    # A pod with spines is no product and no torus.
    own = [name for name in FORMATS if name not in ("astra-sim", "slurm-ring", "slurm-torus3d")]
    program = "import sys; from fabric.graph import loads; from fabric.interop.export import export; "
    program += f"pod = loads(sys.stdin.read()); print([export(pod, name).files for name in {own}])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=MINI,
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == f"{[export(loads(MINI), name).files for name in own]}\n"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["n8", "n9", "n10", "n11"], "n[8-11]"),
        (["n08", "n09", "n10"], "n[08-09],n10"),
        (["a-0-1", "a-0-2", "a-1-1"], "a-0-[1-2],a-1-1"),
        (["login"], "login"),
        (["n3", "n1", "n1"], "n[1,3]"),
        ([], ""),
    ],
)
def test_hostlists(names, expected):
    assert hostlist(names) == expected


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    def run(*words):
        (tmp_path / "hgx.fabric.yaml").write_text(HGX)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["fabtopo", *words])
        with pytest.raises(SystemExit, match=r"^\d$") as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()

    return run


def test_commands(run, tmp_path, planned):
    status, out, err = run("export", "hgx.fabric.yaml", "--format", "slurm-tree")
    assert (status, out) == (0, text("slurm-tree"))
    assert err == "slurm-tree does not hold all but which nodes are near each other\n"
    assert run("export", "hgx.fabric.yaml", "--format", "netbox", "-o", "box")[0] == 0
    assert sorted(path.name for path in (tmp_path / "box").iterdir()) == [
        "cables.csv",
        "devices.csv",
        "interfaces.csv",
    ]
    assert run("export", "hgx.fabric.yaml", "--format", "dot", "-o", "t.dot")[0] == 0
    assert (tmp_path / "t.dot").read_text() == text("dot")
    assert run("export", "hgx.fabric.yaml", "--format", "dot", "-o", "t.dot")[0] == 2
    assert run("export", "hgx.fabric.yaml", "--format", "dto")[0] == 2
    listing = run("export", "hgx.fabric.yaml")[1]
    assert all(re.search(rf"^{name} ", listing, re.MULTILINE) for name in FORMATS)


def test_cable_plans_as_files(run, tmp_path, planned):
    assert run("cables", "hgx.fabric.yaml", "-o", "plan.csv")[0] == 0
    rows = table((tmp_path / "plan.csv").read_text())
    keys = ("a_node", "a_port", "z_node", "z_port")
    assert Counter(tuple(row[k] for k in keys) for row in rows) == planned
    assert rows[0]["label"] == "gpu0-00:nic0p1 - su0-leaf0:swp1s0"
    listed = json.loads(run("cables", "hgx.fabric.yaml", "--json")[1])
    assert Counter(tuple(row[k] for k in keys) for row in listed) == planned
    assert len(run("cables", "hgx.fabric.yaml", "--format", "md")[1].splitlines()) == planned.total() + 2
    assert run("cables", "hgx.fabric.yaml", "--format", "xls")[0] == 2


def test_cable_plans_as_workbooks(run, tmp_path, planned):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    pytest.importorskip("xlsxwriter", reason="XlsxWriter is not installed")
    assert run("cables", "hgx.fabric.yaml", "--format", "xlsx", "-o", "plan.xlsx")[0] == 0
    assert run("cables", "hgx.fabric.yaml", "-o", "plan.csv")[0] == 0
    book = openpyxl.load_workbook(tmp_path / "plan.xlsx")
    head, *rows = book["cables"].iter_rows(values_only=True)
    listed = table((tmp_path / "plan.csv").read_text())
    assert list(head) == list(listed[0])
    # Numbers are numbers, texts are texts, and None stands for an empty cell.
    texts = [
        [
            "" if c is None else f"{c:.1f}" if k == "rate_gbps" else str(c)
            for k, c in zip(head, row, strict=True)
        ]
        for row in rows
    ]
    assert [dict(zip(head, row, strict=True)) | {"length_m": ""} for row in texts] == [
        row | {"length_m": ""} for row in listed
    ]
    assert [row[head.index("length_m")] for row in rows] == [float(row["length_m"]) for row in listed]
    assert (tmp_path / "plan.xlsx").read_bytes()[:2] == b"PK"
    before = (tmp_path / "plan.xlsx").read_bytes()
    assert run("cables", "hgx.fabric.yaml", "--format", "xlsx", "-o", "plan.xlsx")[0] == 2
    assert run("cables", "hgx.fabric.yaml", "--format", "xlsx", "-o", "plan.xlsx", "--force")[0] == 0
    assert (tmp_path / "plan.xlsx").read_bytes() == before


def test_a_plan_tells_how_far_it_is():
    plan = CablePlan(loads(HGX).blueprint)
    seen = [plan.n_listed for _ in plan.batches()]
    assert seen[-1] == plan.n_cables == len(list(plan.cables()))
    assert seen == sorted(seen)


def test_bars_are_shown_on_terminals_alone(run, monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(
        exchange,
        "progress",
        lambda label: contextlib.nullcontext(lambda done, total: told.append((label, done, total))),
    )
    n = CablePlan(loads(HGX).blueprint).n_cables
    assert run("cables", "hgx.fabric.yaml", "-o", "plan.csv")[0] == 0
    assert told[-1] == ("cables", n, n)
    del told[:]
    assert run("export", "hgx.fabric.yaml", "--format", "dot", "-o", "a.dot")[0] == 0
    lines = (tmp_path / "a.dot").read_text().splitlines()
    (tmp_path / "b.dot").write_text("\n".join(["graph x {", lines[-2], "}"]))
    (tmp_path / "a.dot").write_text("\n".join([*lines[:-3], "}"]))
    assert run("audit", "hgx.fabric.yaml", "a.dot", "b.dot", "--format", "dot")[0] == 1
    # Two sources are read, and one group of faults is priced.
    assert told == [("audit", 0, 2), ("audit", 1, 2), ("audit", 0, 1)]


def test_commands_that_last_are_silent_elsewhere(run, tmp_path):
    assert run("cables", "hgx.fabric.yaml", "-o", "plan.csv") == (0, "", "")
