"""Programs of trees against the programs of moves that they stand for."""

import random
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from fabric import bottleneck, cost, from_networkx, load, loads, throughput
from fabric.errors import LimitError
from fabric.flow import generated, program
from fabric.flow.generated import CommodityMoves, TreeProgram
from fabric.flow.lp import LinearProgram, Rows
from fabric.flow.program import ClassProgram
from fabric.flow.question import Question, pose
from fabric.flow.traffic import Traffic

ROOT = Path(__file__).parents[2]
SYSTEMS = ROOT / "topologies/systems"


def random_fabric(rng):
    """Return racks under leaves and spines, or chips in a torus, what may be down, and an axis."""
    rates = rng.choices((1, 2, 3, 5, 8), k=4)
    if rng.random() < 0.5:
        sizes, down = f"{{x: {rng.randint(3, 4)}, y: {rng.randint(2, 4)}}}", "[x0/y0/*, x1/y0/*]"
        devices = "{gpu: {kind: gpu, axes: [x, y], transit: all}}"
        links = f"{{between: [gpu, gpu], name: x, ring: x, rate: {rates[0]}Gb/s}}, "
        links += f"{{between: [gpu, gpu], name: y, mesh: y, rate: {rates[1]}Gb/s}}"
        return f"axes: {sizes}, devices: {devices}, links: [{links}]", down, "x"
    sizes = f"{{rack: {rng.randint(2, 4)}, slot: {rng.randint(2, 3)}, spine: {rng.randint(1, 3)}}}"
    devices = f"{{gpu: {{kind: gpu, axes: [rack, slot], transit: {rng.choice(('end', 'relay', 'all'))}}}, "
    devices += "nvswitch: {kind: switch, axes: [rack]}, "
    devices += f"leaf: {{kind: switch, axes: [{rng.choice(('rack', 'slot'))}]}}, "
    devices += "spine: {kind: switch, axes: [spine]}}"
    links = f"{{between: [gpu, nvswitch], rate: {rates[0]}Gb/s, net: scale-up}}, "
    links += f"{{between: [gpu, leaf], rate: {rates[1]}Gb/s}}, "
    links += f"{{between: [leaf, spine], rate: {rates[2]}Gb/s, count: 2}}"
    down = rng.choice(("gpu0", "[leaf0, spine0, 1]", "rack0/slot0/gpu"))
    return f"axes: {sizes}, devices: {devices}, links: [{links}]", down, "rack"


def both(monkeypatch, fabric, traffic, method="auto"):
    """Return the program of trees and that of moves of a question."""
    work, _ = pose(Question(fabric, traffic, method=method, drop_unreachable=True))
    moves = ClassProgram(work.commodities, work.capacity)
    with monkeypatch.context() as patch:
        patch.setattr(program, "ALL_VARIABLES", 0)
        patch.setattr(generated, "FEW_ROUNDS", generated.MAX_ROUNDS)
        trees = ClassProgram(work.commodities, work.capacity)
    assert isinstance(trees._program, TreeProgram)
    assert isinstance(moves._program, LinearProgram)
    return work, trees, moves


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(n, marks=pytest.mark.slow) for n in range(12, 200))]
)
def test_trees_and_moves_agree(seed, monkeypatch):
    rng = random.Random(seed)
    text, down, axis = random_fabric(rng)
    fabric = loads(f"{{fabric: a, {text}{f', failed: [{down}]' if rng.random() < 0.5 else ''}}}")
    traffic = rng.choice((Traffic(), Traffic("shift", (axis,), by=1), Traffic("all-to-all", (axis,))))
    work, trees, moves = both(monkeypatch, fabric, traffic, rng.choice(("auto", "links")))
    found = trees.solve()
    assert found.rate_gbps == pytest.approx(moves.solve().rate_gbps, rel=1e-9)
    assert float(work.capacity @ found.price) == pytest.approx(found.rate_gbps, rel=1e-9)
    # Asked again: with some classes of links narrower, and for what they can spare.
    classes = np.flatnonzero(work.capacity > 0)[: 1 + seed % 3]
    wider = np.ones(len(work.capacity))
    wider[classes] = 0.7
    assert trees.rate_gbps(wider) == pytest.approx(moves.rate_gbps(wider), rel=1e-8)
    spare, use = trees.spare(found.rate_gbps, classes)
    assert spare == pytest.approx(moves.spare(found.rate_gbps, classes)[0], abs=1e-6)
    assert (use <= 1 + 1e-6).all()
    by_trees, by_moves = (p.least_use(found.rate_gbps).sum() for p in (trees, moves))
    assert by_trees == pytest.approx(by_moves, rel=1e-6)


def test_an_answer_of_trees_is_proven_and_priced_as_any(monkeypatch):
    text, *_ = random_fabric(random.Random(2))
    fabric = loads(f"{{fabric: a, {text}}}")
    other, other_prices = throughput(fabric), bottleneck(fabric)
    monkeypatch.setattr(program, "ALL_VARIABLES", 0)
    found, prices = throughput(fabric), bottleneck(fabric)
    assert (found.status, other.status) == ("optimal", "optimal")
    assert found.per_endpoint_gbps == pytest.approx(other.per_endpoint_gbps, rel=1e-9)
    shares = {price.link: price.share for price in prices.binding}
    assert shares == pytest.approx({price.link: price.share for price in other_prices.binding}, abs=1e-4)


