"""Clusters that press and vendors describe, as designs: what is published, and what is assumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fabric.errors import nearest
from fabric.sizing.arguments import DesignArguments
from fabric.sizing.build import Design, design
from fabric.sizing.switch import DesignError


@dataclass(frozen=True, slots=True)
class Preset:
    """A described cluster.

    Parameters
    ----------
    arguments : DesignArguments
        Those of its design.
    published : str
        What the source says, with the source.
    assumed : str
        What it does not say and the design had to choose.
    by : {"Published", "Reported"}
        Whether whoever builds it says so, or others quote them.
    """

    arguments: DesignArguments
    published: str
    assumed: str
    by: Literal["Published", "Reported"] = "Published"

    @property
    def name(self) -> str:
        """Name of the fabric."""
        return str(self.arguments["name"])

    def design(self) -> Design:
        """Return the design, whose file says what is published and what is assumed."""
        about = f"{self.by}: {self.published} Assumed: {self.assumed}"
        arguments: DesignArguments = {**self.arguments, "about": about}
        return design(**arguments)


_AWS = (
    "one million NVIDIA GPUs from 2026 to the end of 2027, Blackwell and Rubin, with Spectrum switches "
    "and ConnectX NICs (Ian Buck of NVIDIA to Reuters, 19 March 2026). 1,000,000 GPUs are 13,889 racks "
    "of 72."
)
_PRESETS = (
    Preset(
        DesignArguments(
            gpus=1_000_000, rack="gb300-nvl72", leaf="sn6800", planes=2, name="aws-million-blackwell"
        ),
        _AWS,
        "all in GB300 NVL72 racks and in one fabric; SN6800 with ports broken out to 400 Gb/s, two "
        "planes, no oversubscription.",
        by="Reported",
    ),
    Preset(
        DesignArguments(gpus=1_000_000, rack="vr-nvl72", leaf="sn6800", planes=4, name="aws-million-rubin"),
        _AWS,
        "all in Vera Rubin NVL72 racks and in one fabric; SN6800 with ports broken out to 200 Gb/s, "
        "every ConnectX-9 on four planes, no oversubscription.",
        by="Reported",
    ),
    Preset(
        DesignArguments(
            gpus=24_576,
            rack="hgx-h100",
            leaf="64x400G",
            spine="576x400G",
            layout="tor",
            block=2,
            pod=192,
            oversubscription={"spine": 7},
            name="meta-llama-tor",
        ),
        "24,576 H100 at 400 Gb/s each, 16 GPUs a rack behind one top-of-rack switch, 192 racks a pod at "
        "full bisection, 8 pods, 1:7 above (The Llama 3 Herd of Models, arXiv 2407.21783, section "
        "3.3.1).",
        "the ports of the switches: 64 of 400 Gb/s in a rack, 576 above (a chassis of 16 cards of 36); "
        "the fewest of them. Whole cables make 1:6.98 of 1:7.",
    ),
    Preset(
        DesignArguments(
            gpus=131_072, rack="hgx-b300", leaf="512x100G", planes=8, tiers=2, name="eight-planes"
        ),
        "each NIC of 800 Gb/s on eight planes of 100 Gb/s, and two tiers of switches with 512 ports of "
        "100 Gb/s for 131,072 GPUs (OpenAI on Multipath Reliable Connection; Microsoft: 512 T0 switches "
        "of 256 NICs, 131,072 NICs in two tiers).",
        "HGX B300 servers in place of the racks of 72 that are installed, of which 18 NICs a rail do not"
        " fill a switch; the full size of 131,072 needs every port.",
    ),
    Preset(
        DesignArguments(gpus=100_000, rack="hgx-h100", leaf="sn5600", tiers=3, name="colossus-like"),
        "xAI Colossus: 100,000 Hopper GPUs on Spectrum-X with SN5600 switches in three tiers, a 400 Gb/s"
        " NIC a GPU (NVIDIA, 28 October 2024; ServeTheHome): 64 GPUs a rack, arrays of 512.",
        "HGX H100 servers, all in one fabric without oversubscription, ports broken out to 400 Gb/s, one"
        " leaf for each rail of 64 servers, an array; the 400 Gb/s NIC of the host is left out.",
    ),
)
PRESETS = {p.name: p for p in _PRESETS}
"""By name."""


def find_preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises
    ------
    DesignError
        If there is none, with the names that are close.

    Examples
    --------
    >>> find_preset("aws-million-rubin").arguments["planes"]
    4
    """
    if name not in PRESETS:
        hint = nearest(name, PRESETS) or f"there are {', '.join(PRESETS)}"
        msg = f"no preset {name!r}; {hint}"
        raise DesignError(msg)
    return PRESETS[name]
