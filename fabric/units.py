"""Quantities: reading what people write, and printing what the program holds.

The only module that knows 8, 1e9 and 1024. Inside the program a rate is Gb/s (1e9 bit/s) in one
direction, a size is bytes, a time seconds, a length metres and a power watts, all float64.
Units are case-sensitive: ``b`` is a bit and ``B`` a byte, ``k M G T P E`` are decimal and
``Ki Mi Gi Ti`` binary. Numbers are read as exact fractions and rounded once, so that
``2.3Tb/s`` and ``2300Gb/s`` are the same float.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from fabric.errors import UnitError, nearest

BITS_PER_BYTE = 8
BITS_PER_GBIT = 1_000_000_000
BYTES_PER_GBYTE = 1_000_000_000
GBPS_PER_GBYTE_PER_S = 8.0
"""Gb/s in one GB/s."""
MICROSECONDS_PER_SECOND = 10**6
CABLE_S_PER_M = 5e-9
"""Flight through a metre of cable [s]: light in glass takes 4.9 ns (refractive index 1.468, ITU-T G.652), a
wave in copper as long within some per cent."""

MAX_COUNT = 2**53
"""Largest count: every whole number up to it is a float64."""
MAX_BYTES = 2**63 - 1
"""Largest size: fits a signed 64-bit integer."""
MAX_NUMBER = 1e15
"""Largest number without a unit."""
_MAX_CHARS = 64

_DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BINARY = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}
_PREFIXES = _DECIMAL | _BINARY

# Data rate of a 4x port in Gb/s: IBTA, InfiniBand Roadmap,
# https://www.infinibandta.org/infiniband-roadmap/ (lane 25, 50, 100 and 200 Gb/s, four lanes).
_INFINIBAND_GBPS = {"EDR": 100, "HDR": 200, "NDR": 400, "XDR": 800}

# Three digits of exponent keep a hostile 1e999999999 from filling memory. The prefix E cannot be
# taken for an exponent, which needs a digit.
_NUMBER = r"[+-]?(?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3}(?![0-9]))?"
_PLAIN_RE = re.compile(r"(?=.{1,64}\Z)(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_QUANTITY_RE = re.compile(rf"(?P<number>{_NUMBER})[ \t]*(?P<unit>[^0-9 \t._+-].*)?")
_DIRECTION = r"(?:[ \t]+(?P<direction>bidir|bidirectional|per-dir)|/dir)"
_RATE_RE = re.compile(
    r"(?:(?P<times>[0-9]+)[ \t]*x[ \t]*)?(?P<body>.*?)"
    rf"(?:[ \t]*/[ \t]*(?P<over>[0-9]+))?{_DIRECTION}?(?:[ \t]*/[ \t]*(?P<over_last>[0-9]+))?"
)
_NOT_FINITE_RE = re.compile(r"[+-]?\.?(?:nan|inf|infinity)\b.*", re.IGNORECASE)
_RATIO_RE = re.compile(rf"({_NUMBER})[ \t]*:[ \t]*({_NUMBER})")


# So far apart that no rate is meant beyond, and near enough that nothing made of them overflows or vanishes.
_RATES_GBPS = (1e-12, 1e12)
MAX_TIME_S = 1e18
"""Longest time; of lengths [m] and powers [W] it is the most too."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of quantity: the words for it and the value of each unit it is written in."""

    name: str
    article: str
    example: str
    units: Mapping[str, Fraction]
    least: float = 0.0  # of what is above zero, and the most, in the unit of the program
    most: float = math.inf
    canonical: Mapping[str, str] = field(default_factory=dict)  # the spelling that a hint shows


def _rate_kind() -> _Kind:
    units: dict[str, Fraction] = {}
    canonical: dict[str, str] = {}
    for prefix, factor in _PREFIXES.items():
        for letter, n_bits, spellings in (
            ("b", 1, ("b/s", "bps", "bit/s")),
            ("B", BITS_PER_BYTE, ("B/s", "Bps")),
        ):
            for spelling in spellings:
                units[prefix + spelling] = Fraction(factor * n_bits, BITS_PER_GBIT)
                canonical[prefix + spelling] = f"{prefix}{letter}/s"
    for prefix in "GT":  # port-rate shorthand and Ethernet port names
        for spelling in (prefix, f"{prefix}bE"):
            units[spelling] = Fraction(_DECIMAL[prefix], BITS_PER_GBIT)
            canonical[spelling] = spelling
    return _Kind("rate", "a", "800Gb/s", units, *_RATES_GBPS, canonical)


