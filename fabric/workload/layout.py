"""Where the parallel dimensions lie: from an order of ranks to the groups that each dimension has.

Ranks are a product of tp, cp, pp and dp, numbered in some order. Two more sorts of groups come from these:
those of experts, ``ep``, are the fastest of tp, cp and dp together, and ``edp``, the replicas of experts, is
what is left of the three::

    (node slot) -> (pp dp=16 tp=4), ep = 8     (pp=.. dp_out=8 dp_in=2 tp=4)
                                               tp: tp    dp: dp_out dp_in    ep: dp_in tp    edp: dp_out
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fabric.errors import QuestionError, nearest
from fabric.workload.workload import PLACED, Parallel

DEFAULT = ("dp", "pp", "cp", "tp")
"""Order of the dimensions where a job says none, the last one fastest (arXiv 2407.21783, section 3.3.2)."""

GROUPS = ("tp", "cp", "ep", "pp", "dp", "edp")
"""Sorts of groups; of dp all ranks that have the same weights outside of experts, so with cp."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Groups of ranks by dimension.

    Parameters
    ----------
    order : str
        As `fabric.job.placement` reads it, dimensions cut where those of experts begin.
    over : mapping of str to tuple of str
        Dimensions of `order` that the groups of each sort span; empty where each has one rank.
    sizes : mapping of str to int
        Ranks of a group of each sort.
    dimensions : tuple of str
        Names of the dimensions as placed, those of one rank left out.
    """

    order: str
    over: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int]
    dimensions: tuple[str, ...]


def read_dimensions(order: str, parallel: Parallel, axes: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the left side of an order, and its dimensions.

    Parameters
    ----------
    order : str
        ``(rack slot) -> (dp tp=8)``, or the dimensions alone; empty for `DEFAULT`.
    parallel : Parallel
    axes : sequence of str
        Of the endpoints, in the order of the file, for where no axes are named.

    Raises
    ------
    QuestionError
        If it cannot be read, or does not fit the layout.

    Examples
    --------
    >>> read_dimensions("dp tp", Parallel(tp=8, dp=4), ["rack", "slot"])
    ('rack slot', ('dp', 'tp'))
    """
    left, arrow, right = order.partition("->")
    axes_said, words = (left, right) if arrow else (" ".join(axes), left)
    named: dict[str, str] = {}
    for word in words.replace("(", " ").replace(")", " ").split() or DEFAULT:
        name, equals, size = word.partition("=")
        if name not in PLACED or name in named:
            hint = nearest(name, PLACED) or f"dimensions are {', '.join(PLACED)}, each once"
            msg = f"order: {word!r} is no new dimension; {hint}"
            raise QuestionError(msg)
        if equals and size != str(getattr(parallel, name)):
            msg = f"order: {word!r}, and the layout has {name} = {getattr(parallel, name)}"
            raise QuestionError(msg)
        named[name] = size
    if missing := [n for n in PLACED if getattr(parallel, n) > 1 and n not in named]:
        msg = f"order {order!r}: {', '.join(missing)} missing; name each dimension of the layout"
        raise QuestionError(msg)
    return axes_said.replace("(", " ").replace(")", " ").strip(), tuple(named)


def lay_out(left: str, dimensions: Sequence[str], parallel: Parallel) -> Layout:
    """Return the groups of an order.

    Raises
    ------
    QuestionError
        If groups of experts straddle a dimension.

    Examples
    --------
    >>> layout = lay_out("node slot", ("pp", "dp", "tp"), Parallel(tp=4, pp=2, dp=16, ep=8))
    >>> layout.order
    '(node slot) -> (pp=2 dp_out=8 dp_in=2 tp=4)'
    >>> layout.over["ep"], layout.over["edp"], layout.sizes["edp"]
    (('dp_in', 'tp'), ('dp_out',), 8)
    """
    pieces: list[tuple[str, str, int]] = []  # name, dimension, size; the fastest first
    of_experts: list[str] = []
    left_over = parallel.ep
    for name in reversed(dimensions):
        size = getattr(parallel, name)
        if name == "pp" or left_over == 1 or size == 1:
            pieces.append((name, name, size))
        elif left_over % size == 0:
            left_over //= size
            pieces.append((name, name, size))
            of_experts.append(name)
        elif size % left_over == 0:
            pieces += [(f"{name}_in", name, left_over), (f"{name}_out", name, size // left_over)]
            of_experts.append(f"{name}_in")
            left_over = 1
        else:
            msg = f"ep = {parallel.ep} straddles {name} = {size} in the order {' '.join(dimensions)}"
            raise QuestionError(msg)
    pieces.reverse()

    def over(*names: str) -> tuple[str, ...]:
        return tuple(piece for piece, name, size in pieces if name in names and size > 1)

    groups = {name: over(name) for name in ("tp", "cp", "pp")}
    groups["dp"] = over("dp", "cp")
    folded = over("tp", "cp", "dp")
    groups["ep"] = tuple(piece for piece in folded if piece in of_experts)
    groups["edp"] = tuple(piece for piece in folded if piece not in of_experts) if parallel.ep > 1 else ()
    size_of = {piece: size for piece, _, size in pieces}
    return Layout(
        f"({left}) -> ({' '.join(f'{piece}={size}' for piece, _, size in pieces)})",
        groups,
        {name: math.prod(size_of[piece] for piece in of) for name, of in groups.items()},
        tuple(name for name in dimensions if getattr(parallel, name) > 1),
    )


def all_orders(parallel: Parallel) -> Iterator[tuple[str, ...]]:
    """Yield every order of the dimensions that have several ranks."""
    placed = [name for name in DEFAULT if getattr(parallel, name) > 1]
    yield from itertools.permutations(placed)
