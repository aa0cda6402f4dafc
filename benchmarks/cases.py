"""What is timed: one function a case, which prepares without being timed and returns the work.

The work returns a few words on its result, for the table, and checks it: a wrong answer in no time is worth
nothing. Imports stand inside the functions: a process should hold what its case needs and no more.
"""
# A case is documented by its step.
# ruff: noqa: D103, ANN401

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import fabrics, peers

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    Parameters
    ----------
    step : str
    prepare : callable
        Returns the work; called anew before every run.
    beside : str
        Name of the case that the ratio divides by.
    budget_s, budget_mb, budget_ratio : float, optional
    runs : int
        Timed runs in one process.
    processes : int
    """

    step: str
    prepare: Callable[[], Work]
    beside: str = ""
    budget_s: float | None = None
    budget_mb: float | None = None
    budget_ratio: float | None = None
    runs: int = 3
    processes: int = 2


CASES: dict[str, Case] = {}


def case(step: str, **fields: Any) -> Callable[[Callable[[], Work]], Callable[[], Work]]:
    """Put a function into `CASES` under its own name, with hyphens."""

    def listed(prepare: Callable[[], Work]) -> Callable[[], Work]:
        CASES[prepare.__name__.replace("_", "-")] = Case(step, prepare, **fields)
        return prepare

    return listed


def sure(is_right: bool, got: object) -> object:
    """Return `got`, or raise if it is wrong."""
    if not is_right:
        msg = f"wrong answer: {got}"
        raise ValueError(msg)
    return got


def run(*command: str) -> Work:
    """Return the work of running a program to its end."""
    # Compiled by the first run, as pip leaves it where it installs.
    around = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    how: Any = {"cwd": fabrics.ROOT, "env": around, "capture_output": True, "check": True}
    return lambda: subprocess.run([sys.executable, *command], **how) and ""


# --- the command line, and 1,152 GPUs


@case("start Python")
def python() -> Work:
    return run("-c", "pass")


@case("`fabtopo --help`", beside="python", budget_s=0.15)
def command_help() -> Work:
    return run("-m", "fabric.cli", "--help")


@case("load and check 1,152 GPUs")
def load_racks() -> Work:
    from fabric.graph import load

    return lambda: load(fabrics.RACKS)


@case("expand 1,152 GPUs")
def expand_racks() -> Work:
    from fabric.blueprint import load_blueprint
    from fabric.graph.expanded import expand

    blueprint = load_blueprint(fabrics.RACKS)
    return lambda: f"{expand(blueprint).n_cables:,} cables"


@case("the same to NetworkX", budget_s=3)
def to_networkx() -> Work:
    import fabric

    f = fabric.load(fabrics.RACKS)
    fabric.to_networkx  # noqa: B018  loads the module
    return lambda: f"{fabric.to_networkx(f).number_of_edges():,} edges"


HALVES = ("block0-3", "block4-7")
HALVES_GBPS = 460_800.0


@case("max-flow half to half, 1,152 GPUs, proved")
def max_flow() -> Work:
    import fabric

    f = fabric.load(fabrics.RACKS)

    def work() -> object:
        value = fabric.max_flow(fabrics.fresh(f), *HALVES).value_gbps
        return sure(abs(value - HALVES_GBPS) < 1e-6, f"{value:.7g} Gb/s")

    return work


@case("its flow network, for the three rows below", beside="max-flow")
def flow_network() -> Work:
    import fabric

    f = fabric.load(fabrics.RACKS)
    fabric.flow_network  # noqa: B018  loads the module
    return lambda: f"{fabric.flow_network(f, *HALVES)[0].number_of_edges():,} arcs"


def network() -> Any:
    """Return the flow network of the question, which peers are given for nothing."""
    import fabric

    return fabric.flow_network(fabric.load(fabrics.RACKS), *HALVES)


@case("NetworkX `maximum_flow_value` on it, solving only", beside="max-flow")
def networkx_flow() -> Work:
    import networkx as nx

    graph, source, target = network()

    def work() -> object:
        value = nx.maximum_flow_value(graph, source, target)
        return sure(abs(value - HALVES_GBPS) < 1e-6, f"{value:.7g} Gb/s")

    return work


@case("scipy `maximum_flow` on it, solving only, whole Gb/s", beside="max-flow")
def scipy_flow() -> Work:
    from scipy.sparse.csgraph import maximum_flow

    matrix, source, target = peers.scipy_matrix(*network())

    def work() -> object:
        value = maximum_flow(matrix, source, target).flow_value
        return sure(value == HALVES_GBPS, f"{value:.7g} Gb/s")

    return work


@case("`ngraph` (NetGraph) on it, solving only", beside="max-flow")
def ngraph_flow() -> Work:
    import ngraph  # noqa: F401  skipped where it is not installed

    solver, graph, source, target = peers.ngraph_graph(*network())

    def work() -> object:
        value = solver.max_flow(graph, source, target)[0]
        return sure(abs(value - HALVES_GBPS) < 1e-3, f"{value:.7g} Gb/s")

    return work


def cost_of(operation: str) -> Work:
    """Return the work of costing 1 GiB among all 1,152 GPUs."""
    import fabric

    f = fabric.load(fabrics.RACKS)
    fabric.cost  # noqa: B018  loads the module
    return lambda: (
        f"{fabric.cost(fabrics.fresh(f), operation, '1GiB', calibration='wire').time_s * 1e3:.4g} ms"
    )


@case("cost of an all-reduce, 1,152 GPUs")
def cost_all_reduce() -> Work:
    return cost_of("all-reduce")


@case("cost of an all-to-all, 1,152 GPUs")
def cost_all_to_all() -> Work:
    return cost_of("all-to-all")


@case("report of 1,152 GPUs", runs=1)
def report() -> Work:
    import fabric

    f = fabric.load(fabrics.RACKS)
    fabric.report  # noqa: B018  loads the module
    return lambda: fabric.report(f, tempfile.mkdtemp()) and ""


# --- 1,013,760 GPUs


@case("load and check the million")
def load_million() -> Work:
    from fabric.graph import load

    return lambda: f"{load(fabrics.MILLION).blueprint.n_devices('gpu'):,} GPUs"


def all_to_all(text: str, gbps: float | None = None) -> Work:
    """Return the work of all-to-all among all endpoints of a fabric, certificate included."""
    import fabric

    return throughput_of(fabric.loads(text, base=fabrics.ROOT / "topologies"), gbps)


def throughput_of(f: fabrics.Fabric, gbps: float | None = None) -> Work:
    """Return the work of all-to-all among all endpoints of a fabric that is loaded."""
    import fabric

    ask = fabric.throughput

    def work() -> object:
        answer = ask(fabrics.fresh(f))
        words = f"{answer.per_endpoint_gbps:.6g} Gb/s, {answer.status}"
        return sure(gbps is None or abs(answer.per_endpoint_gbps - gbps) < 1e-3, words)

    return work


@case("all-to-all, two pods (36,864 GPUs)", runs=5, processes=3)
def two_pods() -> Work:
    return all_to_all(fabrics.million(pods=2))


@case("all-to-all, the million", beside="two-pods", budget_s=0.015, budget_ratio=1.5, runs=7, processes=3)
def million() -> Work:
    return all_to_all(fabrics.million(), 633.744)


@case("its bottleneck", beside="million", budget_ratio=3, runs=5)
def million_bottleneck() -> Work:
    import fabric

    return bottleneck_of(fabric.load(fabrics.MILLION), 633.744)


def bottleneck_of(f: fabrics.Fabric, gbps: float) -> Work:
    """Return the work of pricing every class of cables in all-to-all."""
    import fabric

    ask = fabric.bottleneck

    def work() -> object:
        answer = ask(fabrics.fresh(f))
        rate = answer.throughput.per_endpoint_gbps
        binds = ", ".join(price.link for price in answer.binding)
        return sure(abs(rate - gbps) < 1e-3, f"{rate:.6g} Gb/s, {binds}")

    return work


@case(
    "all-to-all, 1,013,760 GPUs as `design` writes them, the last block not full",
    beside="million",
    budget_s=0.05,
    budget_mb=150,
    runs=5,
)
def part_filled() -> Work:
    return throughput_of(fabrics.part_filled(), 800.056)


@case("its bottleneck, the last block not full", beside="part-filled", budget_s=0.3, budget_mb=150, runs=3)
def part_filled_bottleneck() -> Work:
    return bottleneck_of(fabrics.part_filled(), 800.056)


@case("the million, one failed NIC", beside="million", budget_s=0.1)
def million_nic() -> Work:
    return all_to_all(fabrics.million(fabrics.NIC))


@case("the same, one failed leaf", beside="million", budget_s=0.2)
def million_leaf() -> Work:
    return all_to_all(fabrics.million(fabrics.LEAF), 533.636)


@case("the same, one failed spine", beside="million", budget_s=0.2)
def million_spine() -> Work:
    return all_to_all(fabrics.million(fabrics.SPINE))


@case("the same, a NIC, a leaf and a spine", beside="million", budget_s=1)
def million_three() -> Work:
    return all_to_all(fabrics.million(*fabrics.ELSEWHERE))


@case("the same, ten failed NICs at random", beside="million", budget_s=1.5)
def million_ten() -> Work:
    return all_to_all(fabrics.million(*fabrics.random_nics(10)), 633.744)


@case("the same, fifty failed NICs at random", beside="million", budget_s=1.5)
def million_fifty() -> Work:
    return all_to_all(fabrics.million(*fabrics.random_nics(50)), 633.744)


@case("its bottleneck, fifty failed NICs at random", beside="million-fifty", budget_ratio=3)
def million_fifty_bottleneck() -> Work:
    import fabric

    text = fabrics.million(*fabrics.random_nics(50))
    return bottleneck_of(fabric.loads(text, base=fabrics.ROOT / "topologies"), 633.744)


@case("all-to-all, a failed spine in each of twenty pods, all different", beside="million", budget_s=1)
def million_spines() -> Work:
    spines = (f"pod{i}/spine{37 * i % 128}" for i in range(20))
    return all_to_all(fabrics.million(*spines), 628.793)


@case("the same, a failed NIC in each of fifty pods", beside="million", budget_s=5)
def million_alike() -> Work:
    return all_to_all(fabrics.million(*(fabrics.NIC.replace("pod0", f"pod{i}") for i in range(50))), 633.744)


def bound_of(operation: str, text: str, gbps: float) -> Work:
    """Return the work of bounding a collective among all endpoints of a fabric."""
    import fabric

    f = fabric.loads(text, base=fabrics.ROOT / "topologies")
    ask = fabric.bound

    def work() -> object:
        value = ask(fabrics.fresh(f), operation, "1GiB").algbw_gbps
        return sure(abs(value - gbps) < 1e-6 * gbps, f"{value:.7g} Gb/s")

    return work


def million_cost(algorithm: str) -> Work:
    """Return the work of costing an all-reduce of 1 GiB among all GPUs, without the bound beside it."""
    import fabric

    f = fabric.load(fabrics.MILLION)
    fabric.cost  # noqa: B018  loads the module

    def work() -> object:
        one = fabric.cost(
            fabrics.fresh(f), "all-reduce", "1GiB", algorithm=algorithm, is_bounded=False, calibration="wire"
        )
        return f"{one.time_s * 1e3:.4g} ms"

    return work


@case("hierarchical all-reduce of the million", budget_s=0.01, runs=5)
def million_hierarchical() -> Work:
    return million_cost("hierarchical")


@case("tree all-reduce of the million", runs=5)
def million_tree() -> Work:
    return million_cost("tree")


@case("flat ring through 1,013,760 ranks, each a domain of its own", runs=3)
def flat_ring() -> Work:
    import fabric

    text = "{fabric: flat, axes: {leaf: 1980, port: 512, spine: 512}, devices: {gpu: {kind: gpu, axes: "
    text += "[leaf, port]}, l: {kind: switch, axes: [leaf]}, s: {kind: switch, axes: [spine]}}, links: ["
    text += "{between: [gpu, l], rate: 400Gb/s}, {between: [l, s], rate: 400Gb/s}]}"
    f = fabric.loads(text)
    fabric.cost  # noqa: B018  loads the module

    def work() -> object:
        asked = {"algorithm": "ring", "calibration": "measured", "is_bounded": False}
        one = fabric.cost(fabrics.fresh(f), "all-reduce", "1GiB", **asked)
        return f"{one.time_s:.4g} s, of which latency {one.chosen.latency_s:.4g} s"

    return work


def step_of(
    job: str, *, among: tuple[str, ...] = (), parallel: Mapping[str, int] | None = None, **more: str
) -> Work:
    """Return the work of a step of a shipped job, on other endpoints and in another layout where given."""
    from dataclasses import replace

    import fabric

    work = fabric.load_job(fabrics.ROOT / "topologies" / "jobs" / f"{job}.job.yaml")
    if parallel:
        layout, batch = replace(work.parallel, **parallel), replace(work.batch, sequences=2 * parallel["dp"])
        work = replace(work, among=among, order="dp pp tp", parallel=layout, batch=batch)
    f = fabric.load(fabrics.MILLION if parallel else work.fabric)
    fabric.train  # noqa: B018  loads the module

    def run_step() -> object:
        answer = fabric.train(work, fabrics.fresh(f), **more)
        return sure(
            answer.method == "axes" and answer.step_s > 0, f"{answer.n_ranks:,} ranks: {answer.step_s:.4g} s"
        )

    return run_step


@case("a step of training on 999,936 GPUs, as a command", budget_s=2, runs=1)
def train_million() -> Work:
    return run("-m", "fabric.cli", "train", "topologies/jobs/llama3-405b-million.job.yaml")


@case("the same in every order of its dimensions", budget_s=10, budget_mb=400, runs=1)
def train_million_orders() -> Work:
    return step_of("llama3-405b-million", order="all")


@case("a step on 100,000 of the million, five pods and parts of one", budget_s=10, budget_mb=400, runs=1)
def train_irregular() -> Work:
    parts = ("su0", "su1/block0-4", "su1/block5/rack0-3", "su1/block5/rack4/tray0-15")
    among = ("pod0-4/gpu", *(f"pod5/{part}/gpu" for part in parts))
    return step_of("llama3-405b-million", among=among, parallel={"pp": 10, "vpp": 1, "dp": 1250})


@case("a design at 20 sizes from 72 to 1,000,000 GPUs, with knees", budget_s=3, runs=1)
def sizes() -> Work:
    import fabric
    from fabric.study.scale import space_sizes

    asked = {"rack": "gb300-nvl72", "leaf": "sn6800"}
    return lambda: (
        f"{len(fabric.scale(gpus=space_sizes('72..1000000'), **asked, calibration='wire').knees)} knees"
    )


@case("all-gather bound of the million", budget_s=0.005, runs=7)
def million_all_gather() -> Work:
    return bound_of("all-gather", fabrics.million(), 8504.008388)


@case("all-reduce bound of the million", budget_s=0.05, runs=7)
def million_all_reduce() -> Work:
    return bound_of("all-reduce", fabrics.million(), 7898.599450)


@case("the same, a NIC, a leaf and a spine", beside="million-all-reduce", budget_s=1)
def million_all_reduce_three() -> Work:
    return bound_of("all-reduce", fabrics.million(*fabrics.ELSEWHERE), 7704.0)


@case("all-gather bound of the million, fifty failed NICs at random", beside="million-fifty", budget_ratio=3)
def million_all_gather_fifty() -> Work:
    return bound_of("all-gather", fabrics.million(*fabrics.random_nics(50)), 7704.007599)


@case("all-reduce bound of the SuperPOD of 1,016 GPUs", budget_s=0.1)
def superpod_all_reduce() -> Work:
    return bound_of("all-reduce", fabrics.SUPERPOD.read_text(), 3200.0)


@case(
    "`fabtopo throughput topologies/systems/million-scenario.fabric.yaml`, cold", budget_s=0.6, budget_mb=100
)
def million_command() -> Work:
    return run("-m", "fabric.cli", "throughput", str(fabrics.MILLION))


@case("all-to-all, torus 16x20x28", budget_s=0.2)
def torus() -> Work:
    return all_to_all(fabrics.TORUS, 2 / 7)


@case("expand the bare million", budget_s=3, budget_mb=1000, runs=1, processes=3)
def expand_bare() -> Work:
    import fabric

    f = fabric.loads(fabrics.BARE)

    def work() -> object:
        e = fabric.expand(f, limit=30_000_000)
        return sure(e.n_bundles == fabrics.N_BARE_CABLES, f"{e.n_bundles:,} cables")

    return work


@case("expand topologies/systems/million-scenario.fabric.yaml", beside="expand-bare", runs=1)
def expand_million() -> Work:
    import fabric

    f = fabric.load(fabrics.MILLION)

    def work() -> object:
        e = fabric.expand(f, limit=40_000_000)
        return f"{e.n_bundles:,} pairs"

    return work


@case("colour refinement of the bare million, expanded", budget_s=12, budget_mb=2500, runs=1)
def refine_bare() -> Work:
    import numpy as np

    import fabric
    from fabric.symmetry.refinement import coarsest

    e = fabric.expand(fabric.loads(fabrics.BARE), limit=30_000_000)
    return lambda: f"{len(coarsest(e, np.zeros(e.n_devices, dtype=np.bool_)).size)} classes"


# --- wiring without axis symmetry


@case("load and check a dragonfly of 262,656 endpoints", budget_s=2, budget_mb=500, runs=1)
def dragonfly_load() -> Work:
    import fabric

    def work() -> object:
        groups = fabric.loads(fabrics.DRAGONFLY).blueprint.groups
        return f"{len(groups)} groups"

    return work


@case("all-to-all, Jellyfish of 60 switches and 360 endpoints", budget_s=4, runs=1)
def jellyfish() -> Work:
    return all_to_all(fabrics.JELLYFISH, 0.4172381466)


@case("all-to-all, random graph of 500 switches of degree 12, to 0.1 %", budget_s=15, budget_mb=500, runs=1)
def random_graph() -> Work:
    import fabric

    f = fabric.loads(fabrics.RANDOM_GRAPH)
    ask = fabric.throughput

    def work() -> object:
        answer = ask(fabrics.fresh(f))
        return sure(
            answer.gap <= 1e-3, f"{answer.per_endpoint_gbps:.6g} Gb/s, {100 * answer.gap:.2g} % apart"
        )

    return work


@case("all-gather bound of a twisted torus 8x8x16", budget_s=3, runs=1)
def twisted_all_gather() -> Work:
    return bound_of("all-gather", fabrics.TWISTED.read_text(), 4800 * 1024 / 1023)


# --- where the peers stop


@case("all-to-all, 160 GPUs under two tiers, by classes", runs=5)
def two_tier() -> Work:
    import fabric

    f = fabric.loads(fabrics.TWO_TIER)
    return lambda: f"{fabric.throughput(f, method='axes').per_endpoint_gbps:.6g} Gb/s"


@case("the same by the explicit program (HiGHS)", beside="two-tier", runs=1, processes=1)
def two_tier_explicit() -> Work:
    import fabric

    f = fabric.loads(fabrics.TWO_TIER)
    expected = fabric.throughput(f, method="axes").per_endpoint_gbps

    def work() -> object:
        value = fabric.throughput(f, method="links").per_endpoint_gbps
        return sure(abs(value - expected) < 1e-6 * expected, f"{value:.6g} Gb/s")

    return work


@case("four NVL72 racks as a networkx graph")
def racks() -> Work:
    import fabric

    fabric.to_networkx  # noqa: B018  loads the module

    def work() -> object:
        graph = fabric.to_networkx(fabric.loads(fabrics.NVL72_RACKS))
        return f"{graph.number_of_edges():,} edges"

    return work


@case("the same by `infragraph`", beside="racks", runs=1, processes=1)
def infragraph_racks() -> Work:
    import infragraph  # noqa: F401  skipped where it is not installed

    return lambda: f"{peers.infragraph_racks(fabrics.N_RACKS).number_of_edges():,} edges"