def _plain_kind(
    name: str, article: str, example: str, units: Mapping[str, str | int], most: float = math.inf
) -> _Kind:
    factors = {unit: Fraction(value) for unit, value in units.items()}
    return _Kind(name, article, example, factors, most=most)


_RATE = _rate_kind()
_SIZE = _plain_kind("size", "a", "16MiB", {f"{p}B": f for p, f in _PREFIXES.items()})
_TIME = _plain_kind(
    "time",
    "a",
    "500ns",
    {"ps": "1e-12", "ns": "1e-9", "us": "1e-6", "\u00b5s": "1e-6", "\u03bcs": "1e-6", "ms": "1e-3", "s": 1},
    most=MAX_TIME_S,
)
_DURATION = _plain_kind(
    "duration", "a", "60min", {"s": 1, "min": 60, "h": 3600, "d": 86_400}, most=MAX_TIME_S
)
_LENGTH = _plain_kind("length", "a", "30m", {"mm": "1e-3", "cm": "1e-2", "m": 1, "km": 1000}, most=MAX_TIME_S)
_POWER = _plain_kind(
    "power", "a", "15W", {"mW": "1e-3", "W": 1, "kW": 10**3, "MW": 10**6, "GW": 10**9}, MAX_TIME_S
)
_COUNT = _plain_kind("count", "a", "1024 or 8k", {"k": 10**3, "M": 10**6, "G": 10**9})
_KINDS = (_RATE, _SIZE, _TIME, _LENGTH, _POWER)


def parse_rate(text: str | int | float) -> float:
    """Read a data rate in one direction.

    Parameters
    ----------
    text : str
        ``800Gb/s``, ``800Gbps``, ``800Gbit/s``, ``100GB/s``, ``100GiB/s``, ``800GbE``; ``800G`` and
        ``1.6T``, the port-rate shorthand for Gb/s and Tb/s; ``EDR HDR NDR XDR``, a 4x InfiniBand port;
        ``8x100G``, a multiple; ``8Tb/s/3``, a quotient. ``bidir`` or ``bidirectional`` behind it
        says that both directions are counted, and halves it; ``per-dir`` and ``/dir`` say that one
        direction is meant, which is the default.

    Returns
    -------
    float
        Rate in one direction [Gb/s], positive and finite.

    Raises
    ------
    UnitError
        If the text is no rate, has no unit (a number never has), a unit of another kind or in
        the wrong case, or is not positive and finite.

    References
    ----------
    InfiniBand port rates: IBTA, InfiniBand Roadmap, https://www.infinibandta.org/infiniband-roadmap/.

    Examples
    --------
    >>> parse_rate("800Gb/s"), parse_rate("100 GB/s"), parse_rate("8x100G"), parse_rate("XDR")
    (800.0, 800.0, 800.0, 800.0)
    >>> parse_rate("1.8TB/s bidir") == parse_rate("900GB/s per-dir")
    True
    >>> parse_rate("800gbps")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    fabric.errors.UnitError: rate '800gbps': unknown unit 'gbps'; did you mean 800Gb/s (bits) or ...
    """
    match = None
    if isinstance(text, str) and len(text) <= _MAX_CHARS:
        match = _RATE_RE.fullmatch(text.strip(" \t"))
    if match is None:  # a number, too long, or several lines: all errors, which _quantity words
        return _as_float(_quantity(text, _RATE), text, _RATE)
    body = match["body"].strip(" \t")
    factor = Fraction(1)
    for group, is_divisor in (("times", False), ("over", True), ("over_last", True)):
        if match[group] is None:
            continue
        n = int(match[group])
        if n == 0:
            msg = f"rate {_shown(text)}: a rate cannot be multiplied or divided by zero"
            raise UnitError(msg)
        factor *= Fraction(1, n) if is_divisor else n
    if match["direction"] in ("bidir", "bidirectional"):
        factor /= 2
    if body in _INFINIBAND_GBPS:
        return float(_INFINIBAND_GBPS[body] * factor)
    if body.upper() in _INFINIBAND_GBPS:
        msg = f"rate {_shown(text)}: unknown name {body!r}; did you mean {body.upper()}?"
        raise UnitError(msg)
    return _as_float(_positive(_quantity(body, _RATE, text), text, _RATE) * factor, text, _RATE)


