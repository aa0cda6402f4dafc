"""What tools say of cables: read back from our own exports, from small files of each format, and strictly."""

import json
import random
from collections import Counter

import pytest

import fabric
from fabric.errors import FabricError, QuestionError, TopologyError
from fabric.graph import loads
from fabric.interop.export import export
from fabric.interop.sources import SOURCES, read_sources
from fabric.sizing.cable_plan import CablePlan

SHAPES = (
    "fat-tree", "full-mesh", "hyperx", "planes", "rail-groups", "rail-only", "three-tier", "top-of-rack",
    "torus", "two-tier",
)  # fmt: skip
WITH_PORTS = ("p2p-ethernet", "p2p-infiniband", "dot", "netbox", "nvidia-air")
WITH_RATES = ("containerlab", "netlab", "netbox", "graphml", "node-link", "cytoscape")
BOTH_WAYS = sorted({*WITH_PORTS, *WITH_RATES})


def read(texts, form, folder, name="host0.txt"):
    """Return what files say; `texts` is one text, or texts by name."""
    paths = []
    for file, text in ({name: texts} if isinstance(texts, str) else texts).items():
        (folder / (file or name)).write_text(text)
        paths.append(folder / (file or name))
    return read_sources(paths, form)


def edges(found):
    return Counter((frozenset((c.a[0], c.z[0])), c.rate_gbps) for c in found.cables)


