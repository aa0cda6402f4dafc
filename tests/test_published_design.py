"""Published sizing tables, met by calling the designer with what each table is given.

Sources
-------
superpod-h100 : NVIDIA DGX SuperPOD reference architecture RA-11333-001 V11 (2023-09-22), tables 3 and 4
superpod-b200 : NVIDIA DGX SuperPOD reference architecture B200, scalable infrastructure
b300-spectrum : NVIDIA DGX SuperPOD reference architecture B300 with Spectrum-X, table 3
gb200-superpod : NVIDIA DGX SuperPOD GB200 reference architecture, network fabrics; spines as quoted by others
gb300-superpod : NVIDIA DGX SuperPOD GB300 with Quantum-X800, as quoted by others
gb300-enterprise : NVIDIA Enterprise reference architecture for GB300 NVL72, as quoted by others
fat-trees : DeepSeek-AI, "Insights into DeepSeek-V3", arXiv 2505.09343, table 3
simai : topology generator of aliyun/SimAI at cef83f9, first line of its files
llama3 : "The Llama 3 Herd of Models", arXiv 2407.21783, section 3.3.1
rail-only : Wang et al., "Rail-only", arXiv 2307.12169; counts 3N/R and 5N/R of a Clos
fat-tree formulas : Al-Fares et al., SIGCOMM 2008
"""

import pytest

from fabric.sizing import DesignError, design

QM9700 = {"rack": "hgx-h100", "leaf": "qm9700"}


def counts(d):
    """Return leaves, spines and cores, 0 where there are none."""
    return tuple(d.switches.get(t, 0) for t in ("leaf", "spine", "core"))


@pytest.mark.parametrize(
    ("nodes", "leaf", "spine"),
    # 3 SU: 768 uplinks need 12 spines by their number, but 32 uplinks do not stripe over 12.
    [(31, 8, 4), (63, 16, 8), (95, 24, 16), (127, 32, 16)],
)
def test_superpod_h100_with_ufm(nodes, leaf, spine):
    d = design(gpus=8 * nodes, ufm=4, **QM9700)
    assert counts(d) == (leaf, spine, 0)
    assert d.cables["nic-leaf"] + d.cables["ufm-leaf"] == 8 * nodes + 4
    assert d.cables["leaf-spine"] == 32 * leaf


@pytest.mark.parametrize("rack", ["hgx-h100", "hgx-b200"])
@pytest.mark.parametrize(
    ("gpus", "leaf", "spine", "core"),
    [
        (512, 16, 8, 0),  # of the B200 table only
        (1024, 32, 16, 0),
        (2048, 64, 32, 0),  # 64 * 64 / 2: all that two tiers of 64 ports hold
        (4096, 128, 128, 64),
        (8192, 256, 256, 128),
        (16384, 512, 512, 256),  # 64 SU; one edition of the table prints 56
    ],
)
def test_superpod_larger(rack, gpus, leaf, spine, core):
    d = design(gpus=gpus, rack=rack, leaf="qm9700")
    assert counts(d) == (leaf, spine, core)
    assert d.cables == {"nic-leaf": gpus, "leaf-spine": gpus} | ({"spine-core": gpus} if core else {})


def test_superpod_changes_tier_right_after_2048():
    assert design(gpus=2048, **QM9700).n_tiers == 2
    assert design(gpus=2049, **QM9700).n_tiers == 3


@pytest.mark.parametrize(("gpus", "leaf", "spine"), [(512, 16, 8), (1024, 32, 16), (2048, 64, 32)])
def test_superpod_b300_spectrum(gpus, leaf, spine):
    """The table counts a connection of 800 Gb/s a card: two of 400, as a ConnectX-8 has no 800G Ethernet."""
    d = design(gpus=gpus, rack="hgx-b300", leaf="sn5600", breakout={"leaf": "800G"})
    assert counts(d) == (leaf, spine, 0)
    assert d.cables == {"nic-leaf": 2 * gpus, "leaf-spine": gpus}
    assert d.request.cables.nic_gbps == 400
    # Broken out above the leaves too it is as many switches.
    assert counts(design(gpus=gpus, rack="hgx-b300", leaf="sn5600")) == (leaf, spine, 0)