def parse_bytes(text: str | int | float) -> int:
    """Read a size in bytes.

    Parameters
    ----------
    text : str, int or float
        ``1GiB`` (binary), ``16MB`` (decimal), ``8B``; a number without unit is bytes. ``8M`` and
        ``1G`` are refused: nccl-tests means binary by them, most others decimal.

    Returns
    -------
    int
        Size [bytes], from 1 to 2**63 - 1.

    Raises
    ------
    UnitError
        If the text is no size, is ambiguous or in bits, or is not a whole positive number of bytes.

    References
    ----------
    nccl-tests, ``src/common.cu``, ``parsesize``: K, M and G are powers of 1024.

    Examples
    --------
    >>> parse_bytes("1GiB"), parse_bytes("16MB"), parse_bytes("1_048_576")
    (1073741824, 16000000, 1048576)
    >>> parse_bytes("1M")
    Traceback (most recent call last):
        ...
    fabric.errors.UnitError: size '1M': 'M' may be decimal or binary; write 1MiB (binary) or 1MB (decimal)
    """
    value = _positive(_quantity(text, _SIZE, bare=Fraction(1)), text, _SIZE)
    if value.denominator != 1:
        msg = f"size {_shown(text)}: a fraction of a byte; expected a whole number of bytes"
        raise UnitError(msg)
    if value > MAX_BYTES:
        msg = f"size {_shown(text)}: too large; expected at most {MAX_BYTES} bytes"
        raise UnitError(msg)
    return int(value)


def parse_time(text: str | int | float) -> float:
    """Read a time in ``ps``, ``ns``, ``us`` (or ``µs``), ``ms`` or ``s``; zero is allowed.

    Parameters
    ----------
    text : str
        A number with its unit.

    Returns
    -------
    float
        Time [s], not negative.

    Raises
    ------
    UnitError
        If the text is no time, or is negative or not finite.

    Examples
    --------
    >>> parse_time("500ns"), parse_time("2.5 us"), parse_time("1s")
    (5e-07, 2.5e-06, 1.0)
    """
    return _as_float(_quantity(text, _TIME), text, _TIME)


def parse_duration(text: str | int | float) -> float:
    """Read a time of people in ``s``, ``min``, ``h`` or ``d``; zero is allowed.

    Parameters
    ----------
    text : str
        A number with its unit.

    Returns
    -------
    float
        Time [s], not negative.

    Raises
    ------
    UnitError
        If the text is no time, or is negative or not finite.

    Examples
    --------
    >>> parse_duration("30s"), parse_duration("60min"), parse_duration("1.5 d")
    (30.0, 3600.0, 129600.0)
    """
    return _as_float(_quantity(text, _DURATION), text, _DURATION)


def parse_length(text: str | int | float) -> float:
    """Read a length in ``mm``, ``cm``, ``m`` (metre, never milli) or ``km``; zero is allowed.

    Parameters
    ----------
    text : str
        A number with its unit.

    Returns
    -------
    float
        Length [m], not negative.

    Raises
    ------
    UnitError
        If the text is no length, or is negative or not finite.

    Examples
    --------
    >>> parse_length("30m"), parse_length("2 km"), parse_length("50cm")
    (30.0, 2000.0, 0.5)
    """
    return _as_float(_quantity(text, _LENGTH), text, _LENGTH)


def parse_power(text: str | int | float) -> float:
    """Read a power in ``mW``, ``W``, ``kW``, ``MW`` or ``GW``; zero is allowed.

    Returns
    -------
    float
        Power [W], not negative.

    Raises
    ------
    UnitError
        If the text is no power, or is negative or not finite.

    Examples
    --------
    >>> parse_power("2.5 MW")
    2500000.0
    """
    return _as_float(_quantity(text, _POWER), text, _POWER)