@pytest.mark.some(2)
@pytest.mark.parametrize("form", BOTH_WAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_we_export_is_read_back(shape, form, as_drawn, tmp_path):
    design = as_drawn.drawn(shape)
    found = read(export(design, form).files, form, tmp_path)
    planned = list(CablePlan(design.blueprint).cables())
    slashed = form in ("graphml", "node-link", "cytoscape")
    rate = 400.0 if form in WITH_RATES else None
    expected = Counter(
        (frozenset((c.a.device, c.z.device) if slashed else (c.a.node, c.z.node)), rate) for c in planned
    )
    assert edges(found) == expected
    if form in WITH_PORTS:
        ends = Counter(frozenset(((c.a.node, c.a.port), (c.z.node, c.z.port))) for c in planned)
        assert Counter(frozenset((c.a, c.z)) for c in found.cables) == ends
    # And from there back to the fabric with its axes.
    answer = fabric.read_cabling(list(tmp_path.iterdir()), form, rates=None if rate else "400Gb/s")
    assert answer.status == "axes"
    assert answer.fabric.blueprint is not None
    before, after = (
        sorted(f.blueprint.n_devices(g) for g in f.blueprint.groups) for f in (design, answer.fabric)
    )
    assert before == after


TWO = """\
fabric: two
axes: {su: 2, node: 3}
devices:
  node:  {kind: host, endpoint: true, axes: [su, node]}
  leaf:  {kind: switch, axes: [su]}
  spine: {kind: switch, axes: []}
links:
  - {between: [node, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s}
"""


@pytest.mark.parametrize(("form", "name"), [("slurm", "topology.yaml"), ("slurm-tree", "topology.conf")])
def test_slurm_trees_come_back(form, name, tmp_path):
    found = read(export(loads(TWO), form).files[""], "slurm", tmp_path, name)
    assert edges(found) == Counter(
        [
            *((frozenset((f"su{s}-node{n}", f"leaf-tier{s}")), None) for s in range(2) for n in range(3)),
            *((frozenset((f"leaf-tier{s}", "spine-tier0")), None) for s in range(2)),
        ]
    )
    answer = fabric.read_cabling([tmp_path / name], "slurm", rates={"node-leaf": "400Gb/s", "": "1Tb/s"})
    assert [answer.fabric.blueprint.n_devices(g) for g in answer.fabric.blueprint.groups] == [6, 2, 1]


NCCL = """\
<system version="1">
  <cpu numaid="0" arch="x86_64">
    <pci busid="0000:10:00.0" class="0x060400" link_speed="32.0 GT/s PCIe" link_width="16">
      <pci busid="0000:12:00.0" class="0x030200" link_speed="32.0 GT/s PCIe" link_width="16">
        <gpu dev="0" sm="{sm}"><nvlink target="{target}" count="{n}" tclass="{tclass}"/></gpu>
      </pci>
      <pci busid="0000:13:00.0" class="0x020000" link_speed="32.0 GT/s PCIe" link_width="8">
        <nic><net name="mlx5_0" dev="0" speed="400000"/></nic>
      </pci>
    </pci>
  </cpu>
  <cpu numaid="1">
    <pci busid="0000:22:00.0" class="0x030200" link_speed="16.0 GT/s PCIe" link_width="16">
      <gpu dev="1" sm="{sm}">
        <nvlink target="0000:12:00.0" count="{n}" tclass="{tclass}"/><c2c count="1" bw="200000"/>
      </gpu>
    </pci>
  </cpu>
</system>
"""


def test_the_inside_of_a_host_as_nccl_sees_it(tmp_path):
    direct = NCCL.format(sm=80, target="0000:22:00.0", n=4, tclass="0x030200")
    found = read(direct, "nccl-topo", tmp_path, "host0.xml")
    # PCIe 5.0 x16 is 16 lanes of 24 Gb/s to NCCL, 4.0 half of it; NVLink of the A100 is 25 GB/s each way.
    assert edges(found) == Counter(
        {
            (frozenset(("host0-pci0", "host0-cpu0")), 384): 1,
            (frozenset(("host0-gpu0", "host0-pci0")), 384): 1,
            (frozenset(("host0-mlx5_0", "host0-pci0")), 192): 1,
            # By C2C; PCIe to the same processor is beside it.
            (frozenset(("host0-gpu1", "host0-cpu1")), 1600): 1,
            (frozenset(("host0-gpu0", "host0-gpu1")), 200): 4,
        }
    )
    assert found.kinds["host0-mlx5_0"] == "nic"
    switched = NCCL.format(sm=90, target="0000:07:00.0", n=18, tclass="0x068000")
    switched = switched.replace('target="0000:12:00.0"', 'target="-1"')
    found = read(switched, "nccl-topo", tmp_path, "host1.xml")
    assert edges(found)[frozenset(("host1-gpu0", "host1-nvswitch")), 200] == 18
    assert found.kinds["host1-nvswitch"] == "switch"


def matrix(n, cell):
    """Return what nvidia-smi prints of n GPUs and a card, underlined head and all."""
    gpus = [f"GPU{g}" for g in range(n)]
    lines = ["\t\x1b[4m" + "\t".join([*gpus, "NIC0", "CPU Affinity"]) + "\x1b[0m"]
    for g, gpu in enumerate(gpus):
        lines.append("\t".join([gpu, *("X" if g == h else cell(g, h) for h in range(n)), "PIX", "0-31"]))
    return "\n".join([*lines, "\t".join(["NIC0", *["PIX"] * n, "X"]), "", "Legend:", "  X = Self", ""])


def test_the_matrix_begins_at_the_line_with_the_first_gpu(tmp_path):
    # A shell echoes what it was asked, and a log names devices before.
    text = matrix(8, lambda g, h: "NV18")
    found = edges(read(text, "nvidia-smi", tmp_path))
    assert found
    for before in ("$ nvidia-smi topo -m  # host of mlx5_0 and GPU7\n", "NIC0 is mlx5_0\n\n"):
        assert edges(read(before + text, "nvidia-smi", tmp_path)) == found


def test_the_matrix_of_nvidia_smi(tmp_path):
    found = read(matrix(8, lambda g, h: "NV18"), "nvidia-smi", tmp_path)
    assert edges(found) == Counter(
        {(frozenset((f"host0-gpu{g}", "host0-nvswitch")), None): 18 for g in range(8)}
    )
    found = read(matrix(4, lambda g, h: "NV2" if g ^ h == 1 else "NV1"), "nvidia-smi", tmp_path)
    between = {(g, h): 2 if g ^ h == 1 else 1 for g in range(4) for h in range(g)}
    assert edges(found) == Counter(
        {(frozenset((f"host0-gpu{g}", f"host0-gpu{h}")), None): n for (g, h), n in between.items()}
    )


INFRAGRAPH = """\
name: pod
devices:
- name: server
  components:
  - {name: xpu, count: 2, choice: xpu}
  - {name: nvsw, count: 1, choice: switch}
  - {name: nic, count: 2, choice: nic}
  links:
  - {name: nvlink, physical: {bandwidth: {choice: gigabytes_per_second, gigabytes_per_second: 450}}}
  edges:
  - {ep1: {component: xpu}, ep2: {component: nvsw}, scheme: many2many, link: nvlink}
  - {ep1: {component: "xpu[0:2]"}, ep2: {component: "nic[0:2]"}, scheme: one2one, link: nvlink}
- name: box
  components: [{name: asic, count: 1, choice: cpu}, {name: port, count: 4, choice: port}]
  links: [{name: ic}]
  edges: [{ep1: {component: asic}, ep2: {component: port}, scheme: many2many, link: ic}]
links: [{name: eth, physical: {bandwidth: {choice: gigabits_per_second, gigabits_per_second: 400}}}]
instances: [{name: node, device: server, count: 2}, {name: leaf, device: box, count: 1}]
edges:
- ep1: {instance: "node[0]", component: "nic[0:2]"}
  ep2: {instance: leaf, component: "port[0:2]"}
  scheme: one2one
  link: eth
- {ep1: {instance: "node[1]", component: nic}, ep2: {instance: "leaf[0]", component: "port[2:4]"},
   scheme: one2one, link: eth}
"""


def test_infragraph(tmp_path):
    found = read(INFRAGRAPH, "infragraph", tmp_path)
    expected = Counter()
    for i in range(2):
        for k in range(2):
            expected[frozenset((f"node{i}-xpu{k}", f"node{i}-nvsw0")), 3600] = 1
            expected[frozenset((f"node{i}-xpu{k}", f"node{i}-nic{k}")), 3600] = 1
            expected[frozenset((f"node{i}-nic{k}", "leaf0")), 400] = 1
    assert edges(found) == expected
    assert (found.kinds["leaf0"], found.kinds["node1-xpu1"]) == ("switch", "gpu")
    answer = fabric.read_cabling([tmp_path / "host0.txt"], "infragraph")
    assert answer.status == "axes"


def test_astra_sim(tmp_path):
    text = "topology: [Ring, FullyConnected, Switch]\nnpus_count: [4, 3, 2]\nbandwidth: [50.0, 25.0, 12.5]\n"
    found = read(text, "astra-sim", tmp_path)
    gib = 8 * 2**30 / 1e9
    counted = Counter(round(rate / gib, 9) for (_, rate), n in edges(found).items() for _ in range(n))
    assert counted == {50: 4 * 6, 25: 3 * 8, 12.5: 24}
    # The first dimension is innermost: NPU 3 closes the ring of NPU 0.
    ends = {end for end, _ in edges(found)}
    assert {frozenset(("npu0", "npu3")), frozenset(("npu0", "npu8"))} <= ends
    assert frozenset(("npu0", "npu2")) not in ends


POD = """
fabric: pod
axes: {node: 2, slot: 2}
devices:
  gpu:  {kind: gpu, axes: [node, slot], transit: relay}
  nvsw: {kind: switch, axes: [node]}
  nic:  {kind: nic, axes: [node, slot]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, nvsw], rate: 3600Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 504Gb/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
"""


def test_simai(tmp_path):
    design = loads(POD)
    found = read(export(design, "simai").files[""], "simai", tmp_path)
    assert edges(found) == Counter(
        {(frozenset((f"gpu{g}", f"nvswitch{4 + g // 2}")), 3600): 1 for g in range(4)}
        | {(frozenset((f"gpu{g}", "switch6")), 400): 1 for g in range(4)}
    )


TREE = """\
- topology: t
  tree:
    switches:
    - {{switch: s, nodes: "n[0-3]"}}
    - {{switch: {first}, nodes: "{nodes}"}}
"""
CLAB = 'topology:\n  nodes: {a: {}, b: {}}\n  links:\n  - {endpoints: ["a:eth1", "b:eth1"]}\n'
GRAPHML = '<graphml><key id="k" attr.name="kind"/><graph><node id="a"/><node id="b"/></graph></graphml>'
BROKEN = {
    "containerlab": [
        (CLAB + '  - {endpoints: ["a:eth2", "c:eth1"]}\n  - {endpoints: ["a:eth3"]}\n', [5, 6]),
        (CLAB + '  - {endpoints: ["a:eth1", "b:eth2"]}\n', [5]),
        (CLAB.replace('"b:eth1"]', '"b:eth1"], labels: {rate-gbps: fast}'), [4]),
        ("topology: [1]\n", [1]),
    ],
    "netlab": [("nodes: [a, b]\nlinks:\n- {a: {}, c: {}}\n- {a: {}, b: {}, bandwidth: fast}\n", [3, 4])],
    "nvidia-air": [
        (
            '{"content": {"nodes": {"a": {}},\n"links": [[{"node": "a", "interface": "e"}, {"node": "b"}]]}}',
            [2, 2],
        ),
    ],
    "astra-sim": [
        ("topology: [Ring]\nnpus_count: [4, 4]\nbandwidth: [1]\n", [1]),
        ("topology: [Rung, Ring]\nnpus_count: [4, 1]\nbandwidth: [1, 1]\n", [1, 2]),
        ("topology: [Ring]\nnpus_count: [4]\nbandwidth: [-1]\n", [3]),
    ],
    "simai": [
        ("2 1 0 0 1 H100\n\n", [1]),
        ("3 1 0 1 2 H100\n2\n0 2 4Gbx 1ms 0\n0 9 4Gbps 1ms 0\n", [3, 4]),
        ("3 1 0 1 1 H100\n2\n0 2 4Gbps 1parsec 0\n", [3]),
        ("3 1 0 1 7 H100\n2\n0 2 4Gbps 1ms 0\n", [1]),
    ],
    "slurm": [
        ("items", [2]),
        (TREE.format(first="s", nodes="n[3-1]"), [5, 5]),
        ("- topology: t\n  flat: true\n", [2]),
    ],
    "nccl-topo": [
        ('<system version="2"></system>', [1]),
        ('<!DOCTYPE x [<!ENTITY a "b">]>\n<system version="1"/>', [1]),
        ('<system version="1">\n<cpu>', [2]),
        ('<system version="1">\n<cpu><pci link_speed="9 GT/s">\n<gpu dev="0"/></pci></cpu></system>', [2]),
    ],
    "graphml": [
        ('<!DOCTYPE g [<!ENTITY a "aaaa">]><graphml/>', [1]),
        ("<svg/>", [1]),
        (GRAPHML.replace('<node id="a"/>', '<node id="a"><data key="k">tree</data></node>'), [1]),
    ],
    "nvidia-smi": [("nothing\n", [1]), (matrix(2, lambda g, h: "NW4"), [2, 3])],
    "infragraph": [
        (INFRAGRAPH.replace("gigabits_per_second", "furlongs"), [17]),
        (INFRAGRAPH.replace('"nic[0:2]"}\n', '"nic[0:5]"}\n'), [20, 20]),
        (INFRAGRAPH.replace("link: eth\n", "link: ath\n"), [23]),
        (INFRAGRAPH.replace("choice: switch", "choice: bridge"), [6]),
        (INFRAGRAPH.replace("count: 2", "count: 3999999"), [18]),
    ],
}  # fmt: skip


@pytest.mark.some(10)
@pytest.mark.parametrize(
    ("form", "text", "lines"), [(f, *case) for f, cases in BROKEN.items() for case in cases]
)
def test_what_is_wrong_is_told_with_its_line(form, text, lines, tmp_path):
    with pytest.raises(TopologyError, match=r"host0\.txt:\d+:\d+: ") as caught:
        read(text, form, tmp_path)
    assert [problem.line for problem in caught.value.problems] == lines


def test_conf_files_of_slurm_are_strict(tmp_path):
    text = (
        "SwitchName=s Nodes=n[0-\nSwitchName=t Switches=s,u\nSwitchName=u Switches=t\nSwitchNome=x\nNodes=a\n"
    )
    with pytest.raises(TopologyError, match="topology.conf:1:1: nodes: a bracket") as caught:
        read(text, "slurm", tmp_path, "topology.conf")
    assert [problem.line for problem in caught.value.problems] == [1, 4, 5, 5]
    rings = read("RingName=r Nodes=n[0-3]\n", "slurm", tmp_path, "topology.conf")
    assert edges(rings) == Counter({(frozenset((f"n{i}", f"n{(i + 1) % 4}")), None): 1 for i in range(4)})


def test_a_torus_of_slurm(tmp_path):
    text = "---\n- topology: t\n  torus3d:\n    toruses:\n"
    text += '    - {name: p, dims: {x: 3, y: 2, z: 1}, nodes: "n[0-5]"}\n'
    found = read(text, "slurm", tmp_path, "topology.yaml")
    rows = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (0, 3), (1, 4), (2, 5)]
    assert edges(found) == Counter({(frozenset((f"n{a}", f"n{b}")), None): 1 for a, b in rows})


