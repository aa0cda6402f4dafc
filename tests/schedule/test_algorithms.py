"""Every schedule, run on symbolic chunks: do its messages do what the collective promises?

A buffer holds for each chunk the set of ranks that contributed, as bits. The definitions are those of MPI
(MPI-4.1, chapter 6): a reduction must hold every rank's contribution exactly once.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

from fabric.errors import QuestionError
from fabric.schedule.algorithms import (
    ALGORITHMS,
    COLLECTIVES,
    Moe,
    Shape,
    moe_combine,
    moe_dispatch,
    n_rings,
    refusals,
    ring_order,
    schedules,
)
from fabric.schedule.patterns import edges
from fabric.schedule.tree import Move, Pattern, Phase, Pipe, Schedule, Seq, phases

SIZE = 840.0
EQUAL = [Shape((g,) * k, (), True, True) for k in range(1, 6) for g in range(1, 6) if 1 < g * k < 17]
LARGE = [Shape((g,) * k, (), True, True) for k in range(1, 7) for g in range(1, 9) if 16 < g * k < 49]
UNEQUAL = [Shape(s) for s in ((1, 2), (3, 1, 2), (2, 5), (4, 3, 3, 1), (1, 1, 5), (2, 3, 2, 3, 2), (7, 4))]
PRIME = [Shape((7,), is_mesh=True), Shape((1,) * 11), Shape((13,))]
POWERS = [Shape((8,)), Shape((8, 8), (), True, True)]
TORI = [
    Shape((math.prod(sizes),), tuple((f"a{i}", size) for i, size in enumerate(sizes)))
    for sizes in ((5,), (4, 4), (2, 3), (3, 1, 4), (2, 3, 2), (3, 3, 3))
]


def described(shape: Shape) -> str:
    return "x".join(str(size) for _, size in shape.torus) or ".".join(map(str, shape.sizes))


Case = tuple[str, str, tuple[Shape, ...]]


def cases(shapes: Iterable[Shape]) -> list[Case]:
    """Return every collective and algorithm with the shapes that it can run on."""
    found: dict[tuple[str, str], list[Shape]] = {}
    for shape in dict.fromkeys(shapes):
        for collective in COLLECTIVES:
            for name in schedules(collective, shape, SIZE):
                found.setdefault((collective, name), []).append(shape)
    return [(collective, name, tuple(some)) for (collective, name), some in found.items()]


def each(shapes: Iterable[Shape]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("collective", "name", "shapes"),
        [pytest.param(*case, id="-".join(case[:2])) for case in cases(shapes)],
    )


SHAPES = [*EQUAL, *UNEQUAL, *PRIME, *POWERS, *TORI]
# Some to be broken: every algorithm runs on one.
VICTIMS = [
    Shape((3, 3, 3), (), True, True),
    Shape((4,), (), True, is_mesh=True),
    Shape((9,), (("x", 3), ("y", 3))),
]


class Wrong(AssertionError):
    """A schedule that does not do what its collective promises."""


class Buffers:
    """Contributions to every chunk, a bit for each rank: ``held[place][chunk]`` of ranks and switches."""

    def __init__(self, held: dict[int, dict[Hashable, int]]) -> None:
        self.held = defaultdict(dict, held)

    def run(self, phase: Phase, n: int) -> None:
        for step in range(phase.steps):
            # All messages of a step leave before any arrives.
            sent = [(move, self.read(move)) for move in phase.moves(n, step)]
            if not sent:
                msg = f"{phase.name}: nothing happens in step {step}"
                raise Wrong(msg)
            if phase.action == "reduce":
                # A partial sum that has been passed on is no longer this rank's to give.
                heard = {(target, chunk) for (_, target, chunk), _ in sent}
                for source, _, chunk in (move for move, _ in sent):
                    if (source, chunk) not in heard:
                        self.held[source].pop(chunk, None)
            for source, _, chunk in (move for move, _ in sent if move[0] < 0):
                # Switches keep nothing.
                self.held[source].pop(chunk, None)
            for (source, target, chunk), content in sent:
                if source == target:
                    msg = f"{phase.name}: rank {source} sends to itself"
                    raise Wrong(msg)
                own = self.held[target].get(chunk, 0) if phase.action == "reduce" else 0
                if own & content:
                    msg = f"rank {target} has a contribution to chunk {chunk} twice"
                    raise Wrong(msg)
                self.held[target][chunk] = own | content

    def read(self, move: Move) -> int:
        source, _, chunk = move
        if chunk not in self.held[source]:
            msg = f"rank {source} sends chunk {chunk}, which it does not have"
            raise Wrong(msg)
        return self.held[source][chunk]


def owner(chunk: Hashable) -> int:
    """Return the rank that a chunk belongs to: the last of its numbers."""
    number = chunk[-1] if isinstance(chunk, tuple) else chunk
    assert isinstance(number, int)
    return number


def first(chunk: Hashable) -> int:
    """Return the rank that a chunk of an all-to-all comes from."""
    assert isinstance(chunk, tuple)
    return int(chunk[0])


Holds = Callable[[int, Hashable, int], int | None]
"""``holds(rank, chunk, n)``: whose contributions a rank holds, as bits; None where that is open."""


def everyone(rank: int, chunk: Hashable, n: int) -> int:
    return (1 << n) - 1


def at_owner(content: Holds) -> Holds:
    return lambda rank, chunk, n: content(rank, chunk, n) if owner(chunk) == rank else None


def at_root(content: Holds) -> Holds:
    return lambda rank, chunk, n: content(rank, chunk, n) if rank == 0 else None


def own(rank: int, chunk: Hashable, n: int) -> int:
    return 1 << rank


def of_owner(rank: int, chunk: Hashable, n: int) -> int:
    return 1 << owner(chunk)


def of_root(rank: int, chunk: Hashable, n: int) -> int:
    return 1


PROMISES: dict[str, tuple[Holds, Holds]] = {
    "all-reduce": (own, everyone),
    "reduce-scatter": (own, at_owner(everyone)),
    "all-gather": (at_owner(own), of_owner),
    "broadcast": (at_root(own), of_root),
    "reduce": (own, at_root(everyone)),
    "scatter": (at_root(own), at_owner(of_root)),
    "gather": (at_owner(own), at_root(of_owner)),
    "all-to-all": (
        lambda rank, chunk, n: 1 << rank if first(chunk) == rank else None,
        at_owner(lambda rank, chunk, n: 1 << first(chunk)),
    ),
    "send-recv": (
        at_owner(own),
        lambda rank, chunk, n: 1 << owner(chunk) if (owner(chunk) + 1) % n == rank else None,
    ),
}


def chunks_of(collective: str, schedule: Schedule, n: int) -> list[Hashable]:
    """Return all chunks of the buffers, in parts of equal size."""
    if collective in ("gather", "scatter"):
        # The root's own part does not move.
        return [(0, rank) for rank in range(n)]
    found = {
        chunk for phase in phases(schedule) for s in range(phase.steps) for *_, chunk in phase.moves(n, s)
    }
    if collective == "all-to-all":
        found |= {(rank, rank) for rank in range(n)}
    return sorted(found, key=repr)


def check(collective: str, schedule: Schedule, n: int) -> int:
    """Raise `Wrong` where `schedule` among n ranks is not `collective`; return how many promises it keeps."""
    chunks = chunks_of(collective, schedule, n)
    if collective == "all-to-all":
        whole = set(chunks) == {(a, b) for a in range(n) for b in range(n)}
    elif collective in ("all-reduce", "broadcast", "reduce"):
        whole = bool(chunks)
    else:
        # Every rank owns as many chunks as any other.
        owned = Counter(owner(chunk) for chunk in chunks)
        whole = set(owned) == set(range(n)) and len(set(owned.values())) == 1
    if not whole:
        msg = "a rank has no part of the data"
        raise Wrong(msg)
    before, after = PROMISES[collective]
    held = {
        rank: {chunk: bits for chunk in chunks if (bits := before(rank, chunk, n)) is not None}
        for rank in range(n)
    }
    buffers = Buffers(held)
    for phase in phases(schedule):
        buffers.run(phase, n)
    n_kept = 0
    for rank in range(n):
        for chunk in chunks:
            wanted, found = after(rank, chunk, n), buffers.held[rank].get(chunk)
            if wanted is not None and found != wanted:
                msg = f"rank {rank} ends with {found} of chunk {chunk}; {collective} wants {wanted}"
                raise Wrong(msg)
            n_kept += wanted is not None
    return n_kept


@cache
def built(collective: str, shape: Shape, name: str) -> Schedule:
    return schedules(collective, shape, SIZE)[name]


@pytest.mark.some(3)
@each(SHAPES)
def test_every_rank_ends_with_what_the_collective_promises(
    collective: str, name: str, shapes: tuple[Shape, ...]
) -> None:
    for shape in shapes:
        assert check(collective, built(collective, shape, name), shape.n) > 0


def groups(shape: Shape, pattern: Pattern) -> list[list[int]]:
    """Return the ranks of every group of a pattern, in their order."""
    every = np.arange(shape.n)
    match pattern.over:
        case "job":
            found = [every]
        case "domain":
            found = np.split(every, np.cumsum(shape.sizes)[:-1])
        case "rail":
            found = list(every.reshape(-1, shape.sizes[0]).T)
        case "axis":
            axis = dict(shape.torus)
            grid = every.reshape(tuple(axis.values()))
            found = list(
                np.moveaxis(grid, list(axis).index(pattern.axis), -1).reshape(-1, axis[pattern.axis])
            )
    return [group.tolist() for group in found]


def told(shape: Shape, pattern: Pattern) -> np.ndarray:
    """Return the bytes between ranks, and with a switch as the last row and column, of one byte."""
    n = shape.n
    matrix = np.zeros((n + 1, n + 1))
    if pattern.kind == "rotated-rings":
        for turn in range(n_rings(shape)):
            order = ring_order(shape.sizes, turn)
            np.add.at(matrix, (order, np.roll(order, -1)), 1 / n_rings(shape))
    elif pattern.kind == "to-switches":
        matrix[:n, n] = 1
    elif pattern.kind == "from-switches":
        matrix[n, :n] = 1
    else:
        for group in groups(shape, pattern):
            some = edges(pattern.kind, len(group), pattern.by)
            at = np.array(group)
            np.add.at(matrix, (at[some.source], at[some.target]), some.weight)
    return matrix


def carried(phase: Phase, n: int, chunk_bytes: float) -> np.ndarray:
    """Return the bytes of a phase's messages between ranks, all switches as the last row and column."""
    matrix = np.zeros((n + 1, n + 1))
    for step in range(phase.steps):
        for source, target, _ in phase.moves(n, step):
            matrix[max(source, -1), max(target, -1)] += chunk_bytes
    return matrix


