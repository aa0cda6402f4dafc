"""What was found is its design plus marks: by names, by ports, by structure."""

import random
from collections import Counter
from pathlib import Path

import pytest

import fabric
from fabric.errors import LimitError, QuestionError
from tests.hgx_cluster import ALL_NAMES, hgx_cluster

ROOT = Path(__file__).parents[2]
TREES = ("fat-tree", "planes", "rail-groups", "rail-only", "three-tier", "top-of-rack", "two-tier")
HGX = hgx_cluster(nodes=3, spines=2, names=ALL_NAMES)


@pytest.fixture
def designed(tmp_path):
    def designed(text):
        (tmp_path / "design.fabric.yaml").write_text(text)
        return fabric.load(tmp_path / "design.fabric.yaml")

    return designed


def found_as(design, dump, tmp_path):
    (tmp_path / "dump.csv").write_text(dump)
    return fabric.read_cabling([tmp_path / "dump.csv"], "p2p-ethernet", like=design, folder=tmp_path)


def up(f, answer):
    """Return the cables that are up between every two nodes, by what the sources call them."""
    node = {device: name for name, device in answer.devices.items()}
    graph = fabric.to_networkx(f)
    counted = Counter()
    for a, b, data in graph.edges(data=True):
        n = data["count"] - data["failed_count"]
        counted[frozenset(node.get(end.replace("/", "-"), "?") for end in (a, b))] += n
    return +counted


def pairs(ends):
    return Counter(frozenset((a[0], z[0])) for a, z in ends)


def spoiled(ends, seed, n):
    """Return cables without `n` of them, and two of which the far ends are swapped."""
    rng = random.Random(seed)
    ends = list(ends)
    for _ in range(n):
        ends.pop(rng.randrange(len(ends)))
    k, other = rng.sample(range(len(ends)), 2)
    if len({node for end in (*ends[k], *ends[other]) for node in end[:1]}) == 4:
        ends[k], ends[other] = (ends[k][0], ends[other][1]), (ends[other][0], ends[k][1])
    return ends


@pytest.mark.some(5)
@pytest.mark.parametrize("shape", [*TREES, "hyperx", "torus"])
def test_by_names(shape, designed, as_drawn, tmp_path):
    design = designed(f"fabric: {shape}\n{as_drawn.SHAPES[shape]}")
    ends = spoiled(as_drawn.cables_of(design)[0], 3, 2)
    answer = found_as(design, as_drawn.point_to_point(ends, None), tmp_path)
    assert answer.status == "design"
    assert up(answer.fabric, answer) == pairs(ends)
    # The file alone, loaded from where it stands, says the same.
    (tmp_path / "built.fabric.yaml").write_text(answer.text)
    assert "include: {fabric: ./design.fabric.yaml}" in answer.text
    assert up(fabric.load(tmp_path / "built.fabric.yaml"), answer) == pairs(ends)


@pytest.mark.some(5)
@pytest.mark.parametrize("shape", [*TREES, "hyperx", "torus"])
def test_by_ports(shape, designed, as_drawn, tmp_path):
    design = designed(f"fabric: {shape}\n{as_drawn.SHAPES[shape]}")
    ends, _ = as_drawn.renamed(spoiled(as_drawn.cables_of(design)[0], 5, 1), (), seed=9)
    answer = found_as(design, as_drawn.point_to_point(ends, None), tmp_path)
    assert "by their ports" in answer.notes[0]
    assert up(answer.fabric, answer) == pairs(ends)
    assert 0 < answer.n_missing <= 3


def without_ports(as_drawn, ends, switches, seed):
    """Return cables between nodes whose names say nothing, at ports that say nothing either."""
    ends, switches = as_drawn.renamed(ends, switches, seed)
    return [((a, f"e{n}"), (z, f"e{n}")) for n, ((a, _), (z, _)) in enumerate(ends)], switches