HOSTILE = [
    b"\0",
    b'"',
    b"\xff",
    b"[" * 60,
    b"{" * 60,
    b",,",
    b"\n",
    b"<a>" * 30,
    b"&x;",
    b"\x1b[2J",
    b"[0-999999999]",
    b"9" * 400,
]


@pytest.mark.seeds(15, of=600)
def test_hostile_files_end_in_an_error_or_in_cables(seed, as_drawn, tmp_path):
    rng = random.Random(seed)
    form = sorted(SOURCES)[seed % len(SOURCES)]
    bases = {
        "nccl-topo": NCCL.format(sm=90, target="x", n=18, tclass="0x068000"),
        "nvidia-smi": matrix(4, lambda g, h: "NV4"), "infragraph": INFRAGRAPH, "simai": BROKEN["simai"][2][0],
        "astra-sim": "topology: [Ring]\nnpus_count: [4]\nbandwidth: [1]\n",
        "slurm": TREE.format(first="t", nodes="n[4-6]"),
        "edges": "source,target,rate\na,b,4Gb/s\n", "lldp": '{"lldp": [{"interface": []}]}',
        "ibnetdiscover": 'Switch 8 "S" # "leaf0" base port 0\n[1] "H-01"[1](1) # "n0 mlx5_0" lid 3 4xNDR\n',
    }  # fmt: skip
    if form not in bases:
        files = export(as_drawn.drawn("rail-only"), form).files
        bases[form] = files.get("", files.get("cables.csv"))
    data = bytearray(bases[form].encode())
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(len(data))
        data[at : at + rng.randint(0, 5)] = rng.choice(HOSTILE)
    (tmp_path / "leaf0.yaml").write_bytes(bytes(data))
    cables, fault = [], "leaf0"
    try:
        cables = read_sources([tmp_path / "leaf0.yaml"], form).cables
    except FabricError as error:
        fault = str(error)
    assert "leaf0" in fault
    assert [
        name for cable in cables for end in (cable.a, cable.z) for name in end if not name.isprintable()
    ] == []