def busiest(matrix: np.ndarray) -> float:
    """Return the most that a rank sends or receives."""
    return max(matrix[:-1].sum(axis=1).max(), matrix[:, :-1].sum(axis=0).max())


def check_bytes(collective: str, schedule: Schedule, shape: Shape) -> None:
    """Raise where the messages of a phase are not the bytes of its pattern."""
    n = shape.n
    parts = {"all-to-all": n, "send-recv": 1}.get(collective, len(chunks_of(collective, schedule, n)))
    for phase in phases(schedule):
        found = carried(phase, n, SIZE / parts)
        expected = phase.bytes_per_endpoint * told(shape, phase.pattern)
        if collective in ("broadcast", "reduce") and phase.pattern.kind == "rotated-rings" and parts < n:
            # The chains round the rings do not take the step that closes them, which would be the root's.
            extra = expected - found
            closing = extra.sum(axis=1 if collective == "reduce" else 0)
            assert closing[0] == pytest.approx(extra.sum()) == pytest.approx(phase.bytes_per_endpoint)
            expected -= np.maximum(extra, 0)
        np.testing.assert_allclose(found, expected, atol=1e-9 * SIZE, err_msg=phase.name)
        np.testing.assert_allclose(busiest(found), phase.bytes_per_endpoint, err_msg=phase.name)


