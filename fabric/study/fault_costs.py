"""What single groups of faults cost: throughput, collectives, endpoints cut off, ways that are left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import networkx as nx

from fabric.costing import cost
from fabric.errors import FabricError, LimitError
from fabric.flow.throughput import throughput
from fabric.graph import Fabric, degrade, fail, unnamed
from fabric.graph.exchange import from_networkx, to_networkx
from fabric.interop.matching import Fault, Matching
from fabric.sizing.cable_plan import CablePlan
from fabric.sizing.cables import PlannedCable

MANY_DEVICES = 3_000
"""Devices up to which what was built is solved cable by cable."""


class FaultCost(NamedTuple):
    """What faults cost.

    Parameters
    ----------
    kept : float or None
        All-to-all with only these faults, as a part of that of the design; None where it was not worked out.
    cut_off : int
        Endpoints that they cut off.
    collectives : mapping of str to (float or None)
        Bus bandwidth of the collectives that were asked for, as parts too.
    """

    kept: float | None = None
    cut_off: int = 0
    collectives: Mapping[str, float | None] = {}


class WaysOn(NamedTuple):
    """Cables that lead on from a node: to its own level or a higher one.

    Parameters
    ----------
    node : str
    left, n_of : int
        With the faults, and in the plan.
    """

    node: str
    left: int
    n_of: int


class FaultCosts:
    """What faults cost beside the design as it is.

    Parameters
    ----------
    design : Fabric
    plan : CablePlan
        Of the design.
    comparison : Matching
    collectives : sequence of str
        Whose bus bandwidth is compared too.
    size : str or int
        Of their buffers.
    """

    def __init__(
        self,
        design: Fabric,
        plan: CablePlan,
        comparison: Matching,
        collectives: Sequence[str],
        size: str | int,
    ) -> None:
        # Devices of the plan go by the axes, whatever the site calls them.
        self._design, self._plan, self._comparison = unnamed(design), plan, comparison
        self._size = size
        self._whole = {name: cost(design, name, size).busbw_gbps for name in collectives}
        self.notes: list[str] = []
        self._graph: nx.MultiGraph | None = None
        self._healthy: float | None = None

    def of(self, faults: Sequence[Fault]) -> FaultCost:
        """Return what faults alone cost, all others mended."""
        try:
            if self._healthy is None:
                self._healthy = throughput(self._design).per_endpoint_gbps
            fabric = self._with(faults)
            answer = throughput(fabric)
        except FabricError as error:
            self.notes.append(f"cost not worked out: {' '.join(str(error).split())}")
            return FaultCost()
        cut_off = sum(cut.n for cut in answer.cut_off)
        kept = answer.per_endpoint_gbps / self._healthy if self._healthy else None
        return FaultCost(kept, cut_off, {name: self._kept(fabric, name) for name in self._whole})

    def _with(self, faults: Sequence[Fault]) -> Fabric:
        if faults[0].kind == "wrong rate":
            return self._slower(faults)
        return self._without(faults) if all(not fault.found for fault in faults) else self._as_built(faults)

    def _kept(self, fabric: Fabric, collective: str) -> float | None:
        whole = self._whole[collective]
        try:
            return cost(fabric, collective, self._size).busbw_gbps / whole if whole else None
        except FabricError as error:
            self.notes.append(f"{collective} not worked out: {' '.join(str(error).split())}")
            return None

    def ways(self, faults: Sequence[Fault]) -> WaysOn | None:
        """Return which node has the fewest cables left that lead on from it; None where none is lost."""
        change: Counter[str] = Counter()
        for sign, texts in (
            (-1, (t for f in faults for t in f.planned)),
            (1, (t for f in faults for t in f.found)),
        ):
            for text in texts:
                nodes = self._nodes_of(text)
                change.update({node: sign for node in self._leading_on(*nodes)} if nodes else {})
        lost = [(self._n_on[node] + n, node) for node, n in change.items() if n < 0]
        if not lost:
            return None
        left, node = min(lost)
        return WaysOn(node, left, self._n_on[node])

    def _nodes_of(self, text: str) -> tuple[str, str] | None:
        plan = self._comparison.cable_of_text.get(text)
        if plan is not None:
            return plan.a.node, plan.z.node
        ends = self._comparison.ends_of_text.get(text)
        return (ends[0][0], ends[1][0]) if ends else None

    def _leading_on(self, *nodes: str) -> Iterator[str]:
        """Yield from which of its two ends a cable leads on: not to what is below."""
        a, z = (self._level.get(node, 0) for node in nodes)
        yield from (node for node, is_on in zip(nodes, (a <= z, z <= a), strict=True) if is_on)

    @cached_property
    def _level(self) -> dict[str, int]:
        return {node.name: node.level for node in self._plan.nodes()}

    @cached_property
    def _n_on(self) -> Counter[str]:
        ends = (self._leading_on(cable.a.node, cable.z.node) for cable in self._comparison.plan)
        return Counter(chain.from_iterable(ends))

    def _slower(self, faults: Sequence[Fault]) -> Fabric:
        at: Counter[tuple[str, str, float]] = Counter()
        for fault in faults:
            cable, rate = self._comparison.slower[fault.found[0]]
            # One that is faster than planned carries what was planned.
            if rate < cable.rate_gbps:
                at[cable.a.device, cable.z.device, rate] += 1
        return degrade(self._design, *((a, z, n, f"{rate:.12g}Gb/s") for (a, z, rate), n in at.items()))

    def _without(self, faults: Sequence[Fault]) -> Fabric:
        lost: Counter[tuple[str, str]] = Counter()
        for text in (text for fault in faults for text in fault.planned):
            cable = self._comparison.cable_of_text[text]
            lost[cable.a.device, cable.z.device] += 1
        return fail(self._design, *(f"{a} - {z} x {n}" for (a, z), n in lost.items()))

    def _as_built(self, faults: Sequence[Fault]) -> Fabric:
        if self._graph is None:
            self._graph = to_networkx(self._design)
        if self._graph.number_of_nodes() > MANY_DEVICES:
            n = self._graph.number_of_nodes()
            msg = f"{n:,} devices are more than {MANY_DEVICES:,}, up to which cables are solved one by one"
            raise LimitError(msg)
        graph = self._graph.copy()
        for fault in faults:
            plans = [self._comparison.cable_of_text[text] for text in fault.planned]
            for cable in plans:
                _take_out(graph, cable)
            for text in fault.found if plans else ():
                ends = self._comparison.ends_of_text[text]
                devices = [self._comparison.device.get(port) for port in ends]
                if all(devices) and fault.kind != "wrong port":
                    _put_in(graph, devices, plans[0])
                elif fault.kind == "wrong port":
                    _put_in(graph, [plans[0].a.device, plans[0].z.device], plans[0])
        return from_networkx(graph)


def _take_out(graph: nx.MultiGraph, cable: PlannedCable) -> None:
    data = graph[cable.a.device][cable.z.device][cable.rule]
    if data["count"] == 1:
        graph.remove_edge(cable.a.device, cable.z.device, cable.rule)
    else:
        data["count"] -= 1
        data["capacity"] -= cable.rate_gbps


def _put_in(graph: nx.MultiGraph, devices: Sequence[str | None], like: PlannedCable) -> None:
    """Add a cable like one of the plan; the end nearer the endpoints is that of the same group, if any is."""
    group = graph.nodes[like.a.device]["group"]
    lower, upper = devices if graph.nodes[devices[0]]["group"] == group else devices[::-1]
    rate = like.rate_gbps
    graph.add_edge(
        lower, upper, rate_gbps=rate, count=1, failed_count=0, capacity=rate, net="scale-out", lower=lower
    )
