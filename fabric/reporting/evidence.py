"""What a report rests on: assumptions, the catalogue's sources, and its provenance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from fabric import __version__
from fabric.blueprint import Blueprint, Rule
from fabric.costing import calibration
from fabric.errors import QuestionError
from fabric.flow.certificate import GAP
from fabric.graph import PATH_RULES, Fabric
from fabric.parts import Evidence, Medium, Part, PortClass, Protocol, catalogue, find_medium, find_protocol
from fabric.reporting.answers import Answers
from fabric.reporting.given import Given
from fabric.sizing.summary import Summary
from fabric.text.markdown import bullets, code, escape, link, table
from fabric.text.words import counted
from fabric.units import format_rate

_UNSURE = ("assumed", "reported")


@dataclass(frozen=True, slots=True)
class Basis:
    """One statement of the catalogue that the report uses.

    Parameters
    ----------
    row, what : str
        Id of the row, and what it states.
    evidence : Evidence
    note : str
    """

    row: str
    what: str
    evidence: Evidence
    note: str = ""


def grounds(fabric: Fabric) -> list[Basis]:
    """Return all statements of the catalogue behind the counts and rates of `fabric`, each once."""
    blueprint = fabric.blueprint
    if blueprint is None:
        return []
    rules = blueprint.rules
    parts = {g.part.id: g.part for g in blueprint.groups.values() if g.part}
    protocols = [find_protocol(name) for name in dict.fromkeys(r.protocol for r in rules if r.protocol)]
    media = [find_medium(name) for name in dict.fromkeys(r.medium for r in rules if r.medium)]
    bases = [basis for part in parts.values() for basis in _of_part(part)]
    return (
        bases + [_of_protocol(protocol) for protocol in protocols] + [_of_medium(medium) for medium in media]
    )


def _of_part(part: Part) -> Iterator[Basis]:
    yield Basis(part.id, part.name, Evidence(part.confidence, part.source), part.note)
    for port in part.ports:
        yield from _of_port(part.id, port)


def _of_port(row: str, port: PortClass) -> Iterator[Basis]:
    ports = f"{counted(port.n_ports, f'{port.name} port')} of {format_rate(port.rate_gbps)}"
    yield Basis(row, ports, Evidence(port.confidence, port.source), port.note)
    for figure, proof in port.exceptions.items():
        shown = f"{port.name} ports: {figure.replace('_', ' ')}"
        if figure == "modes":
            shown += " " + ", ".join(f"{n} × {rate:g} Gb/s" for n, rate in port.modes)
        yield Basis(row, shown, proof, port.note)


def _of_protocol(protocol: Protocol) -> Basis:
    return Basis(
        protocol.id,
        f"link of {format_rate(protocol.rate_gbps)}",
        Evidence(protocol.confidence, protocol.source),
        protocol.note,
    )


def _of_medium(medium: Medium) -> Basis:
    return Basis(medium.id, medium.name, Evidence(medium.confidence, medium.source), medium.note)


def assumptions(fabric: Fabric, summary: Summary) -> str:
    """Return what the files say, what the catalogue is unsure of, and what was not checked."""
    notes = [f"From the file: {escape(note)}" for note in summary.notes]
    notes += [f"Failed: {escape(selector)}." for selector in summary.failed]
    notes += [f"Degraded: {escape(what)}." for what in summary.degraded]
    if summary.failed or summary.degraded:
        notes.append("Tables and figures count what is built; flows and costs know what is down or slow.")
    skipped = dict.fromkeys([*summary.skipped, *(fabric.blueprint.skipped if fabric.blueprint else ())])
    notes += [f"Not checked: {escape(why)}" for why in skipped]
    notes.append("Collectives: calibration measured. " + escape(calibration("measured").about))
    doubted = unsure_rows(fabric)
    if not doubted:
        notes.append("No part, port or link in use is assumed or only reported in the catalogue.")
        return bullets(notes)
    assumed = sum(g.evidence.confidence == "assumed" for g in doubted)
    notes.append(
        f"Of the figures of the catalogue in use no vendor document states {len(doubted)}: {assumed} are "
        "assumed "
        f"(recalled or guessed), {len(doubted) - assumed} reported by press or analysts; they are listed "
        "below."
    )
    return bullets(notes)


def unsure(fabric: Fabric) -> str:
    """Return the figures of the catalogue that no vendor document states."""
    return bullets(
        f"{code(g.row)}: {escape(g.what)}: {g.evidence.confidence}{f'; {escape(g.note)}' if g.note else ''}"
        for g in unsure_rows(fabric)
    )


def unsure_rows(fabric: Fabric) -> list[Basis]:
    """Return the grounds that are assumed or only reported, those assumed first."""
    unsure = [g for g in grounds(fabric) if g.evidence.confidence in _UNSURE]
    return sorted(unsure, key=lambda g: _UNSURE.index(g.evidence.confidence))


def doubts(fabric: Fabric, link_name: str) -> list[Basis]:
    """Return the unsure grounds of the rate of one link rule: its protocol, or the ports at its ends."""
    blueprint = fabric.blueprint
    rule = next((r for r in blueprint.rules if r.name == link_name), None) if blueprint else None
    if blueprint is None or rule is None:
        return []
    return [g for g in _of_rule(blueprint, rule) if g.evidence.confidence in _UNSURE]


def _of_rule(blueprint: Blueprint, rule: Rule) -> Iterator[Basis]:
    if rule.protocol:
        yield _of_protocol(find_protocol(rule.protocol))
    ends = [blueprint.groups[name].part for name in (rule.left.group, rule.right.group) if name]
    for part in {part.id: part for part in ends if part}.values():
        for port in part.ports:
            if port.name == rule.port_class:
                yield from _of_port(part.id, port)


def sources(fabric: Fabric) -> str:
    """Return every row of the catalogue in use with its confidence and sources, and the sources."""
    bases = grounds(fabric)
    if not bases:
        return "No row of the parts catalogue is used: all devices are generic."
    rows = bullets(
        f"{code(g.row)}: {escape(g.what)}: {g.evidence.confidence}, {', '.join(map(code, g.evidence.source))}"
        for g in bases
    )
    titles = catalogue().sources
    cited = [titles[name] for name in _unique(s for g in bases for s in g.evidence.source)]
    texts = bullets(f"{code(source.id)}: {link(source.title, source.locator)}" for source in cited)
    return f"{rows}\n\nWhere they are from:\n\n{texts}"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def input_of(fabric: Fabric) -> tuple[str, str]:
    """Return the name of the file of a fabric, and the checksum of it with its includes.

    Raises
    ------
    QuestionError
        If it has none: what it says could not be checked.
    """
    blueprint = fabric.axes_or_refuse("a report")
    if not blueprint.sha256:
        msg = f"{fabric.name} has no checksum of its file, and no page is written without provenance"
        raise QuestionError(msg)
    return PurePath(blueprint.path).name, blueprint.sha256


def provenance(fabric: Fabric, answers: Answers, given: Given) -> str:
    """Return where the report comes from: input, program, command, and how far the answers are proved."""
    file, checksum = input_of(fabric)
    routing = {answer.routing for job in answers.jobs for costs in job.costs.values() for answer in costs}
    rows = [
        ["Input", code(file)],
        ["SHA-256, with includes", code(checksum)],
        *([f"SHA-256 of {escape(one.name)}", code(one.sha256)] for one in given.files),
        ["fabtopo", __version__],
        ["Command", code(f"fabtopo report {file} -o DIR{given.options}")],
        ["Paths of maximum flow", PATH_RULES["rules"]],
        ["Routing of collectives", ", ".join(sorted(routing)) or "none"],
        ["Calibration", "measured, see the assumptions"],
        ["Solver", "Dinic (scipy.sparse.csgraph), or HiGHS where capacities need a linear program"],
        ["Status", _status(answers)],
    ]
    return table(["What", "Value"], rows)


def _status(answers: Answers) -> str:
    """Say how many answers are proved; a gap below the tolerance is rounding, and not printed."""
    proofs = [flow.certificate for _, flow in answers.flows]
    if not proofs:
        return "no maximum flow was asked for"
    proved = sum(proof.status == "optimal" for proof in proofs)
    text = f"{proved} of {len(proofs)} maximum flows optimal"
    worst = max(proof.gap for proof in proofs)
    return f"{text}, gap at most {GAP:g}" if proved == len(proofs) else f"{text}, largest gap {worst:.2g}"