@pytest.mark.some(14)
@each(SHAPES)
def test_messages_carry_the_bytes_of_their_pattern(
    collective: str, name: str, shapes: tuple[Shape, ...]
) -> None:
    for shape in shapes:
        check_bytes(collective, built(collective, shape, name), shape)


@pytest.mark.slow
@each(LARGE)
def test_larger_jobs_too(collective: str, name: str, shapes: tuple[Shape, ...]) -> None:
    for shape in shapes:
        check(collective, built(collective, shape, name), shape.n)
        check_bytes(collective, built(collective, shape, name), shape)


def rebuilt(schedule: Schedule, at: int, change: Callable[[Phase], Phase]) -> Schedule:
    """Return the phases of `schedule` with one of them changed."""
    parts = list(phases(schedule))
    parts[at] = change(parts[at])
    return Seq(tuple(parts))


def corrupted(phase: Phase, change: str) -> Phase:
    """Return `phase` with one message of its first step changed."""

    def moves(n: int, step: int) -> Iterable[Move]:
        messages = list(phase.moves(n, step))
        others = [move[2] for s in range(phase.steps) for move in phase.moves(n, s)]
        at = min(1, len(messages) - 1)
        source, target, chunk = messages[at]
        if step == 0 and change == "lost":
            del messages[at]
        elif step == 0 and change == "twice":
            messages.append(messages[at])
        elif step == 0 and change == "another chunk":
            messages[at] = source, target, next(other for other in others if other != chunk)
        elif step == 0 and change == "another rank":
            messages[at] = source, (target + 1) % n if (target + 1) % n != source else (target + 2) % n, chunk
        yield from messages

    return replace(phase, moves=moves)


