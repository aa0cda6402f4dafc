"""One input by its number: a command line with the files that it names, or a graph."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import networkx as nx
import yaml

from tools.fuzz import mutate

ROOT = Path(__file__).parents[2]
COLLECTIVES = (
    "all-reduce", "all-gather", "reduce-scatter", "broadcast", "reduce", "all-to-all", "gather", "scatter",
    "send-recv",
)  # fmt: skip
MOST_DEVICES = 250
# The emitter in C takes a tenth of the time; both write the same.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
PATTERNS = ("all-to-all", "one-to-all", "all-to-one", "shift", "halves", "longest-matching")
OPTIONS = (
    "--over", "--among", "--root", "--by", "--paths", "--failed", "--order", "--ranks", "--size",
    "--kind", "--chunks", "--latency", "--calibration", "--algorithm", "--queue-pairs", "--spraying",
    "--reduces", "--moe", "--factor", "--threshold", "--spares", "--racks-per-row", "--rack-pitch",
    "--prices", "--traffic",
)  # fmt: skip
ATTRIBUTES = (
    "kind", "group", "part", "transit", "endpoint", "failed", "axis_x", "capacity", "rate_gbps", "count",
    "failed_count", "net", "medium", "protocol", "length_m", "lower", "tail", "head", "rule",
)  # fmt: skip
ROUTINGS = ("ecmp", "ideal", "hashed", "adaptive", "rail", "rail-direct")


@dataclass(frozen=True)
class Case:
    """What is run, and the files that it reads.

    Parameters
    ----------
    kind : str
        What is hostile in it.
    arguments : tuple of str
        Of the command line; none for a graph.
    files : dict of str to bytes
        By name.
    graph : networkx.Graph or None
    """

    kind: str
    arguments: tuple[str, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    graph: nx.Graph | None = None


@cache
def shipped(pattern: str) -> tuple[Path, ...]:
    """Return the files of the project that match, in order."""
    return tuple(sorted(ROOT.glob(pattern)))


@cache
def parsed(path: Path) -> Any:  # noqa: ANN401 - YAML
    """Return a shipped YAML file as plain data."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def small() -> tuple[Path, ...]:
    """Return the topologies of at most `MOST_DEVICES`, of which all questions are asked."""
    from fabric import load

    found = []
    for path in shipped("topologies/**/*.fabric.yaml"):
        blueprint = load(path).blueprint if path.stat().st_size < 4_000 else None
        if blueprint and sum(map(blueprint.n_devices, blueprint.groups)) <= MOST_DEVICES:
            found.append(path)
    return tuple(found)


def case(seed: int) -> Case:
    """Return the input of a number: the same on every machine."""
    chance = random.Random(seed)
    # Most inputs are refused or counted while they are read, in a few thousandths of a second; a question of
    # what got through takes ten times as long, so that one in ten is one.
    kinds: dict[Callable[[random.Random], Case], int] = {
        _read: 50, _topology: 4, _arguments: 8, _graph: 8, _log: 10, _calibration: 4, _prices: 12, _design: 4,
    }  # fmt: skip
    return chance.choices(list(kinds), weights=list(kinds.values()))[0](chance)


