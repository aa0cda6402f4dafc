"""Every system on one page: its drawing, its key numbers by the solvers, and what it was checked against."""

from __future__ import annotations

import argparse
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabric.blueprint import template_names
from fabric.flow import MaxFlow
from fabric.parts import CONFIDENCES, Source
from fabric.text.markdown import escape, table
from fabric.text.writing import write_file
from fabric.units import format_count, format_rate, gbps_to_gbytes
from tools.pages.systems_file import Check, System, SystemsFile, read_systems
from tools.pages.systems_numbers import Numbers, SystemAnswers, WayOut, numbers
from tools.pages.systems_quantities import RATES, evaluate

_INTRO = """\
# Systems

Every system that comes with the program: the templates that a file may include, topologies built of them,
and the classical topologies of the literature. `make reports` makes the page from
[topologies/systems/published.yaml](../topologies/systems/published.yaml) and the topology files; no number of
ours on it was typed.

- **Rates** are of one direction. A publication that prints the sum of both is held against twice our number,
  and the row says "both directions".
- **Scale-up** is what one device has in cables of the scale-up network; **scale-out** what it has in cables
  of its cards, or of its own ports, into the network beyond, shared evenly, or to its like where no switch is
  between; cards for storage and the front-end do not count. Where nothing is cabled yet it is the ports, and
  says so.
- **Bisection** is the maximum flow from the lower half of an axis to its upper half, the least over the axes;
  the middle index of an odd size is halved along the next axis. It is an upper bound of the true bisection,
  the least over all halves, which random graphs may well have elsewhere. Places that are not populated stay
  in the count of an axis, so halves may differ by them.
- **All-to-all** is the largest rate at which every device sends to all others at once, exact where the answer
  is *optimal*. **All-gather** is the algorithm bandwidth that no all-gather exceeds; an algorithm is known
  that reaches an *optimum*.
- **Max-flow** is what two devices, or two parts of a system, have between them over all paths. Paths keep the
  rules of the file: up through switches, one turn, and down; a device passes traffic on only where the file
  says so, but in the bound of an all-gather every rank does, since it holds the data.
- **Checked** means that a figure of somebody else is computed here from the links of the file and held to the
  tolerance of its row, in the tests as well. A figure that we miss, or do not try to meet, says why.

{n_systems} systems; {n_checks} figures of others, {n_held} of them held."""

# Of a note; what stands before the first is shown as text.
_MARKS = re.compile(
    r"(?<=[.;]) (?=(?:Assumed|Derived|Published|Reported|Left out|Sources conflict"
    r"|Totals of a chip conflict)\b)"
)
_NO = "-"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A published figure and our number.

    Parameters
    ----------
    check : Check
    ours : float
        As the publication would print it.
    """

    check: Check
    ours: float

    @property
    def is_held(self) -> bool:
        """Whether the difference is within the tolerance."""
        published = self.check.published
        return abs(self.ours - published) <= (self.check.tolerance + 1e-9) * abs(published)


@dataclass(frozen=True, slots=True)
class Solved:
    """A system with its numbers.

    Parameters
    ----------
    system : System
    measured : SystemAnswers
    numbers : tuple of Numbers
        Of each group of endpoints.
    flows : tuple of MaxFlow
        Between the parts that its row names.
    outcomes : tuple of Outcome
    """

    system: System
    measured: SystemAnswers
    numbers: tuple[Numbers, ...]
    flows: tuple[MaxFlow, ...]
    outcomes: tuple[Outcome, ...]


def solve(system: System) -> Solved:
    """Return a system with its numbers, and with those that publications are held against.

    Raises
    ------
    QuestionError
        If it has nothing that a row asks for.
    """
    measured = SystemAnswers(system.fabric)
    return Solved(
        system,
        measured,
        tuple(numbers(measured, group) for group in measured.endpoints),
        tuple(measured.flow(*pair) for pair in system.pairs),
        tuple(outcomes(system.checks, measured)),
    )


def outcomes(checks: Iterable[Check], measured: SystemAnswers) -> Iterable[Outcome]:
    """Yield each published figure of a system with our number."""
    for check in checks:
        yield Outcome(check, check.in_unit(evaluate(measured, check.quantity, check.asked)))


def page(file: SystemsFile, solved: Sequence[Solved]) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    file : SystemsFile
    solved : sequence of Solved
        All systems of the file, in its order.
    """
    outcomes_of_all = [o for s in solved for o in s.outcomes]
    n_held = sum(o.is_held for o in outcomes_of_all)
    lines = [
        _INTRO.format(n_systems=len(solved), n_checks=len(outcomes_of_all), n_held=n_held),
        "",
        *_summary(solved),
    ]
    of = {s.system.name: s for s in solved}
    # A template with the links of another one is told of in the chapter of that one.
    homes = {other: s.system.id for s in solved for other in s.system.also}
    for family in file.families:
        lines += ["", f"## {escape(family.title)}"]
        for system in family.systems:
            lines += ["", *_section(of[system.name], homes)]
    lines += ["", *_evidence(solved), "", *_sources(outcomes_of_all, file)]
    return "\n".join(lines) + "\n"


