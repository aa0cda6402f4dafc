"""From a question to a job: on classes where the ranks are a product of axes, else on every cable."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from fabric.blueprint.model import Blueprint
from fabric.blueprint.planes import open_chips, refusal
from fabric.blueprint.reducing import REDUCING_NETS
from fabric.errors import LimitError, QuestionError
from fabric.graph import Fabric
from fabric.job.by_number import jobs_by_number
from fabric.job.listing import Listing, jobs_of_all, jobs_of_list, jobs_of_order, jobs_of_placement
from fabric.job.numbering import UnlikeGroupsError
from fabric.job.on_classes import of_product, on_classes
from fabric.job.placement import Placement, placement
from fabric.job.question import JobQuestion
from fabric.job.ranks import Job
from fabric.schedule.tree import Pattern
from fabric.symmetry import NoSymmetryError

MAX_CABLES = 10_000
MAX_ROUTES = 60_000
"""Cables, and ranks times links both ways, up to which the best routes are looked for on every cable."""

MAX_MESH = 256
"""Ranks of a domain of the largest full mesh that is looked for; each has a cable to every other."""


def job(fabric: Fabric, asked: JobQuestion | None = None) -> Job:
    """Return the job of a question.

    Raises
    ------
    QuestionError, SelectorError
        If it does not fit the fabric, or groups are of several kinds.
    NoSymmetryError
        If only axes were asked for, and they do not say the symmetry.
    LimitError
        If only every cable will do, and they are too many.
    """
    found = jobs(fabric, asked)
    if len(found) > 1:
        asked = asked or JobQuestion()
        raise UnlikeGroupsError([work.shape for work in found], asked.over)
    return found[0]


def jobs(fabric: Fabric, asked: JobQuestion | None = None) -> tuple[Job, ...]:
    """Return the jobs of a question: one for each kind of its groups, on the same links.

    Groups of a kind have as many ranks, which lie in domains in the same way.

    Raises
    ------
    QuestionError, SelectorError, NoSymmetryError, LimitError
        As `job`.
    """
    asked = asked or JobQuestion()
    blueprint = fabric.blueprint
    if asked.routing == "hashed" and blueprint is not None and not refusal(blueprint):
        # A flow that is hashed goes through one chip of every box.
        fabric = replace(fabric, blueprint=open_chips(blueprint))
    # What the switches could reduce, kept only for the networks that are asked to.
    inside, across = (net in asked.reduces for net in REDUCING_NETS)

    def shaped(work: Job) -> Job:
        shape = replace(
            work.shape,
            reduces_in_domain=work.shape.reduces_in_domain and inside,
            reduces_across=work.shape.reduces_across and across,
            is_mesh=_is_mesh(work),
            relays=asked.routing != "rail-direct",
        )
        return replace(work, shape=shape)

    return tuple(shaped(work) for work in _jobs(fabric, asked))


def _is_mesh(work: Job) -> bool:
    """Return whether a message between any two ranks of a domain passes one cable."""
    if not 2 <= max(work.shape.sizes) <= MAX_MESH:
        return False
    # A full mesh: the bytes of all pairs pass one link each on average.
    try:
        return abs(float(work.loads(Pattern("pairwise", "domain")).hops.sum()) - 1) < 1e-9
    except QuestionError:
        return False


def _jobs(fabric: Fabric, asked: JobQuestion) -> tuple[Job, ...]:
    """Return the jobs of a question, with all switches that reduce."""
    if asked.ranks and not (asked.order and fabric.blueprint):
        if asked.method == "axes":
            msg = "ranks that are listed one by one are no product of axes"
            raise QuestionError(msg)
        return jobs_of_list(Listing(fabric, asked, "ranks are listed one by one"))
    if fabric.blueprint is None:
        if asked.over or asked.order:
            msg = "over and order need axes; a fabric read from a graph has none; list the ranks"
            raise QuestionError(msg)
        return jobs_of_all(Listing(fabric, asked, "a fabric read from a graph has no axes"), (), ())
    place, why = _placed(fabric.blueprint, asked)
    if asked.method != "links":
        try:
            return _by_classes(fabric, asked, place, why)
        except NoSymmetryError as error:
            if asked.method == "axes":
                raise
            why = str(error)
    listing = Listing(fabric, asked, "asked for" if asked.method == "links" else why)
    if asked.ranks:
        return jobs_of_list(listing)
    # A placement of a part numbers its devices anew: the real ones are listed by the order itself.
    if place is not None and not (asked.order and asked.among):
        return jobs_of_placement(listing, place)
    return jobs_of_order(listing) if asked.order else jobs_of_all(listing, (), ())


def _placed(blueprint: Blueprint, asked: JobQuestion) -> tuple[Placement | None, str]:
    """Return where the ranks of a question lie on axes, or why they are no product of them."""
    if asked.ranks:
        return None, "ranks are listed"
    try:
        return placement(blueprint, over=asked.over, among=asked.among, order=asked.order), ""
    except NoSymmetryError as error:
        return None, str(error)


def _by_classes(fabric: Fabric, asked: JobQuestion, place: Placement | None, why: str) -> tuple[Job, ...]:
    """Return the jobs on classes: of ranks that are a product of axes, or else by their numbers.

    Raises
    ------
    NoSymmetryError
    """
    if place is not None:
        on_cables = _on_cables(fabric, asked, place)
        if not asked.order:
            try:
                return (replace(on_classes(place, asked.routing, asked.paths), on_cables=on_cables),)
            except UnlikeGroupsError:
                return jobs_by_number(place.blueprint, asked, place)
        with contextlib.suppress(*() if asked.is_product else (NoSymmetryError,)):
            if asked.beside:  # on the classes of all jobs
                return jobs_by_number(fabric.axes_or_refuse("an order of ranks"), asked)
            return (replace(of_product(place, asked.routing, asked.paths).as_job(), on_cables=on_cables),)
    if asked.order and not asked.is_product:
        return jobs_by_number(fabric.axes_or_refuse("an order of ranks"), asked)
    raise NoSymmetryError(why)


def _on_cables(fabric: Fabric, asked: JobQuestion, place: Placement) -> Callable[[], Job | None]:
    """Return what makes the same job on every cable, where these are few; made once, when it is asked for."""

    @cache
    def every() -> Job | None:
        few = replace(asked, limit=min(asked.limit, MAX_CABLES))
        try:
            (work,) = jobs_of_placement(Listing(fabric, few, "ranks differ in what they do"), place)
        except LimitError:
            return None
        is_few = work.n_instances * work.shape.n * len(work.links.rule) <= MAX_ROUTES
        return work if is_few else None

    return every
