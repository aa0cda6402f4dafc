"""Every schedule, run on symbolic chunks: do its messages do what the collective promises?

A buffer counts the ranks that contributed to each chunk. The definitions are those of MPI (MPI-4.1, chapter
6): a reduction must hold every rank's contribution exactly once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable

import numpy as np
import pytest

from fabric.collective import COLLECTIVES, Phase, Pipe, Schedule, Shape, phases, schedules
from fabric.collective.algorithms import busbw_factor, ring_order
from fabric.collective.job import Job, demands
from fabric.collective.schedule import Move
from fabric.errors import QuestionError

EQUAL = [Shape((g,) * k) for k in range(1, 6) for g in range(1, 6) if g * k > 1]
UNEQUAL = [Shape(s) for s in ((1, 2), (3, 1, 2), (2, 5), (4, 3, 3, 1), (1, 1, 5), (2, 3, 2, 3, 2), (7, 4))]
PRIME = [Shape((7,)), Shape((1,) * 11), Shape((13,))]
CASES = [
    pytest.param(collective, shape, name, id=f"{collective}-{name}-{'.'.join(map(str, shape.sizes))}")
    for shape in [*EQUAL, *UNEQUAL, *PRIME]
    for collective in COLLECTIVES
    for name in schedules(collective, shape, 1.0)
]


class Wrong(AssertionError):
    """A schedule that does not do what its collective promises."""


class Buffers:
    """Contributions to every chunk at every rank: ``held[rank][chunk]`` counts ranks."""

    def __init__(self, held: list[dict[Hashable, Counter[int]]]) -> None:
        self.held = held

    def run(self, phase: Phase, n: int) -> None:
        for step in range(phase.steps):
            # All messages of a step leave before any arrives.
            sent = [(move, self.read(move)) for move in phase.moves(n, step)]
            for (source, target, chunk), content in sent:
                if source == target:
                    msg = f"{phase.name}: rank {source} sends to itself"
                    raise Wrong(msg)
                if phase.action == "reduce":
                    self.held[target][chunk] = self.held[target].get(chunk, Counter()) + content
                    # A partial sum that has been passed on is no longer this rank's to give.
                    self.held[source].pop(chunk, None)
                else:
                    self.held[target][chunk] = content

    def read(self, move: Move) -> Counter[int]:
        source, _, chunk = move
        if chunk not in self.held[source]:
            msg = f"rank {source} sends chunk {chunk}, which it does not have"
            raise Wrong(msg)
        return Counter(self.held[source][chunk])


def chunks_of(collective: str, schedule: Schedule, n: int) -> list[Hashable]:
    """Return the chunks that the messages name; (ring, chunk) of the rotated ring, numbers of the other."""
    found = {
        chunk for phase in phases(schedule) for s in range(phase.steps) for *_, chunk in phase.moves(n, s)
    }
    return sorted(found, key=repr)


def owner(chunk: Hashable) -> int:
    """Return the rank that a chunk belongs to before an all-gather, and after a reduce-scatter."""
    number = chunk[1] if isinstance(chunk, tuple) else chunk
    assert isinstance(number, int)
    return number


def start(collective: str, chunks: Iterable[Hashable], n: int) -> Buffers:
    chunks = list(chunks)
    if collective in ("all-reduce", "reduce-scatter"):
        return Buffers([{chunk: Counter([rank]) for chunk in chunks} for rank in range(n)])
    if collective == "all-gather":
        return Buffers(
            [{chunk: Counter([rank]) for chunk in chunks if owner(chunk) == rank} for rank in range(n)]
        )
    return Buffers([{chunk: Counter([rank]) for chunk in chunks if chunk[0] == rank} for rank in range(n)])  # type: ignore[index]


def check_result(collective: str, chunks: list[Hashable], buffers: Buffers, n: int) -> None:
    everyone = Counter(range(n))
    for rank, held in enumerate(buffers.held):
        for chunk in chunks:
            if collective == "all-to-all":
                wanted = Counter([chunk[0]]) if rank in chunk else None  # type: ignore[index,operator]
            elif collective == "all-gather":
                wanted = Counter([owner(chunk)])
            elif collective == "all-reduce" or owner(chunk) == rank:
                wanted = everyone
            else:
                continue
            if held.get(chunk) != wanted:
                msg = f"rank {rank} ends with {held.get(chunk)} of chunk {chunk}; {collective} wants {wanted}"
                raise Wrong(msg)


def check(collective: str, schedule: Schedule, n: int) -> None:
    """Raise `Wrong` where `schedule` among n ranks is not `collective`."""
    chunks = chunks_of(collective, schedule, n)
    # Every rank owns as many chunks as any other, and all-to-all has one for every pair.
    if collective == "all-to-all":
        if set(chunks) != {(a, b) for a in range(n) for b in range(n) if a != b}:
            msg = "a rank has nothing for another"
            raise Wrong(msg)
    else:
        owned = Counter(owner(chunk) for chunk in chunks)
        assert set(owned) == set(range(n))
        assert len(set(owned.values())) == 1
    buffers = start(collective, chunks, n)
    for phase in phases(schedule):
        buffers.run(phase, n)
    check_result(collective, chunks, buffers, n)


@pytest.mark.parametrize(("collective", "shape", "name"), CASES)
def test_every_rank_ends_with_what_the_collective_promises(collective: str, shape: Shape, name: str) -> None:
    check(collective, schedules(collective, shape, 1.0)[name], shape.n)


@pytest.mark.parametrize(("collective", "shape", "name"), CASES)
def test_messages_carry_the_bytes_and_steps_of_their_phase(collective: str, shape: Shape, name: str) -> None:
    size, n = 840.0, shape.n
    schedule = schedules(collective, shape, size)[name]
    # What one chunk is: the whole buffer of the collective in equal parts.
    n_chunks = n if collective == "all-to-all" else len(chunks_of(collective, schedule, n))
    for phase in phases(schedule):
        sent: Counter[int] = Counter()
        for step in range(phase.steps):
            now = Counter(source for source, _, _ in phase.moves(n, step))
            assert set(now) == set(range(n)), "a rank is idle in a step"
            sent += now
        for rank in range(n):
            assert sent[rank] * size / n_chunks == pytest.approx(phase.bytes_per_endpoint)
        # The steps are all there is: one more would repeat the first.
        assert phase.steps >= 1


@pytest.mark.parametrize(("collective", "shape", "name"), CASES)
def test_the_pattern_of_a_phase_is_the_traffic_of_its_messages(
    collective: str, shape: Shape, name: str
) -> None:
    n = shape.n
    for phase in phases(schedules(collective, shape, 1.0)[name]):
        matrix = np.zeros((n, n))
        for step in range(phase.steps):
            for source, target, _ in phase.moves(n, step):
                matrix[source, target] += 1
        matrix /= matrix.sum(axis=1, keepdims=True)
        told = demands(bare_job(shape), phase.pattern)
        expected = np.zeros((n, n))
        np.add.at(expected, (told.source, told.target), told.amount)
        np.testing.assert_allclose(matrix, expected, atol=1e-12)


def bare_job(shape: Shape) -> Job:
    """Return a job of which only the ranks matter."""
    return Job(None, np.arange(shape.n), shape, None)  # type: ignore[arg-type]


def corrupted(schedule: Schedule, at: int, change: str) -> Schedule:
    """Return `schedule` with one message of one of its phases changed."""
    parts = list(phases(schedule))
    victim = parts[at]

    def moves(n: int, step: int) -> Iterable[Move]:
        messages = list(victim.moves(n, step))
        for i, (source, target, chunk) in enumerate(messages):
            if (step, i) != (0, 1):
                yield source, target, chunk
            elif change == "another chunk":
                yield source, target, messages[2][2]
            elif change == "twice":
                yield source, target, chunk
                yield source, target, chunk

    parts[at] = Phase(
        victim.name,
        victim.pattern,
        victim.bytes_per_endpoint,
        victim.steps,
        victim.action,
        moves,
        victim.in_switch,
    )
    return Pipe(tuple(parts))


@pytest.mark.parametrize("change", ["another chunk", "lost", "twice"])
@pytest.mark.parametrize(
    ("collective", "shape", "name"), [c for c in CASES if c.values[1] == Shape((3, 3, 3))]
)
def test_a_corrupted_message_is_caught(collective: str, shape: Shape, name: str, change: str) -> None:
    schedule = schedules(collective, shape, 1.0)[name]
    for at, phase in enumerate(phases(schedule)):
        if change == "twice" and phase.action != "reduce":
            continue  # to copy twice is wasteful, not wrong; the bytes of a phase tell
        with pytest.raises(Wrong, match="rank .*(has|have|ends)"):
            check(collective, corrupted(schedule, at, change), shape.n)


def test_a_chunk_that_nobody_had_is_caught() -> None:
    shape = Shape((4,))
    (gather,) = phases(schedules("all-gather", shape, 1.0)["ring"])

    def late(n: int, step: int) -> Iterable[Move]:
        yield from gather.moves(n, (step + 1) % gather.steps)

    wrong = Phase(gather.name, gather.pattern, gather.bytes_per_endpoint, gather.steps, "copy", late)
    with pytest.raises(Wrong, match="does not have"):
        check("all-gather", wrong, shape.n)


@pytest.mark.parametrize("shape", [s for s in [*EQUAL, *UNEQUAL] if s.n_domains > 1])
def test_rings_enter_each_domain_once_and_turn_by_one_place(shape: Shape) -> None:
    domain = np.repeat(np.arange(shape.n_domains), shape.sizes)
    entries = defaultdict(Counter)
    for turn in range(max(shape.sizes)):
        order = np.array(ring_order(shape.sizes, turn))
        assert sorted(order.tolist()) == list(range(shape.n))
        crossing = domain[order] != domain[np.roll(order, -1)]
        assert crossing.sum() == shape.n_domains
        for rank in np.roll(order, -1)[crossing].tolist():
            entries[int(domain[rank])][rank] += 1
    for d, g in enumerate(shape.sizes):
        times = entries[d].values()
        assert len(times) == g, "a rank that no ring enters has an idle NIC"
        assert max(times) - min(times) <= 1


@pytest.mark.parametrize(("g", "k"), [(g, k) for g in range(1, 6) for k in (2, 4)])
def test_rings_over_an_even_number_of_domains_keep_to_their_rails(g: int, k: int) -> None:
    for turn in range(g):
        order = ring_order((g,) * k, turn)
        for a, b in zip(order, (*order[1:], order[0]), strict=True):
            assert a // g == b // g or a % g == b % g


@pytest.mark.parametrize("n", [2, 3, 8, 72, 96])
def test_busbw_factors_are_those_of_nccl_tests(n: int) -> None:
    # github NVIDIA/nccl-tests @a0b82b2, doc/PERFORMANCE.md
    factors = {c: busbw_factor(c, n) for c in COLLECTIVES}
    once = pytest.approx((n - 1) / n)
    assert factors == {"all-reduce": pytest.approx(2 * (n - 1) / n)} | dict.fromkeys(
        ("all-gather", "reduce-scatter", "all-to-all"), once
    )


def test_all_reduce_of_the_ring_sends_the_bytes_of_the_closed_form() -> None:
    # Patarasuk and Yuan 2009: 2 (n - 1) / n S in 2 (n - 1) steps, the least bytes without reducing switches.
    parts = list(phases(schedules("all-reduce", Shape((3, 4)), 700.0)["ring"]))
    assert sum(p.bytes_per_endpoint for p in parts) == pytest.approx(2 * 6 / 7 * 700)
    assert sum(p.steps for p in parts) == 12


@pytest.mark.parametrize("shape", EQUAL, ids=lambda s: ".".join(map(str, s.sizes)))
def test_both_forms_of_an_all_reduce_send_the_same_bytes(shape: Shape) -> None:
    sent = {
        name: sum(p.bytes_per_endpoint for p in phases(schedule))
        for name, schedule in schedules("all-reduce", shape, 1.0).items()
    }
    assert sent["ring"] == pytest.approx(2 * (shape.n - 1) / shape.n)
    assert sent["hierarchical"] == pytest.approx(sent["ring"])


def test_unequal_domains_have_no_hierarchical_form() -> None:
    assert list(schedules("all-reduce", Shape((3, 2)), 1.0)) == ["ring"]
    with pytest.raises(QuestionError, match="equal size; this job has 2 to 3 ranks"):
        Shape((3, 2)).equal()


def test_unknown_collectives_and_lonely_ranks_are_refused() -> None:
    with pytest.raises(QuestionError, match="known are all-reduce, all-gather, reduce-scatter, all-to-all"):
        schedules("all-reduec", Shape((2,)), 1.0)
    with pytest.raises(QuestionError, match="at least 2 ranks; the job has 1"):
        schedules("all-gather", Shape((1,)), 1.0)