@pytest.mark.slow
def test_a_twisted_torus_that_took_minutes():
    # Ranks in the order of the file: no shift of the torus, so every pair is a commodity of its own.
    fabric = load(SYSTEMS / "tpu-v4-4x4x8-twisted.fabric.yaml")
    found = cost(fabric, "send-recv", 2**30, routing="ideal", calibration="wire").chosen
    # 1 GiB at 60 GB/s: 4/3 of the one link of 45 GB/s that 3 of 4 neighbours have.
    assert found.busbw_gbps == pytest.approx(480, rel=1e-9)


def test_what_cannot_be_reached_is_left_to_moves(monkeypatch):
    monkeypatch.setattr(program, "ALL_VARIABLES", 0)
    load_rows = program.assemble([(np.array([0]), np.array([0]), np.array([1.0]))], 1, 2)
    cut_off = CommodityMoves(np.array([0]), np.array([1]), np.array([1.0, 0.0, -1.0]))
    assert isinstance(program._program([cut_off], load_rows), LinearProgram)
    joined = CommodityMoves(np.array([0]), np.array([1]), np.array([1.0, -1.0]))
    solved = program._program([joined], load_rows)
    assert isinstance(solved, TreeProgram)
    x, price = solved.maximize()
    assert (x.tolist(), price.tolist()) == ([1.0, 1.0], [1.0])
    # Of several senders and several receivers nobody knows who sends to whom.
    many = CommodityMoves(np.array([0, 1]), np.array([2, 3]), np.array([1.0, 1.0, -1.0, -1.0]))
    load_rows = program.assemble([(np.array([0, 0]), np.array([0, 1]), np.ones(2))], 1, 3)
    assert isinstance(program._program([many], load_rows), LinearProgram)


def test_what_neither_trees_nor_moves_solve_gets_an_interval(monkeypatch):
    graph = nx.random_regular_graph(4, 24, seed=1)
    nx.set_edge_attributes(graph, 100.0, "capacity")
    fabric = from_networkx(graph)
    exact = throughput(fabric, method="links")
    monkeypatch.setattr(program, "ALL_VARIABLES", 1_000)
    monkeypatch.setattr(program, "MAX_MOVES", 1_000)
    monkeypatch.setattr(generated, "FEW_ROUNDS", 1)
    found = throughput(fabric, method="links")
    assert found.status == "bounded"
    assert found.certificate.lower_gbps <= exact.per_endpoint_gbps <= found.certificate.upper_gbps
    assert "variables, of which 1,000 at most are solved move by move" in found.why
    with pytest.raises(LimitError, match=r"ideal routes are a program of .* move by move; use ecmp"):
        cost(fabric, "all-to-all", 2**20, algorithm="pairwise", routing="ideal", calibration="wire")


@pytest.mark.slow
def test_a_rack_asks_for_few_programs(monkeypatch):
    # Every pair has the 18 chips between it, and all are needed: one more path a program took 19 s of a core.
    solved = []
    run = generated.run
    monkeypatch.setattr(generated, "run", lambda *given: solved.append(1) or run(*given))
    found = throughput(load(ROOT / "topologies/gb300-nvl72.fabric.yaml"), "longest-matching")
    assert (found.status, found.per_endpoint_gbps) == ("optimal", pytest.approx(7200))
    assert len(solved) < 60


def test_a_commodity_with_room_to_spare_sends_what_all_get():
    """The program asks for no fewer trees than the rate: with more, flows were out of balance, not proven."""
    # Three commodities of one move each, over links of 1, 64 and 100 Gb/s.
    supply, row = np.array([1.0, -1.0]), np.arange(3)
    blocks = [CommodityMoves(np.array([0]), np.array([1]), supply) for _ in range(3)]
    trees = TreeProgram(blocks, Rows(row, row, np.array([1.0, 1 / 64, 1 / 100]), (3, 4)))
    assert trees.settles
    # Of the second and the third 13 times as many trees are a solution too.
    values, _, _ = trees._climb(np.ones(3), generated.MAX_ROUNDS)
    for at, number in zip(trees._at, trees._of, strict=True):
        values[at] *= 13 if number else 1
    assert trees._flows(values).tolist() == pytest.approx([1.0, 1.0, 1.0, 1.0], rel=1e-12)


UPLINKS = """
fabric: uplinks
axes: {block: 3, node: 12, slot: 2}
devices:
  gpu:   {kind: gpu, axes: [block, node, slot], transit: relay}
  nvsw:  {kind: switch, axes: [block, node]}
  leaf:  {kind: switch, axes: [block, slot]}
  spine: {kind: switch, axes: []}
links:
  - {between: [gpu, nvsw], rate: 4Tb/s, net: scale-up}
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 100Gb/s}
failed: [block0/slot0/leaf]
"""


@pytest.mark.slow
def test_a_longest_matching_by_trees_is_proven():
    """The 24 GPUs of a block share the uplink of 100 Gb/s that is left to it; it was an error of ours."""
    answer = throughput(loads(UPLINKS), "longest-matching")
    assert (answer.status, answer.method) == ("optimal", "links")
    assert answer.per_endpoint_gbps == pytest.approx(100 / 24, rel=1e-9)
