"""Commands that design a fabric and list what it is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from fabric.cli.options import File, Force, Json, calibration_of, fabric_of, progress, say, words
from fabric.errors import QuestionError
from fabric.text.reading import STANDARD, read_standard_input
from fabric.text.writing import write_file

if TYPE_CHECKING:
    from fabric.sizing.prices import Price
    from fabric.sizing.request import Layout

Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", metavar="FILE", help="File to write; left out or -, it is printed."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command("design")(design_command)
    app.command("scale")(scale_command)
    app.command("bom")(bom_command)


def design_command(
    gpus: Annotated[str, typer.Option(help="GPUs to build for, rounded up to whole racks.")] = "",
    rack: Annotated[str, typer.Option(help="Template of a rack or server, or the path of a file.")] = "",
    leaf: Annotated[str, typer.Option(help="Switch of the catalogue, or a generic one: 64x400G.")] = "",
    spine: Annotated[str | None, typer.Option(help="As the leaf if left out.")] = None,
    core: Annotated[str | None, typer.Option(help="As the spine if left out.")] = None,
    layout: Annotated[str, typer.Option(help="rail, tor or rail-only.")] = "rail",
    oversubscription: Annotated[
        str, typer.Option(metavar="LIST", help="Such as leaf=1,spine=7: downlink over uplink, at most.")
    ] = "",
    rails: Annotated[int | None, typer.Option(help="Leaves that a rack's NICs are spread over.")] = None,
    rail_groups: Annotated[
        str, typer.Option(help="Groups of rails with own spines: a number or auto.")
    ] = "1",
    planes: Annotated[int, typer.Option(help="Networks side by side.")] = 1,
    homes: Annotated[int, typer.Option(help="Leaves of a plane for every NIC: 2 for dual top-of-rack.")] = 1,
    tiers: Annotated[str, typer.Option(help="A number, or auto for the fewest.")] = "auto",
    block: Annotated[int | None, typer.Option(help="Racks on the same leaves.")] = None,
    pod: Annotated[int | None, typer.Option(help="Blocks under the same spines.")] = None,
    populated: Annotated[str | None, typer.Option(help="GPUs to install now; the others are absent.")] = None,
    breakout: Annotated[str | None, typer.Option(help="Rate of the cables, such as 2x400G.")] = None,
    ufm: Annotated[int, typer.Option(help="Cables of a subnet manager in the place of a node.")] = 0,
    preset: Annotated[str, typer.Option(help="A described deployment instead of all these.")] = "",
    name: Annotated[str, typer.Option(help="Of the fabric.")] = "",
    grow: Annotated[
        str, typer.Option(metavar="LIST", help="GPUs after each phase of growth, such as 512,1024.")
    ] = "",
    explain: Annotated[bool, typer.Option("--explain", help="Print how every number was chosen.")] = False,
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Design the fabric of a cluster from its size: a topology file with comments."""
    from fabric.sizing import design, find_preset, growth
    from fabric.text.as_json import to_json

    if preset:
        made = find_preset(preset).design()
    else:
        missing = [f"--{n}" for n, v in (("gpus", gpus), ("rack", rack), ("leaf", leaf)) if not v]
        if missing:
            msg = f"design: {', '.join(missing)} missing; or give a --preset"
            raise QuestionError(msg)
        made = design(
            gpus=gpus,
            rack=rack,
            leaf=leaf,
            spine=spine,
            core=core,
            layout=cast("Layout", layout),
            oversubscription=_ratios(oversubscription),
            rails=rails,
            rail_groups=_count(rail_groups, "rail-groups"),
            planes=planes,
            homes=homes,
            tiers=_count(tiers, "tiers"),
            block=block,
            pod=pod,
            populated=populated,
            breakout=breakout,
            ufm=ufm,
            name=name,
        )
    phases = growth(replace(made.request.ask, populated=None), words(grow)) if grow else ()
    is_written = out is not None and str(out) != STANDARD
    if out is not None and is_written:
        write_file(out, made.text, force=force)
    if as_json:
        found = {
            "gpus": made.gpus,
            "asked": made.asked,
            "populated": made.populated,
            "tiers": made.n_tiers,
            "switches": made.switches,
            "cables": made.cables,
            "explain": [str(d) for d in made.explain],
            "phases": phases,
            "file": str(out or ""),
            "text": made.text,
        }
        say(to_json(found))
        return
    if explain:
        say(str(made))
    for phase in phases:
        say(str(phase))
    if is_written:
        switches = ", ".join(f"{n:,} {tier}" for tier, n in made.switches.items())
        say(f"wrote {out}: {made.gpus:,} GPUs ({made.asked:,} asked for); {switches}")
    elif not explain and not phases:
        say(made.text, nl=False)


def _ratios(text: str) -> dict[str, str]:
    found = {}
    for word in words(text):
        tier, equals, ratio = word.partition("=")
        if not equals:
            msg = f"oversubscription: {word!r} is not such as leaf=1 or spine=7:1"
            raise QuestionError(msg)
        found[tier.strip()] = ratio.strip() if ":" in ratio else f"{ratio.strip()}:1"
    return found


