"""The racks and servers that a file may include by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

from fabric.blueprint.selector import near
from fabric.errors import PartError
from fabric.parts import find_part
from fabric.parts.catalogue import plain

SUFFIX = ".fabric.yaml"
OWN_FILE = "a file of your own is named by its path, such as ./a.fabric.yaml"


@cache
def template_names() -> tuple[str, ...]:
    """Return the names of the rack and server templates that a file may include.

    Examples
    --------
    >>> "gb300-nvl72" in template_names()
    True
    """
    folder = resources.files("fabric") / "templates"
    return tuple(sorted(f.name.removesuffix(SUFFIX) for f in folder.iterdir() if f.name.endswith(SUFFIX)))


def other_template(name: str) -> str:
    """Return what may be meant by a name that no template has.

    Examples
    --------
    >>> other_template("NVL72").partition(";")[0]
    'did you mean gb200-nvl72 or gb300-nvl72 or vr-nvl72?'
    >>> other_template("p5.48xlarge").partition(";")[0]
    'did you mean aws-p5?'
    >>> other_template("tomahawk5")
    'it is the part th5, not a template: write part: th5 under devices'
    """
    if part := part_instead(name):
        return part
    wanted = plain(name)
    # A piece of a template's name, or its name in a longer one: "nvl72", "p5.48xlarge".
    alike = [template for template in template_names() if wanted and wanted in plain(template)]
    alike = alike or [
        template for template in template_names() if plain(template).removeprefix("aws") in wanted
    ]
    hint = f"did you mean {' or '.join(alike[:3])}?" if alike else ""
    hint = hint or near(name, template_names(), "templates are")
    return f"{hint}; {OWN_FILE}"


def part_instead(name: str) -> str:
    """Return what to write where the name is that of a part; empty if it is of none."""
    try:
        part = find_part(name).id
    except PartError:
        return ""
    return f"it is the part {part}, not a template: write part: {part} under devices"


def as_template(name: str) -> str:
    """Return the template that a name means, or an empty string; case, spaces and punctuation do not matter.

    Examples
    --------
    >>> as_template("DGX H100"), as_template("th5")
    ('dgx-h100', '')
    """
    return _by_plain_name().get(plain(name), "")


@cache
def _by_plain_name() -> Mapping[str, str]:
    return {plain(template): template for template in template_names()}
