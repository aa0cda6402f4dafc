"""The same racks and switches at other sizes, and other designs of the same size: curve, front and tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fabric.reporting.answers import Growth
from fabric.reporting.chart import PALETTE
from fabric.reporting.document import Picture
from fabric.reporting.plot import PlotAxis, linear, plot, put_dotted
from fabric.reporting.sheet import SOFT, put_text, svg, text_width
from fabric.reporting.tables import dollars
from fabric.study.designs import REFERENCE, Alternative, command_of, front
from fabric.study.failures.table import part
from fabric.study.scale_table import ALL_TO_ALL, TIERS
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import number
from fabric.units import format_bytes, format_power, gbps_to_gbytes, parse_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def changes(growth: Growth) -> list[str]:
    """Return in words what is different from one size to the next."""
    told = [
        f"from {knee.gpus:,} GPUs on: {knee.what}: {knee.before}, then {knee.after}"
        for knee in growth.knees
        if knee.after != "-"
    ]
    rows = growth.built
    for low, high in zip(rows[:-1], rows[1:], strict=True):
        before, after = low.signature(), high.signature()
        for what, values in before.items():
            # A value that is as good at the next size is no change.
            new = after.get(what, values)
            is_found = any(k.what == what and low.gpus < k.gpus <= high.gpus for k in growth.knees)
            if values[0] not in new and not is_found:
                told.append(
                    f"between {low.gpus:,} and {high.gpus:,} GPUs: {what}: {values[0]}, then {new[0]}"
                )
    failed = [row for row in growth.table.rows if row.problem]
    for row in failed[:1] if growth.limit else failed:
        first = f"from {growth.limit:,} GPUs on, as at" if growth.limit else "at"
        told.append(f"{first} {row.asked:,}: {row.problem}")
    return told


def curve_title(growth: Growth) -> str:
    """Return from where on what binds."""
    rows = growth.built
    last = rows[-1].all_to_all_binding
    first = next(i for i in range(len(rows)) if all(r.all_to_all_binding == last for r in rows[i:]))
    knee = next((k for k in growth.knees if k.what == ALL_TO_ALL and k.after == last), None)
    begin = (
        f"from {knee.gpus if knee else rows[first].gpus:,} to {rows[-1].gpus:,} GPUs"
        if knee or first < len(rows) - 1
        else "at the largest"
    )
    kept = f"{gbps_to_gbytes(rows[-1].all_to_all_gbps):,.4g} GB/s"
    return f"{last} binds all-to-all {begin}, where each GPU still has {kept}"


def curve(name: str, growth: Growth) -> Picture:
    """Return the picture of the rate of all-to-all and all-reduce over sizes."""
    title = curve_title(growth)
    return Picture(name, title, svg(lambda: _curve(title, growth), title))


def _curve(title: str, growth: Growth) -> Figure:
    rows = growth.built
    series = [("all-to-all, each GPU", [(r.gpus, r.all_to_all_gbps, r.all_to_all_binding) for r in rows])]
    if rows[0].times:
        busbw = [(r.gpus, r.times[0].busbw_gbps, r.times[0].binding) for r in rows]
        series.append((f"{rows[0].times[0].collective}, busbw", busbw))
    note = (
        f"{command_of('scale', growth.options)}. Line: {format_bytes(growth.table.size_bytes)}, as a run is "
        "expected to show it; colour and mark of a point: the class that binds there. Dotted, found by "
        "search: from there on a tier more, and the class that is named binds all-to-all; other changes "
        "come somewhere between two points."
    )
    points = [point for _, line in series for point in line]
    most = max(gbps_to_gbytes(rate) for _, rate, _ in points)
    names = list(dict.fromkeys(binding for *_, binding in points))
    sizes = [(float(row.gpus), f"{row.gpus:,}") for row in rows]
    made = plot(
        title,
        PlotAxis("GPUs (log scale)", rows[0].gpus, rows[-1].gpus, sizes, is_log=True),
        linear("Rate of one GPU, one direction [GB/s]", 0.0, 1.08 * most),
        note=note,
        legend=[_binds(name) for name in names],
        room=1.6,
    )
    for i, (label, line) in enumerate(series):
        at = [(gpus, gbps_to_gbytes(rate)) for gpus, rate, _ in line]
        made.line(at, color=SOFT, lw=1.2, ls="-" if not i else (0, (4, 2)), zorder=1)
        put_text(made.axes, made.right + 0.12, made.y(at[-1][1]), label, fontsize=8, color=SOFT)
        for (gpus, rate), (*_, binding) in zip(at, line, strict=True):
            made.mark(gpus, rate, names.index(binding))
    for gpus, told in _marks(growth).items():
        if gpus <= rows[-1].gpus:
            put_dotted(made, gpus, [f"from {gpus:,} on", *told])
    return made.figure


def _marks(growth: Growth) -> dict[int, list[str]]:
    """Return by size what is new from there on."""
    marks: dict[int, list[str]] = {}
    for knee in growth.knees:
        new = f"{knee.after} tiers" if knee.what == TIERS else _binds(knee.after)
        marks.setdefault(knee.gpus, []).append(new)
    return marks


def _binds(name: str) -> str:
    return f"{name} bind" if " " in name else f"{name} binds"


def curve_table(growth: Growth) -> str:
    """Return the sizes with their rates and what binds, and what changes between them."""
    rows = []
    for row in growth.built:
        time = row.times[0] if row.times else None
        rows.append(
            [
                f"{row.gpus:,}",
                str(row.tiers),
                f"{row.switches:,}",
                f"{row.cables:,}",
                number(gbps_to_gbytes(row.all_to_all_gbps)),
                code(row.all_to_all_binding),
                number(gbps_to_gbytes(time.busbw_gbps)) if time else "",
                code(time.binding) if time else "",
            ]
        )
    head = [
        ">GPUs",
        ">Tiers",
        ">Switches",
        ">Cables",
        ">All-to-all [GB/s]",
        "Binds",
        ">All-reduce [GB/s]",
        "Binds",
    ]
    about = f" Here it has {escape(growth.departs)}." if growth.departs else ""
    words = (
        f"What `fabtopo design` makes of the same rack and switches at each size: "
        f"{code(command_of('scale', growth.options))} finds every knee; those of tiers are "
        f"here.{about} All-to-all: the exact rate of each GPU; all-reduce: "
        f"expected busbw of {format_bytes(growth.table.size_bytes)}. Per direction."
    )
    knees = bullets(escape(line) for line in changes(growth))
    return "\n\n".join(filter(None, [table(head, rows), words, knees]))


def front_title(growth: Growth) -> str:
    """Return what the cheaper design gives up."""
    designs = growth.designs
    cheapest = min(designs, key=lambda d: sum(d.cost_usd) if d.cost_usd else math.inf)
    own = designs[0]
    if not own.cost_usd or not cheapest.cost_usd or cheapest is own:
        return "No cheaper design of the same racks was found among those that were tried"
    saved = 1 - sum(cheapest.cost_usd) / sum(own.cost_usd)
    lost = 1 - cheapest.rate_gbps / own.rate_gbps
    much = f"{100 * lost:.3g} % of all-to-all" if lost > 1e-6 else "no all-to-all"
    which = f"The cheapest of {len(designs)} designs, {cheapest.what},"
    return f"{which} saves {100 * saved:.2g} % and gives up {much}"


def pareto(name: str, growth: Growth) -> Picture:
    """Return the picture of cost and rate of each design."""
    title = front_title(growth)
    return Picture(name, title, svg(lambda: _pareto(title, growth), title))


def _pareto(title: str, growth: Growth) -> Figure:
    designs = [d for d in growth.designs if d.cost_usd]
    best = {d.what for d in front(growth.designs)}
    note = (
        "Middle of the range of indicative prices, racks included. Filled: on the front, none of the "
        "others has as much rate, and as much left with one leaf down, for less money. The table has the "
        "command of each."
    )
    costs = {d.what: sum(d.cost_usd or (0, 0)) / 2e6 for d in designs}
    low, high = min(costs.values()), max(costs.values())
    pad = 0.1 * (high - low) or 0.1 * high
    most = max(gbps_to_gbytes(d.rate_gbps) for d in designs)
    made = plot(
        title,
        linear("Cost [million USD]", low - pad, high + pad),
        linear("All-to-all of each GPU, one direction [GB/s]", 0.0, 1.25 * most),
        note=note,
        room=1.0,
    )
    points = {(made.x(c), made.y(r)): labels for (c, r), labels in sorted(_places(designs, costs).items())}
    taken = [(x - 0.07, y - 0.07, x + 0.07, y + 0.07) for x, y in points]
    for (x, y), labels in points.items():
        fill = PALETTE[0] if any(label in best for label in labels) else "white"
        made.axes.plot([x], [y], marker="o", ms=8, color=fill, mec=PALETTE[0], mew=1.4, zorder=3)
        left, bottom = _free(labels, (x, y), taken, (made.left, made.top))
        for i, label in enumerate(labels):
            weight = "bold" if label in best else "normal"
            put_text(made.axes, left, bottom + 0.15 * (i + 0.5), label, fontsize=8.5, fontweight=weight)
    return made.figure


_Box = tuple[float, float, float, float]


def _free(
    labels: Sequence[str], at: tuple[float, float], taken: list[_Box], within: tuple[float, float]
) -> tuple[float, float]:
    """Return the lower left corner of labels beside a point where nothing stands yet, and take the place.

    Right of the first of `within` and below the second.
    """
    wide, high = max(text_width(label, 8.5, "bold") for label in labels), 0.15 * len(labels)
    rights = (at[0] + 0.1, at[0] - 0.1 - wide)
    ups = (at[1] + 0.09, at[1] - 0.09 - high, *(at[1] + 0.2 * k for k in (1, 2, 3)))
    boxes = [(x, y, x + wide, y + high) for y in ups for x in rights if x > within[0]]
    boxes = [box for box in boxes if box[3] < within[1]] or boxes
    apart = [box for box in boxes if not any(_meets(box, other) for other in taken)]
    found = (apart or boxes)[0]
    taken.append(found)
    return found[:2]


def _meets(one: _Box, other: _Box) -> bool:
    """Return whether two boxes, each from left and bottom to right and top, have a place in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _places(designs: Sequence[Alternative], costs: dict[str, float]) -> dict[tuple[float, float], list[str]]:
    """Return the points of the picture with the designs that stand there."""
    low, high = min(costs.values()), max(costs.values())
    near = 0.04 * (high - low) or 1.0
    found: dict[tuple[float, float], list[str]] = {}
    for one in designs:
        at = (costs[one.what], gbps_to_gbytes(one.rate_gbps))
        close = next((p for p in found if abs(p[0] - at[0]) < near and abs(p[1] - at[1]) < 0.02 * at[1]), at)
        found.setdefault(close, []).append(one.what)
    return found