def _count(text: str, name: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or len(text) > 9:
        msg = f"{name}: a number or auto; got {text!r}"
        raise QuestionError(msg)
    return int(text)


def bom_command(
    file: File,
    prices: Annotated[
        str, typer.Option(metavar="FILE", help="CSV of prices, or indicative for those of the catalogue.")
    ] = "",
    spares: Annotated[float, typer.Option(metavar="PERCENT", help="Spares of what fails most.")] = 0.0,
    racks_per_row: Annotated[int | None, typer.Option(help="Of the floor plan.")] = None,
    rack_pitch: Annotated[float | None, typer.Option(metavar="METRES", help="Of the floor plan.")] = None,
    row_pitch: Annotated[float | None, typer.Option(metavar="METRES", help="Of the floor plan.")] = None,
    form: Annotated[str, typer.Option("--format", help="text, md, csv or json.")] = "text",
    as_json: Json = False,
) -> None:
    """List what a fabric is made of: racks, switches, cables, transceivers, ports, kW, and $ where given."""
    from fabric.sizing.bom import bom
    from fabric.sizing.floor import FloorPlan
    from fabric.text.as_json import to_json

    if form not in ("text", "md", "csv", "json"):
        msg = f"format: text, md, csv or json; got {form!r}"
        raise QuestionError(msg)
    known = {"racks_per_row": racks_per_row, "rack_pitch_m": rack_pitch, "row_pitch_m": row_pitch}
    given = {key: value for key, value in known.items() if value is not None}
    asked = _prices(prices)
    floor = FloorPlan(**given) if given else None  # type: ignore[arg-type]
    found = bom(fabric_of(file), floor=floor, prices=asked, spares=spares)
    if as_json or form == "json":
        say(to_json(found.to_dict()))
    else:
        texts = {"text": found.__str__, "md": found.to_markdown, "csv": found.to_csv}
        say(texts[form]().rstrip("\n"))


def _prices(name: str) -> dict[str, Price] | None:
    """Return the price list of a name or a file, or of standard input for ``-``."""
    from fabric.sizing.prices import MAX_BYTES, indicative_prices, parse_prices, read_prices

    if name == STANDARD:
        return parse_prices(read_standard_input(limit=MAX_BYTES), "<stdin>")
    return indicative_prices() if name == "indicative" else read_prices(name) if name else None


def scale_command(
    gpus: Annotated[
        str, typer.Option(help="Sizes with commas, or a range such as 72..1000000, in --points steps.")
    ],
    rack: Annotated[str, typer.Option(help="Template of a rack or server, or the path of a file.")],
    leaf: Annotated[str, typer.Option(help="Switch of the catalogue, or a generic one: 64x400G.")],
    spine: Annotated[str | None, typer.Option(help="As the leaf if left out.")] = None,
    core: Annotated[str | None, typer.Option(help="As the spine if left out.")] = None,
    layout: Annotated[str, typer.Option(help="rail, tor or rail-only.")] = "rail",
    oversubscription: Annotated[
        str, typer.Option(metavar="LIST", help="Such as leaf=1,spine=7: downlink over uplink, at most.")
    ] = "",
    rail_groups: Annotated[str, typer.Option(help="Groups of rails with own spines, or auto.")] = "1",
    planes: Annotated[int, typer.Option(help="Networks side by side.")] = 1,
    homes: Annotated[int, typer.Option(help="Leaves of a plane for every NIC.")] = 1,
    breakout: Annotated[str | None, typer.Option(help="Rate of the cables, such as 2x400G.")] = None,
    collectives: Annotated[str, typer.Option(metavar="LIST", help="To cost at every size.")] = "all-reduce",
    size: Annotated[str, typer.Option(metavar="BYTES", help="Of their buffers.")] = "1GiB",
    calibration: Annotated[
        str, typer.Option(metavar="NAME", help="wire, measured, nccl or a file.")
    ] = "wire",
    points: Annotated[int, typer.Option(help="Sizes of a range, evenly spaced on a log scale.")] = 20,
    knees: Annotated[bool, typer.Option(help="Look for the sizes at which something changes.")] = True,
    form: Annotated[str, typer.Option("--format", help="md, csv or json.")] = "md",
    as_json: Json = False,
) -> None:
    """Design a cluster at many sizes: throughput, bounds, costs, what binds, and where that changes."""
    from fabric.sizing import Ask
    from fabric.study.scale import scale, spaced

    if form not in ("md", "csv", "json"):
        msg = f"format: md, csv or json; got {form!r}"
        raise QuestionError(msg)
    ask = Ask(
        1,
        rack,
        leaf,
        spine,
        core,
        cast("Layout", layout),
        _ratios(oversubscription),
        rail_groups=_count(rail_groups, "rail-groups"),
        planes=planes,
        homes=homes,
        breakout=breakout,
    )
    with progress("sizes") as told:
        table = scale(
            ask,
            spaced(gpus, points),
            collectives=words(collectives),
            size=size,
            calibration=calibration_of(calibration),
            has_knees=knees,
            progress=told,
        )
    texts = {"md": table.to_markdown, "csv": table.to_csv, "json": table.to_json}
    say(texts["json" if as_json else form]().rstrip("\n"))