# --- parts of the page -----------------------------------------------------------------------------------


def _summary(solved: Iterable[Solved]) -> list[str]:
    head = ["system", ">devices", ">scale-up", ">scale-out", ">bisection", ">all-to-all", ">all-gather"]
    lines = [
        "In GB/s per direction: scale-up, scale-out and all-to-all of one device, bisection of the whole",
        "system, all-gather as algorithm bandwidth. Scale-out in brackets is not cabled yet.",
        "",
    ]
    rows = []
    for s in solved:
        checked = f"{sum(o.is_held for o in s.outcomes)}/{len(s.outcomes)}" if s.outcomes else _NO
        for i, n in enumerate(s.numbers):
            name = f"[{s.system.id}](#{s.system.id})" + (f" `{n.group}`" if len(s.numbers) > 1 else "")
            out = n.way_out and _digits(gbps_to_gbytes(n.way_out.total_gbps / n.n_devices))
            cells = [
                name,
                format_count(n.n_devices),
                _span(n.scale_up_gbps, lambda gbps: _digits(gbps_to_gbytes(gbps))),
                _NO if n.way_out is None else out if n.way_out.is_cabled else f"({out})",
                _digits(gbps_to_gbytes(n.bisection.flow.value_gbps)) if n.bisection else _NO,
                _digits(gbps_to_gbytes(n.all_to_all.per_endpoint_gbps)),
                _digits(gbps_to_gbytes(n.all_gather.algbw_gbps)),
                checked if i == 0 else "",
            ]
            rows.append([str(cell) for cell in cells])
    return [*lines, table([*head, ">checked"], rows)]


def _section(solved: Solved, homes: Mapping[str, str]) -> list[str]:
    system = solved.system
    title, drawing = system.drawing()
    lines = [f"### {system.id}", "", escape(title), "", "```text", drawing, "```", ""]
    lines += [_devices(solved.measured), "", *_notes(system, homes)]
    rules = [rule.name for rule in solved.measured.blueprint.rules]
    for n in solved.numbers:
        if len(solved.numbers) > 1:
            lines += ["", f"Among `{n.group}`, {format_count(n.n_devices)} devices:"]
        lines += ["", *_key_numbers(n, rules)]
    if solved.flows:
        lines += ["", table(["max-flow between", ">rate", "binds"], map(_flow, solved.flows))]
    if solved.outcomes:
        lines += ["", *_list_checks(solved.outcomes)]
    return lines


def _devices(measured: SystemAnswers) -> str:
    counts = measured.counts
    groups = []
    for group in measured.blueprint.groups.values():
        part = group.part.name if group.part else f"generic {group.kind}"
        groups.append(f"{format_count(counts.present(group.name))} `{group.name}` ({escape(part)})")
    return f"Devices: {', '.join(groups)}."


def _notes(system: System, homes: Mapping[str, str]) -> list[str]:
    """Return what the file says about itself, assumptions and conflicts on lines of their own.

    `homes` names the chapter of those that have none.
    """
    kind = "Template" if system.is_template else "File"
    lines = [f"- {kind} {_link_file(system.name)}."]
    if system.also:
        lines[0] += f" The same fabric: {', '.join(map(_link_file, system.also))}."
    parts = [name for name in system.notes() if name != system.fabric.name]
    if parts:
        built = ", ".join(f"[{name}](#{homes.get(name, name)})" for name in parts)
        lines[0] += f" Built of {built}, whose notes hold too."
    return lines + [f"- {escape(note)}" for note in _MARKS.split(system.about()) if note]


def _link_file(name: str) -> str:
    folder = "../fabric/templates" if name in template_names() else "../topologies/systems"
    path = posixpath.normpath(f"{folder}/{name}.fabric.yaml")
    return f"[{posixpath.basename(path)}]({path})"


def _key_numbers(n: Numbers, rules: Sequence[str]) -> list[str]:
    rows = [["scale-up per device", _span(n.scale_up_gbps, _rate), ""]]
    rows.append(["scale-out per device", *_out(n.way_out, n.n_devices)])
    if n.bisection:
        flow = n.bisection.flow
        rows.append([f"bisection, halves of `{n.bisection.axis}`", _rate(flow.value_gbps), _binding(flow)])
    # In the order of the file: of links that bind alike, which comes first is chance.
    # Of classes that can spare nothing alone any may have the price: all of them bind.
    full = [c for c in n.all_to_all.slack if c.spare < 1e-9 and c.is_measured]
    names = sorted((c.link for c in (*n.all_to_all.binding, *full)), key=rules.index)
    links = ", ".join(f"`{name}`" for name in names)
    rate = _rate(n.all_to_all.per_endpoint_gbps)
    rows.append(["all-to-all, each device", rate, f"{links}; {n.all_to_all.status}"])
    links = ", ".join(f"`{name}`" for name in n.all_gather.binding)
    rows.append(
        ["all-gather, algbw at most", _rate(n.all_gather.algbw_gbps), f"{links}; {n.all_gather.status}"]
    )
    rows += [_flow(flow, "max-flow ") for flow in n.flows]
    return [table(["number", ">rate per direction", "binds"], rows)]


