"""The arguments of a design, each spelled once: type, meaning and default.

From the keys of `DesignArguments` come the signature of `fabric.design`, the options of ``fabtopo design``
and ``fabtopo scale`` with their help, and the table of ``docs/design.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, TypedDict, get_type_hints

Layout = Literal["rail", "tor", "rail-only"]
LAYOUTS: tuple[Layout, ...] = ("rail", "tor", "rail-only")
Stripes = Literal["even", "uneven"]
STRIPES: tuple[Stripes, ...] = ("even", "uneven")
AUTO: Literal["auto"] = "auto"


@dataclass(frozen=True, slots=True)
class Argument:
    """What an argument means.

    Parameters
    ----------
    about : str
        One sentence, for the help of the command line and for the manual.
    default : str
        What is taken where it is left out; empty where it may not be.
    metavar : str
        Form of its value on the command line; empty where it is Python's alone.
    """

    about: str
    default: str
    metavar: str = "TEXT"


class _Built(TypedDict):
    """What is built of."""

    rack: Annotated[str, Argument("Template of a rack or server, or path of a file of your own.", "")]
    leaf: Annotated[str, Argument("Switch of the catalogue, or a generic one such as 64x400G.", "")]


class DesignOptions(_Built, total=False):
    """Arguments of a design of any size; None is as good as left out."""

    spine: Annotated[str | None, Argument("As leaf, for the tier above.", "as the leaf")]
    core: Annotated[str | None, Argument("As leaf, for the third tier.", "as the spine")]
    layout: Annotated[
        Layout | None,
        Argument(
            "rail: a leaf for each rail of a block; tor: one for all NICs of a block; rail-only: as rail, "
            "and nothing joins the rails.",
            "rail",
            "NAME",
        ),
    ]
    oversubscription: Annotated[
        Mapping[str, float | str | Fraction] | str | None,
        Argument("At most so much downlink over uplink capacity: leaf=2,spine=7:1.", "1", "LIST"),
    ]
    rails: Annotated[
        int | None,
        Argument(
            "Leaves that the NICs of a rack are spread over in each plane.",
            "one for each NIC of a server, or one for all on a single tier",
            "N",
        ),
    ]
    rail_groups: Annotated[
        int | Literal["auto"] | None,
        Argument(
            "Groups of rails with spines of their own; auto: the fewest that save a tier.", "1", "N or auto"
        ),
    ]
    planes: Annotated[int | None, Argument("Networks side by side, which share every NIC evenly.", "1", "N")]
    homes: Annotated[
        int | None,
        Argument("Leaves of a plane that share every NIC: 2 for dual top-of-rack.", "1", "N"),
    ]
    tiers: Annotated[
        int | Literal["auto"] | None,
        Argument("Tiers of switches, 1 to 3.", "the fewest that the ports allow", "N or auto"),
    ]
    block: Annotated[int | None, Argument("Racks on the same leaves.", "that of the fewest switches", "N")]
    pod: Annotated[
        int | None,
        Argument("Blocks under the same spines, with cores above.", "that of the fewest switches", "N"),
    ]
    stripes: Annotated[
        Stripes | None,
        Argument(
            "even: uplinks go to all switches above in equal numbers; uneven: one cable more to some, for "
            "fewer switches.",
            "even",
            "NAME",
        ),
    ]
    breakout: Annotated[
        str | Mapping[str, str] | None,
        Argument(
            "Rate of the cables by their lower end: nic=400G,leaf=800G,spine=800G, or one for all.",
            "the fastest to the NIC; above it those of the fewest switches",
            "LIST",
        ),
    ]
    populated: Annotated[
        int | str | None, Argument("GPUs to install now; the others are absent in the file.", "all", "N")
    ]
    reserve: Annotated[
        Mapping[str, int] | str | None,
        Argument("Ports of every switch that stay free: leaf=4,spine=2,core=2.", "none", "LIST"),
    ]
    ufm: Annotated[
        int | None,
        Argument(
            "Cables of a subnet manager to leaves of the first block, in the place of a rack or node.",
            "0",
            "N",
        ),
    ]
    name: Annotated[str | None, Argument("Name of the fabric.", "rack and GPUs")]
    about: Annotated[str | None, Argument("What its file says of itself first.", "nothing")]
    base: Annotated[str | Path | None, Argument("Folder of relative paths.", "the working directory", "")]


class _Sized(TypedDict):
    """How large it is."""

    gpus: Annotated[int | str, Argument("GPUs to build for, rounded up to whole racks or nodes.", "", "N")]


class DesignArguments(_Sized, DesignOptions):
    """All arguments of a design."""


def arguments_of(typed: type) -> dict[str, Argument]:
    """Return what each key of `DesignArguments` or `DesignOptions` means.

    Examples
    --------
    >>> arguments_of(DesignArguments)["homes"].default
    '1'
    """
    hints = get_type_hints(typed, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}