@each(VICTIMS)
def test_a_corrupted_message_is_caught(collective: str, name: str, shapes: tuple[Shape, ...]) -> None:
    schedule = built(collective, shapes[0], name)
    n = shapes[0].n
    for at, phase in enumerate(phases(schedule)):
        chunks = {chunk for step in range(phase.steps) for *_, chunk in phase.moves(n, step)}
        # To copy twice is wasteful, not wrong, and a partial sum may go another way; the bytes tell.
        changes = ["lost", "twice" if phase.action == "reduce" else "another rank"]
        for change in [*changes, "another chunk"] if len(chunks) > 1 else changes:
            wrong = rebuilt(schedule, at, partial(corrupted, change=change))
            with pytest.raises(Wrong, match="rank .*(has|have|ends)|nothing happens"):
                check(collective, wrong, n)


@pytest.mark.some(14)
@each(VICTIMS)
def test_wrong_bytes_and_patterns_are_caught(collective: str, name: str, shapes: tuple[Shape, ...]) -> None:
    schedule = built(collective, shapes[0], name)
    changes: list[Callable[[Phase], Phase]] = [
        lambda phase: replace(phase, bytes_per_endpoint=1.01 * phase.bytes_per_endpoint),
        lambda phase: replace(phase, pattern=other(phase.pattern)),
        lambda phase: corrupted(phase, "twice"),
        lambda phase: corrupted(phase, "lost"),
    ]
    for at in range(len(list(phases(schedule)))):
        for change in changes:
            with pytest.raises(AssertionError, match="Not equal to tolerance|assert .* == "):
                check_bytes(collective, rebuilt(schedule, at, change), shapes[0])


