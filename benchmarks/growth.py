"""Draw how time grows: with size, with failures, and with irregularity.

`python -m benchmarks.growth` measures and writes `docs/growth.csv` and `docs/growth.svg`; with ``--draw`` it
draws the rows that are there. Seconds are of CPU, of the question alone, each asked of a fabric that nothing
is known of from before.
"""

from __future__ import annotations

import csv
import gc
import random
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import fabrics
from benchmarks.__main__ import cpu_s
from fabric.reporting.sheet import GRID, INK, SOFT, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOCS = fabrics.ROOT / "docs"
TITLE = "Time does not grow with size, and with failures only by their kinds"
COLOURS = ("#0072b2", "#c44e00", "#7a5c99", "#1a1a1a")

# Uplinks of 32 leaves to 16 spines: with each that is down less of it is alike.
TWO_TIERS = """
fabric: two-tiers
axes: {leaf: 32, slot: 8, spine: 16}
devices:
  gpu: {kind: gpu, axes: [leaf, slot]}
  l: {kind: switch, axes: [leaf]}
  s: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, l], rate: 400Gb/s}
  - {between: [l, s], rate: 400Gb/s}
"""


class Row(NamedTuple):
    """One measure."""

    panel: str
    series: str
    x: int
    cpu_s: float
    status: str


def measured() -> Iterator[Row]:
    """Yield all measures."""
    import fabric

    verbs: dict[str, Callable[[fabrics.Fabric], object]] = {
        "throughput": lambda f: fabric.throughput(f).status,
        "bottleneck": lambda f: fabric.bottleneck(f).status,
        "bound of an all-gather": lambda f: fabric.bound(f, "all-gather").status,
    }
    # Loads what each verb needs before anything is timed.
    for verb in verbs.values():
        verb(fabric.loads(fabrics.TWO_TIER))

    def row(panel: str, series: str, x: int, text: str, verb: str = "throughput") -> Row:
        f = fabric.loads(text, base=fabrics.ROOT / "topologies")
        gc.collect()
        begin = cpu_s()
        status = verbs[verb](fabrics.fresh(f))
        return Row(panel, series, x, round(cpu_s() - begin, 4), str(status))

    for verb in verbs:
        for pods in (1, 10, 55, 550, 5_500, 55_000):
            yield row("size", verb, pods * 18_432, fabrics.BARE.replace("pod: 55", f"pod: {pods}"), verb)
    counts = (0, 1, 2, 5, 10, 20, 50, 100)
    for verb in verbs:
        for n in counts:
            yield row(
                "failures", f"{verb}, NICs at random", n, fabrics.million(*fabrics.random_nics(n)), verb
            )
    for n in counts[:-1]:
        spines = (f"pod{i}/spine{37 * i % 128}" for i in range(n))
        yield row("failures", "throughput, a spine in each of as many pods", n, fabrics.million(*spines))
    cables = random.Random(1).sample([(a, b) for a in range(32) for b in range(16)], 64)
    for n in (0, 1, 2, 4, 8, 16, 32, 64):
        down = ", ".join(f"[l{a}, s{b}]" for a, b in cables[:n])
        yield row("irregularity", "throughput, cables at random", n, f"{TWO_TIERS}failed: [{down}]\n")


def draw(rows: list[Row]) -> str:
    """Return the picture as SVG."""
    return svg(lambda: _figure(rows), TITLE)


_PANELS = {
    "size": "GPUs, nothing down",
    "failures": "failures of the million",
    "irregularity": "uplinks down of 512, 256 GPUs",
}


def _figure(rows: list[Row]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.9), dpi=72, facecolor="white")
    figure.suptitle(TITLE, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    top = 10 ** (len(str(int(max(row.cpu_s for row in rows)))) + 0.2)
    for number, (panel, what) in enumerate(_PANELS.items()):
        axes = figure.add_axes((0.055 + 0.325 * number, 0.13, 0.275, 0.7))
        _draw_panel(axes, [row for row in rows if row.panel == panel], what, top)
        if not number:
            axes.set_ylabel("CPU seconds", fontsize=8.5, color=SOFT)
    return figure


def _draw_panel(axes: Axes, rows: list[Row], what: str, top: float) -> None:
    for number, series in enumerate(dict.fromkeys(row.series for row in rows)):
        own = [row for row in rows if row.series == series]
        places = [row.x for row in own], [row.cpu_s for row in own]
        axes.plot(*places, marker="o", markersize=3.5, color=COLOURS[number], label=series)
    if rows[0].panel == "size":
        axes.set_xscale("log")
    else:
        # None is a place as well.
        axes.set_xscale("symlog", linthresh=1)
        ticks = sorted({row.x for row in rows})
        axes.set_xticks(ticks, list(map(str, ticks)))
        axes.minorticks_off()
    axes.set_yscale("log")
    axes.set_ylim(0.01, top)
    axes.set_xlabel(what, fontsize=8.5, color=SOFT)
    axes.tick_params(labelsize=7.5, colors=SOFT)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="upper left")


def main(asked: list[str]) -> int:
    """Measure unless only to draw, and write the rows and the picture."""
    table, picture = DOCS / "growth.csv", DOCS / "growth.svg"
    if asked == ["--draw"]:
        with table.open(newline="") as lines:
            rows = [
                Row(r["panel"], r["series"], int(r["x"]), float(r["cpu_s"]), r["status"])
                for r in csv.DictReader(lines)
            ]
    else:
        rows = []
        for one in measured():
            rows.append(one)
            print(*one, flush=True)
        with table.open("w", newline="") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerows([Row._fields, *rows])
    picture.write_text(draw(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
