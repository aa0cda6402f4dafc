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
COMMANDS = (
    ("failures", "--window", "30d", "--samples", "20", "--rates", "parts"),
    ("failures",),
    ("place", "train:2", "test:1"), ("share", "a=gpu", "b=gpu:all-to-all"), ("probe",), ("cables",),
    ("export",), ("diff",), ("show",),
)  # fmt: skip
"""What else is asked of a file that got through."""
OPTIONS = (
    "--degraded", "--down", "--segment", "--unavailability", "--node", "--block", "--job", "--fair",
    "--suspects", "--part", "--answers", "--rates", "--interval", "--window", "--samples", "--seed",
    "--store", "--format",
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
        _read: 38, _topology: 4, _arguments: 8, _graph: 8, _log: 10, _calibration: 4, _prices: 10, _design: 4,
        _job: 4, _found: 6, _expecting: 4, _study: 6,
    }  # fmt: skip
    return chance.choices(list(kinds), weights=list(kinds.values()))[0](chance)


def _hostile_yaml(path: Path, chance: random.Random) -> bytes:
    """Return a shipped file with some changes, of its tree or of its bytes."""
    return _hostile_text(path.read_text(encoding="utf-8"), chance, path)


def _hostile_text(text: str, chance: random.Random, path: Path | None = None) -> bytes:
    """Return YAML with some changes; of a file it is read once."""
    n = chance.choice((1, 1, 1, 2, 4))
    if chance.random() < 0.2:
        return mutate.octets(text.encode(), chance, n)
    if chance.random() < 0.2:
        return mutate.lines(text, chance, n).encode("utf-8", "surrogatepass")
    data = mutate.tree(parsed(path) if path else yaml.safe_load(text), chance, n)
    text = yaml.dump(data, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
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
            list(chance.choice(COMMANDS)),
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
        "--degraded": ("nic0 at 1/2", "leaf0 - spine1 at 200Gb/s", "leaf0 - spine1 x 2 at 50%", "gpu0 at 0"),
        "--down": ("node0", "rack0/tray1", "gpu0"),
        "--node": ("node", "rack,tray", "i"),
        "--block": ("rack", "node", "i"),
        "--segment": ("1", "2", "16"),
        "--unavailability": ("0.01", "0", "1"),
        "--job": (str(ROOT / "topologies/jobs/qwen3-8b-small.job.yaml"),),
        "--fair": ("rate", "slowdown"),
        "--suspects": ("nic", "leaf-spine", "gpu"),
        "--part": ("1/2", "0.5", "50%"),
        "--answers": ("slow", "slow,sound", "sound,sound"),
        "--rates": ("parts", "llama3", "kokolis"),
        "--interval": ("60min", "1s"),
        "--window": ("30d", "1h"),
        "--samples": ("1", "20"),
        "--store": ("a.sqlite", "/dev/null", "."),
        "--format": ("text", "md", "csv", "json", "slurm", "dot", "lldp", "netbox", "xlsx"),
    }.get(name, tuple(str(n) for n in mutate.NUMBERS[:9]))
    chosen = chance.choice(usual)
    return chosen if chance.random() < 0.6 else mutate.word(chosen, chance)


JOB = "qwen3-8b-small.job.yaml"
SERVING = "mooncake-qwen3-8b.serve.yaml"


def _job(chance: random.Random) -> Case:
    """Return a job file, of training or of serving, on a fabric that fits; some on one that is changed."""
    command, name = chance.choice((("train", JOB), ("serve", SERVING)))
    path = ROOT / "topologies/jobs" / name
    fabric = path.parent / parsed(path)["fabric"]
    files = {f"a.{name.split('.', 1)[1]}": _hostile_yaml(path, chance)}
    words = [command, *files]
    if chance.random() < 0.3:
        files["a.fabric.yaml"] = _hostile_yaml(fabric, chance)
        words.append("a.fabric.yaml")
    elif chance.random() < 0.8:
        words.append(str(fabric))
    for option in chance.sample(
        ("--failed", "--degraded", "--calibration", "--paths"), k=chance.choice((0, 0, 1))
    ):
        words += [option, _value(option, chance)]
    return Case("job", (*words, *(["--json"] * (chance.random() < 0.5))), files)


LEAVES = """fabric: leaves
axes: {pod: 2, host: 4, spine: 2}
devices:
  gpu: {kind: gpu, axes: [pod, host]}
  nic: {kind: nic, axes: [pod, host]}
  leaf: {kind: switch, axes: [pod]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nic], rate: 400Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s, count: 2}
"""


@cache
def _wirings() -> tuple[tuple[str, bytes], ...]:
    """Return the cables of a small fabric in every format that is both written and read as one file."""
    from fabric import FabricError, export
    from fabric.graph import loads
    from fabric.interop.export.formats import FORMATS
    from fabric.interop.sources.formats import SOURCES

    written = []
    for name in sorted(set(FORMATS) & set(SOURCES)):
        try:
            files = export(loads(LEAVES), name).files
        except FabricError:  # that format is of other networks
            continue
        if len(files) == 1:
            written.append((name, next(iter(files.values())).encode()))
    return tuple(written)