def other(pattern: Pattern) -> Pattern:
    """Return a pattern of other traffic."""
    if pattern.kind == "to-switches":
        return replace(pattern, kind="from-switches")
    return replace(pattern, kind="to-root" if pattern.kind == "from-root" else "from-root")


def test_a_chunk_that_nobody_had_is_caught() -> None:
    gather = built("all-gather", Shape((4,)), "ring")
    assert isinstance(gather, Phase)

    def late(n: int, step: int) -> Iterable[Move]:
        yield from gather.moves(n, (step + 1) % gather.steps)

    with pytest.raises(Wrong, match="does not have"):
        check("all-gather", replace(gather, moves=late), 4)


@pytest.mark.parametrize("collective", ["all-gather", "all-to-all", "broadcast"])
def test_data_that_never_move_are_caught(collective: str) -> None:
    (name, *_) = schedules(collective, Shape((4,)), SIZE)
    phase = built(collective, Shape((4,)), name)
    first_phase = next(phases(phase))

    def without(n: int, step: int) -> Iterable[Move]:
        return (move for move in first_phase.moves(n, step) if 0 not in (move[0], owner(move[2])))

    with pytest.raises(Wrong, match="no part of the data|nothing happens"):
        check(collective, replace(first_phase, moves=without), 4)


def test_a_message_to_oneself_is_caught() -> None:
    gather = built("all-gather", Shape((4,)), "ring")
    assert isinstance(gather, Phase)

    def inward(n: int, step: int) -> Iterable[Move]:
        yield from gather.moves(n, step)
        yield 0, 0, (0, 0)

    with pytest.raises(Wrong, match="rank 0 sends to itself"):
        check("all-gather", replace(gather, moves=inward), 4)


MOE = Moe(tokens=1, hidden=1, top_k=2, n_experts=360, bytes_per_value=1.0)


@pytest.mark.some(8)
@pytest.mark.parametrize(
    "shape", [s for s in [*EQUAL, *UNEQUAL, *PRIME] if MOE.n_experts % s.n == 0], ids=described
)
def test_tokens_may_go_anywhere_and_come_back_from_everywhere(shape: Shape) -> None:
    n = shape.n
    for collective, found in (
        ("all-gather", moe_dispatch(shape, MOE)),
        ("reduce-scatter", moe_combine(shape, MOE)),
    ):
        assert ("hierarchical" in found) == (shape.is_even and shape.sizes[0] > 1)
        for schedule in found.values():
            check(collective, schedule, n)
            for phase in phases(schedule):
                assert phase.transfer == "tokens"
                matrix = carried(phase, n, 1.0)
                np.testing.assert_allclose(matrix / busiest(matrix), told(shape, phase.pattern), atol=1e-12)


def test_serial_and_piped_hierarchies_are_the_same_phases() -> None:
    piped = built("all-reduce", Shape((3, 3)), "hierarchical")
    serial = built("all-reduce", Shape((3, 3)), "hierarchical-serial")
    assert isinstance(piped, Pipe)
    assert isinstance(serial, Seq)
    assert [(p.name, p.pattern, p.bytes_per_endpoint) for p in phases(piped)] == [
        (p.name, p.pattern, p.bytes_per_endpoint) for p in phases(serial)
    ]


