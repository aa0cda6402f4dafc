"""Every pair of failures, exactly: the orbits of what is left once one of each kind has failed.

With one leaf down the others are of its pod, or of another one, and so are the spines; each such class is one
state, and stands for as many pairs as there are leaves times devices in it::

    leaf 0 down      leaves of its pod 3    of other pods 12    spines of its pod 4    their cables ...

A pair whose second part is down with the first (a leaf and its own cable) is the state of the first alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fabric.study.failures.events import Event, state_in
from fabric.study.failures.network import FailingJob
from fabric.study.failures.states import State, in_state, state_of
from fabric.symmetry.orbits import orbits

Name = tuple[str, str]
"""Kind and group or rule."""


@dataclass(frozen=True, slots=True)
class PairEvent:
    """Pairs of failures that are alike.

    Parameters
    ----------
    first, second : (str, str)
        Kind (device or cable), and group or rule.
    n_twice : int
        Twice as many as there are: those of one group are met from both of their ends.
    examples : (str, str)
        Of the first and of the second.
    state : State
    base : State
        That of the first alone.
    added : State
        What is down beside it; nothing where the pair is the state of one alone.
    """

    first: Name
    second: Name
    n_twice: int
    examples: tuple[str, str]
    state: State
    base: State = ()
    added: State = ()

    def in_order(self, order: Sequence[Name]) -> PairEvent:
        """Return the pair with the two as they stand in an order of names."""
        if order.index(self.first) <= order.index(self.second):
            return self
        return replace(self, first=self.second, second=self.first, examples=self.examples[::-1])


def pair_events(job: FailingJob, singles: Sequence[Event]) -> Iterator[PairEvent]:
    """Yield every pair of failures of two devices, of a device and a cable, or of two cables.

    Parameters
    ----------
    job : FailingJob
    singles : sequence of Event
        Those of single devices and cables; of a pair the one that is named earlier is the first.
    """
    order: dict[Name, int] = {}
    total: dict[Name, int] = {}
    for event in singles:
        name = event.kind, event.of
        order.setdefault(name, len(order))
        total[name] = total.get(name, 0) + event.n
    in_network = (
        set(job.fabric.blueprint.groups) | {r.name for r in job.fabric.blueprint.rules}
        if (job.fabric.blueprint)
        else {of for _, of in order}
    )
    for event in singles:
        name = event.kind, event.of
        found = dict.fromkeys(order, 0)
        if event.state and event.of in in_network:
            left = in_state(job.fabric, event.state)
            for orbit in orbits(left):
                other: Name = orbit.kind, orbit.of
                if order[other] < order[name]:
                    continue
                found[other] += orbit.n
                examples, added = (event.example, " - ".join(map(str, orbit.ends))), state_in(job, orbit)
                state, n_twice = state_of((*event.state, *added)), _twice(name, other, event.n * orbit.n)
                yield PairEvent(name, other, n_twice, examples, state, event.state, added)
        yield from _with_the_rest(event, name, order, total, found, singles)


def _twice(first: Name, second: Name, n: int) -> int:
    return n if first == second else 2 * n


def _with_the_rest(
    event: Event,
    name: Name,
    order: Mapping[Name, int],
    total: Mapping[Name, int],
    found: Mapping[Name, int],
    singles: Sequence[Event],
) -> Iterator[PairEvent]:
    """Yield pairs with what is down with the first already, or carries nothing: the state of one alone."""
    for other, n in total.items():
        if order[other] < order[name]:
            continue
        rest = n - (other == name) - found[other]
        if not rest:
            continue
        idle = not found[other] and not event.state
        if not idle:
            examples = event.example, other[1]
            yield PairEvent(name, other, _twice(name, other, event.n * rest), examples, event.state)
            continue
        # The first changes nothing: what is left is the state of the second.
        for second in singles:
            if (second.kind, second.of) == other:
                n_second = second.n - (other == name)
                examples, n_twice = (event.example, second.example), _twice(name, other, event.n * n_second)
                yield PairEvent(name, other, n_twice, examples, second.state)
