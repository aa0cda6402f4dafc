"""The page on what changed between two fabrics, for a review."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fabric import __version__
from fabric.graph import Fabric
from fabric.reporting.document import PROVENANCE, Block, Page, Picture, Section
from fabric.reporting.evidence import input_of
from fabric.reporting.figures import staircase
from fabric.reporting.staircase import staircase_title
from fabric.sizing.summary import summarize
from fabric.study.changes import Change, Changes, Value, by_factor, show
from fabric.text.markdown import bullets, code, escape, table

_SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Rates", ("all-to-all", "all-reduce, at most")),
    ("Capacity per tier", ("oversubscription", "capacity", "per endpoint", "rate", "each", "relation")),
    ("Devices and cables", ("devices", "axes", "part", "cables", "free ports", "failed")),
    ("To buy", ("to buy", "known power", "price at least", "price at most")),
)
"""Which facts stand together; what is none of them stands last."""
_LINES = 7
_FIRST = (
    "all-to-all",
    "all-reduce, at most",
    "oversubscription",
    "known power",
    "price at most",
    "devices",
    "cables",
)
"""Facts that the summary tells first."""


def changes_page(before: Fabric, after: Fabric, changes: Changes) -> Page:
    """Return the page on what changed from one fabric to another.

    Parameters
    ----------
    before, after : Fabric
    changes : Changes
        What `fabric.diff` found between them.

    Raises
    ------
    QuestionError
        If one of them has no file.
    """
    named = {what for _, kinds in _SECTIONS for what in kinds}
    rest = tuple(dict.fromkeys(row.what for row in changes.rows if row.what not in named))
    sections = [
        Section(
            title, (*_pictures(title, before, after), _table([r for r in changes.rows if r.what in kinds]))
        )
        for title, kinds in (*_SECTIONS, ("Other", rest))
    ]
    notes = bullets(escape(note) for note in changes.notes)
    return Page(
        f"{before.name} to {after.name}",
        (
            Section("Summary", (_summary(changes),)),
            *sections,
            Section("Not compared", (notes,)),
            Section(PROVENANCE, (_provenance(before, after),)),
        ),
    )


def _summary(changes: Changes) -> str:
    """Return at most seven lines: what changed most for those who use the fabric."""
    if not changes.rows:
        return bullets([f"No change in {changes.n_same} facts."])
    order = {what: i for i, what in enumerate(_FIRST)}
    told = sorted((r for r in changes.rows if r.what in order), key=lambda r: order[r.what])
    head = f"{len(changes.rows)} facts changed, {changes.n_same} are the same."
    return bullets([head, *(_line(row) for row in told[: _LINES - 1])])


def _line(row: Change) -> str:
    what = f"{row.what.capitalize()}{f' {code(row.of)}' if row.of else ''}"
    by = by_factor(row)
    change = f" ({by})" if by else ""
    return f"{what}: {_shown(row.before, row.unit)} -> **{_shown(row.after, row.unit)}**{change}"


def _shown(value: Value, unit: str) -> str:
    """Return a value as CommonMark: words are the user's, numbers ours."""
    return escape(value) if isinstance(value, str) else show(value, unit)


def _table(rows: Sequence[Change]) -> str:
    """Return a table of numbers, and in lines below it what is too long for one."""
    short = [row for row in rows if max(len(show(v, row.unit)) for v in (row.before, row.after)) <= _CELL]
    cells = [
        [
            escape(row.what) + (f" {code(row.of)}" if row.of else ""),
            *(_shown(value, row.unit) for value in (row.before, row.after)),
            by_factor(row),
        ]
        for row in short
    ]
    shown = table(["What", ">Before", ">After", ">Change"], cells) if cells else ""
    return "\n\n".join(filter(None, [shown, bullets(_line(row) for row in rows if row not in short)]))


_CELL = 26
"""Letters of a value up to which it stands in the table."""


def _pictures(title: str, before: Fabric, after: Fabric) -> Iterator[Block]:
    """Yield the staircases of both below the capacity, where they differ."""
    if title != _SECTIONS[1][0]:
        return
    drawn = [(name, summarize(one)) for name, one in (("before", before), ("after", after))]
    pictures = [
        Picture(f"staircase-{n}.svg", f"{n.capitalize()}: {staircase_title(s)}", staircase(s))
        for n, s in drawn
    ]
    if pictures[0].svg != pictures[1].svg:
        yield from pictures


def _provenance(before: Fabric, after: Fabric) -> str:
    (old, old_sum), (new, new_sum) = input_of(before), input_of(after)
    rows = [
        ["Before", code(old)],
        ["SHA-256, with includes", code(old_sum)],
        ["After", code(new)],
        ["SHA-256, with includes", code(new_sum)],
        ["fabtopo", __version__],
        ["Command", code(f"fabtopo report --diff {old} {new} -o DIR")],
        ["Prices", "indicative ones"],
    ]
    return table(["What", "Value"], rows)
