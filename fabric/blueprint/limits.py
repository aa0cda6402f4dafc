"""How much a file may ask for, with its includes, so that any file is accepted or refused at once.

With these, `fabtopo check` takes at most two seconds and 300 MB, whatever stands in the file. Work on classes
of devices has its limits where it is done, in `census`, `checks` and `fabric.graph.reach`; a file beyond
those is accepted, and what was not checked is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fabric.errors import Problem, TopologyError

MAX_BYTES = 4 * 2**20
"""Bytes."""
MAX_NODES = 100_000
"""Keys and values, aliases expanded."""
MAX_PROBLEMS = 100
"""Problems after which reading stops."""
MAX_ELEMENTS = {
    "axes": 1_000,
    "devices": 500,
    "links": 1_000,
    "absent": 5_000,
    "failed": 5_000,
    "degraded": 5_000,
    "names": 500,
    "ports": 500,
    "expect": 500,
    "risk": 500,
}
"""Elements of a section."""
MAX_PARTS = 64
"""Axes of a device, and parts of a composed axis."""
MAX_PAIRS = 250_000
"""Pairs that patterns make, and that are listed."""
MAX_FILES = 64
"""Files."""
MAX_LEVELS = 16
"""Files that include one another in a chain."""


class Problems(list[Problem]):
    """Problems as they are found, all of which are raised when there are `MAX_PROBLEMS`."""

    def append(self, problem: Problem) -> None:
        """Add a problem."""
        super().append(problem)
        if len(self) >= MAX_PROBLEMS:
            raise TopologyError(self)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add some problems."""
        for problem in problems:
            self.append(problem)

    def __iadd__(self, problems: Iterable[Problem]) -> Problems:  # type: ignore[override,misc]
        """Add some problems."""
        self.extend(problems)
        return self


@dataclass(slots=True)
class Room:
    """What the files of one load may still ask for.

    Parameters
    ----------
    n_bytes, n_nodes, n_pairs : int
    elements : mapping of str to int
        By section of a file.
    """

    n_bytes: int = MAX_BYTES
    n_nodes: int = MAX_NODES
    n_pairs: int = MAX_PAIRS
    elements: Counter[str] = field(default_factory=lambda: Counter(MAX_ELEMENTS))