def _hostile_yaml(path: Path, chance: random.Random) -> bytes:
    """Return a shipped file with some changes, of its tree or of its bytes."""
    n = chance.choice((1, 1, 1, 2, 4))
    if chance.random() < 0.2:
        return mutate.octets(path.read_bytes(), chance, n)
    if chance.random() < 0.2:
        return mutate.lines(path.read_text(encoding="utf-8"), chance, n).encode("utf-8", "surrogatepass")
    data = mutate.tree(parsed(path), chance, n)
    text: str = yaml.dump(data, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
    return text.encode("utf-8", "surrogatepass")


def _question(chance: random.Random) -> list[str]:
    """Return a command that fits most fabrics, without its file."""
    return chance.choice(
        (
            ["check"],
            ["check"],
            ["show"],
            ["max-flow", "--from", chance.choice(mutate.WORDS) or "gpu0", "--to", "gpu1"],
            ["throughput", "--traffic", chance.choice(PATTERNS)],
            ["bottleneck"],
            ["bound", "--collective", chance.choice(COLLECTIVES)],
            ["cost", "--collective", chance.choice(COLLECTIVES), "--routing", chance.choice(ROUTINGS)],
            ["bom", "--format", chance.choice(("text", "md", "csv", "json"))],
        )
    )


def _read(chance: random.Random) -> Case:
    """Return a file that is only counted and checked: any that is shipped, large ones seldom."""
    is_any = chance.random() < 0.15
    path = chance.choice(
        shipped("topologies/**/*.fabric.yaml") + shipped("fabric/templates/*.yaml") if is_any else small()
    )
    options = ["--json"] * (chance.random() < 0.5)
    return Case("file", ("check", "a.fabric.yaml", *options), {"a.fabric.yaml": _hostile_yaml(path, chance)})


def _topology(chance: random.Random) -> Case:
    command, *options = _question(chance)
    if chance.random() < 0.5:
        options.append("--json")
    data = _hostile_yaml(chance.choice(small()), chance)
    return Case("topology", (command, "a.fabric.yaml", *options), {"a.fabric.yaml": data})


def _arguments(chance: random.Random) -> Case:
    """Return a good file and a command line with odd values."""
    command, *options = _question(chance)
    extra = chance.sample(
        OPTIONS,
        k=chance.choice((0, 1, 1, 2, 3)),
    )
    for name in extra:
        options += [name, _value(name, chance)]
    if options and chance.random() < 0.3:
        i = chance.randrange(len(options))
        options[i] = mutate.word(options[i], chance)
    if chance.random() < 0.5:
        options.append("--json")
    return Case("arguments", (command, str(chance.choice(small())), *options))


def _value(name: str, chance: random.Random) -> str:
    usual = {
        "--over": ("rack", "slot", "node", "x", "x,y", "i"),
        "--among": ("gpu0-1", "*", "rack0", "node0-1", "gpu"),
        "--failed": ("leaf0", "spine0", "nic0", "gpu0", "leaf0 - spine1", "node0/*"),
        "--size": ("1KiB", "1GiB", "1KiB..1MiB", "8B", "1"),
        "--kind": ("cut", "chunks", "tub", "path-length"),
        "--calibration": ("wire", "measured", "nccl"),
        "--algorithm": ("ring", "tree", "all", "auto", "nvls", "pxn", "pairwise"),
        "--moe": ("tokens=4096,hidden=7168,top_k=8,experts=256,bytes=1",),
        "--order": ("(node slot) -> (dp tp=8)", "(x y) -> (dp tp=2)"),
        "--traffic": PATTERNS,
        "--paths": ("rules", "no-relay", "any"),
    }.get(name, tuple(str(n) for n in mutate.NUMBERS[:9]))
    chosen = chance.choice(usual)
    return chosen if chance.random() < 0.6 else mutate.word(chosen, chance)


def _log(chance: random.Random) -> Case:
    path = chance.choice(shipped("tests/interop/data/*.log"))
    n = chance.choice((1, 1, 2, 5))
    data = path.read_bytes()
    if chance.random() < 0.3:
        data = mutate.octets(data, chance, n)
    else:
        data = mutate.lines(data.decode("utf-8", "replace"), chance, n).encode("utf-8", "surrogatepass")
    # On two GPUs a log is refused for its ranks once it has been read; on twelve nodes it is modelled.
    is_modelled = chance.random() < 0.1
    fabric = str(ROOT / "topologies/measured/h100-12-node.fabric.yaml") if is_modelled else "two.fabric.yaml"
    options = ["--collective", chance.choice(COLLECTIVES)] * (chance.random() < 0.5)
    command = (
        ("compare", "a.log", fabric) if chance.random() < 0.7 else ("calibrate", "a.log", "--on", fabric)
    )
    return Case("log", (*command, *options), {"a.log": data} | ({} if is_modelled else _TWO))


_TWO = {
    "two.fabric.yaml": b"""fabric: two
axes: {i: 2}
devices: {gpu: {part: h100_sxm5, axes: [i]}, leaf: {kind: switch, axes: []}}
links: [{between: [gpu, leaf], link: nvlink4}]
"""
}


def _calibration(chance: random.Random) -> Case:
    path = chance.choice(shipped("fabric/costing/calibrations/*.yaml"))
    fabric = str(chance.choice(small())) if chance.random() < 0.1 else "two.fabric.yaml"
    arguments = ("cost", fabric, "--collective", chance.choice(COLLECTIVES), "--json")
    size = ("--size", chance.choice(("8B", "1MiB", "1GiB", "1KiB..1GiB")))
    files = {"a.yaml": _hostile_yaml(path, chance)} | ({} if fabric != "two.fabric.yaml" else _TWO)
    return Case("calibration", (*arguments, *size, "--calibration", "a.yaml"), files)


PRICES = """item,price_usd,price_min_usd,price_max_usd,source,confidence,note
gpu,30000,,,offer 1,,
leaf,,40000,50000,offer 2,reported,
sn5610,41000,,,offer 3,,
aoc,,5,6,"a ""note"", long",reported,x
"""


def _prices(chance: random.Random) -> Case:
    rows = "".join(
        f"{item},{n},,,offer {n},,\n" for n, item in enumerate(("gpu", "leaf", "sn5610", "h100_sxm5"), 1)
    )
    text = PRICES.format(rows, 'aoc,,5,6,"a ""note"", long",reported,x\n')
    data = mutate.octets(text.encode(), chance, 1) if chance.random() < 0.3 else b""
    data = data or mutate.lines(text, chance, chance.choice((1, 2, 4))).encode("utf-8", "surrogatepass")
    form = chance.choice(("text", "md", "csv", "json"))
    return Case(
        "prices", ("bom", str(chance.choice(small())), "--prices", "a.csv", "--format", form), {"a.csv": data}
    )


def _design(chance: random.Random) -> Case:
    options = {
        "--gpus": "1152",
        "--rack": chance.choice(("gb300-nvl72", "hgx-h100", "gb200-nvl72")),
        "--leaf": chance.choice(("sn5610", "sn5600", "qm9700", "64x400G")),
        "--planes": chance.choice(("1", "2", "4")),
        "--oversubscription": "leaf=1,spine=2",
        "--layout": chance.choice(("rail", "tor", "rail-only")),
        "--breakout": chance.choice(("400G", "2x400G", "800G")),
        "--tiers": "auto",
        "--block": "2",
        "--ufm": "2",
        "--rails": "4",
        "--rail-groups": "auto",
        "--homes": "2",
    }
    kept = ["--gpus", "--rack", "--leaf", *chance.sample(list(options)[3:], k=chance.randrange(4))]
    for name in chance.sample(kept, k=chance.choice((0, 1, 1, 2))):
        options[name] = (
            mutate.word(options[name], chance) if chance.random() < 0.7 else chance.choice(mutate.WORDS)
        )
    words = [word for name in kept for word in (name, options[name])]
    return Case("design", ("design", *words, *(["--json"] * (chance.random() < 0.5))))


@cache
def _graphs() -> tuple[nx.Graph, ...]:
    """Return graphs to start from: ours, and foreign ones."""
    from fabric import load, to_networkx

    # The smallest: a graph is copied for every input, and of what it says one attribute is changed.
    ours = sorted((to_networkx(load(path)) for path in small()), key=len)[:6]
    foreign = [
        nx.cycle_graph(5),
        nx.DiGraph([(0, 1), (1, 2)]),
        nx.hypercube_graph(3),
        nx.MultiGraph([(0, 1), (0, 1)]),
    ]
    for graph in foreign:
        nx.set_edge_attributes(graph, 100.0, "capacity")
    return (*ours, *foreign)


def _graph(chance: random.Random) -> Case:
    graph = chance.choice(_graphs()).copy()
    for _ in range(chance.choice((1, 1, 2, 4))):
        data = chance.choice([*graph.nodes(data=True), *graph.edges(data=True)])[-1]
        data[chance.choice((*map(str, data), *ATTRIBUTES))] = mutate.odd_object(chance)
    return Case("graph", graph=graph)


def shown(one: Case) -> str:
    """Return a case as text, to look at."""
    sink = io.StringIO()
    print("fabtopo", *map(repr, one.arguments), file=sink)
    if one.graph is not None:
        odd = [*one.graph.nodes(data=True), *one.graph.edges(data=True)]
        print(str(one.graph), *(str(item)[:300] for item in odd[:40]), sep="\n", file=sink)
    return sink.getvalue()
