"""Faults that are made are found, and no others: in every format that carries them, on ten topologies."""

import json
import random
from collections import Counter

import networkx as nx
import pytest

import fabric
from fabric.graph import fail, loads
from fabric.sizing.cable_plan import CablePlan
from fabric.study import audit as audits
from fabric.study.audit import audit

SHAPES = (
    "fat-tree", "full-mesh", "hyperx", "planes", "rail-groups", "rail-only", "three-tier", "top-of-rack",
    "torus", "two-tier",
)  # fmt: skip
FORMS = (
    "containerlab", "dot", "edges", "ibnetdiscover", "lldp", "netbox", "netlab", "nvidia-air", "p2p-ethernet",
    "p2p-infiniband",
)  # fmt: skip
WITH_RATES = ("containerlab", "edges", "ibnetdiscover", "netbox", "netlab")
WITH_NAMES_TWICE = ("containerlab", "dot", "edges", "netlab", "nvidia-air", "p2p-ethernet", "p2p-infiniband")
LABORATORIES = ("containerlab", "netlab", "nvidia-air")
# They have no ports of the plan, so that a fault is one of nodes.
OF_NODES = ("cytoscape", "graphml", "infragraph", "node-link")
RATE = 400


class Built:
    """The cables of a design, as they are spoilt fault by fault; no cable has two faults."""

    def __init__(self, design, seed):
        plan = CablePlan(design.blueprint)
        self.cables = [[(c.a.node, c.a.port), (c.z.node, c.z.port), RATE] for c in plan.cables()]
        self.switches = sorted({node.name for node in plan.nodes() if node.is_switch})
        self.hosts = sorted({node.name for node in plan.nodes() if not node.is_switch})
        self.rng = random.Random(seed)
        self.whole = list(range(len(self.cables)))
        self.rng.shuffle(self.whole)
        self.made = Counter()
        self.lost = []
        self.gone = set()

    def take(self, fits):
        number = next((n for n in self.whole if fits(self.cables[n])), None)
        if number is not None:
            self.whole.remove(number)
        return number

    def missing(self):
        number = self.take(lambda cable: True)
        if number is not None:
            self.gone.add(number)
            self.lost.append((self.cables[number][0][0], self.cables[number][1][0]))
            self.made["missing"] += 1

    def swapped(self):
        one = self.take(lambda cable: True)
        near = {end[0] for end in self.cables[one][:2]} if one is not None else set()
        two = self.take(lambda cable: not near & {cable[0][0], cable[1][0]})
        if one is not None and two is not None:
            a, b = self.cables[one], self.cables[two]
            a[1], b[1] = b[1], a[1]
            self.made["swapped"] += 1

    def moved(self):
        """A cable goes to another switch: a wrong rail, or a wrong plane."""
        number = self.take(lambda cable: True)
        if number is None:
            return
        cable = self.cables[number]
        others = [s for s in self.switches if s not in (cable[0][0], cable[1][0])]
        cable[1] = (self.rng.choice(others), str(900 + number))
        self.made["moved"] += 1

    def halved(self):
        number = self.take(lambda cable: True)
        if number is not None:
            self.cables[number][2] = RATE // 2
            self.made["wrong rate"] += 1

    def renamed(self):
        """Two hosts answer to one name; none of their cables has another fault."""
        ends = [{cable[0][0], cable[1][0]} for cable in self.cables]
        at = {host: [n for n, own in enumerate(ends) if host in own] for host in self.hosts}
        sound = [host for host in self.hosts if set(at[host]) <= set(self.whole)]
        if len(sound) < 2:
            return
        name, other = self.rng.sample(sound, 2)
        for n in at[name] + at[other]:
            self.whole.remove(n)
        for n in at[other]:
            cable = self.cables[n]
            cable[:2] = [(name, end[1]) if end[0] == other else end for end in cable[:2]]
        self.made["duplicate name"] += 1

    def found(self):
        return [cable for n, cable in enumerate(self.cables) if n not in self.gone]


