"""What a quantity says: its kind, its direction, both units, and what of the catalogue is as much."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from fabric.arguments import checked
from fabric.errors import UnitError
from fabric.parts.listing import entries, figures_of, label
from fabric.results import Result
from fabric.units import (
    format_bytes,
    format_power,
    format_rate,
    format_time,
    parse_bytes,
    parse_length,
    parse_power,
    parse_rate,
    parse_time,
)

NEAR = 0.05
"""How far apart, as a part of the larger, two quantities are still near each other."""
_MOST = 6

_READERS: Mapping[str, Callable[[str], float]] = {
    "rate": parse_rate,
    "size": parse_bytes,
    "time": parse_time,
    "length": parse_length,
    "power": parse_power,
}
_WRITERS: Mapping[str, Callable[[float], str]] = {
    "rate": format_rate,
    "size": format_bytes,
    "time": format_time,
    "length": lambda metres: f"{metres:g} m",
    "power": format_power,
}
_UNITS = {"rate": "Gb/s per direction", "size": "bytes", "time": "s", "length": "m", "power": "W"}


class Kin(NamedTuple):
    """A figure of the catalogue that is about as much.

    Parameters
    ----------
    entry : str
        Id of the row.
    what : str
        Which figure of it.
    value : float
        In the unit of the quantity; a rate in one direction.
    """

    entry: str
    what: str
    value: float


@dataclass(frozen=True, slots=True)
class Explanation(Result):
    """Answer of `explain`.

    Parameters
    ----------
    text : str
        The quantity as it was written.
    kind : {"rate", "size", "time", "length", "power"}
    value : float
        Gb/s in one direction, bytes, s, m or W.
    half : float or None
        Of a rate without a word on direction: what one direction has if the sum of both is meant [Gb/s].
    near : tuple of Kin
        Figures of the catalogue within 5 %, nearest first.
    near_half : tuple of Kin
        The same for `half`.
    """

    text: str
    kind: str
    value: float
    half: float | None
    near: tuple[Kin, ...]
    near_half: tuple[Kin, ...]

    shown: ClassVar[tuple[str, ...]] = ("unit",)

    @property
    def unit(self) -> str:
        """The unit of `value`."""
        return _UNITS[self.kind]

    def table(self) -> list[dict[str, object]]:
        """Return the figures of the catalogue that are near."""
        return [kin._asdict() for kin in (*self.near, *self.near_half)]

    def __str__(self) -> str:
        """Return what the quantity says, a line each."""
        write = _WRITERS[self.kind]
        if self.kind != "rate":
            extra = f" = {self.value:,.0f} bytes" if self.kind == "size" else ""
            return "\n".join(
                [f"{self.text} is a {self.kind}: {write(self.value)}{extra}", *self._kin(self.near)]
            )
        read = "" if self.half is None else ", as it is read here"
        lines = [f"{self.text} is a rate: {write(self.value)} in one direction{read}", *self._kin(self.near)]
        if self.half is not None:
            lines.append(f"if it is the sum of both directions: {write(self.half)} in each")
            lines.append(f"  to say so, write {self.text} bidir")
            lines += self._kin(self.near_half)
        return "\n".join(lines)

    def _kin(self, near: tuple[Kin, ...]) -> Iterator[str]:
        for kin in near[:_MOST]:
            yield f"  as {kin.entry}: {kin.what}, {_WRITERS[self.kind](kin.value)}"
        if len(near) > _MOST:
            yield f"  and {len(near) - _MOST} more of the catalogue"
        if not near:
            yield f"  nothing of the catalogue is within {100 * NEAR:.0f} %"


@checked
def explain(text: str) -> Explanation:
    """Return what a quantity says, and what of the catalogue is as much.

    Parameters
    ----------
    text : str
        Such as ``1.8TB/s``, ``1.8TB/s bidir``, ``16MiB``, ``30m``, ``500ns``, ``132kW``.

    Returns
    -------
    Explanation

    Raises
    ------
    UnitError
        If it is no quantity.

    Examples
    --------
    >>> answer = explain("1.8TB/s")
    >>> answer.value, answer.half, answer.near[0].entry, answer.near[0].what
    (14400.0, 7200.0, 'rubin_vr200', '36 nvlink6 ports')
    """
    kind, value = _read(text)
    words = text.split()
    is_told = kind != "rate" or text.rstrip().endswith("/dir") or words[-1].startswith(("bidir", "per-dir"))
    half = None if is_told else value / 2
    known = [(of, kin) for of, kin in _figures() if of == kind]
    near, near_half = (_near([kin for _, kin in known], of) for of in (value, half or 0.0))
    return Explanation(text, kind, value, half, near, near_half)


def _near(known: list[Kin], value: float) -> tuple[Kin, ...]:
    """Return the figures within `NEAR` of a value, nearest first."""
    close = [kin for kin in known if _distance(kin.value, value) <= NEAR]
    return tuple(sorted(close, key=lambda kin: _distance(kin.value, value)))


def _read(text: str) -> tuple[str, float]:
    """Return the kind of a quantity and its value."""
    for kind, read in _READERS.items():
        with contextlib.suppress(UnitError):
            return kind, float(read(text))
    kinds = "rate, size, time, length or power"
    msg = f"{text[:60]!r} is no {kinds}; write its unit, such as 800Gb/s, 16MiB or 132kW"
    raise UnitError(msg)


def _distance(one: float, other: float) -> float:
    most = max(one, other)
    return abs(one - other) / most if most else 1.0


def _figures() -> Iterator[tuple[str, Kin]]:
    """Yield the figures of the catalogue that are quantities, with their kinds; totals of ports too."""
    for name, entry in entries().items():
        n_ports = 1.0
        for figure in figures_of(entry):
            if figure.name == "n_ports":
                n_ports = float(figure.value)
            words, unit = label(figure.name)
            unit = unit.removesuffix(" per direction")
            if isinstance(figure.value, str) or not figure.value:
                continue
            if figure.name == "rate_gbps":
                ports = f"{figure.port_class} port" if figure.port_class else "link"
                yield "rate", Kin(name, f"one {ports}", float(figure.value))
                if n_ports > 1:
                    yield "rate", Kin(name, f"{n_ports:.0f} {ports}s", n_ports * float(figure.value))
                continue
            for kind, read in _READERS.items():
                with contextlib.suppress(UnitError):
                    yield kind, Kin(name, words, float(read(f"{figure.value:.12g}{unit}")))
                    break
