"""A design as a topology file that people read, edit and check in: YAML with a comment for every number."""

from __future__ import annotations

import textwrap

from fabric.sizing.counts import Installed
from fabric.sizing.layout import FileLayout, Link, block_name
from fabric.sizing.request import Request
from fabric.sizing.tiers import Sizes
from fabric.units import format_ratio

_WIDTH = 116


def write(request: Request, sizes: Sizes, layout: FileLayout, built: Installed, name: str) -> str:
    """Return the text of a topology file.

    Parameters
    ----------
    request : Request
    sizes : Sizes
    layout : FileLayout
    built : Installed
        All that the file stands for, absent places left out.
    name : str
        Of the fabric.
    """
    lines = [f"# {line}" if line else "#" for line in _head(request, sizes, layout, built)]
    lines += [f"fabric: {name}", "about: >-"]
    lines += textwrap.wrap(_about(request), _WIDTH, initial_indent="  ", subsequent_indent="  ")
    over = ", ".join(f"{a}: {n}" for a, n in layout.over.items())
    lines.append(f"include: {{fabric: {request.rack.reference}, over: {{{over}}}}}")
    # A composed axis is written as the list of its parts.
    axes = ", ".join(
        f"{a}: {n if isinstance(n, int) else '[' + ', '.join(n) + ']'}" for a, n in layout.axes.items()
    )
    if axes:
        lines.append(f"axes: {{{axes}}}")
    lines.append("devices:")
    width = max(len(g.name) for g in layout.groups) + 1
    numbers = built.switches
    rows = []
    for group in layout.groups:
        more = f", {group.more}" if group.more else ""
        row = f"  {group.name + ':':<{width}} {{{group.what}{more}, axes: [{', '.join(group.axes)}]}}"
        n = numbers.get(group.name)
        rows.append((row, f"{n:,}" if n else "in place of a server"))
    lines += _comment_lines(rows)
    lines.append("links:")
    lines += _comment_lines([(_link(link), _cables(link, layout.links, built)) for link in layout.links])
    if layout.absent:
        why = f"{request.populated * request.rack.n_gpus:,} of {request.racks * request.rack.n_gpus:,} GPUs"
        comment = "not installed yet: " + why if request.populated < request.racks else "places left over"
        lines.append(f"absent:  # {comment}")
        lines += [f"  - {selector}" for selector in layout.absent]
    return "\n".join(lines) + "\n"


def _head(request: Request, sizes: Sizes, layout: FileLayout, built: Installed) -> list[str]:
    """Return what the fabric is, in lines of a comment: a drawing of its tiers, and what their units are."""
    unit, rack = request.rack.unit, request.rack
    switches = ", ".join(f"{t.switches:,} {plural(t.switches, t.name)}" for t in built.tiers)
    lines = [
        f"{built.gpus:,} GPUs in {built.racks:,} {plural(built.racks, unit)} of {rack.name}: {switches}.",
        "",
        *_drawing(request, sizes, layout, built),
    ]
    units = _units(request, sizes)
    return [*lines, "", *units] if units else lines


def _drawing(request: Request, sizes: Sizes, layout: FileLayout, built: Installed) -> list[str]:
    """Return the tiers from the core down to the NICs, each with its axes, its number and its cables."""
    rack = request.rack
    axes = {group.name: group.axes for group in layout.groups}
    cables = (sizes.down, sizes.up), (sizes.spine_down, sizes.spine_up), (sizes.core_down, 0)
    rows = [(_label(rack.nic, (*layout.over, "...")), f"{rack.name} x {built.racks:,}")]
    # Rules with a name only add cables to the rule before.
    plain_links = [link for link in layout.links if not link.name]
    for tier, link, (down, up) in zip(built.tiers, plain_links, cables, strict=False):
        switch = request.switch(tier.name)
        devices = f"{tier.switches:,} {'switches of ' if switch.is_generic else ''}{switch.name}"
        split = f", {up:,} up, {format_ratio(tier.oversubscription)}" if up else ""
        is_uneven = any(more.name and more.upper.startswith(link.upper) for more in layout.links)
        count = f"{link.count} or {link.count + 1}" if is_uneven else str(link.count)
        # A line between two tiers, with the cables of a pair where there are several.
        rows.append(("   |" if count == "1" else f"   |  {count}", ""))
        rows.append((_label(tier.name, axes[tier.name]), f"{devices}: {down:,} cables down{split}"))
    width = max(len(label) for label, _ in rows) + 4
    return [f"  {label:<{width}}{text}".rstrip() for label, text in reversed(rows)]