def test_gb300_superpod():
    """9,216 GPUs: 72 down and 72 up a leaf; 64 spines have the ports, 72 stripe, with 128 of 144 used."""
    d = design(gpus=9216, rack="gb300-nvl72", leaf="q3400")
    assert counts(d) == (128, 72, 0)
    assert (d.sizes.down, d.sizes.up, d.sizes.spine_down) == (72, 72, 128)


def test_gb200_unit_of_one_rack_a_leaf():
    """An SU of 8 racks has 32 leaves with 18 down and 18 up: two racks would need 72 of 64 ports."""
    d = design(gpus=576, rack="gb200-nvl72", leaf="qm9700")
    assert d.switches["leaf"] == 32
    assert (d.sizes.down, d.sizes.up) == (18, 18)


@pytest.mark.parametrize("units", [2, 16])
def test_superpod_gb200(units):
    """An SU has 8 leaves and 6 spines a rail: a spine has 32 ports down, and 18 uplinks stripe over 6."""
    d = design(gpus=576 * units, rack="gb200-nvl72", leaf="qm9700", rail_groups=4, pod=8)
    assert (d.switches["leaf"], d.switches["spine"]) == (32 * units, 24 * units)
    assert (d.sizes.down, d.sizes.up, d.sizes.spines) == (18, 18, 6)
    assert (d.sizes.spine_down, d.sizes.spine_up) == (24, 24)


def test_enterprise_gb300():
    """Every ConnectX-8 as 2 x 400G, one cable into each of two planes of 128 x 400G."""
    d = design(gpus=576, rack="gb300-nvl72", leaf="sn5600", planes=2, breakout="400G")
    assert d.sizes.networks == 2
    assert d.cables["nic-leaf"] == 2 * 576
    # Three racks are the most that leave room for as many uplinks: 54 down and 54 up of 128.
    assert (d.sizes.down, d.sizes.up) == (54, 54)
    two = design(gpus=576, rack="gb300-nvl72", leaf="sn5600", planes=2, breakout="400G", block=2)
    assert counts(two) == (32, 12, 0)  # those of topologies/systems/gb300-enterprise-8su


@pytest.mark.parametrize(
    ("layout", "gpus", "switches", "links"),
    [
        ("rail", 2_048, 96, 2_048),  # two-tier fat tree
        ("rail-only", 16_384, 768, 16_384),  # eight planes, a NIC of each server in every one
        ("rail", 65_536, 5_120, 131_072),  # three-tier fat tree
    ],
)
def test_deepseek_fat_trees(layout, gpus, switches, links):
    d = design(gpus=gpus, rack="hgx-h800", leaf="64x400G", layout=layout)
    assert sum(d.switches.values()) == switches
    assert sum(d.cables.values()) - d.cables["nic-leaf"] == links


HPN = {
    "rack": "hgx-h100",
    "leaf": "128x400G",
    "block": 128,  # a segment of 1,024 GPUs
    "reserve": {"leaf": 4},  # eight ports of 200 Gb/s stand by
    "oversubscription": {"leaf": "128:120"},
}
DUAL_PLANE = HPN | {"planes": 2, "breakout": {"nic": "200G", "leaf": "400G"}}
SINGLE_PLANE = HPN | {"homes": 2, "breakout": {"nic": "200G", "leaf": "200G"}}
SPECTRUM = {"rack": "hgx-h100", "leaf": "128x400G", "spine": "64x400G"}


@pytest.mark.parametrize(
    ("arguments", "full", "gpus", "nodes", "leaf", "spine", "links"),
    [
        (DUAL_PLANE, 15360, 15360, 17640, 240, 120, 60480),
        (SINGLE_PLANE, 15360, 15360, 17640, 240, 120, 74880),
        # The generator always has the spines of a full pod, as a pod that is populated in part.
        (SINGLE_PLANE, 15360, 1024, 1288, 16, 120, 4992),
        (SPECTRUM, 4096, 4096, 4736, 64, 64, 12288),
        (SPECTRUM, 4096, 1024, 1232, 16, 64, 3072),
    ],
)
def test_simai_generator(arguments, full, gpus, nodes, leaf, spine, links):
    d = design(gpus=full, populated=gpus, **arguments)
    assert counts(d) == (leaf, spine, 0)
    # Its servers have one NVSwitch, and one link from it to each GPU.
    assert d.populated + d.built.racks + leaf + spine == nodes
    assert d.populated + sum(d.cables.values()) == links