def parse_ratio(text: str | int | float) -> float:
    """Read a ratio ``a:b`` of two positive numbers.

    Parameters
    ----------
    text : str
        Such as ``2:1``. A number alone is refused: it does not say which side is larger.

    Returns
    -------
    float
        a / b, positive and finite.

    Raises
    ------
    UnitError
        If the text is not of this form or a side is not positive.

    Examples
    --------
    >>> parse_ratio("2:1"), parse_ratio("1.5:1"), parse_ratio("1:1")
    (2.0, 1.5, 1.0)
    """
    match = None
    if isinstance(text, str) and len(text) <= _MAX_CHARS:
        match = _RATIO_RE.fullmatch(text.strip(" \t"))
    if match is None:
        msg = f"ratio {_shown(text)}: cannot be read; expected two numbers such as '2:1'"
        raise UnitError(msg)
    upper, lower = (Fraction(side.replace("_", "")) for side in match.groups())
    if upper <= 0 or lower <= 0:
        msg = f"ratio {_shown(text)}: both sides must be positive"
        raise UnitError(msg)
    return _round(upper / lower, "ratio", text)


def parse_count(text: str | int | float) -> int:
    """Read how many there are of something.

    Parameters
    ----------
    text : str, int or float
        ``1048576``, ``1_048_576``, ``8k``, ``1M``, ``1e3``; k, M and G are decimal.

    Returns
    -------
    int
        From 1 to 2**53.

    Raises
    ------
    UnitError
        If the text is no count; zero, negative, not whole and too large are told apart.

    Examples
    --------
    >>> parse_count("1M"), parse_count(8), parse_count("1_048_576")
    (1000000, 8, 1048576)
    """
    value = _positive(_quantity(text, _COUNT, bare=Fraction(1)), text, _COUNT)
    if value.denominator != 1:
        msg = f"count {_shown(text)}: not whole; expected a whole number"
        raise UnitError(msg)
    if value > MAX_COUNT:
        msg = f"count {_shown(text)}: too large; expected at most {MAX_COUNT}"
        raise UnitError(msg)
    return int(value)


def parse_number(text: str, most: float = MAX_NUMBER) -> float:
    """Read a plain decimal number from 0 up, as a cell of a table or an argument holds it.

    Parameters
    ----------
    text : str
        ASCII digits with a point and an exponent at the most; no sign, no unit, no mark between thousands.
    most : float
        Largest that is allowed.

    Raises
    ------
    UnitError
        If it is anything else, or is larger.

    Examples
    --------
    >>> parse_number("42000.50"), parse_number("1e3")
    (42000.5, 1000.0)
    >>> parse_number("1_000")
    Traceback (most recent call last):
        ...
    fabric.errors.UnitError: number '1_000': expected digits such as 1250 or 0.5
    """
    if not _PLAIN_RE.fullmatch(text):
        msg = f"number {_shown(text)}: expected digits such as 1250 or 0.5"
        raise UnitError(msg)
    value = _round(Fraction(text), "number", text)
    if value > most:
        msg = f"number {_shown(text)}: too large; expected at most {most:g}"
        raise UnitError(msg)
    return value


def _quantity(text: object, kind: _Kind, whole: object = None, *, bare: Fraction | None = None) -> Fraction:
    """Read number and unit; `whole` is the text to show in errors, `bare` the unit if none is written."""
    head = f"{kind.name} {_shown(text if whole is None else whole)}"
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        msg = f"{head}: expected {kind.article} {kind.name} such as {kind.example}"
        raise UnitError(msg)
    if len(text) > _MAX_CHARS if isinstance(text, str) else _is_long(text):
        msg = f"{head}: longer than {_MAX_CHARS} characters"
        raise UnitError(msg)
    stripped = text.strip(" \t") if isinstance(text, str) else ""
    if (isinstance(text, float) and not math.isfinite(text)) or _NOT_FINITE_RE.fullmatch(stripped):
        msg = f"{head}: must be finite"
        raise UnitError(msg)
    if not isinstance(text, str):
        return Fraction(text) * _bare_unit(str(text), kind, bare, head)
    match = _QUANTITY_RE.fullmatch(stripped)
    if match is None:
        msg = f"{head}: cannot be read; expected {kind.article} {kind.name} such as {kind.example}"
        raise UnitError(msg)
    number, unit = match["number"], match["unit"]
    if unit is None:
        factor = _bare_unit(number, kind, bare, head)
    elif unit in kind.units:
        factor = kind.units[unit]
    else:
        msg = f"{head}: {_unit_complaint(number, unit, kind)}"
        raise UnitError(msg)
    return Fraction(number.replace("_", "")) * factor


