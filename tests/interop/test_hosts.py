"""Formats that know servers and what is in them: NCCL's topology of a host, and InfraGraph."""

import re
import warnings
from collections import Counter

import pytest

from fabric.errors import LimitError, QuestionError, TopologyError
from fabric.graph import expand, fail, loads
from fabric.interop.export import export, nccl_topo
from fabric.interop.sources import read_sources
from tests.hgx_cluster import hgx_cluster

HGX = hgx_cluster(nodes=2)
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
  - {between: [gpu, nvswitch], rate: 3600Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 504Gb/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""
TORUS = """\
fabric: torus
axes: {x: 3, y: 4}
devices: {chip: {kind: gpu, axes: [x, y], transit: all}}
links:
  - {between: [chip, chip], name: x, ring: x, rate: 100Gb/s, count: 2}
  - {between: [chip, chip], name: y, ring: y, rate: 200Gb/s}
"""


def included(template):
    return loads(f"{{fabric: x, include: {template}}}")


def read(files, form, folder):
    for name, text in files.items():
        (folder / (name or "one.yaml")).write_text(text)
    return read_sources([folder / (name or "one.yaml") for name in files], form)


def edges(found):
    return Counter((frozenset((c.a[0], c.z[0])), c.rate_gbps) for c in found.cables)


def test_a_host_of_eight_gpus_comes_back_as_nccl_counts_it(tmp_path):
    files = export(loads(HGX), "nccl-topo").files
    assert sorted(files) == [f"gpu{su}-0{node}.xml" for su in range(2) for node in range(2)]
    # Hosts that are alike have one text.
    assert len(set(files.values())) == 1
    found = read({"gpu0-00.xml": files["gpu0-00.xml"]}, "nccl-topo", tmp_path)
    # 32 GT/s x 16 is 16 lanes of 24 Gb/s to NCCL; 5 + 4 + 4 + 5 NVLinks go to what it takes for one switch.
    expected = Counter({(frozenset((f"gpu0-00-gpu{g}", "gpu0-00-nvswitch")), 200): 18 for g in range(8)})
    for g in range(8):
        for end in (f"gpu{g}", f"mlx5_{g}", f"cpu{g // 4}"):
            # Bridges are numbered as they come: one for each pair of GPU and card.
            expected[frozenset((f"gpu0-00-pci{g}", f"gpu0-00-{end}")), 384] += 1
    for socket in range(2):
        expected[frozenset((f"gpu0-00-mlx5_{8 + socket}", f"gpu0-00-cpu{socket}")), 384] += 1
    assert edges(found) == expected
    rails = re.findall(r'name="mlx5_(\d)" dev="(\d)" speed="400000" .* rail="(\d)"', files["gpu0-00.xml"])
    assert rails == [(str(k),) * 3 for k in range(8)]


def test_cards_that_gpus_hang_on_have_a_bridge():
    (text,) = set(export(included("gb300-nvl72"), "nccl-topo").files.values())
    lines = [line.strip() for line in text.splitlines()]
    assert lines.count('<c2c bw="450000" count="1"/>') == 4
    first = [line for line in lines if line.startswith(("<cpu", "<pci", "<gpu", "<net"))][:5]
    assert [re.sub(r'busid="\S+" ', "", line) for line in first] == [
        '<cpu numaid="0" arch="arm64">',
        # PCIe 5 to Grace, PCIe 6 between the card and its GPU.
        '<pci class="0x060400" link_speed="32.0 GT/s PCIe" link_width="16">',
        '<pci class="0x020000" link_speed="64.0 GT/s PCIe" link_width="16">',
        '<net name="mlx5_0" dev="0" speed="800000" port="1" latency="0.000000" maxconn="131072" gdr="1"/>',
        '<pci class="0x030200" link_speed="64.0 GT/s PCIe" link_width="16">',
    ]


def test_gpus_that_are_joined_directly_name_each_other(tmp_path):
    found = read(export(included("dgx1-v100"), "nccl-topo").files, "nccl-topo", tmp_path)
    design = expand(included("dgx1-v100"))
    kinds = [design.groups[g].kind for g in design.group]
    first = kinds.index("gpu")
    planned = Counter()
    for tail, head, n, rate in zip(design.tail, design.head, design.count, design.rate_gbps, strict=True):
        if kinds[tail] == kinds[head] == "gpu":
            planned[frozenset((int(tail) - first, int(head) - first)), rate] += int(n)
    direct = Counter()
    for c in found.cables:
        gpus = re.findall(r"-gpu(\d)", f"{c.a[0]} {c.z[0]}")
        if len(gpus) == 2:
            direct[frozenset(map(int, gpus)), c.rate_gbps] += 1
    assert direct == planned
    assert sum(planned.values()) == 8 * 6 / 2


TEMPLATES = ("hgx-a100", "gb200-nvl72", "gb300-nvl72", "dgx1-v100", "pcie-gpu-box", "mi300x", "vr-nvl72")


@pytest.mark.parametrize("template", TEMPLATES)
def test_files_are_such_as_nccl_reads(template):
    for text in set(export(included(template), "nccl-topo").files.values()):
        assert "\t" not in text
        assert text.startswith('<system version="1">\n')
        tags = re.findall(r"<(?!/)[^>]*>", text)
        assert all("\n" not in tag and tag.count('="') <= 16 for tag in tags)
        busids = re.findall(r'<pci busid="(\S+)"', text)
        assert len(set(busids)) == len(busids)
        for target, kind in re.findall(r'<nvlink target="(\S+)" count="\d+" tclass="(\S+)"', text):
            assert (target in busids) == (kind == "0x030200")
        gpus = sum(g.kind == "gpu" for g in included(template).blueprint.groups.values())
        assert gpus == 1
        assert text.count("<gpu ") in (4, 8)


def test_a_missing_nvlink_shows_in_the_file_of_its_host():
    files = export(fail(loads(HGX), ("su0/node0/gpu0", "su0/node0/nvswitch0", 3)), "nccl-topo").files
    assert 'count="15" tclass="0x068000"' in files["gpu0-00.xml"]
    assert 'count="15"' not in files["gpu0-01.xml"]


def test_hosts_that_nccl_knows_nothing_of(monkeypatch):
    text = MINI.replace("{kind: gpu,", "{kind: host, endpoint: true,")
    with pytest.raises(QuestionError, match="expected GPUs in servers or trays"):
        export(loads(text), "nccl-topo")
    monkeypatch.setattr(nccl_topo, "MAX_HOSTS", 3)
    with pytest.raises(LimitError, match="4 hosts; a file is written for each of 3 at most"):
        export(loads(HGX), "nccl-topo")


def test_infragraph_of_a_small_pod_comes_back(tmp_path):
    found = read(export(loads(MINI), "infragraph").files, "infragraph", tmp_path)
    expected = Counter()
    for node in range(2):
        for slot in range(2):
            expected[frozenset((f"node{node}-gpu{slot}", f"nvswitch{node}")), 3600] = 1
            expected[frozenset((f"node{node}-gpu{slot}", f"node{node}-nic{slot}")), 504] = 1
            expected[frozenset((f"node{node}-nic{slot}", f"leaf{slot}")), 400] = 1
            # A switch has a port for each cable, so that parallel ones stay apart.
            expected[frozenset((f"leaf{node}", f"spine{slot}")), 400] = 2
    assert edges(found) == expected
    assert Counter(found.kinds.values()) == {"switch": 6, "gpu": 4, "nic": 4}


@pytest.mark.parametrize("text", [HGX, MINI, TORUS])
def test_infragraph_carries_all_rates(text, tmp_path):
    design = loads(text)
    found = read(export(design, "infragraph").files, "infragraph", tmp_path)
    e = expand(design)
    assert sum(c.rate_gbps for c in found.cables) == pytest.approx((e.rate_gbps * e.count).sum())
    assert len({c.a[0] for c in found.cables} | {c.z[0] for c in found.cables}) == e.n_devices
    kinds = Counter(e.groups[g].kind for g in e.group)
    assert Counter(found.kinds.values()) == kinds


def test_boxes_that_differ_are_devices_of_their_own():
    damaged = loads(HGX + "absent: [su0/node1/nic3]\n")
    text = export(damaged, "infragraph").files[""]
    names = re.findall(r"^- \{name: (\S+), device: \S+, count: (\d+)", text, re.MULTILINE)
    assert names[:2] == [("node", "3"), ("node-2", "1")]
    assert text.count("{name: nic, count: 7, choice: nic}") == 1


@pytest.mark.parametrize("text", [MINI, TORUS, pytest.param(HGX, marks=pytest.mark.slow)])
def test_infragraph_takes_our_files(text):
    service = pytest.importorskip(
        "infragraph.infragraph_service", reason="infragraph is not installed"
    ).InfraGraphService()
    service.set_graph(export(loads(text), "infragraph").files[""])
    e = expand(loads(text))
    is_switch = [e.groups[g].kind == "switch" for g in e.group]
    boxed = {"hgx": ("nvswitch", "pcieswitch"), "mini-pod": ()}.get(e.name, ())
    ported = [v for v, g in enumerate(e.group) if is_switch[v] and e.groups[g].name not in boxed]
    graph = service.get_networkx_graph()
    kinds = Counter(data["type"] for _, data in graph.nodes(data=True))
    assert sum(n for kind, n in kinds.items() if kind != "port") == e.n_devices
    # A switch of several cables has a port for each, beside its chip.
    ends = Counter()
    for tail, head, n in zip(e.tail.tolist(), e.head.tolist(), e.count.tolist(), strict=True):
        for v in (tail, head):
            ends[v] += n
    assert kinds["port"] >= sum(ends[v] for v in ported) > 0 or not ported


@pytest.mark.parametrize("template", ["hgx-h100", "gb300-nvl72", "dgx1-v100"])
def test_the_translator_of_infragraph_takes_files_for_nccl(template, tmp_path):
    translator = pytest.importorskip(
        "infragraph.translators.nccl_translator", reason="infragraph is not installed"
    )
    (name, text), *_ = export(included(template), "nccl-topo").files.items()
    (tmp_path / name).write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        device = translator.NcclParser(str(tmp_path / name), "host").parse("device")
    n_of = {component.name: component.count for component in device.components}
    assert n_of["cpu"] == 2
    assert sum(n for key, n in n_of.items() if key in ("xpu", "gpu")) == text.count("<gpu ")
    assert n_of["nic"] == text.count("<net ")


@pytest.mark.parametrize(
    ("slice_", "chosen"), [("[::2]", [0, 2]), ("[-1]", [3]), ("[1:-1]", [1, 2]), ("[]", [0, 1, 2, 3])]
)
def test_slices_of_infragraph_are_those_of_python(slice_, chosen, tmp_path):
    text = export(loads(MINI.replace("node: 2", "node: 4")), "infragraph").files[""]
    head, _, _ = text.partition("edges:\n- {ep1: {instance")
    head += f'edges:\n- {{ep1: {{instance: "node{slice_}", component: "nic[0]"}},'
    head += ' ep2: {instance: "leaf[0]", component: "asic[0]"}, scheme: many2many, link: nic-leaf}\n'
    (tmp_path / "x.yaml").write_text(head)
    found = read_sources([tmp_path / "x.yaml"], "infragraph")
    ends = {end for c in found.cables for end, _ in (c.a, c.z) if "leaf0" in (c.a[0], c.z[0])}
    assert sorted(ends - {"leaf0"}) == [f"node{i}-nic0" for i in chosen]


@pytest.mark.parametrize("slice_", ["[9]", "[0:9]", "[-9]", "[::0]", "[1:2:3:4]", "[2:2]", "[--1]"])
def test_slices_beyond_what_there_is(slice_, tmp_path):
    text = export(loads(MINI), "infragraph").files[""].replace('"node[1]"', f'"node{slice_}"')
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(TopologyError, match=r"x\.yaml:\d+:\d+: .*(beyond the 2 there are|no slice)"):
        read_sources([tmp_path / "x.yaml"], "infragraph")
