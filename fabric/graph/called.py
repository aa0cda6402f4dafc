"""Answers with the names of the site."""

from __future__ import annotations

from fabric.arguments import checked
from fabric.blueprint.model import Blueprint
from fabric.blueprint.site_selectors import site_words
from fabric.errors import QuestionError
from fabric.graph.fabric import Fabric
from fabric.results import Result, spelled


@checked
def by_site_names(fabric: Fabric, answer: Result) -> Result:
    """Return an answer in which devices are called as they are at their site, by ``names:`` of the file.

    Parameters
    ----------
    fabric : Fabric
        That the answer is about.
    answer : Result

    Returns
    -------
    Result
        Of the same class. What the names do not tell stays by the axes: all leaves, or one GPU of a server
        that has no name.

    Raises
    ------
    QuestionError
        If the file has no names.

    Examples
    --------
    >>> from fabric.flow.throughput import throughput
    >>> from fabric.graph import fail, loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: "
    >>> text += "[]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}], names: {gpu: 'r7-g{i+1:02}'}}"
    >>> f = fail(loads(text), ("r7-g03", "leaf"))
    >>> throughput(f).cut_off[0].endpoint, by_site_names(f, throughput(f)).cut_off[0].endpoint
    ('gpu2', 'r7-g03')
    """
    blueprint = names_or_refuse(fabric)
    return spelled(answer, lambda text: site_words(blueprint, text))


def names_or_refuse(fabric: Fabric) -> Blueprint:
    """Return the blueprint, which has names of the site.

    Raises
    ------
    QuestionError
        If it has none.
    """
    blueprint = fabric.axes_or_refuse("names of the site")
    if not blueprint.site_names:
        msg = f"{fabric.name} has no names of the site; give its file names: (docs/topology-file.md)"
        raise QuestionError(msg)
    return blueprint


def called(fabric: Fabric, text: str) -> str:
    """Return a text about devices with their names at the site."""
    return site_words(names_or_refuse(fabric), text)