def test_llama3_racks_and_pods():
    d = design(
        gpus=24_576,
        rack="hgx-h100",
        leaf="64x400G",
        spine="576x400G",
        layout="tor",
        block=2,
        pod=192,
        oversubscription={"spine": 7},
    )
    assert (d.sizes.pods, d.sizes.pod, d.sizes.block * 8) == (8, 192, 16)
    assert d.switches["leaf"] == 8 * 192
    assert d.sizes.down == d.sizes.up == 16
    # 3,072 x 50 GB/s / 7 = 21.9 TB/s leave a pod: no whole cables, so that and less than one more a spine.
    leaving = d.cables["spine-core"] / d.sizes.pods * 400
    asked = 3072 * 400 / 7
    assert asked <= leaving < asked + d.sizes.spines * 400


@pytest.fixture
def domain(tmp_path):
    """256 GPUs in one NVLink domain, each with a NIC of 400 Gb/s."""
    (tmp_path / "domain.fabric.yaml").write_text(
        "fabric: domain\n"
        "axes: {slot: 256}\n"
        "devices:\n"
        "  gpu: {kind: gpu, axes: [slot], transit: relay}\n"
        "  nvswitch: {kind: switch, axes: []}\n"
        "  nic: {part: cx7, axes: [slot]}\n"
        "links:\n"
        "  - {between: [gpu, nvswitch], rate: 450GB/s, net: scale-up, each: [1, 256]}\n"
        "  - {between: [gpu, nic], link: pcie5}\n"
    )
    return {"rack": "./domain.fabric.yaml", "base": tmp_path}


@pytest.mark.parametrize(
    ("radix", "tiers", "clos", "rail_only"), [(64, 3, 2560, 1536), (128, 3, 1280, 256), (256, 2, 384, 128)]
)
def test_rail_only(radix, tiers, clos, rail_only, domain):
    """32,768 GPUs in domains of 256."""
    any_to_any = design(gpus=32_768, leaf=f"{radix}x400G", **domain)
    assert (any_to_any.n_tiers, sum(any_to_any.switches.values())) == (tiers, clos)
    rails = design(gpus=32_768, leaf=f"{radix}x400G", layout="rail-only", **domain)
    assert sum(rails.switches.values()) == rail_only


@pytest.fixture
def host(tmp_path):
    """A host with one port."""
    (tmp_path / "host.fabric.yaml").write_text(
        "fabric: host\n"
        "axes: {port: 1}\n"
        "devices:\n"
        "  gpu: {kind: gpu, axes: [port]}\n"
        "  nic: {kind: nic, axes: [port]}\n"
        "links:\n"
        "  - {between: [gpu, nic], rate: 400Gb/s, net: host}\n"
    )
    return {"rack": "./host.fabric.yaml", "base": tmp_path, "breakout": "400G"}


@pytest.mark.some(2)
@pytest.mark.parametrize("k", [2, 4, 6, 8, 10, 18, 32])
def test_fat_tree_formulas(k, host):
    """k^3/4 hosts on 5k^2/4 switches; k^2/2 hosts on two tiers; half of all ports down, none free."""
    three = design(gpus=k**3 // 4, leaf=f"{k}x400G", tiers=3, **host)
    assert counts(three) == (k * k // 2, k * k // 2, k * k // 4)
    assert all(t.free == 0 for t in three.tiers)
    assert (three.sizes.down, three.sizes.up, three.sizes.spine_down, three.sizes.spine_up) == (k // 2,) * 4
    assert three.sizes.core_down == k
    # A cut that halves the pods halves the cables of every core: k^3/8 host links.
    assert three.cables["spine-core"] == k**3 // 4
    two = design(gpus=k * k // 2, leaf=f"{k}x400G", tiers=2, **host)
    assert counts(two) == (k, k // 2, 0)
    for tiers in (2, 3):
        with pytest.raises(
            DesignError, match=f"on {tiers} tiers: .*nearest that work: .*gpus={2 * (k // 2) ** tiers}$"
        ):
            design(gpus=2 * (k // 2) ** tiers + 1, leaf=f"{k}x400G", tiers=tiers, **host)