def written(built, form, folder):
    """Return files of a format with these cables."""
    cables = built.found()
    path = folder / f"found.{form}"
    if form == "lldp":
        return lldp(cables, folder)
    if form == "p2p-ethernet":
        lines = ["A-Node Name,A-Port,Z-Node Name,Z-Port", *(",".join(a + z) for a, z, _ in cables)]
    elif form == "p2p-infiniband":
        lines = ["Rack,U,Name,HCA/Port,Rack,U,Name,Port"]
        lines += [f",,{a[0]},{a[1]},,,{z[0]},{z[1]}" for a, z, _ in cables]
    elif form == "edges":
        lines = ["source,source_port,target,target_port,rate"]
        lines += [",".join((*a, *z, f"{rate}Gb/s")) for a, z, rate in cables]
    elif form == "netbox":
        lines = ["device,name,type"]
        lines += [f"{node},{port},{rate}gbase-x-osfp" for *ends, rate in cables for node, port in ends]
        (folder / "interfaces.csv").write_text("\n".join(lines) + "\n")
        lines = ["side_a_device,side_a_name,side_b_device,side_b_name"]
        lines += [",".join(a + z) for a, z, _ in cables]
        path.write_text("\n".join(lines) + "\n")
        return [folder / "interfaces.csv", path]
    elif form in LABORATORIES:
        lines = [json.dumps(laboratory(cables, form))]
    elif form == "ibnetdiscover":
        lines = []
        for node in sorted({end[0] for *ends, _ in cables for end in ends}):
            lines.append(f'Switch 64 "S-{node}" # "{node}" base port 0 lid 0 lmc 0')
            for a, z, rate in cables:
                for near, far in ((a, z), (z, a)):
                    if near[0] == node:
                        width = rate // 100
                        lines.append(f'[{near[1]}] "S-{far[0]}"[{far[1]}] # "{far[0]}" lid 1 {width}xNDR')
    else:
        lines = ['graph "x" {', *(f'"{a[0]}":"{a[1]}" -- "{z[0]}":"{z[1]}"' for a, z, _ in cables), "}"]
    path.write_text("\n".join(lines) + "\n")
    return [path]


def laboratory(cables, form):
    """Return what a format of laboratories, in JSON or YAML, says of cables."""
    names = sorted({node for *ends, _ in cables for node, _ in ends})
    if form == "netlab":
        links = [
            {a[0]: {"ifname": a[1]}, z[0]: {"ifname": z[1]}, "bandwidth": rate * 10**6}
            for a, z, rate in cables
        ]
        return {"nodes": names, "links": links}
    if form == "containerlab":
        links = [
            {"endpoints": [":".join(a), ":".join(z)], "labels": {"rate-gbps": rate}} for a, z, rate in cables
        ]
        return {
            "name": "x",
            "topology": {"nodes": {name: {"kind": "linux"} for name in names}, "links": links},
        }
    links = [[{"node": end[0], "interface": end[1]} for end in ends] for *ends, _ in cables]
    return {"content": {"nodes": {name: {"os": "x"} for name in names}, "links": links}}


def lldp(cables, folder):
    paths = []
    for node in sorted({end[0] for *ends, _ in cables for end in ends}):
        seen = [(a, z) for *ends, _ in cables for a, z in (ends, ends[::-1]) if a[0] == node]
        interfaces = [
            {
                "name": a[1],
                "chassis": [{"name": [{"value": z[0]}]}],
                "port": [{"id": [{"type": "local", "value": z[1]}]}],
            }
            for a, z in seen
        ]
        paths.append(folder / f"{node}.json")
        paths[-1].write_text(json.dumps({"lldp": [{"interface": interfaces}]}))
    return paths


def design_of(shape, as_drawn):
    groups = as_drawn.drawn(shape).blueprint.groups
    ports = ", ".join(f'{group}: "{{n}}"' for group in groups)
    return loads(f"fabric: {shape}\n{as_drawn.SHAPES[shape]}ports: {{{ports}}}\n")