class TestTable:
    def test_a_name_and_a_collective_say_which_algorithm(self) -> None:
        served = Counter((a.name, c) for a in ALGORITHMS for c in a.collectives)
        assert set(served.values()) == {1}
        assert {c for _, c in served} == set(COLLECTIVES)
        assert all(a.source for a in ALGORITHMS)

    def test_every_algorithm_is_run_somewhere(self) -> None:
        every = {(c, a.name) for a in ALGORITHMS for c in a.collectives}
        assert {case[:2] for case in cases(SHAPES)} == every
        assert {case[:2] for case in cases(VICTIMS)} == every

    @pytest.mark.parametrize("collective", COLLECTIVES)
    def test_what_is_not_refused_is_built(self, collective: str) -> None:
        for shape in [Shape((1, 2)), Shape((4, 4)), Shape((2,), (("x", 2),), True, True)]:
            can = [name for name, why in refusals(collective, shape).items() if not why]
            assert list(schedules(collective, shape, SIZE)) == can
            assert can

    @pytest.mark.some(8)
    @pytest.mark.parametrize(
        ("name", "collective", "shape", "why"),
        [
            ("hierarchical", "all-reduce", Shape((3, 2)), "equal size; this job has 2 to 3 ranks"),
            ("hierarchical", "all-to-all", Shape((3, 2)), "equal size; this job has 2 to 3 ranks"),
            ("pxn", "all-to-all", Shape((1, 1)), "several ranks; this job has 2 of 1"),
            ("hierarchical-serial", "all-gather", Shape((8,)), "several ranks; this job has 1 of 8"),
            ("torus", "all-gather", Shape((4,)), "a whole torus"),
            ("mesh", "all-gather", Shape((4,)), "every two ranks are joined directly"),
            ("halving-doubling", "all-gather", Shape((6,)), "power of two of ranks for all-gather.* has 6"),
            ("recursive-doubling", "all-gather", Shape((6,)), "power of two"),
            ("nvls", "all-reduce", Shape((4,)), "reduces between ranks of a scale-up domain"),
            ("nvls", "all-reduce", Shape((1, 1), (), True, True), "of a scale-up domain"),
            ("nvls", "all-reduce", Shape((4, 4), (), True), "reduces between domains too"),
            ("nvls", "all-gather", Shape((4, 4), (), True, True), "one domain"),
            ("nvls", "all-reduce", Shape((4, 2), (), True, True), "equal size"),
            ("nvls-tree", "all-reduce", Shape((4, 4)), "reduces between ranks of a scale-up domain"),
            ("nvls-tree", "all-reduce", Shape((4,), (), True), "several scale-up domains"),
            ("collnet-direct", "all-reduce", Shape((4, 4), (), True), "reduces between domains"),
            ("collnet-direct", "all-reduce", Shape((4,), (), True, True), "several domains"),
            ("collnet-direct", "all-reduce", Shape((4, 3), (), True, True), "equal size"),
            ("collnet-chain", "all-reduce", Shape((4, 4)), "reduces between domains"),
            ("collnet-chain", "all-reduce", Shape((1, 1), (), False, True), "several ranks"),
        ],
    )
    def test_refusals_say_what_is_missing(self, name: str, collective: str, shape: Shape, why: str) -> None:
        with pytest.raises(AssertionError, match=why):
            raise AssertionError(refusals(collective, shape)[name])

    def test_an_algorithm_names_the_collectives_that_it_does(self) -> None:
        tree = next(a for a in ALGORITHMS if a.name == "tree")
        assert tree.refuses("all-gather", Shape((4,))) == "does all-reduce, not all-gather"
        assert tree.refuses("all-reduce", Shape((4,))) == ""

    def test_unknown_collectives_and_lonely_ranks_are_refused(self) -> None:
        with pytest.raises(QuestionError, match="'all-reduec'; did you mean all-reduce"):
            schedules("all-reduec", Shape((2,)), 1.0)
        with pytest.raises(
            QuestionError, match="known are all-reduce, all-gather, reduce-scatter, broadcast"
        ):
            schedules("xyz", Shape((2,)), 1.0)
        with pytest.raises(QuestionError, match="at least 2 ranks; the job has 1"):
            schedules("all-gather", Shape((1,)), 1.0)


def test_shapes_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(QuestionError, match="equal size; this job has 2 to 3 ranks"):
        Shape((3, 2)).equal()
    with pytest.raises(QuestionError, match=r"ranks in every domain that it lists; got \(2, 0\)"):
        Shape((2, 0))
    with pytest.raises(QuestionError, match="does not have the 8 ranks"):
        Shape((8,), (("x", 3), ("y", 3)))
