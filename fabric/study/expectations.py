"""Whether a fabric is what its file expects: every line of ``expect:`` measured, with what binds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, cast

from fabric.arguments import checked
from fabric.blueprint.expectation import COUNT, RAILS, SURVIVES, holds
from fabric.blueprint.model import Blueprint, DeviceGroup, Expectation, Rule
from fabric.blueprint.remembered import remembered
from fabric.bounds.bound import bound
from fabric.costing import cost
from fabric.errors import FabricError, LimitError, QuestionError, printable
from fabric.flow import max_flow
from fabric.flow.throughput import Throughput, throughput
from fabric.flow.traffic import Traffic, TrafficPattern
from fabric.graph import Fabric, fail_by_axes
from fabric.results import DeviceText, Result
from fabric.sizing.bill import Bom
from fabric.sizing.bom import bom
from fabric.sizing.prices import indicative_prices
from fabric.sizing.summary import Summary, summarize
from fabric.symmetry.orbits import orbits
from fabric.text.words import join_words, number
from fabric.units import format_count, format_power, format_rate, format_time

MOST_SOLVED = 500
"""States of a fabric, or different questions of it, that the lines of one file may have solved."""
Standing = Literal["met", "unmet", "undecided"]


class Finding(NamedTuple):
    """What was measured: the least and the most that it may be, what binds it, and what else to say of it."""

    least: float | None
    most: float | None
    binding: str = ""
    why: str = ""


def _exactly(value: float, binding: str = "", why: str = "") -> Finding:
    return Finding(value, value, binding, why)


@remembered(64)
def _rate(
    fabric: Fabric, asked: TrafficPattern | Traffic, among: str | None, over: tuple[str, ...]
) -> Throughput:
    """Return a rate that several lines may hold to different demands."""
    return throughput(fabric, asked, among=among, over=over)


@dataclass(frozen=True, slots=True)
class MeasuredLine:
    """One line of ``expect:``, and what became of it.

    Parameters
    ----------
    expectation : str
        As the file has it.
    status : {"met", "unmet", "undecided"}
        ``undecided`` where the interval that is known of the value, or an error, leaves it open.
    value : float or None
        Measured: Gb/s per direction, a part of 1, s, a number, W or USD; the end of an interval that decides.
    demand : float
        In the same unit.
    unit : {"rate", "part", "time", "count", "ratio", "power", "price"}
    binding : str
        The link class that binds, or the failure that hurts most.
    why : str
        What else is to be known, such as why nothing could be measured.
    path, line, col
        Where the line stands.
    """

    expectation: str
    status: Standing
    value: float | None
    demand: float
    unit: str
    binding: str
    why: DeviceText
    path: str
    line: int
    col: int

    @property
    def message(self) -> str:
        """What became of the line, in one."""
        value = "not known" if self.value is None else show(self.value, self.unit)
        parts = [f"{self.expectation}: {self.status}: {value}"]
        if self.status != "met":
            parts[0] += f" where {show(self.demand, self.unit)} is expected"
        parts += [f"{self.binding} binds"] if self.binding else []
        parts += [self.why] if self.why else []
        return printable("; ".join(parts))


_SHOW: Mapping[str, Callable[[float], str]] = {
    "rate": format_rate,
    "time": format_time,
    "power": format_power,
    "count": lambda value: format_count(int(value)) if value else "0",
    "price": lambda value: f"{value:,.0f} USD",
}


def show(value: float, unit: str) -> str:
    """Return a value in words.

    Examples
    --------
    >>> show(300.0, "rate"), show(0.5, "part"), show(20000.0, "count")
    ('300 Gb/s (37.5 GB/s)', '0.5', '20,000')
    """
    return _SHOW[unit](value) if unit in _SHOW else number(value)


@dataclass(frozen=True, slots=True)
class Expectations(Result):
    """Answer of `check`.

    Parameters
    ----------
    name : str
        Of the fabric.
    outcomes : tuple of MeasuredLine
        In the order of the file.
    """

    name: str
    outcomes: tuple[MeasuredLine, ...]

    shown: ClassVar[tuple[str, ...]] = ("status",)

    @property
    def unmet(self) -> tuple[MeasuredLine, ...]:
        """What is not met, or not known to be."""
        return tuple(outcome for outcome in self.outcomes if outcome.status != "met")

    @property
    def status(self) -> Literal["met", "unmet"]:
        """``met`` where every line is."""
        return "unmet" if self.unmet else "met"

    def table(self) -> list[dict[str, object]]:
        """Return the lines with what became of them."""
        return [
            {name: getattr(outcome, name) for name in MeasuredLine.__dataclass_fields__}
            for outcome in self.outcomes
        ]

    def __str__(self) -> str:
        """Return one line for each, those that are not met with their place."""
        if not self.outcomes:
            return f"{self.name}: nothing is expected; write expect: in its file"
        n_met = len(self.outcomes) - len(self.unmet)
        lines = [f"{self.name}: {n_met} of {len(self.outcomes)} expectations are met"]
        for outcome in self.outcomes:
            at = "" if outcome.status == "met" else f"{outcome.path}:{outcome.line}:{outcome.col}: "
            lines.append(f"  {at}{outcome.message}")
        return "\n".join(lines)


@checked
def check(fabric: Fabric) -> Expectations:
    """Return whether a fabric is what ``expect:`` of its file says.

    Parameters
    ----------
    fabric : Fabric
        Healthy or with failures; what is expected is measured as it stands.

    Returns
    -------
    Expectations

    Raises
    ------
    QuestionError
        If the fabric came from a graph, which expects nothing.

    Notes
    -----
    Values are those of the verbs of the same name, compared up to a millionth. A value that is only known as
    an interval decides where the whole interval does.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s}], "
    >>> text += "expect: [all-to-all >= 300Gb/s, leaf = 2]}"
    >>> print(check(loads(text)))
    a: 1 of 2 expectations are met
      all-to-all >= 300Gb/s: met: 400 Gb/s (50 GB/s); gpu-leaf binds
      <text>:1:179: leaf = 2: unmet: 1 where 2 is expected
    """
    blueprint = fabric.axes_or_refuse("what is expected")
    measured = _Measured(fabric, blueprint)
    return Expectations(fabric.name, tuple(_outcome(line, measured) for line in blueprint.expectations))


def _outcome(line: Expectation, measured: _Measured) -> MeasuredLine:
    finding = measured.find(line)
    status, value = _judge(line, finding)
    at = (line.origin.path, line.origin.line, line.origin.col)
    return MeasuredLine(line.text, status, value, line.demand, line.unit, finding.binding, finding.why, *at)


def _judge(line: Expectation, finding: Finding) -> tuple[Standing, float | None]:
    """Return whether what is expected holds, and the value that says so."""
    if finding.least is None or finding.most is None:
        return "undecided", None
    ends = (finding.least, finding.most) if line.relation in (">", ">=") else (finding.most, finding.least)
    worst, best = (holds(line.relation, end, line.demand) for end in ends)
    if worst == best:
        return ("met" if worst else "unmet"), ends[0] if worst else ends[1]
    return "undecided", finding.least


class _Measured:
    """A fabric and what was measured of it, each once.

    Parameters
    ----------
    fabric : Fabric
    blueprint : Blueprint
    """

    def __init__(self, fabric: Fabric, blueprint: Blueprint) -> None:
        self.fabric, self.blueprint = fabric, blueprint
        self._found: dict[tuple[object, ...], Finding] = {}
        self._n_solved = 0

    def find(self, line: Expectation) -> Finding:
        """Return what a line measures; lines that differ by what they demand measure the same."""
        options = tuple(sorted((name, tuple(values)) for name, values in line.options.items()))
        asked = (line.measure, line.of, options, line.figure, line.unit)
        if asked not in self._found:
            try:
                self._found[asked] = _MEASURED.get(line.measure, _Measured.collective)(self, line)
            except FabricError as error:
                self._found[asked] = Finding(None, None, why=" ".join(str(error).split()))
        return self._found[asked]

    def _solve(self, n: int = 1) -> None:
        """Count what is solved: a file is not trusted, and lines are short.

        Raises
        ------
        LimitError
            If it is too much.
        """
        self._n_solved += n
        if self._n_solved > MOST_SOLVED:
            msg = f"not measured: one check solves at most {MOST_SOLVED} states of a fabric"
            raise LimitError(msg)

    @cached_property
    def summary(self) -> Summary:
        """The fabric in tables."""
        return summarize(self.fabric)

    @cached_property
    def bill(self) -> Bom:
        """What is to be bought, at indicative prices."""
        return bom(self.fabric, prices=indicative_prices())

    @cached_property
    def own_gbps(self) -> float:
        """What the links of one endpoint into the scale-out network carry, or all of its links [Gb/s]."""
        switches = {group.name for group in self.summary.groups if group.kind == "switch"}
        links = [link for link in self.summary.links if link.lower not in switches]
        outward = [link for link in links if link.net == "scale-out"] or links
        return sum(link.per_endpoint_gbps for link in outward)

    def count(self, line: Expectation) -> Finding:
        """Count the devices of a group, or the cables of a link rule."""
        numbers = {link.name: link.n_cables for link in self.summary.links}
        numbers |= {group.name: group.n_devices for group in self.summary.groups}
        return _exactly(float(numbers[line.of[0]]))

    def cables(self, line: Expectation) -> Finding:
        """Count the cables that are bought, without those that come inside servers and racks."""
        return _exactly(float(self.bill.n_cables))

    def switches(self, line: Expectation) -> Finding:
        """Count the switches of all networks."""
        return _exactly(float(sum(g.n_devices for g in self.summary.groups if g.kind == "switch")))

    def endpoints(self, line: Expectation) -> Finding:
        """Count the endpoints."""
        return _exactly(float(self.summary.n_endpoints))

    def oversubscription(self, line: Expectation) -> Finding:
        """Return downlink over uplink capacity of a group of switches; 0 at the top, which has no uplinks."""
        for tier in self.summary.tiers:
            if tier.name == line.of[0]:
                return _exactly(tier.ratio or 0.0, why="" if tier.ratio else f"{tier.name} is the top tier")
        return Finding(None, None, why=f"{line.of[0]} is no tier of switches of the scale-out network")

    def power(self, line: Expectation) -> Finding:
        """Return the power of all parts; the most is not known where that of some is not."""
        unknown = sorted({item.item for item in self.bill.power_unknown})
        known = self.bill.power_w or 0.0
        if not unknown:
            return _exactly(known)
        return Finding(known, float("inf"), why=f"no power known of {join_words(unknown[:4])}")

    def price(self, line: Expectation) -> Finding:
        """Return the indicative price, from the lowest to the highest of all parts that have one."""
        least, most = self.bill.cost_usd or (0.0, float("inf"))
        unknown = sorted({item.item for item in self.bill.cost_unknown})
        if unknown:
            why = f"indicative prices; none of {join_words(unknown[:4])}"
            return Finding(least, float("inf"), why=why)
        return Finding(least, most, why="indicative prices")

    def traffic(self, line: Expectation) -> Finding:
        """Return the rate of a traffic pattern, or the part that it is of what an endpoint's links carry."""
        among = _among(line)
        is_bisection = line.measure == "bisection"
        asked = Traffic("halves", over=line.of) if is_bisection else cast("TrafficPattern", line.measure)
        over = () if is_bisection else tuple(line.options.get("over", ()))
        self._solve()
        return self._as_demanded(line, _rate(self.fabric, asked, among, over))

    def _as_demanded(self, line: Expectation, answer: Throughput) -> Finding:
        if answer.status == "cut off":
            return _exactly(0.0, why="some endpoints are cut off")
        unit = self.own_gbps if line.unit == "part" else 1.0
        proof, binding = answer.certificate, answer.binding[0].link if answer.binding else ""
        why = f"of {format_rate(unit)} that the links of an endpoint carry" if line.unit == "part" else ""
        if answer.status == "optimal":
            return _exactly(answer.per_endpoint_gbps / unit, binding, why)
        return Finding(proof.lower_gbps / unit, proof.upper_gbps / unit, binding, why)

    def max_flow(self, line: Expectation) -> Finding:
        """Return the max-flow between two selectors."""
        self._solve()
        answer = max_flow(self.fabric, line.of[0], line.of[1])
        binding = join_words([part.link for part in answer.cut])
        return _exactly(answer.value_gbps, binding)

    def bound(self, line: Expectation) -> Finding:
        """Return what no algorithm can beat."""
        self._solve()
        answer = bound(self.fabric, line.of[0], over=line.options.get("over", ()), among=_among(line))
        return _exactly(_figure(line, answer.time_s, answer.algbw_gbps, answer.busbw_gbps), answer.binding[0])

    def collective(self, line: Expectation) -> Finding:
        """Return what a collective reaches under a calibration."""
        asked: dict[str, Any] = {key: values[0] for key, values in line.options.items() if key != "over"}
        name = asked.get("calibration", "")
        if "/" in name or "." in name:
            msg = f"calibration {name!r}: a topology file names one of the program and reads no other file"
            raise QuestionError(msg)
        self._solve()
        answer = cost(self.fabric, line.measure, line.of[0], over=line.options.get("over", ()), **asked)
        if answer.cut_off:
            return _exactly(0.0 if line.unit == "rate" else float("inf"), why="some ranks are cut off")
        value = _figure(line, answer.time_s, answer.algbw_gbps, answer.busbw_gbps)
        return _exactly(value, answer.binding, f"{answer.chosen.algorithm}, calibration {answer.calibration}")

    def rails(self, line: Expectation) -> Finding:
        """Return 1 where no first switch is cabled to two cards of one box, else 0."""
        sides = [rule for rule in self.blueprint.rules if _enters(self.blueprint, rule)]
        if not sides:
            return Finding(None, None, why="no switch joins scale-out cables from below")
        for rule in sides:
            shared = _merged(self.blueprint, rule)
            if shared:
                several = f"several {rule.left_group} of one box, along {join_words(shared)}"
                return _exactly(0.0, why=f"{rule.right_group} joins {several}")
        return _exactly(1.0)

    def survival(self, line: Expectation) -> Finding:
        """Return what is kept at least of all-to-all when any one of the devices or cables named fails."""
        rules = {
            rule.name for rule in self.blueprint.rules if {rule.left_group, rule.right_group} == set(line.of)
        }
        wanted = set(line.of) if len(line.of) == 1 else rules
        alike = [
            o for o in orbits(self.fabric) if (o.kind == "cable") == (len(line.of) == 2) and o.of in wanted
        ]
        if not alike:
            return Finding(None, None, why=f"there is no {' - '.join(line.of)} that could fail")
        self._solve(1 + len(alike))
        healthy = throughput(self.fabric).certificate
        worst = Finding(float("inf"), float("inf"))
        for orbit in alike:
            name = " - ".join(map(str, orbit.ends))
            answer = throughput(fail_by_axes(self.fabric, name if orbit.kind == "device" else f"{name} x 1"))
            if answer.status == "cut off":
                lost = sum(cut.n for cut in answer.cut_off)
                return _exactly(0.0, why=f"{name} cuts off {format_count(lost)} endpoints")
            proof = answer.certificate
            kept = Finding(
                proof.lower_gbps / healthy.upper_gbps,
                proof.upper_gbps / healthy.lower_gbps,
                answer.binding[0].link if answer.binding else "",
                f"{name} is the worst" if len(alike) > 1 else "",
            )
            worst = min(worst, kept, key=lambda finding: finding.least or 0.0)
        return worst