def _bare_unit(number: str, kind: _Kind, bare: Fraction | None, head: str) -> Fraction:
    if bare is not None:
        return bare
    if kind is _RATE:
        todo = f"write {number}Gb/s (bits) or {number}GB/s (bytes), per direction"
    else:
        todo = f"expected {kind.article} {kind.name} such as {kind.example}"
    msg = f"{head}: {kind.name} without unit; {todo}"
    raise UnitError(msg)


def _unit_complaint(number: str, unit: str, kind: _Kind) -> str:
    """Say what is wrong with a unit that `kind` does not have, and what may have been meant."""
    number, shown = number[:24], unit[:24]
    # A bare prefix may be 1000 or 1024: never guessed.
    if kind is _SIZE and unit in ("K", "k", *"MGTPE"):
        letter = unit.upper()
        binary, decimal = f"{letter}i", "k" if letter == "K" else letter
        todo = f"{number}{decimal}B (decimal)"
        if binary in _BINARY:
            todo = f"{number}{binary}B (binary) or {todo}"
        return f"{unit!r} may be decimal or binary; write {todo}"
    # A unit of another quantity, such as bytes for a rate.
    for another in _KINDS:
        if another is not kind and unit in another.units:
            todo = f"; did you mean {number}{unit}/s?" if kind is _RATE and f"{unit}/s" in _RATE.units else ""
            expected = f"expected {kind.article} {kind.name} such as {kind.example}"
            return f"{unit!r} is a unit of {another.name}; {expected}{todo}"
    if kind is _RATE and f"{unit}/s" in _RATE.units:
        return f"unknown unit {shown!r}; did you mean {number}{unit}/s?"
    if kind is _SIZE and re.fullmatch(r"(?:[kMGTPE]|[KMGT]i)?b(?:its?)?", unit):
        return f"{shown!r} is bits; did you mean {number}{unit.split('b')[0]}B (bytes)?"
    hint = _case_hint(number, unit, kind) or nearest(unit, kind.units)
    expected = f"expected {kind.article} {kind.name} such as {kind.example}"
    return f"unknown unit {shown!r}; {hint or expected}"


def _case_hint(number: str, unit: str, kind: _Kind) -> str:
    """Name the units that differ from `unit` by case only."""
    folded = unit.lower()
    meant = dict.fromkeys(kind.canonical.get(u, u) for u in kind.units if u.lower() == folded)
    if kind is _SIZE and re.fullmatch(r"k[bB]", folded):
        meant = dict.fromkeys(["kB", "KiB"])
    if len(meant) > 1 and kind is _RATE:
        named = [f"{number}{u} ({'bytes' if 'B' in u else 'bits'})" for u in meant]
    else:
        named = [f"{number}{u}" for u in meant]
    return f"did you mean {' or '.join(named)}?" if named else ""


def _positive(value: Fraction, text: object, kind: _Kind) -> Fraction:
    if value == 0:
        msg = f"{kind.name} {_shown(text)}: zero; must be positive"
        raise UnitError(msg)
    if value < 0:
        msg = f"{kind.name} {_shown(text)}: negative; must be positive"
        raise UnitError(msg)
    return value