@pytest.mark.some(2)
@pytest.mark.parametrize("shape", [*TREES, "hyperx", "full-mesh", "torus"])
def test_by_structure(shape, designed, as_drawn, tmp_path):
    design = designed(f"fabric: {shape}\n{as_drawn.SHAPES[shape]}")
    ends, switches = without_ports(as_drawn, *as_drawn.cables_of(design), seed=9)
    ends.pop(7)
    answer = found_as(design, as_drawn.point_to_point(ends, switches), tmp_path)
    assert "by how they are cabled" in answer.notes[0]
    assert "ambiguous" in answer.notes[1]
    assert up(answer.fabric, answer) == pairs(ends)
    assert answer.n_missing + answer.n_absent == 1
    assert answer.n_extra == 0


PATTERNS = (
    "bcube", "dcell", "dragonfly", "dragonfly-plus", "hypercube", "hyperx", "jellyfish", "slim-fly",
    "xpander",
)  # fmt: skip


@pytest.mark.some(3)
@pytest.mark.parametrize("says_kinds", [True, False])
@pytest.mark.parametrize("n_lost", [0, 1, 3])
@pytest.mark.parametrize("name", PATTERNS)
def test_by_landmarks(name, n_lost, says_kinds, designed, as_drawn, tmp_path):
    design = designed((ROOT / f"topologies/patterns/{name}.fabric.yaml").read_text())
    ends, switches = without_ports(as_drawn, *as_drawn.cables_of(design), n_lost)
    ends = ends[n_lost:]
    answer = found_as(design, as_drawn.point_to_point(ends, switches if says_kinds else None), tmp_path)
    assert up(answer.fabric, answer) == pairs(ends)
    # In a random graph of which much is lost the search may end beside the best match.
    n_most = 2 * n_lost if name == "jellyfish" else n_lost
    assert n_lost <= answer.n_missing + answer.n_absent <= n_most
    assert answer.n_extra <= n_most - n_lost


@pytest.mark.some(1)
@pytest.mark.parametrize("name", ["bcube", "dragonfly", "hyperx", "slim-fly", "xpander"])
def test_by_landmarks_with_a_swap(name, designed, as_drawn, tmp_path):
    design = designed((ROOT / f"topologies/patterns/{name}.fabric.yaml").read_text())
    clean, switches = as_drawn.cables_of(design)
    ends, switches = without_ports(as_drawn, spoiled(clean, 0, 1), switches, 1)
    answer = found_as(design, as_drawn.point_to_point(ends, switches), tmp_path)
    assert up(answer.fabric, answer) == pairs(ends)
    # Two cables that changed ends are as many more that are not there, and as many that should not be.
    assert answer.n_missing + answer.n_absent <= 3
    assert answer.n_extra <= 2


@pytest.mark.slow
def test_a_torus_of_hundreds_is_found_by_landmarks(designed, as_drawn, tmp_path):
    rings = "".join(f"  - {{between: [chip, chip], name: {a}, ring: {a}, rate: 1Gb/s}}\n" for a in "xyz")
    chips = "devices: {chip: {kind: gpu, axes: [x, y, z], transit: all}}"
    design = designed(f"fabric: t\naxes: {{x: 8, y: 6, z: 5}}\n{chips}\nlinks:\n{rings}")
    ends, _ = without_ports(as_drawn, spoiled(as_drawn.cables_of(design)[0], 2, 3), set(), 2)
    answer = found_as(design, as_drawn.point_to_point(ends, None), tmp_path)
    assert up(answer.fabric, answer) == pairs(ends)
    assert (answer.n_missing, answer.n_extra) == (5, 2)