def test_there_is_no_such_format(tmp_path):
    with pytest.raises(QuestionError, match="no format 'graphm' to read; did you mean graphml"):
        read_sources([tmp_path], "graphm")
    with pytest.raises(QuestionError, match="no sources"):
        read_sources([], "dot")


def test_what_sources_say_of_a_node_must_agree(tmp_path):
    text = "A-Node Name,A-Type,A-Port,Z-Node Name,Z-Type,Z-Port\na,Host,1,b,Switch,1\n"
    text += "b,Host,2,c,Rack,1\n"
    with pytest.raises(TopologyError, match="b is a switch here and a host elsewhere") as caught:
        read(text, "p2p-ethernet", tmp_path)
    assert [(p.line, p.where) for p in caught.value.problems] == [(2, "node"), (3, "type")]


def test_interfaces_of_netbox_say_rates_and_dangling_ends(tmp_path):
    files = export(loads(TWO), "netbox").files
    assert {c.rate_gbps for c in read(files, "netbox", tmp_path).cables} == {400.0}
    lines = files["interfaces.csv"].splitlines()
    with pytest.raises(TopologyError, match="has no interface"):
        read({**files, "interfaces.csv": "\n".join(lines[:-1])}, "netbox", tmp_path)


def test_node_link_may_be_of_anyone(tmp_path):
    graph = {"nodes": [{"id": "a"}, {"id": 7}], "links": [{"source": "a", "target": 7}]}
    assert edges(read(json.dumps(graph), "node-link", tmp_path)) == {(frozenset(("a", "7")), None): 1}


@pytest.mark.parametrize("encoding", ["utf-inf", "latin-1", "UTF-16"])
def test_the_encoding_that_xml_says_is_that_of_bytes_long_decoded(encoding, tmp_path):
    """An unknown one was a traceback; of another known one, names that are not ASCII came out wrong."""
    file = tmp_path / "found.graphml"
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    edge = '<edge source="ä" target="b"><data key="r">100</data></edge>'
    key = '<key id="r" attr.name="rate_gbps"/><key id="k" attr.name="kind"/>'
    nodes = '<node id="ä"><data key="k">gpu</data></node><node id="b"><data key="k">gpu</data></node>'
    file.write_text(f"{head}<graphml>{key}<graph>{nodes}{edge}</graph></graphml>", encoding="utf-8")
    found = read_sources([file], "graphml")
    assert {end for c in found.cables for end in (c.a[0], c.z[0])} == {"ä", "b"}