def _as_float(value: Fraction, text: object, kind: _Kind) -> float:
    if value < 0:
        msg = f"{kind.name} {_shown(text)}: must not be negative"
        raise UnitError(msg)
    result = _round(value, kind.name, text)
    if result > kind.most or 0 < result < kind.least:
        unit = next(unit for unit, factor in kind.units.items() if factor == 1)
        bound = f"most {kind.most:g}" if result > kind.most else f"least {kind.least:g}"
        extent = "large" if result > kind.most else "small"
        msg = f"{kind.name} {_shown(text)}: too {extent}; expected at {bound} {unit}"
        raise UnitError(msg)
    return result


def _round(value: Fraction, name: str, text: object) -> float:
    try:
        result = float(value)
    except OverflowError:
        msg = f"{name} {_shown(text)}: too large"
        raise UnitError(msg) from None
    if value != 0 and abs(result) < sys.float_info.min:  # numbers below have lost digits
        msg = f"{name} {_shown(text)}: too small"
        raise UnitError(msg)
    return result


def _is_long(number: object) -> bool:
    return isinstance(number, int) and abs(number) >= 10**_MAX_CHARS


def _shown(text: object) -> str:
    # str() of a huge int is slow, and Python refuses it beyond 4300 digits.
    if _is_long(text):
        return f"of more than {_MAX_CHARS} digits"
    if isinstance(text, str) and len(text) > _MAX_CHARS:
        return f"{text[:_MAX_CHARS]!r}..."
    return repr(text) if isinstance(text, str | int | float) or text is None else type(text).__name__


def gbps_to_gbytes(gbps: float) -> float:
    """Convert Gb/s to GB/s.

    Examples
    --------
    >>> gbps_to_gbytes(400.0)
    50.0
    """
    return gbps / GBPS_PER_GBYTE_PER_S


def gbytes_to_gbps(gbytes: float) -> float:
    """Convert GB/s to Gb/s.

    Examples
    --------
    >>> gbytes_to_gbps(50.0)
    400.0
    """
    return gbytes * GBPS_PER_GBYTE_PER_S


def seconds(microseconds: float) -> float:
    """Convert microseconds to seconds.

    Examples
    --------
    >>> seconds(2.5)
    2.5e-06
    """
    return microseconds / MICROSECONDS_PER_SECOND


def seconds_to_send(n_bytes: float, gbps: float) -> float:
    """Return the time that `n_bytes` take at `gbps`, latency aside.

    Parameters
    ----------
    n_bytes : float
        Size [bytes], not negative.
    gbps : float
        Rate [Gb/s], positive.

    Returns
    -------
    float
        Time [s].

    Raises
    ------
    UnitError
        If the rate is not positive.

    Examples
    --------
    >>> seconds_to_send(1e9, 400.0)
    0.02
    """
    if not gbps > 0:
        msg = f"rate {gbps!r}: must be positive to send anything"
        raise UnitError(msg)
    return n_bytes * BITS_PER_BYTE / (gbps * BITS_PER_GBIT)


def gbytes_per_second(n_bytes: float, seconds: float) -> float:
    """Return the rate in GB/s at which `n_bytes` went in `seconds`, as nccl-tests prints it.

    Raises
    ------
    UnitError
        If the time is not positive.

    Examples
    --------
    >>> gbytes_per_second(1e9, 0.02)
    50.0
    """
    if not seconds > 0:
        msg = f"time {seconds!r}: must be positive to give a rate"
        raise UnitError(msg)
    return n_bytes / BYTES_PER_GBYTE / seconds


def format_rate(gbps: float) -> str:
    """Print a rate in bits and in bytes.

    Examples
    --------
    >>> format_rate(400.0), format_rate(7200.0)
    ('400 Gb/s (50 GB/s)', '7.2 Tb/s (900 GB/s)')
    """
    return f"{format_rate_gbit(gbps)} ({format_rate_gbyte(gbps)})"


def format_rate_gbyte(gbps: float) -> str:
    """Print a rate in bytes only, as busbw is known.

    Examples
    --------
    >>> format_rate_gbyte(57600.0)
    '7.2 TB/s'
    """
    return _scale(gbps_to_gbytes(gbps), _GBYTE_PER_S_STEPS)


def format_rate_gbit(gbps: float) -> str:
    """Print a rate in bits only.

    Examples
    --------
    >>> format_rate_gbit(57600.0)
    '57.6 Tb/s'
    """
    return _scale(gbps, _GBIT_PER_S_STEPS)