def _out(uplink: WayOut | None, n_devices: int) -> tuple[str, str]:
    if uplink is None:
        return _NO, "no port in the file"
    return _rate(uplink.total_gbps / n_devices), "" if uplink.is_cabled else "ports, not cabled"


def _flow(flow: MaxFlow, kind: str = "") -> list[str]:
    return [f"{kind}`{flow.source}` to `{flow.target}`", _rate(flow.value_gbps), _binding(flow)]


def _binding(flow: MaxFlow) -> str:
    links = ", ".join(f"`{c.link}`" for c in flow.cut)
    alone = flow.without_relay_gbps
    return links if alone is None else f"{links}; {_rate(alone)} without relaying"


def _list_checks(checked: Sequence[Outcome]) -> list[str]:
    rows = []
    for o in checked:
        check, ways = o.check, ", both directions" if o.check.is_both_ways else ""
        unit = f" {check.unit}" if check.unit else ""
        digits = 6 if check.quantity in RATES else 12
        tolerance = f"within {100 * check.tolerance:.3g} %" if check.tolerance else "exactly"
        rows.append(
            [
                escape(check.what) + ways,
                f"{check.published:,}{unit}",
                f"{_digits(o.ours, digits)}{unit}",
                tolerance if o.is_held else "**no**",
                f"{check.by}: {', '.join(f'[{name}](#sources)' for name in check.source)}",
            ]
        )
    reasons = [f"- *{escape(o.check.what)}*: {escape(o.check.why)}" for o in checked if o.check.why]
    head = ["checked against", ">published", ">ours", "held", "source"]
    return [table(head, rows), *([""] if reasons else []), *reasons]


def _evidence(solved: Sequence[Solved]) -> list[str]:
    checked = [o for s in solved for o in s.outcomes]
    kinds, held = Counter(o.check.by for o in checked), Counter(o.check.by for o in checked if o.is_held)
    rows = [[kind, f"{kinds[kind]}", f"{held[kind]}"] for kind in CONFIDENCES if kinds[kind]]
    lines = ["## What is published, derived and assumed", "", table(["figure", ">rows", ">held"], rows)]
    missed = [
        f"[{s.system.id}](#{s.system.id}): {escape(o.check.what)}"
        for s in solved
        for o in s.outcomes
        if not o.is_held
    ]
    if missed:
        lines += ["", "Not held, each with its reason above:", "", *(f"- {text}" for text in missed)]
    return [*lines, *_standing(s.system for s in solved)]


def _standing(systems: Iterable[System]) -> list[str]:
    """Return the systems by how much of them is published, as their notes have it."""
    kinds: dict[str, list[str]] = {
        "Scenarios, of no published design": [],
        "Worked examples of ours": [],
        "Classical topologies, at sizes of ours": [],
        "Generic servers, of no vendor": [],
        "Published or reported systems of which something is assumed": [],
        "Published or reported systems of which no assumption is noted": [],
    }
    scenario, example, classical, generic, assumed, noted = kinds.values()
    for system in systems:
        link = f"[{system.id}](#{system.id})"
        if "scenario, not a published design" in system.about():
            scenario.append(link)
        elif "worked example" in system.about():
            example.append(link)
        elif "patterns" in system.name.split("/"):
            classical.append(link)
        elif "generic server" in system.about():
            generic.append(link)
        else:
            (assumed if any("Assumed:" in note for note in system.notes().values()) else noted).append(link)
    return [
        line for title, links in kinds.items() for line in ("", f"{title}: {', '.join(links) or 'none'}.")
    ]


def _sources(checked: Iterable[Outcome], file: SystemsFile) -> list[str]:
    cited = dict.fromkeys(name for o in checked for name in o.check.source)
    return ["## Sources", "", *(f"- `{name}`: {_cite(file.sources[name])}" for name in sorted(cited))]


def _cite(source: Source) -> str:
    is_linked = source.locator.startswith("http")
    return f"[{escape(source.title)}](<{source.locator}>)" if is_linked else escape(source.title)


# --- figures ---------------------------------------------------------------------------------------------


def _steady(value: float) -> float:
    """Return a solver's number without its last digits, which may differ between machines."""
    return float(f"{value:.9g}")


def _rate(gbps: float) -> str:
    return format_rate(_steady(gbps))


def _span(gbps: tuple[float, float], shown: Callable[[float], str]) -> str:
    """Return the least and the most, one figure where they are alike, a dash where there is nothing."""
    least, most = map(shown, gbps)
    return (least if least == most else f"{least} to {most}") if any(gbps) else _NO


def _digits(value: float, n: int = 4) -> str:
    return f"{float(f'{_steady(value):.{n}g}'):,.12g}"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("systems", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    file = read_systems(options.systems)
    write_file(options.out, page(file, [solve(system) for system in file]), force=True)


if __name__ == "__main__":
    main()