def _label(group: str, axes: tuple[str, ...]) -> str:
    return f"{group}[{', '.join(axes)}]"


def _units(request: Request, sizes: Sizes) -> list[str]:
    """Return what the axes of the drawing are, one a line."""
    unit, lines = request.rack.unit, []
    if request.planes > 1:
        lines.append(
            f"  plane    {request.planes} networks side by side; each NIC has a share of its rate in each"
        )
    if request.homes > 1:
        lines.append(f"  home     each NIC has cables to {request.homes} leaves of a plane")
    if sizes.tiers > 1:
        leaves = "one leaf" if sizes.rails == 1 else f"{sizes.rails} leaves, one for each rail"
        name = block_name(request) if sizes.block > 1 else unit
        size = f"{sizes.block} {plural(sizes.block, unit)} on {leaves}"
        lines.append(f"  {name:<8} {size}; {sizes.blocks:,} of them")
    if sizes.tiers > 2:
        inside = block_name(request) if sizes.block > 1 else unit
        per = f"{sizes.pod} {plural(sizes.pod, inside)}"
        lines.append(
            f"  pod      {per} under {sizes.spines} {plural(sizes.spines, 'spine')}; {sizes.pods:,} of them"
        )
        shared = f"{sizes.folds} spines" if sizes.folds > 1 else "spine"
        k = "its spines" if sizes.folds > 1 else "spine k"
        joins = f"core plane k joins {k} of every pod"
        lines.append(f"  core     {sizes.cores} for each {shared} of a pod: {joins}")
    if sizes.tiers > 1 and sizes.groups > 1:
        lines.append(
            f"  rails    {sizes.groups} groups with spines of their own: they meet inside the {unit} only"
        )
    return lines


def plural(n: int, word: str) -> str:
    """Return `word` as it stands after `n`.

    Examples
    --------
    >>> plural(1, "leaf"), plural(2, "leaf"), plural(2, "node"), plural(2, "su"), plural(2, "switch")
    ('leaf', 'leaves', 'nodes', 'SUs', 'switches')
    """
    if n == 1:
        return {"su": "SU"}.get(word, word)
    return {"leaf": "leaves", "su": "SUs", "switch": "switches"}.get(word, f"{word}s")


def _about(request: Request) -> str:
    rack = request.rack
    built = f"{request.racks * rack.n_gpus:,} in whole {rack.unit}s"
    text = f"Designed by fabtopo for {request.gpus:,} GPUs, {built}."
    return f"{(request.given.get('about') or '').strip()} {text}".strip()


def _link(link: Link) -> str:
    name = f"name: {link.name}, " if link.name else ""
    count = f", count: {link.count}" if link.count > 1 else ""
    numbers = f"{link.each[0]}, {link.each[1]}"
    rate = f"rate: {link.rate_gbps:.15g}Gb/s{count}"
    return f"  - {{{name}between: [{link.lower}, {link.upper}], {rate}, each: [{numbers}]}}"


def _cables(link: Link, links: tuple[Link, ...], built: Installed) -> str:
    if link.name:
        return "one cable more"
    upper = link.upper.rpartition("/")[2].rstrip("0123456789-")
    is_uneven = any(more.name.startswith(f"{link.lower}-{upper}-") for more in links)
    return f"{built.cables[f'{link.lower}-{upper}']:,} cables" + (", with those below" if is_uneven else "")


def _comment_lines(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(row) for row, _ in rows)
    return [f"{row:<{width}}  # {comment}" for row, comment in rows]
