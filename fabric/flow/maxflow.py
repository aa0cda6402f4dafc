"""Maximum flow between two selections, with its cut, its ties and its proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from fabric.arguments import Method, checked
from fabric.arrays import Floats, Ints
from fabric.errors import LimitError, QuestionError
from fabric.flow.certificate import GAP, Verdict, check_flow
from fabric.flow.classes import class_ground, class_problem
from fabric.flow.cut import CutCables, CutClass, name_classes, name_links
from fabric.flow.problem import FlowProblem, Selection, flow_problem, network, parts_of, select_parts
from fabric.flow.proof import Claim, prove_on_file
from fabric.flow.solve import solve
from fabric.graph import EXPAND_LIMIT, Expanded, Fabric, Paths, expand, failures
from fabric.graph.forwarding import PATH_RULES
from fabric.results import CutOff, DamageCount, DeviceText, Result, say_damage, say_lost
from fabric.symmetry import NoSymmetryError, count_named, nesting
from fabric.symmetry.marked import count_damage
from fabric.units import format_rate


@dataclass(frozen=True, slots=True)
class MaxFlow(Result):
    """Answer of `max_flow`; all rates in one direction.

    Parameters
    ----------
    source, target : str
        The question.
    value_gbps : float
        Maximum flow [Gb/s].
    status : {"optimal", "bounded", "cut off"}
        Whether the certificate closes the gap; ``cut off`` where failures leave no path.
    cut : tuple of CutClass
        The minimum cut nearest the source, by rule; empty where nothing can flow. Where the program of joint
        capacities decides (see `flow_network`), one of the minimum cuts.
    tied : tuple of str
        Other rules that bind in another minimum cut; more of those in `cut` alone would not help.
    paths : {"rules", "no-relay", "any"}
        The path rule.
    without_relay_gbps : float or None
        The value with no relaying, where that differs.
    method, why : str
        ``axes`` where it was solved on classes, ``links`` where on real devices, and why.
    n_classes : int
        Classes of devices, or devices, that the solver saw.
    certificate : Verdict
    cut_off : tuple of CutOff
        Where failures leave no path from one side to the other: both, and how many of each are up.
    n_failed : int
        Devices of both sides that have failed; they are left out.
    damage : DamageCount or None
        How much is absent or down, and of how many kinds; None if nothing is, or the axes do not say.
    """

    source: DeviceText
    target: DeviceText
    value_gbps: float
    status: Literal["optimal", "bounded", "cut off"]
    cut: tuple[CutClass, ...]
    tied: tuple[str, ...]
    paths: Paths
    without_relay_gbps: float | None
    method: str
    why: DeviceText
    n_classes: int
    certificate: Verdict = field(repr=False)
    cut_off: tuple[CutOff, ...] = ()
    n_failed: int = 0
    damage: DamageCount | None = None

    def table(self) -> list[dict[str, object]]:
        """Return the minimum cut by link class."""
        return [{"link": c.link, "n_cables": c.n_cables, "capacity_gbps": c.capacity_gbps} for c in self.cut]

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        proof = self.certificate
        rate, own = format_rate(self.value_gbps), self.without_relay_gbps
        if own is not None:
            rate = f"{format_rate(own)} on its own, {rate} with others relaying,"
        lines = [f"max-flow {self.source} -> {self.target}: {rate} per direction"]
        lines += [f"  binding: {cut}" for cut in self.cut] or ["  nothing can flow: no permitted path"]
        if self.tied:
            lines.append(f"  tied with: {', '.join(self.tied)}")
        lines += say_lost(self.cut_off, self.n_failed, "", kind="devices")
        lines += say_damage(self.damage)
        lines.append(f"  paths: {PATH_RULES[self.paths]}")
        lines.append(f"  method: {self.method} ({self.why})")
        lower, upper = format_rate(proof.lower_gbps), format_rate(proof.upper_gbps)
        lines.append(f"  {self.status}: a flow of {lower} and a cut of {upper} (checked {proof.scope})")
        return "\n".join(lines)


@checked
def max_flow(
    fabric: Fabric,
    source: Selection,
    target: Selection,
    *,
    paths: Paths = "rules",
    method: Method = "auto",
    limit: int = EXPAND_LIMIT,
    devices: bool = False,
) -> MaxFlow:
    """Return the maximum flow from `source` to `target` and what binds it.

    Parameters
    ----------
    fabric : Fabric
    source, target : selector, or several
        Such as ``"rack0"``, ``"rack0/tray0/gpu0"`` or ``["rack0", "rack2"]``; a node, or a list of nodes, for
        a fabric read from a graph.
    paths : {"rules", "no-relay", "any"}
        The path rule: the file's, the file's without relaying, or any path at all.
    method : {"auto", "axes", "links"}
        On classes, which costs the same at any size, or on real devices and cables; by default on classes
        where the axes say the symmetry.
    limit : int
        Of the expanded form.
    devices : bool
        Whether to name the devices that the cables of the cut join, up to `fabric.flow.cut.MAX_NAMED` ranges
        of them for each rule.

    Returns
    -------
    MaxFlow

    Raises
    ------
    SelectorError, QuestionError
        If a side matches nothing, or the sides overlap.
    LimitError
        If the fabric is too large to be expanded.
    ProofError
        If the file does not bear out the flow or the cut: an error of this program.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> devices = "devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}"
    >>> links = "links: [{between: [gpu, leaf], rate: 400Gb/s}]"
    >>> text = f"{{fabric: a, axes: {{i: 2}}, {devices}, {links}}}"
    >>> print(max_flow(loads(text), "gpu0", "gpu1"))
    max-flow gpu0 -> gpu1: 400 Gb/s (50 GB/s) per direction
      binding: 1 gpu-leaf cable, 400 Gb/s (50 GB/s)
      paths: climb, turn once, descend; relay or pass freely where the file says so
      method: axes (the axes say the symmetry)
      optimal: a flow of 400 Gb/s (50 GB/s) and a cut of 400 Gb/s (50 GB/s) (checked on all 4 links)
    """
    source, target = parts_of(fabric, source), parts_of(fabric, target)
    pose, used, why = _pose(fabric, source, target, method, limit)
    problem = pose(paths)
    name = _names(fabric, source, target, problem.moves.expanded, used) if devices else None
    # Posed, solved, proven on moves, and these held to the file.
    claim, cut, binding = _answer(problem, name)
    proof = prove_on_file(fabric, (source, target), paths, claim, on_classes=used == "axes")
    # Relaying through other endpoints is worth saying where it decides.
    without = None
    if paths == "rules" and any(g.transit == "relay" for g in problem.moves.expanded.groups):
        claim = _answer(pose("no-relay"))[0]
        sides = source, target
        plain = prove_on_file(fabric, sides, "no-relay", claim, on_classes=used == "axes").lower_gbps
        without = plain if abs(plain - proof.lower_gbps) > GAP * max(plain, proof.lower_gbps) else None
    texts = ", ".join(map(str, source)), ", ".join(map(str, target))
    cut_off, n_failed = _lost(fabric, problem, (source, target), texts)
    return MaxFlow(
        source=texts[0],
        target=texts[1],
        value_gbps=proof.lower_gbps,
        status="cut off" if cut_off else proof.status,
        cut=cut,
        tied=tuple(name for name in binding if name not in {c.link for c in cut}),
        paths=paths,
        without_relay_gbps=without,
        method=used,
        why=why,
        n_classes=problem.moves.expanded.n_devices,
        certificate=proof,
        cut_off=cut_off,
        n_failed=n_failed,
        damage=count_damage(fabric.blueprint),
    )


def _lost(
    fabric: Fabric, problem: FlowProblem, sides: tuple[tuple[object, ...], ...], texts: tuple[str, ...]
) -> tuple[tuple[CutOff, ...], int]:
    """Return both sides with what is up of each, where no path joins them, and how many have failed."""
    if fabric.blueprint is None:
        e = expand(fabric)
        n_each = [
            (int((on & ~e.failed).sum()), int((on & e.failed).sum()))
            for on in (select_parts(fabric, parts) for parts in sides)
        ]
    else:
        n_each = [count_named(fabric.blueprint, tuple(map(str, parts))) for parts in sides]
    # Without failures no path is what the file says: a flow of 0, and its best.
    is_joined = len(problem.tail) > 0 or not failures(fabric)
    cut_off = () if is_joined else tuple(CutOff(t, up) for t, (up, _) in zip(texts, n_each, strict=True))
    return tuple(side for side in cut_off if side.n), sum(failed for _, failed in n_each)


def _pose(
    fabric: Fabric, source: tuple[object, ...], target: tuple[object, ...], method: Method, limit: int
) -> tuple[Callable[[Paths], FlowProblem], str, str]:
    """Return the question under each path rule, the method, and why that one."""

    def expanded(paths: Paths) -> FlowProblem:
        return flow_problem(fabric, source, target, paths=paths, limit=limit)

    blueprint = fabric.blueprint
    if method == "refinement":
        msg = "a max-flow is not answered by refinement; ask for axes or links"
        raise QuestionError(msg)
    # Without axes there are only real links.
    if blueprint is None:
        if method == "axes":
            msg = "a max-flow cannot be answered by axes: a fabric read from a graph has none"
            raise QuestionError(msg)
        return expanded, "links", "a fabric read from a graph has no axes"
    if method == "links":
        return expanded, "links", "asked for"
    try:
        # Raises where the axes do not say the symmetry.
        nesting(blueprint)
    except NoSymmetryError as error:
        if method == "axes":
            raise
        return expanded, "links", str(error)
    return (
        lambda paths: class_problem(blueprint, source, target, paths=paths),
        "axes",
        "the axes say the symmetry",
    )


_Namer = Callable[[Ints], tuple[CutCables, ...]]


def _names(
    fabric: Fabric, source: tuple[object, ...], target: tuple[object, ...], e: Expanded, method: str
) -> _Namer:
    """Return what names the links of `e`, the fabric as the solver saw it."""
    if fabric.blueprint is None or method != "axes":
        return partial(name_links, fabric.blueprint, e)
    try:
        return partial(name_classes, class_ground(fabric.blueprint, source, target), e)
    except LimitError:
        # Damage that is alike is one class; by name each is one of its own, and these may be too many.
        return lambda links: ()


def _answer(
    problem: FlowProblem, name: _Namer | None = None
) -> tuple[Claim, tuple[CutClass, ...], tuple[str, ...]]:
    """Return what is proven on moves, the cut, and the names of all rules that bind in some minimum cut."""
    e = problem.moves.expanded
    net = network(problem)
    # Rules of a graph can share a name; what has one name is one class.
    names = list(dict.fromkeys(rule.name for rule in e.rules))
    class_of = np.array([names.index(rule.name) for rule in e.rules], dtype=np.int64)[e.rule]
    has_link = net.link >= 0
    # Each arc by the name of its rule; arcs of no link have none.
    kind = np.full(len(net.link), -1, dtype=np.int64)
    kind[has_link] = class_of[net.link[has_link] // 2]
    solution = solve(net, kind)
    # From the arcs of the network back to the moves of the problem, where it is proven.
    flow = np.zeros(len(problem.tail))
    flow[net.move[net.move >= 0]] = solution.flow[net.move >= 0]
    price = np.zeros(len(problem.capacity))
    # Several arcs of a link, one price: that of the dearest.
    np.maximum.at(price, net.link[has_link], solution.price[has_link])
    proof = check_flow(
        problem.tail,
        problem.head,
        problem.link,
        problem.capacity,
        problem.sources,
        problem.targets,
        flow,
        price,
    )
    binding = tuple(names[i] for i in np.unique(kind[solution.binds]).tolist())
    return Claim(problem, flow, price, proof), _cut(problem, price, class_of, names, name), binding


def _cut(
    problem: FlowProblem, price: Floats, class_of: Ints, names: list[str], name: _Namer | None
) -> tuple[CutClass, ...]:
    """Group the links that carry a price by class, in the order of the file."""
    alive = problem.moves.expanded.alive
    # The price is 1 on the minimum cut nearest the source.
    links = np.flatnonzero((price > 0) & (problem.capacity > 0))
    classes = []
    for number in np.unique(class_of[links // 2]).tolist():
        crossed = links[class_of[links // 2] == number]
        n_cables = int(alive[np.unique(crossed // 2)].sum())
        # With prices of 0 and 1 the capacity that crosses; with joint capacities what the certificate counts.
        capacity = float(problem.capacity[crossed] @ price[crossed])
        classes.append(CutClass(names[number], n_cables, capacity, name(crossed) if name else ()))
    return tuple(classes)
