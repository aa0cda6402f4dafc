"""Files that come with the program: templates that a file may include, and examples to start from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fabric.blueprint.census import census
from fabric.blueprint.load import load_blueprint
from fabric.blueprint.reader import read_file
from fabric.blueprint.templates import as_template, part_instead, template_names
from fabric.errors import QuestionError, nearest

SUFFIX = ".fabric.yaml"
SUFFIXES = (SUFFIX, ".job.yaml")
"""Of topology files, and of jobs on them."""
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Shipped:
    """One topology file, or job file, of the program.

    Parameters
    ----------
    name : str
        As a user names it: ``gb300-nvl72``, or ``patterns/bcube`` in a folder.
    title : str
        What it is, in one line.
    about : str
        What it says of itself, assumptions above all; may be empty.
    file : Path
    """

    name: str
    title: str
    about: str
    file: Path


@dataclass(frozen=True, slots=True)
class Placed:
    """The devices of one group of a template.

    Parameters
    ----------
    group, kind, part : str
        `part` is empty where the file names none.
    n : int
        Devices that exist, in one template.
    axes : tuple of str
    """

    group: str
    kind: str
    part: str
    n: int
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What one template brings along.

    Parameters
    ----------
    axes : mapping of str to int
        Every axis and its size.
    devices : tuple of Placed
        In the order of the file.
    """

    axes: dict[str, int]
    devices: tuple[Placed, ...]


@cache
def templates() -> tuple[Shipped, ...]:
    """Return the templates, by name.

    Examples
    --------
    >>> [template.title for template in templates() if template.name == "tpu-v4"]
    ['One TPU v4 pod: 4,096 chips in a 16 x 16 x 16 torus of 64 cubes.']
    """
    folder = _PACKAGE / "templates"
    return tuple(_read_shipped(name, folder / f"{name}{SUFFIX}") for name in template_names())


@cache
def examples() -> tuple[Shipped, ...]:
    """Return the examples, those in no folder first.

    Returns
    -------
    tuple of Shipped

    Raises
    ------
    QuestionError
        If this installation came without them.

    Examples
    --------
    >>> examples()[0].name
    'gb300-nvl72'
    """
    # A wheel holds them inside the package, a checkout beside it.
    for folder in (_PACKAGE / "examples", _PACKAGE.parent / "topologies"):
        files = [f for suffix in SUFFIXES for at in ("*", "*/*") for f in folder.glob(f"{at}{suffix}")]
        names = {_bare(file.relative_to(folder).as_posix()): file for file in files}
        if names:
            return tuple(
                _read_shipped(name, names[name]) for name in sorted(names, key=lambda n: ("/" in n, n))
            )
    msg = "this installation came without the examples; run: pip install --force-reinstall fabtopo"
    raise QuestionError(msg)


def find_template(name: str) -> Shipped:
    """Return a template.

    Raises
    ------
    QuestionError
        If there is none of that name.
    """
    by_name = {template.name: template for template in templates()}
    if meant := as_template(name):
        return by_name[meant]
    hint = part_instead(name) or nearest(name, by_name) or "fabtopo templates lists them"
    msg = f"no template {name!r}; {hint}"
    raise QuestionError(msg)


def find_examples(name: str) -> tuple[Shipped, ...]:
    """Return the example of a name, with or without its folder, or all those of a folder.

    Raises
    ------
    QuestionError
        If there is none, or if several folders have one.

    Examples
    --------
    >>> [example.name for example in find_examples("bcube")]
    ['patterns/bcube']
    >>> len(find_examples("patterns")) > 10
    True
    """
    wanted = _bare(name.strip("/"))
    for matches in (
        [example for example in examples() if example.name == wanted],
        [example for example in examples() if example.name.rpartition("/")[0] == wanted],
    ):
        if matches and wanted:
            return tuple(matches)
    short = [example for example in examples() if example.name.rpartition("/")[2] == wanted]
    if len(short) == 1:
        return tuple(short)
    if short:
        msg = f"several examples are called {name!r}: {', '.join(example.name for example in short)}"
        raise QuestionError(msg)
    known = {word for example in examples() for word in (example.name, *example.name.split("/"))}
    msg = f"no example {name!r}; {nearest(wanted.lstrip('./'), known) or 'fabtopo examples lists them'}"
    raise QuestionError(msg)


def contents(template: Shipped) -> Contents:
    """Return the axes and the devices of a template.

    Examples
    --------
    >>> [(g.n, g.part) for g in contents(find_template("hgx-h100")).devices if g.kind == "gpu"]
    [(8, 'h100_sxm5')]
    """
    blueprint = load_blueprint(template.file)
    counted = census(blueprint)
    placed = [
        Placed(name, group.kind, group.part.id if group.part else "", counted.present(name), group.axes)
        for name, group in blueprint.groups.items()
    ]
    return Contents({name: axis.size for name, axis in blueprint.axes.items()}, tuple(placed))


def _bare(name: str) -> str:
    """Return the name of a file without what says its kind."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _read_shipped(name: str, file: Path) -> Shipped:
    """Read the title, which is the first line if it is a comment, else the first sentence of ``about``."""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    data = read_file(file).data
    about = " ".join(str(data.get("about") or "").split())
    sentence = re.split(r"(?<=\.) ", about, maxsplit=1)[0]
    return Shipped(name, first.lstrip("# ") if first.startswith("#") else sentence, about, file)