def test_boxes_are_found_and_absent_whole(designed, as_drawn, tmp_path):
    design = designed(HGX)
    clean = as_drawn.cables_of(design)[0]
    ends = [(a, z) for a, z in clean if "gpu1-2" not in (a[0], z[0])][1:]
    answer = found_as(design, as_drawn.point_to_point(ends, None), tmp_path)
    assert (
        "absent:\n  - su1/node2/*\nfailed:\n  - [su0/node0/nic0, su0/leaf0, 1]\nnames: {node: " in answer.text
    )
    assert (answer.n_missing, answer.n_extra, answer.n_absent) == (1, 0, 1)
    # One server of 8 GPUs is not there.
    n_endpoints = [int(fabric.expand(f).is_endpoint.sum()) for f in (design, answer.fabric)]
    assert n_endpoints == [48, 40]
    (group,) = fabric.audit(design, [tmp_path / "dump.csv"], "p2p-ethernet").groups[1:]
    assert (group.kind, group.n) == ("missing", 1)


def test_what_cannot_be_said_is_refused_or_told(designed, as_drawn, tmp_path):
    tiers = as_drawn.SHAPES["two-tier"].replace(
        "su: 3, node: 6, rail: 4, spine: 4", "su: 2, node: 3, rail: 2, spine: 2"
    )
    design = designed(f"fabric: x\n{tiers}")
    other, _ = as_drawn.renamed(*as_drawn.cables_of(as_drawn.drawn("fat-tree")), seed=1)
    other = [((a, f"e{n}"), (z, f"e{n}")) for n, ((a, _), (z, _)) in enumerate(other)]
    with pytest.raises(QuestionError, match="neither ports nor how they are cabled"):
        found_as(design, as_drawn.point_to_point(other, None), tmp_path)
    ends = as_drawn.cables_of(design)[0]
    with pytest.raises(QuestionError, match="a design in a file that can be included"):
        found_as(as_drawn.drawn("two-tier"), as_drawn.point_to_point(ends, None), tmp_path)
    odd = (("node9", "x"), ("spine0", "y"))
    told = found_as(design, as_drawn.point_to_point([*ends, odd], None), tmp_path)
    assert "unknown node, which the file does not say: node9 x - spine0 y" in told.notes[0]
    many = [((a[0], f"z{n}.{m}"), (z[0], f"z{n}.{m}")) for m in range(40) for n, (a, z) in enumerate(ends)]
    with pytest.raises(LimitError, match="differences for links: that is not the design"):
        found_as(design, as_drawn.point_to_point([*ends, *many], None), tmp_path)


def test_swaps_of_ports_alone_change_no_file(designed, as_drawn, tmp_path):
    design = designed(f"fabric: x\n{as_drawn.SHAPES['rail-only']}")
    ends = as_drawn.cables_of(design)[0]
    # The two cables of a node have each other's ports: the same devices are joined.
    (a, z), (b, y) = ends[:2]
    assert a[0] == b[0]
    answer = found_as(design, as_drawn.point_to_point([(a, y), (b, z), *ends[2:]], None), tmp_path)
    assert (answer.n_missing, answer.n_extra) == (0, 0)
    assert "2 cables join the right devices by other ports" in answer.notes[0]
    assert "failed" not in answer.text


def test_a_slow_link_is_degraded(designed, as_drawn, tmp_path):
    design = designed(f"fabric: x\n{as_drawn.SHAPES['rail-only']}")
    lines = ["source,source_port,target,target_port,rate"]
    for n, (a, z) in enumerate(as_drawn.cables_of(design)[0]):
        lines.append(",".join((*a, *z, "200Gb/s" if n == 5 else "400Gb/s")))
    (tmp_path / "dump.csv").write_text("\n".join(lines))
    answer = fabric.read_cabling([tmp_path / "dump.csv"], "edges", like=design, folder=tmp_path)
    assert "degraded:\n  - [node1, leaf1, 1, 200Gb/s]\n" in answer.text
    slow = fabric.throughput(answer.fabric).per_endpoint_gbps
    assert slow == pytest.approx(
        fabric.throughput(fabric.degrade(design, "node1 - leaf1 x 1 at 200Gb/s")).per_endpoint_gbps
    )
