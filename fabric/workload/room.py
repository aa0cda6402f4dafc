"""The nodes that are free, job by job: who fits, and where the next one may stand so that all others do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Ints
from fabric.workload.nodes import ClusterNodes
from fabric.workload.packing import pack


@dataclass(frozen=True, slots=True)
class NodeJob:
    """A job that wants nodes.

    Parameters
    ----------
    name : str
    n_nodes : int
    segment : int
        Nodes that may not leave a block.
    """

    name: str
    n_nodes: int
    segment: int

    @property
    def segments(self) -> Counter[int]:
        """How many segments of each size; the last one has what is left over."""
        whole, rest = divmod(self.n_nodes, self.segment)
        return Counter({size: n for size, n in ((self.segment, whole), (rest, 1)) if size and n})


class FreeNodes:
    """What is free of some nodes, as jobs take it in their order.

    Parameters
    ----------
    nodes : ClusterNodes
    jobs : sequence of NodeJob
        The first ones first: a job is let in where it fits with all that were let in before it.
    """

    def __init__(self, nodes: ClusterNodes, jobs: Sequence[NodeJob]) -> None:
        self._nodes = nodes
        self._free = nodes.is_up.reshape(-1).copy()
        self._why: dict[int, str] = {}
        self._packed: list[Counter[int]] = []
        self._waiting: dict[int, NodeJob] = {}
        free = nodes.count(self._free)
        for at, job in enumerate(jobs):
            asked = sum((one.segments for one in self._waiting.values()), job.segments)
            packed, is_proven = pack(free, asked)
            if packed is None:
                self._why[at] = self._refusal(job, free, is_proven=is_proven)
            else:
                self._waiting[at] = job
                self._packed = packed

    def why_not(self, at: int) -> str:
        """Return why a job was not let in, or nothing."""
        return self._why.get(at, "")

    def options(self, at: int) -> list[tuple[str, Ints]]:
        """Return the places where a job that was let in may stand, each with how it was chosen.

        All that were let in and stand nowhere yet still fit beside each of them.
        """
        if at not in self._waiting:
            return []
        job = self._waiting[at]
        others = sum((one.segments for other, one in self._waiting.items() if other != at), Counter[int]())
        found: dict[bytes, tuple[str, Ints]] = {}
        for way, taken in self._candidates(job):
            places = self._places(taken)
            if len(places) != job.n_nodes or places.tobytes() in found:
                continue
            left = self._nodes.count(self._free) - np.bincount(
                self._nodes.block[places], minlength=self._nodes.n_blocks
            )
            if pack(left, others)[0] is not None:
                found[places.tobytes()] = way, places
        # Where none of them leaves room for the rest, the packing that let all of them in does.
        return list(found.values()) or [("as all fit", self._places(self._from_packing(job)))]

    def take(self, at: int, places: Ints) -> None:
        """Put a job at some places, which are then no longer free."""
        del self._waiting[at]
        self._free[places] = False
        others = sum((one.segments for one in self._waiting.values()), Counter[int]())
        self._packed = pack(self._nodes.count(self._free), others)[0] or []

    def _refusal(self, job: NodeJob, free: Ints, *, is_proven: bool) -> str:
        """Return why there is no room for a job."""
        n_up, segments = int(free.sum()), job.segments
        if job.n_nodes > n_up:
            return f"it wants {job.n_nodes:,} nodes; {n_up:,} are up"
        n_room = int((free // job.segment).sum())
        if segments[job.segment] > n_room:
            wanted = f"{segments[job.segment]:,} segments of {job.segment}"
            return f"it wants {wanted}; blocks have room for {n_room:,}"
        if not self._waiting:
            return f"no block has room for its last segment, of {min(segments)}"
        return "no room beside the jobs before it" + (
            "" if is_proven else " was found; that there is none is not proven"
        )

    def _candidates(self, job: NodeJob) -> list[tuple[str, list[Counter[int]]]]:
        """Return segments by block: near or far, packed or spread."""
        free = self._nodes.count(self._free)
        whole, room = job.segments[job.segment], free // job.segment
        found = []
        for where, order_of in (("near", self._near), ("far", self._far)):
            for how, most in (("packed", room), ("spread", np.minimum(room, 1))):
                order = order_of(most, whole)
                # With fewer blocks than segments several go into one, round by round.
                taken = _deal(
                    order if len(order) else order_of(room, whole), room, whole, is_spread=how == "spread"
                )
                segments = [Counter({job.segment: n} if n else {}) for n in taken.tolist()]
                left = free - job.segment * taken
                found.append((f"{where}, {how}", _with_rest(job, segments, left, order)))
        return found

    def _near(self, room: Ints, n: int) -> Ints:
        """Return the blocks of the smallest part with room, the roomiest first; none if none has."""
        shape = self._nodes.block_shape
        number = np.arange(len(room))
        for depth in range(len(shape), -1, -1):
            parts = room.reshape((int(np.prod(shape[:depth], dtype=np.int64)), -1))
            in_all = parts.sum(axis=1)
            if (in_all >= n).any():
                # The part that it fills best.
                part = int(np.argmin(np.where(in_all >= n, in_all, np.iinfo(np.int64).max)))
                inside = number.reshape(parts.shape)[part]
                return np.asarray(inside[np.argsort(-parts[part], kind="stable")])
        return np.zeros(0, dtype=np.int64)

    def _far(self, room: Ints, n: int) -> Ints:
        """Return all blocks, the outermost axis fastest; none if they have no room."""
        if int(room.sum()) < n:
            return np.zeros(0, dtype=np.int64)
        return np.arange(len(room)).reshape(self._nodes.block_shape).T.reshape(-1)

    def _from_packing(self, job: NodeJob) -> list[Counter[int]]:
        """Return the segments of one job out of those of all that wait."""
        left, taken = job.segments, []
        for packed in self._packed:
            own = Counter({size: min(n, left[size]) for size, n in packed.items()})
            left -= own
            taken.append(own)
        return taken

    def _places(self, taken: Sequence[Counter[int]]) -> Ints:
        """Return as many free places of each block as segments take there, the first ones."""
        wanted = np.array([sum(size * n for size, n in own.items()) for own in taken], dtype=np.int64)
        free = np.flatnonzero(self._free)
        block = self._nodes.block[free]
        order = np.argsort(block, kind="stable")
        starts = np.searchsorted(block[order], np.arange(len(wanted)))
        rank = np.arange(len(order)) - starts[block[order]]
        return np.asarray(np.sort(free[order[rank < wanted[block[order]]]]))


def _deal(order: Ints, room: Ints, n: int, *, is_spread: bool) -> Ints:
    """Return how many segments each block takes: as many as it holds, or one after another in rounds."""
    taken = np.zeros(len(room), dtype=np.int64)
    while n > 0 and (taken[order] < room[order]).any():
        for block in order.tolist():
            put = min(n, int(room[block] - taken[block]), 1 if is_spread else n)
            taken[block] += put
            n -= put
    return taken


def _with_rest(job: NodeJob, segments: list[Counter[int]], left: Ints, order: Ints) -> list[Counter[int]]:
    """Return segments by block with the last, smaller one: beside the others if it can be."""
    rest = job.n_nodes % job.segment
    if rest:
        used = [block for block, own in enumerate(segments) if own]
        block = next((b for b in (*used, *order.tolist(), *range(len(left))) if left[b] >= rest), None)
        if block is not None:
            segments[block][rest] += 1
    return segments
