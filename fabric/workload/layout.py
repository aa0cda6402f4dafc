"""Where the parallel dimensions lie: from an order of ranks to the groups that each dimension has.

Ranks are a product of tp, cp, pp and dp, numbered in some order. Two more sorts of groups come from these:
those of experts, ``ep``, are the fastest of tp, cp and dp together, and ``edp``, the replicas of experts, is
what is left of the three::

    (node slot) -> (pp dp=16 tp=4), ep = 8     (pp=.. dp_out=8 dp_in=2 tp=4)
                                               tp: tp    dp: dp_out dp_in    ep: dp_in tp    edp: dp_out

An order may give experts a place of their own: ``dp ep pp tp`` has dp / ep replicas outermost, of each the ep
ranks that share experts out next, and dp is both.
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

NAMED = (*PLACED, "ep")
"""Dimensions that an order may name."""

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
        With ``dp`` 0 where it is what is left of the ranks.
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
        if name in named:
            msg = f"order: {name} stands twice; name each dimension once"
            raise QuestionError(msg)
        if name not in NAMED:
            hint = nearest(name, NAMED) or f"dimensions are {', '.join(NAMED)}"
            msg = f"order: {word!r} is no dimension; {hint}"
            raise QuestionError(msg)
        # A size of 0 is what is left of the ranks, which is not known yet.
        if equals and size != str(getattr(parallel, name) or size):
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
    >>> placed = lay_out("node slot", ("dp", "ep", "pp", "tp"), Parallel(tp=4, pp=2, dp=16, ep=8))
    >>> placed.order, placed.over["ep"], placed.over["edp"]
    ('(node slot) -> (dp_out=2 ep=8 pp=2 tp=4)', ('ep',), ('dp_out', 'tp'))
    >>> layout = lay_out("node slot", ("pp", "dp", "tp"), Parallel(tp=4, pp=2, dp=16, ep=8))
    >>> layout.order
    '(node slot) -> (pp=2 dp_out=8 dp_in=2 tp=4)'
    >>> layout.over["ep"], layout.over["edp"], layout.sizes["edp"]
    (('dp_in', 'tp'), ('dp_out',), 8)
    """
    pieces: list[tuple[str, str, int]] = []  # name, dimension, size; the fastest first
    of_experts: list[str] = []
    is_placed = "ep" in dimensions and parallel.ep > 1
    if is_placed and parallel.dp % parallel.ep:
        todo = "leave it out of the order"
        msg = f"ep = {parallel.ep} with a place of its own divides dp = {parallel.dp}; {todo}"
        raise QuestionError(msg)
    left_over = 1 if is_placed else parallel.ep
    for name in reversed(dimensions):
        size = getattr(parallel, name)
        if name == "ep":
            # Ranks of experts are replicas: dp is what an order names dp, and these.
            pieces += [("ep", "dp", parallel.ep)] if is_placed else []
            of_experts += ["ep"] if is_placed else []
        elif name == "dp" and is_placed:
            pieces.append(("dp_out", "dp", size // parallel.ep))
        elif name == "pp" or left_over == 1 or size == 1:
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
    """Yield every order of the dimensions of several ranks, with experts in a place of their own too."""
    placed = [name for name in DEFAULT if getattr(parallel, name) > 1]
    yield from itertools.permutations(placed)
    if parallel.ep > 1 and parallel.dp % parallel.ep == 0:
        yield from itertools.permutations([*placed, "ep"])
