"""The commands that list what comes with the program: templates to include, and examples to copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fabric.cli.options import Json, say, tell
from fabric.errors import QuestionError
from fabric.text.reading import STANDARD
from fabric.text.writing import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fabric.blueprint.shipped import Contents, Shipped


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command("templates")(templates_command)
    app.command("examples")(examples_command)


def templates_command(
    name: Annotated[
        str, typer.Argument(help="A template to explain; a list if left out.", show_default=False)
    ] = "",
    as_json: Json = False,
) -> None:
    """List the racks and servers that a file can include, or explain one: its axes and its devices."""
    from fabric.blueprint.shipped import contents, find_template, templates
    from fabric.text.as_json import to_json
    from fabric.text.columns import columns

    if as_json:
        rows = [
            _row(template) | {"axes": (held := contents(template)).axes, "devices": held.devices}
            for template in ([find_template(name)] if name else templates())
        ]
        say(to_json(rows[0] if name else rows))
    elif name:
        template = find_template(name)
        tell(_explain(template, contents(template)))
    else:
        cells = [[template.name, _parts(contents(template)), template.title] for template in templates()]
        tell(columns(["template", "holds", "about"], cells))


def examples_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Examples to copy, or folders of them, such as bcube or patterns; a list if left out.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="DIR", help="Folder to copy to, here if left out; alone, all are copied."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the example topologies and jobs, or copy some to start from; no file is ever overwritten."""
    from fabric.blueprint.shipped import examples, find_examples
    from fabric.text.as_json import to_json
    from fabric.text.columns import columns

    if not names and out is None:
        if as_json:
            say(to_json([_row(example) for example in examples()]))
        else:
            tell(columns(["example", "about"], [[example.name, example.title] for example in examples()]))
        return
    if str(out) == STANDARD:
        matches = [example for name in names or ("",) for example in find_examples(name)]
        if len(matches) > 1:
            msg = f"standard output, -, holds one file; {len(matches)} are meant: name one, or a folder"
            raise QuestionError(msg)
        say(matches[0].file.read_text(encoding="utf-8"), nl=False)
        return
    copied = _copy(_places(names or (), out or Path()))
    if as_json:
        say(to_json({"status": "ok", "files": [str(place) for place in copied]}))
    else:
        say("\n".join(f"wrote {place}" for place in copied))


def _places(names: Iterable[str], out: Path) -> dict[Path, Shipped]:
    """Return where each example goes: one named itself right into `out`, those of a folder into its like."""
    from fabric.blueprint.shipped import examples, find_examples

    places = {}
    for name, matches in [(name, find_examples(name)) for name in names] or [("", examples())]:
        for example in matches:
            folder = example.name.rpartition("/")[0]
            # A folder, or all, is copied with its folders; one example alone is not.
            whole = folder in ("", name.strip("/")) or not name
            places[out / (folder if whole else "") / example.file.name] = example
    return places


def _copy(places: dict[Path, Shipped]) -> list[Path]:
    """Copy the examples and return where they are.

    Raises
    ------
    QuestionError
        If a place holds something else; nothing is then written.
    """
    texts = {place: example.file.read_text(encoding="utf-8") for place, example in places.items()}
    present = {place for place in texts if place.exists()}
    clashing = [p for p in present if not p.is_file() or p.read_bytes() != texts[p].encode()]
    if clashing:
        names = ", ".join(sorted(map(str, clashing)))
        msg = f"{names}: there is such a file already; name another folder by --out"
        raise QuestionError(msg)
    for place in texts.keys() - present:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_file(place, texts[place])
    return list(texts)


def _parts(held: Contents) -> str:
    return ", ".join(f"{placed.part or placed.kind} × {placed.n}" for placed in held.devices)


def _row(entry: Shipped) -> dict[str, object]:
    return {"name": entry.name, "title": entry.title, "about": entry.about, "file": str(entry.file)}


def _explain(template: Shipped, held: Contents) -> str:
    """Return all of one template: what it says of itself, its devices and how to include it."""
    from fabric.text.columns import columns

    cells = [
        [placed.group, str(placed.n), placed.part or f"{placed.kind}, no part", ", ".join(placed.axes)]
        for placed in held.devices
    ]
    axis = next(word for word in ("rack", "server", "unit", "copy") if word not in held.axes)
    blocks = [
        f"{template.name}: {template.title}",
        template.about,
        "axes: " + ", ".join(f"{name} {size}" for name, size in held.axes.items()),
        columns(["group", ">devices", "part", "axes"], cells),
        f"include: {{fabric: {template.name}, over: {{{axis}: 16}}}}   # 16 of them, on an axis of your own",
        f"file: {template.file}",
    ]
    return "\n\n".join(block for block in blocks if block)
