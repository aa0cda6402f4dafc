"""Several kinds of groups of one job at once: what all of them put on links together.

::

    racks of 72, groups of 16      64 groups in one rack, 8 in two: no GPU is in both kinds

The busiest GPU of each kind is another one, so that what they put on links nearest to them does not add up:
blocks of ranks are looked at with what the ranks of all kinds do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from fabric.arrays import Floats
from fabric.job.differences import Mix
from fabric.job.doings import Doings
from fabric.job.on_classes import ClassedJob
from fabric.job.pairs import RankPairs
from fabric.schedule.tree import Pattern


@dataclass(frozen=True, slots=True)
class KindPattern(Pattern):
    """A pattern in the groups of one kind, by its number."""

    number: int = 0

    @property
    def plain(self) -> Pattern:
        """The pattern."""
        return Pattern(**{field.name: getattr(self, field.name) for field in fields(Pattern)})


def _of_kind(pattern: Pattern, number: int) -> KindPattern:
    own = {field.name: getattr(pattern, field.name) for field in fields(Pattern)}
    return KindPattern(**own, number=number)


@dataclass(frozen=True, eq=False)
class KindPairs(RankPairs):
    """How the ranks of a job lie to each other, whose groups are of several kinds.

    Parameters
    ----------
    every : tuple of RankPairs
        All ranks of the job, of which each has numbered those of one kind.
    """

    every: tuple[RankPairs, ...] = ()

    def _parts(self, mix: Mix) -> list[tuple[Pattern, float]]:
        found: list[tuple[Pattern, float]] = []
        for pattern, amount in mix:
            assert isinstance(pattern, KindPattern)
            n = pattern.number
            found += [(_of_kind(p, n), a) for p, a in self.every[n]._parts([(pattern.plain, amount)])]
        return found

    def _doings(self, pattern: Pattern, *, is_sent: bool) -> Doings:
        assert isinstance(pattern, KindPattern)
        return self.every[pattern.number]._doings(pattern.plain, is_sent=is_sent)


def mix_of_kinds(uncut: ClassedJob, every: Sequence[RankPairs], mixes: Sequence[Mix]) -> Floats:
    """Return the bytes on every link of patterns at once in groups of several kinds.

    Parameters
    ----------
    uncut : ClassedJob
        All ranks in one instance.
    every : sequence of RankPairs
        Of each kind.
    mixes : sequence of sequence of (Pattern, float)
        For each kind the patterns, and what its busiest rank sends or receives in each.

    Returns
    -------
    ndarray of float64, shape (l,)
    """
    first = every[0]
    pairs = KindPairs(
        **{field.name: getattr(first, field.name) for field in fields(RankPairs)}, every=tuple(every)
    )
    mix = [(_of_kind(p, n), amount) for n, own in enumerate(mixes) for p, amount in own]
    return replace(uncut, pairs=pairs, uncut=uncut).route_mix(mix)
