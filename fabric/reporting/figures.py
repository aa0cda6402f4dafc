"""The figures of a report, as SVG text that is the same on every run."""

from __future__ import annotations

from fabric.reporting.sheet import svg
from fabric.reporting.staircase import staircase_figure, staircase_title
from fabric.reporting.wiring import wiring_figure, wiring_title
from fabric.sizing.summary import Summary


def staircase(summary: Summary) -> str:
    """Draw what each endpoint has on each tier of the way out.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    str
        SVG. One bar per link rule, in GB/s per direction and endpoint on a log scale; the ratio of each step
        to the next on its way beside it. Rules off the shortest way out are pale and take no part in the
        ratios.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> from fabric.sizing.summary import summarize
    >>> text = "{fabric: a, axes: {i: 2}, links: [{between: [gpu, leaf], rate: 400Gb/s}],"
    >>> text += " devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}}"
    >>> ">50 GB/s (400 Gb/s)<" in staircase(summarize(loads(text)))
    True
    """
    return svg(lambda: staircase_figure(summary), staircase_title(summary))


def wiring(summary: Summary) -> str:
    """Draw groups as boxes and link rules as bundles, with every count.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    str
        SVG. Endpoints at the bottom; a bundle carries the cables of its rule, and at its ends the cables of
        one device. The counts are those of the whole fabric, so they are those of the cable table.
    """
    return svg(lambda: wiring_figure(summary), wiring_title(summary))
