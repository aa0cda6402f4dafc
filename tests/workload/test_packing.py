"""Who fits: packings against a search of all ways."""

from collections import Counter

import numpy as np
import pytest

from fabric.workload import packing
from fabric.workload.packing import pack


def fits(free, segments):
    """Return whether there is any packing, by trying each segment in every unlike block."""
    items = sorted((size for size, n in segments.items() for _ in range(n)), reverse=True)
    seen = set()

    def place(at, left):
        if at == len(items):
            return True
        if (at, left) in seen:
            return False
        seen.add((at, left))
        for block in {*left}:
            if block >= items[at]:
                rest = list(left)
                rest[rest.index(block)] -= items[at]
                if place(at + 1, tuple(sorted(rest))):
                    return True
        return False

    return place(0, tuple(sorted(free)))


def check(free, taken, segments):
    assert sum(taken, Counter()) == Counter(segments)
    assert all(
        sum(size * n for size, n in own.items()) <= room for room, own in zip(free, taken, strict=True)
    )


@pytest.mark.seeds(2, of=40)
def test_a_packing_is_found_exactly_where_there_is_one(seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        free = rng.integers(0, 19, rng.integers(1, 6))
        sizes = rng.choice(np.arange(1, 12), rng.integers(1, 4), replace=False)
        segments = {int(size): int(rng.integers(1, 5)) for size in sizes}
        taken, is_proven = pack(free, segments)
        assert is_proven
        assert (taken is not None) == fits(free.tolist(), segments)
        if taken is not None:
            check(free.tolist(), taken, segments)


def test_what_filling_by_size_misses_patterns_find():
    # 6 goes best into the block of 12 with another 6, or else 4 + 4 + 4 has no place.
    free, segments = np.array([13, 12]), {6: 2, 4: 3, 1: 1}
    taken, _ = pack(free, segments)
    check(free.tolist(), taken, segments)
    free, segments = np.array([10, 9]), {5: 2, 3: 3}
    taken, _ = packing._by_patterns(free, segments)
    check(free.tolist(), taken, segments)


def test_a_program_too_large_is_not_called_a_proof(monkeypatch):
    monkeypatch.setattr(packing, "MAX_PATTERNS", 1)
    monkeypatch.setattr(packing, "_fill", lambda *_: None)
    assert pack(np.array([10, 9]), {5: 2, 3: 3}) == (None, False)
