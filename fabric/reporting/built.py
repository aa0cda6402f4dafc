"""What was built, held against the design: what differs, what that costs, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator

from fabric.reporting.document import Block, Folded
from fabric.reporting.given import GivenAnswers
from fabric.study.failures.table import part
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import counted

_SHOWN, _MOVES = 40, 200


def audited(given: GivenAnswers) -> Iterator[Block]:
    """Yield what an audit found, dearest first."""
    found = given.audit
    if found is None:
        return
    right = f"{found.n_right:,} of {found.n_planned:,} cables are as designed; {found.n_found:,} were found."
    if not found.groups:
        yield f"**As designed**: {right}"
    else:
        n = counted(sum(group.n for group in found.groups), "cable")
        yield f"**{n} differ{'s' * (n.startswith('1 '))}**: {right}"
        rows = [
            [
                group.kind,
                code(group.node),
                f"{group.n:,} of {group.n_of:,}",
                part(group.kept) if group.kept is not None else "not known",
                f"{group.cut_off:,}" if group.cut_off else "",
            ]
            for group in found.groups[:_SHOWN]
        ]
        yield table(["What", "At", ">Of its cables", ">All-to-all keeps", ">Cut off"], rows)
        if len(found.groups) > _SHOWN:
            yield f"And {counted(len(found.groups) - _SHOWN, 'place')} more, which `fabtopo audit` lists."
    moves = [escape(move) for move in found.moves[:_MOVES]]
    if len(found.moves) > _MOVES:
        moves.append(f"and {len(found.moves) - _MOVES:,} more")
    yield Folded("What mends it, swaps first", bullets(moves))
    yield bullets(map(escape, found.notes))