def _found(chance: random.Random) -> Case:
    """Return cables as they were found: imported, or held to their design."""
    form, data = chance.choice(_wirings())
    n = chance.choice((1, 1, 2, 8))
    if chance.random() < 0.3:
        data = mutate.octets(data, chance, n)
    else:
        data = mutate.lines(data.decode(), chance, n).encode("utf-8", "surrogatepass")
    files = {"found.txt": data, "design.fabric.yaml": LEAVES.encode()}
    told = form if chance.random() < 0.8 else mutate.word(form, chance)
    if chance.random() < 0.5:
        words = ["audit", "design.fabric.yaml", "found.txt", "--format", told]
    else:
        words = [
            "import",
            "found.txt",
            "--format",
            told,
            "--rate",
            chance.choice(("400Gb/s", "node-leaf=1Tb/s", "x")),
        ]
        words += ["--like", "design.fabric.yaml"] * (chance.random() < 0.3)
    return Case("found", (*words, *(["--json"] * (chance.random() < 0.5))), files)


EXPECTATIONS = (
    "all-to-all >= 300Gb/s", "all-to-all(over=[pod]) >= 0.5", "bisection(pod) >= 0.9",
    "oversubscription leaf <= 1", "longest-matching >= 0.1", "max-flow(pod0, pod1) >= 1Tb/s",
    "cables <= 20", "leaf-spine = 8", "power <= 10kW",
    "all-reduce(1GiB, algorithm=ring, calibration=wire) >= 40GB/s",
    "all-reduce(1GiB).time <= 1s", "bound(all-reduce).busbw >= 10GB/s",
    "survives any one spine at 0.4", "survives any one leaf - spine",
)  # fmt: skip
SLOW = ("[nic, 1/2]", "[leaf, spine, 50%]", "[leaf, spine, 1, 200Gb/s]", "[pod0/nic0, 0.5]")


def _expecting(chance: random.Random) -> Case:
    """Return a file with what it expects and what is slow in it."""
    lines = chance.sample(EXPECTATIONS, k=chance.choice((1, 2, 3)))
    lines = [mutate.word(one, chance) if chance.random() < 0.5 else one for one in lines]
    text = LEAVES + yaml.dump({"expect": lines}, Dumper=_DUMPER, allow_unicode=True)
    if chance.random() < 0.4:
        slow = chance.choice(SLOW)
        text += f"degraded: [{mutate.word(slow, chance) if chance.random() < 0.5 else slow}]\n"
    form = chance.choice((["--json"], ["--format", "github"], ["--format", "sarif"], []))
    return Case(
        "expectation", ("check", "a.fabric.yaml", *form), {"a.fabric.yaml": text.encode("utf-8", "replace")}
    )


PAIR = """fabric: pair
axes: {i: 2}
devices:
  gpu: {kind: gpu, axes: [i]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, leaf], rate: 400Gb/s, count: 2}
"""
STUDIES = (
    ("failures", "--pairs", "--jobs", "1"),
    ("failures", "--pairs", "--jobs", "1", "--rates", "parts", "--interval", "60min"),
    ("place", "train=4/2", "2", "--down", "pod0/host1", "--segment", "2"),
    ("place", "a=1", "--node", "pod,host", "--unavailability", "0.1"),
    ("share", "a=pod0", "b=pod1:shift:over=host:by=1:busy=0.5:every=1s", "c=gpu:all-to-all"),
    ("share", "a=pod0", "b=gpu", "--fair", "slowdown"),
    ("thresholds", "--for", "pod,all", "--sizes", "1MiB,1GiB"),
    ("probe", "--suspects", "nic", "--part", "1/2"),
    ("diff", "b.fabric.yaml"),
)  # fmt: skip
"""Runs of many questions, and questions of two files or several jobs, as they fit `LEAVES`."""


def _study(chance: random.Random) -> Case:
    """Return many questions of a fabric at once: its files, or one of the words, are changed."""
    command, *words = chance.choice(STUDIES)
    # Two failures at once are solved for every two things that may fail: of few.
    text = PAIR if "--pairs" in words else LEAVES
    is_hostile = chance.random() < 0.6
    files = {"a.fabric.yaml": _hostile_text(text, chance) if is_hostile else text.encode()}
    if command == "diff":
        files["b.fabric.yaml"] = _hostile_text(text, chance)
    elif not is_hostile or chance.random() < 0.3:
        i = chance.randrange(len(words))
        words[i] = mutate.word(words[i], chance)
    return Case("study", (command, "a.fabric.yaml", *words, *(["--json"] * (chance.random() < 0.5))), files)


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
