"""Named patterns of wiring, for what axes cannot say.

A pattern is a function from the sizes of the axes along which it runs, and parameters, to pairs of flat
indices. The parameters of the function are those of the file, and have its defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.selector import near, quote
from fabric.blueprint.wiring.dragonfly import dragonfly
from fabric.blueprint.wiring.listed import check_listed, listed
from fabric.blueprint.wiring.misfit import MisfitError, refuse
from fabric.blueprint.wiring.random_graphs import jellyfish, xpander
from fabric.blueprint.wiring.slim_fly import slim_fly

__all__ = ["PATTERNS", "MisfitError", "WiringPattern", "check_listed", "wire"]


@dataclass(frozen=True, slots=True)
class WiringPattern:
    """One row of the table of patterns.

    Parameters
    ----------
    pairs : callable
        From ``(sizes, **parameters)`` to an ndarray of int64, shape (m, 2).
    along : tuple of str
        What its axes stand for, in their order; empty where it takes any number of axes.
    is_graph : bool
        True where (i, j) means (j, i) too, and no index is joined with itself.
    """

    pairs: Callable[..., Ints]
    along: tuple[str, ...] = ()
    is_graph: bool = True

    @property
    def parameters(self) -> dict[str, bool]:
        """Each parameter by name, and whether a file must give it."""
        parameters = list(inspect.signature(self.pairs).parameters.values())[1:]
        return {p.name: p.default is inspect.Parameter.empty for p in parameters}


PATTERNS: Mapping[str, WiringPattern] = {
    "pairs": WiringPattern(listed, is_graph=False),
    "dragonfly": WiringPattern(dragonfly, ("group", "router")),
    "slim-fly": WiringPattern(slim_fly, ("half", "x", "y")),
    "jellyfish": WiringPattern(jellyfish),
    "xpander": WiringPattern(xpander, ("meta", "switch")),
}


def wire(name: str, sizes: tuple[int, ...], parameters: Mapping[str, object]) -> Ints:
    """Return the pairs of the pattern `name`.

    Parameters
    ----------
    name : str
    sizes : tuple of int
        Of the axes along which it runs, last one fastest.
    parameters : mapping of str to object
        Of the pattern, as the file gives them.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        Left and right flat index; of a graph each pair in one order.

    Raises
    ------
    MisfitError
        If there is no such pattern, or sizes or parameters do not fit it.

    Examples
    --------
    >>> wire("dragonfly", (3, 1), {}).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    if name not in PATTERNS:
        refuse(f"unknown pattern {quote(name)}", todo=near(name, PATTERNS, "patterns are"))
    pattern = PATTERNS[name]
    _check_fit(name, pattern, sizes, parameters)
    # Where the natural integer is shorter, arrays of indices are too.
    return pattern.pairs(sizes, **parameters).astype(np.int64, copy=False)


def _check_fit(
    name: str, pattern: WiringPattern, sizes: tuple[int, ...], parameters: Mapping[str, object]
) -> None:
    takes = pattern.parameters
    foreign = [p for p in parameters if p not in takes]
    if foreign:
        todo = f"it takes {' and '.join(takes)}" if takes else "it takes no parameters"
        refuse(f"pattern {name} has no {foreign[0]}", todo=todo)
    missing = [p for p, is_required in takes.items() if is_required and p not in parameters]
    if missing:
        refuse(f"pattern {name} without {missing[0]}", todo=_EXAMPLES[missing[0]])
    if pattern.along and len(sizes) != len(pattern.along):
        got, expected = str(len(sizes)), f"{len(pattern.along)}: [{', '.join(pattern.along)}]"
        refuse(f"wrong number of axes for pattern {name}", got=got, expected=expected)


_EXAMPLES = {"pairs": "list pairs: [[left, right], ...]", "degree": "give degree, the cables of each switch"}