@pytest.mark.some(10)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_exactly_the_faults_that_were_made(shape, form, seed, as_drawn, tmp_path, monkeypatch):
    design = design_of(shape, as_drawn)
    built = Built(design, f"{shape}{form}{seed}")
    if form in WITH_NAMES_TWICE:
        built.renamed()
    kinds = [built.missing, built.swapped, built.moved, *([built.halved] if form in WITH_RATES else [])]
    for _ in range(built.rng.randint(1, max(1, min(40, len(built.cables) // 8)))):
        built.rng.choice(kinds)()
    # What each costs is another test.
    monkeypatch.setattr(audits, "MAX_PRICED", 0)
    answer = audit(design, written(built, form, tmp_path), form)
    counted = Counter()
    for group in answer.groups:
        counted[group.kind] += group.n
    assert counted == built.made
    assert len(answer.moves) == built.made.total()
    n = built.made["swapped"]
    assert [move.startswith("swap ") for move in answer.moves[:n]] == [True] * n


class BuiltOfNodes(Built):
    """The same where no two faults are at one node, so that each is told by nodes alone."""

    def take(self, fits):
        number = super().take(fits)
        if number is not None:
            near = {end[0] for end in self.cables[number][:2]}
            self.whole = [n for n in self.whole if not near & {end[0] for end in self.cables[n][:2]}]
        return number

    def moved(self):
        """A cable goes to a switch that no other fault is at."""
        number = self.take(lambda cable: True)
        touched = {end[0] for n in {*range(len(self.cables))} - {*self.whole} for end in self.cables[n][:2]}
        others = [switch for switch in self.switches if switch not in touched]
        if number is None or not others:
            self.gone.discard(number)
            return
        self.cables[number][1] = (self.rng.choice(others), "")
        near = self.cables[number][1][0]
        self.whole = [n for n in self.whole if near not in {end[0] for end in self.cables[n][:2]}]
        self.made["moved"] += 1


def graph_of(built, form, folder):
    """Return a file of a graph of nodes, or of an InfraGraph of them, with these cables."""
    graph = nx.MultiGraph()
    for n, (a, z, rate) in enumerate(built.found()):
        graph.add_edge(a[0], z[0], key=n, rate_gbps=float(rate), count=1, failed_count=0)
    path = folder / "found"
    if form == "graphml":
        nx.write_graphml(graph, path)
    elif form == "node-link":
        path.write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    elif form == "cytoscape":
        path.write_text(json.dumps(nx.cytoscape_data(graph)))
    else:
        path.write_text("\n".join(infrastructure(graph)))
    return [path]


def infrastructure(graph):
    """Yield the lines of an InfraGraph of which every node is a port of one device, called as the node."""
    nodes = list(graph)
    rates = sorted({data["rate_gbps"] for *_, data in graph.edges(data=True)})
    ports = Counter()
    yield "name: x\ndevices:\n- name: box\n  components:"
    yield "  - {name: asic, count: 1, choice: switch}\n  - {name: port, count: 64, choice: port}"
    yield "  links: [{name: ic}]\n  edges: [{ep1: {component: asic}, ep2: {component: port}, link: ic}]"
    yield "links:"
    for rate in rates:
        told = f"{{choice: gigabits_per_second, gigabits_per_second: {rate}}}"
        yield f"- {{name: l{rate:g}, physical: {{bandwidth: {told}}}}}"
    yield "instances:"
    yield f'- {{name: box, device: box, count: {len(nodes)}, description: "nodes: {",".join(nodes)}"}}'
    yield "edges:"
    for a, z, data in graph.edges(data=True):
        ends = []
        for node in (a, z):
            ends.append(f'{{instance: "box[{nodes.index(node)}]", component: "port[{ports[node]}]"}}')
            ports[node] += 1
        yield f"- {{ep1: {ends[0]}, ep2: {ends[1]}, scheme: one2one, link: l{data['rate_gbps']:g}}}"


@pytest.mark.some(2)
@pytest.mark.parametrize("form", OF_NODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_exactly_the_faults_of_nodes_that_were_made(shape, form, as_drawn, tmp_path, monkeypatch):
    design = as_drawn.drawn(shape)
    built = BuiltOfNodes(design, f"{shape}{form}")
    built.missing()
    for _ in range(built.rng.randint(0, 4)):
        built.rng.choice([built.missing, built.swapped, built.moved, built.halved])()
    monkeypatch.setattr(audits, "MAX_PRICED", 0)
    answer = audit(design, graph_of(built, form, tmp_path), form)
    counted = Counter()
    for group in answer.groups:
        counted[group.kind] += group.n
    assert counted == built.made
    assert len(answer.moves) == built.made.total() > 0


@pytest.mark.some(1)
@pytest.mark.parametrize("shape", SHAPES)
def test_missing_cables_cost_what_failed_ones_do(shape, as_drawn, tmp_path):
    design = design_of(shape, as_drawn)
    built = Built(design, shape)
    for _ in range(3):
        built.missing()
    answer = audit(design, written(built, "dot", tmp_path), "dot")
    device = {end.node: end.device for c in CablePlan(design.blueprint).cables() for end in (c.a, c.z)}
    healthy = fabric.throughput(design).per_endpoint_gbps
    assert sum(group.n for group in answer.groups) == 3
    for group in answer.groups:
        lost = Counter()
        for fault in group.faults:
            a, z = (device[end.split(" ")[0]] for end in fault.planned[0].split(" - "))
            lost[a, z] += 1
        less = fabric.throughput(fail(design, *(f"{a} - {z} x {n}" for (a, z), n in lost.items())))
        assert group.kept == pytest.approx(less.per_endpoint_gbps / healthy)
        assert group.cut_off == sum(cut.n for cut in less.cut_off)


def test_a_slow_cable_costs_what_a_degraded_one_does(as_drawn, tmp_path):
    design = design_of("top-of-rack", as_drawn)
    built = Built(design, 1)
    slow = next(cable for cable in built.cables if cable[0][0] == "rack2-node3")
    slow[2] = 100
    (group,) = audit(design, written(built, "edges", tmp_path), "edges").groups
    less = fabric.degrade(design, ("rack2/node3", "rack2/leaf", 1, "100Gb/s"))
    rates = [fabric.throughput(f).per_endpoint_gbps for f in (less, design)]
    assert (group.kind, group.kept) == ("wrong rate", pytest.approx(rates[0] / rates[1]))
    assert group.kept < 0.5


def test_cables_that_went_round_are_mended_by_one_swap_less(as_drawn, tmp_path):
    design = design_of("rail-only", as_drawn)
    built = Built(design, 1)
    ends = {(cable[0][0], cable[1][0]): n for n, cable in enumerate(built.cables)}
    picked = [ends[f"node{i}", f"leaf{k}"] for k, i in enumerate((1, 4, 7, 8))]
    far = [built.cables[n][1] for n in picked]
    for n, end in zip(picked, far[1:] + far[:1], strict=True):
        built.cables[n][1] = end
    answer = audit(design, written(built, "dot", tmp_path), "dot")
    (group,) = answer.groups
    assert (group.kind, group.n, len(answer.moves)) == ("swapped", 3, 3)
    # Carried out one by one, the swaps make what was planned.
    now = {frozenset((f"{a[0]} {a[1]}", f"{z[0]} {z[1]}")) for a, z, _ in built.cables}
    for move in answer.moves:
        one, other = move.removeprefix("swap the far ends of ").split(": ")[0].split(" and ")
        (a, x), (b, y) = one.split(" - "), other.split(" - ")
        now -= {frozenset((a, x)), frozenset((b, y))}
        planned = frozenset(move.split(": ")[1].split(" - "))
        rest = {a, x, b, y} - planned
        now |= {planned, frozenset(rest)}
    clean = Built(design, 1).cables
    assert now == {frozenset((f"{a[0]} {a[1]}", f"{z[0]} {z[1]}")) for a, z, _ in clean}


def test_a_port_with_two_cables_is_refused_where_no_name_explains_it(as_drawn, tmp_path):
    design = design_of("two-tier", as_drawn)
    built = Built(design, 1)
    built.cables.append([built.cables[0][0], ("spine0", "77"), RATE])
    with pytest.raises(fabric.TopologyError, match="has another cable too"):
        audit(design, written(built, "dot", tmp_path), "dot")