def pareto_table(growth: Growth) -> str:
    """Return the designs with what each costs and keeps, and the command that makes each."""
    best = {d.what for d in front(growth.designs)}
    rows = [
        [
            f"**{d.what}**" if d.what in best else d.what,
            f"{d.n_switches:,}",
            f"{d.n_cables:,}",
            number(gbps_to_gbytes(d.rate_gbps)),
            number(gbps_to_gbytes(d.busbw_gbps)) if d.busbw_gbps is not None else "not known",
            "cuts off" if d.kept == 0 else part(d.kept),
            format_power(d.power_w) if d.power_w else "not known",
            dollars(*d.cost_usd) if d.cost_usd else "not known",
        ]
        for d in growth.designs
    ]
    head = ["Design", ">Switches", ">Cables", ">All-to-all", ">All-reduce", ">Leaf down", ">Power", ">Cost"]
    words = (
        "Designs of the same racks and number of GPUs, with the media that `fabtopo bom` chooses. Bold: on "
        "the front "
        "of all-to-all, of what one leaf down leaves of it, and of cost. All-to-all: the exact rate of each "
        f"GPU; all-reduce: expected busbw of {format_bytes(parse_bytes(REFERENCE))}; both in GB/s per "
        "direction. Power and cost of all that is known, racks included, at indicative prices."
    )
    if any(d.what == "rail-only" for d in growth.designs):
        words += (
            " Rail-only joins rails by GPUs alone that relay over their scale-up network (PXN): what cannot, "
            "such as storage or a single GPU of a box, has no way to another rail."
        )
    return "\n\n".join([table(head, rows), words, bullets(_commands(growth.designs))])


