"""The question as put: which ranks a job has, and how their traffic is routed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from fabric.arguments import Method, check_fields
from fabric.blueprint.reducing import ReducingNet
from fabric.blueprint.selector import selected_groups
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import QuestionError, setting
from fabric.graph import EXPAND_LIMIT, Fabric, Paths
from fabric.job.ranks import Routing


class JobOptions(TypedDict, total=False):
    """Keywords of a `JobQuestion`: which ranks, and how their traffic is routed; see there."""

    over: Sequence[str]
    among: str | None
    ranks: Sequence[str]
    order: str
    routing: Routing
    reduces: Sequence[ReducingNet]
    method: Method
    limit: int
    drop_unreachable: bool
    beside: Sequence[tuple[str, ...]]
    is_product: bool


@dataclass(frozen=True, slots=True)
class JobQuestion:
    """Which ranks, and how their traffic is routed.

    Parameters
    ----------
    over : tuple of str
        Axes, or dimensions of `order`, that one instance spans; empty for all.
    among : str, optional
        Selector of the ranks.
    ranks : tuple of str
        Devices in the order of the ranks, or selectors of them, instead of `among`.
    order : str
        How ranks are numbered; see `fabric.job.placement`. Those of `ranks` are cut by
        ``(ranks) -> (dp tp=8)``.
    routing : str
    reduces : tuple of str
        Networks whose switches may reduce, where their parts can: ``"scale-up"`` (NVLink SHARP, which
        libraries use unasked) and ``"scale-out"`` (SHARP, which must be switched on).
    method : {"auto", "axes", "links"}
        On classes, or on every cable. Refinement does not tell ranks apart, so it answers no collective.
    limit : int
        Of the expanded form.
    drop_unreachable : bool
        Leave out ranks that failures cut off; otherwise the answer is that there is none.
    beside : tuple of tuple of str
        Selectors of the ranks of each of several jobs, this one among them, on whose classes all of them are
        then: what they put on links can be added up. For a question with an order.
    is_product : bool
        Whether the groups of an order have to be a product of axes; others are cut by number.
    """

    over: tuple[str, ...] = ()
    among: str | None = None
    ranks: tuple[str, ...] = ()
    order: str = ""
    routing: Routing = "ecmp"
    reduces: tuple[ReducingNet, ...] = ("scale-up",)
    method: Method = "auto"
    limit: int = EXPAND_LIMIT
    drop_unreachable: bool = False
    beside: tuple[tuple[str, ...], ...] = ()
    is_product: bool = False

    @classmethod
    def of(cls, options: JobOptions) -> JobQuestion:
        """Return the question that some keywords ask."""
        return cls(**cast("Any", options))

    def __post_init__(self) -> None:
        """Check the names."""
        check_fields(self)
        if self.drop_unreachable and self.ranks:
            msg = f"ranks that are listed are meant: leave {setting('drop_unreachable', True)} out"
            raise QuestionError(msg)
        if self.method == "refinement":
            msg = "refinement does not tell ranks apart, so it answers no collective: ask for axes or links"
            raise QuestionError(msg)
        if self.ranks and (self.among or (self.over and not self.order)):
            msg = "ranks are listed one by one: leave over, among and order out"
            raise QuestionError(msg)

    @property
    def paths(self) -> Paths:
        """The path rule of the routing."""
        return "no-relay" if self.routing == "rail-direct" else "rules"


def ranks_group(fabric: Fabric, asked: JobQuestion) -> str:
    """Return the device group of the ranks.

    Raises
    ------
    QuestionError
        If they are of several groups.
    """
    e_groups = (
        {g.name for g in fabric.blueprint.groups.values() if g.is_endpoint} if fabric.blueprint else set()
    )
    if asked.among is not None and fabric.blueprint is not None:
        selector = read_selector(fabric.blueprint, asked.among, needs_group=False)
        e_groups &= set(selected_groups(fabric.blueprint, selector))
    if len(e_groups) != 1:
        names = ", ".join(sorted(e_groups)) or "none"
        msg = f"ranks of one group of endpoints are needed; these are of {names}"
        raise QuestionError(msg)
    return e_groups.pop()