def _among(line: Expectation) -> str | None:
    return line.options["among"][0] if "among" in line.options else None


def _figure(line: Expectation, time_s: float, algbw_gbps: float, busbw_gbps: float) -> float:
    return {"time": time_s, "algbw": algbw_gbps, "busbw": busbw_gbps}[line.figure]


def _enters(blueprint: Blueprint, rule: Rule) -> bool:
    """Return whether a rule joins what is no switch to a switch of the scale-out network."""
    kinds = (blueprint.groups[rule.left_group].kind, blueprint.groups[rule.right_group].kind)
    return rule.net == "scale-out" and kinds[0] != "switch" and kinds[1] == "switch"


def _merged(blueprint: Blueprint, rule: Rule) -> list[str]:
    """Return the axes along which several devices of one box are cabled to the same switch.

    The box is the host, or the scale-up domain where the file has no hosts.
    """
    cards = set(blueprint.groups[rule.left_group].primitives)
    boxes = [group for group in blueprint.groups.values() if set(group.primitives) < cards]
    hosts = [g for g in boxes if g.kind == "host"] or [g for g in boxes if _is_scale_up(blueprint, g)]
    if not hosts:
        return []
    box = set(min(hosts, key=lambda group: len(group.primitives)).primitives)
    apart = box | set(blueprint.groups[rule.right_group].primitives)
    return [axis for axis in blueprint.groups[rule.left_group].primitives if axis not in apart]


def _is_scale_up(blueprint: Blueprint, group: DeviceGroup) -> bool:
    return any(rule.net == "scale-up" and rule.right_group == group.name for rule in blueprint.rules)


_MEASURED: Mapping[str, Callable[[_Measured, Expectation], Finding]] = {
    "all-to-all": _Measured.traffic,
    "bisection": _Measured.traffic,
    "longest-matching": _Measured.traffic,
    "max-flow": _Measured.max_flow,
    "bound": _Measured.bound,
    "oversubscription": _Measured.oversubscription,
    "cables": _Measured.cables,
    "switches": _Measured.switches,
    "endpoints": _Measured.endpoints,
    "power": _Measured.power,
    "price": _Measured.price,
    COUNT: _Measured.count,
    SURVIVES: _Measured.survival,
    RAILS: _Measured.rails,
}
"""How each is measured; what is not here is a collective."""