def _commands(designs: Sequence[Alternative]) -> Iterator[str]:
    return (f"{d.what}: {code(d.command)}" for d in designs)


def growing_line(growth: Growth) -> str:
    """Return for the summary how far the same racks and switches reach."""
    rows = growth.built
    largest = rows[-1]
    limit = "" if len(rows) == len(growth.table.rows) else "; beyond, no design of them"
    limit = f"; from {growth.limit:,} GPUs on there is none" if growth.limit else limit
    rate = f"{gbps_to_gbytes(largest.all_to_all_gbps):,.4g} GB/s"
    reach = f"{largest.gpus:,} GPUs on {largest.tiers} tiers"
    return f"designs of these racks and switches reach {reach} at {rate} of all-to-all each{limit}"


def size_rows(growth: Growth) -> list[list[tuple[str, str]]]:
    """Return what a slider shows of each size, as pairs of name and value."""
    rows = []
    for row in growth.built:
        pairs = [
            ("GPUs", f"{row.gpus:,}"),
            ("Tiers", str(row.tiers)),
            ("Switches", f"{row.switches:,}"),
            ("Cables", f"{row.cables:,}"),
            ("Known power", format_power(row.known_w)),
            ("All-to-all of each GPU", f"{gbps_to_gbytes(row.all_to_all_gbps):,.4g} GB/s"),
            ("All-to-all binds", row.all_to_all_binding),
        ]
        for time in row.times:
            rate = f"{gbps_to_gbytes(time.busbw_gbps):,.4g} GB/s by {time.algorithm}"
            pairs += [
                (f"{time.collective}, expected busbw", rate),
                (f"{time.collective} binds", time.binding),
            ]
        rows.append(pairs)
    return rows
