"""Generic switches, named by ports and rate: ``64x400G`` is a part that is no product."""

from __future__ import annotations

import re
from functools import lru_cache

from fabric.errors import UnitError
from fabric.parts.model import NETWORK, Frozen, Part, PortClass
from fabric.units import format_rate, parse_rate

_NAME = re.compile(r"\s*([1-9][0-9]{0,4})\s*x\s*(\S.*)")
# No product says otherwise: any halving down to an eighth of a port is taken for possible.
_BREAKOUTS = (1, 2, 4, 8)
_SOURCE, _CONFIDENCE = ("own",), "assumed"


@lru_cache(maxsize=256)
def generic_switch(name: str) -> Part | None:
    """Return the switch whose name says its ports and their rate; None if it says neither.

    Parameters
    ----------
    name : str
        Such as ``64x400G``.

    Examples
    --------
    >>> generic_switch("64x400G").ports[0].modes
    ((64, 400.0), (128, 200.0), (256, 100.0), (512, 50.0))
    >>> generic_switch("sn5600") is None
    True
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        n, rate = int(match[1]), parse_rate(match[2])
    except UnitError:
        return None
    modes = tuple((n * k, rate / k) for k in _BREAKOUTS)
    port = PortClass(
        name=NETWORK,
        n_ports=n,
        rate_gbps=rate,
        ports_per_cage=1,
        modes=modes,
        layers=Frozen({}),
        source=_SOURCE,
        confidence=_CONFIDENCE,
        exceptions=Frozen({}),
        note="",
    )
    return Part(
        id=name.strip(),
        kind="switch",
        name=f"generic switch of {n} x {format_rate(rate)}",
        vendor="generic",
        year=0,
        planes=1,
        in_network_reduction="",
        figures=Frozen({}),
        ports=(port,),
        source=_SOURCE,
        confidence=_CONFIDENCE,
        exceptions=Frozen({}),
        note="No product: ports and rate as its name says, each broken out to halves, quarters or eighths.",
    )