def format_bytes(n_bytes: float) -> str:
    """Print a size: whole binary multiples of up to four digits as such, the rest decimal from 10 kB on.

    Examples
    --------
    >>> format_bytes(2**30), format_bytes(1_500_000_000), format_bytes(1000)
    ('1 GiB', '1.5 GB', '1000 B')
    """
    for prefix, factor in reversed(_BINARY.items()):
        if n_bytes and math.isfinite(n_bytes) and n_bytes % factor == 0 and abs(n_bytes) < factor * 10_000:
            return f"{int(n_bytes // factor)} {prefix}B"
    if abs(n_bytes) < 10_000:
        return f"{_digits(n_bytes)} B"
    return _scale(n_bytes, _BYTE_STEPS)


def format_gbytes(n_bytes: float) -> str:
    """Write bytes in decimal GB, so that a column of them compares.

    Examples
    --------
    >>> format_gbytes(8 * 2**30), format_gbytes(0)
    ('8.59 GB', '0 GB')
    """
    return f"{n_bytes / 1e9:.4g} GB"


def format_time(seconds: float) -> str:
    """Print a time.

    Examples
    --------
    >>> format_time(2.5e-6), format_time(0.0132)
    ('2.5 us', '13.2 ms')
    """
    return _scale(seconds, _TIME_STEPS)


def format_power(watts: float) -> str:
    """Print a power.

    Examples
    --------
    >>> format_power(15.0), format_power(1.2e6)
    ('15 W', '1.2 MW')
    """
    return _scale(watts, _POWER_STEPS)


def format_count(n: int) -> str:
    """Print a count with its thousands apart.

    Examples
    --------
    >>> format_count(1152)
    '1,152'
    """
    return f"{n:,}"


def format_ratio(ratio: float) -> str:
    """Print a ratio against one.

    Examples
    --------
    >>> format_ratio(1.0), format_ratio(1.5)
    ('1:1', '1.5:1')
    """
    return f"{_digits(ratio)}:1"


# Each list of (size of the step in the program's unit, its name) runs from the smallest step up.
_Steps = tuple[tuple[float, str], ...]
_GBIT_PER_S_STEPS: _Steps = (
    (1e-9, "b/s"), (1e-6, "kb/s"), (1e-3, "Mb/s"), (1.0, "Gb/s"), (1e3, "Tb/s"), (1e6, "Pb/s"), (1e9, "Eb/s"),
)  # fmt: skip
_GBYTE_PER_S_STEPS: _Steps = tuple((step, name.replace("b", "B")) for step, name in _GBIT_PER_S_STEPS)
_BYTE_STEPS: _Steps = tuple((float(factor), f"{prefix}B") for prefix, factor in _DECIMAL.items())
_TIME_STEPS: _Steps = ((1e-12, "ps"), (1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))
_LENGTH_STEPS: _Steps = ((1e-3, "mm"), (1e-2, "cm"), (1.0, "m"), (1e3, "km"))
_POWER_STEPS: _Steps = ((1e-3, "mW"), (1.0, "W"), (1e3, "kW"), (1e6, "MW"), (1e9, "GW"))


def _scale(value: float, steps: _Steps) -> str:
    """Print `value` in the largest step that it reaches; zero and infinity in the program's unit."""
    base = next(name for step, name in steps if step == 1.0)
    if value == 0 or not math.isfinite(value):
        return f"{_digits(value)} {base}"
    # Round first: 999.96 Gb/s is 1 Tb/s, never 1000 Gb/s. The slack is for steps such as 1e-9,
    # which are no float64.
    rounded = abs(float(f"{value:.4g}")) * (1 + 1e-12)
    step, name = max((s for s in steps if s[0] <= rounded), default=steps[0])
    return f"{_digits(value / step)} {name}"


def _digits(value: float) -> str:
    """Print four significant digits, without trailing zeros, and without exponent below 1e15."""
    text = f"{value:.4g}"
    return f"{float(text):.0f}" if "e+" in text and abs(value) < 1e15 else text
