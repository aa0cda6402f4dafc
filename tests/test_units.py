"""Units: each spelling that is accepted, each that is refused and why, and the way back from print."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric import units
from fabric.errors import UnitError

RATES = {
    "800Gb/s": 800.0,
    "800Gbps": 800.0,
    "800Gbit/s": 800.0,
    "800 Gb/s": 800.0,
    " 800\tGb/s ": 800.0,
    "800Gb/s per-dir": 800.0,
    "800Gb/s/dir": 800.0,
    "100GB/s": 800.0,
    "100GBps": 800.0,
    "100GiB/s": 100 * 1024**3 * 8 / 1e9,
    "100Gib/s": 100 * 1024**3 / 1e9,
    "1KiB/s": 8192e-9,
    "1.8TB/s": 14400.0,
    "1.8TB/s bidir": 7200.0,
    "1.8TB/s bidirectional": 7200.0,
    "900GB/s": 7200.0,
    "900GB/s per-dir": 7200.0,
    "1.8TB/s bidir/18": 400.0,
    "1.8TB/s/18 bidir": 400.0,
    "800G": 800.0,
    "1.6T": 1600.0,
    "800GbE": 800.0,
    "1.6TbE": 1600.0,
    "8x100G": 800.0,
    "8 x 100Gb/s": 800.0,
    "2xNDR": 800.0,
    "EDR": 100.0,
    "HDR": 200.0,
    "NDR": 400.0,
    "XDR": 800.0,
    "XDR/2": 400.0,
    "8Tb/s/3": 8000 / 3,
    "8Tb/s / 3": 8000 / 3,
    "2.3Tb/s": 2300.0,
    "1_000Mb/s": 1.0,
    "1e3Gb/s": 1000.0,
    ".5Gb/s": 0.5,
    "1Eb/s": 1e9,
    "1Pb/s": 1e6,
    "9600b/s": 9.6e-6,
}


@pytest.mark.some(16)
@pytest.mark.parametrize(("text", "gbps"), RATES.items())
def test_rate_is_read(text: str, gbps: float) -> None:
    assert units.parse_rate(text) == gbps


BAD_RATES = {
    "800": "rate without unit; write 800Gb/s (bits) or 800GB/s (bytes)",
    "": "cannot be read",
    "fast": "cannot be read; expected a rate such as 800Gb/s",
    "1__0Gb/s": "cannot be read",
    "1_Gb/s": "cannot be read",
    "1,000Gb/s": "unknown unit",
    "0Gb/s": "zero; must be positive",
    "-800Gb/s": "negative; must be positive",
    "0x100G": "multiplied or divided by zero",
    "8Tb/s/0": "multiplied or divided by zero",
    "nan": "must be finite",
    "inf Gb/s": "must be finite",
    "1e999Gb/s": "too large",
    "1e-999Gb/s": "too small",
    "1e-320Gb/s": "too small",
    "1e-13Gb/s": "too small; expected at least 1e-12 Gb/s",
    "1e13Gb/s": "too large; expected at most 1e+12 Gb/s",
    "1e300x1Gb/s": "unknown unit",
    "9999999999999x1Gb/s": "too large",
    "1e9999Gb/s": "unknown unit 'e9999Gb/s'",
    "800gbps": "unknown unit 'gbps'; did you mean 800Gb/s (bits) or 800GB/s (bytes)?",
    "800GBPS": "did you mean 800Gb/s (bits) or 800GB/s (bytes)?",
    "800 gb/s": "did you mean 800Gb/s (bits) or 800GB/s (bytes)?",
    "800gbit/s": "did you mean 800Gb/s?",
    "800gbe": "did you mean 800GbE?",
    "800g": "did you mean 800G?",
    "1gib/s": "did you mean 1Gib/s (bits) or 1GiB/s (bytes)?",
    "800M": "unknown unit 'M'",
    "800Gb": "did you mean 800Gb/s?",
    "900GB": "'GB' is a unit of size; expected a rate such as 800Gb/s; did you mean 900GB/s?",
    "500ns": "'ns' is a unit of time; expected a rate such as 800Gb/s",
    "30m": "'m' is a unit of length",
    "15W": "'W' is a unit of power",
    "ndr": "did you mean NDR?",
    "1.8TB/s both": "unknown unit 'TB/s both'",
    "bidir": "cannot be read",
    "400 Gb/s (50 GB/s)": "unknown unit",
    "8" * 65 + "Gb/s": "longer than 64 characters",
    "800Gb/s\n": "cannot be read",
    "\u0668Gb/s": "cannot be read",  # an Arabic eight
}


@pytest.mark.some(16)
@pytest.mark.parametrize(("text", "message"), BAD_RATES.items())
def test_rate_is_refused(text: str, message: str) -> None:
    with pytest.raises(UnitError, match=re.escape(message)):
        units.parse_rate(text)


def test_bidirectional_equals_per_direction() -> None:
    assert units.parse_rate("1.8TB/s bidir") == units.parse_rate("900GB/s per-dir") == 7200.0


READ: list[tuple[Callable[[str | int | float], float], str | int | float, float]] = [
    (units.parse_bytes, "1GiB", 2**30),
    (units.parse_bytes, "2TiB", 2**41),
    (units.parse_bytes, "16MB", 16_000_000),
    (units.parse_bytes, "1.5 kB", 1500),
    (units.parse_bytes, "1.5KiB", 1536),
    (units.parse_bytes, "8B", 8),
    (units.parse_bytes, "1_048_576", 1048576),
    (units.parse_bytes, 1048576, 1048576),
    (units.parse_bytes, 1e6, 1000000),
    (units.parse_bytes, "8EB", 8 * 10**18),
    (units.parse_bytes, 2**63 - 1, 2**63 - 1),
    (units.parse_time, "500ns", 500e-9),
    (units.parse_time, "2.5us", 2.5e-6),
    (units.parse_time, "2.5 \u00b5s", 2.5e-6),
    (units.parse_time, "2.5\u03bcs", 2.5e-6),
    (units.parse_time, "3ms", 3e-3),
    (units.parse_time, "7ps", 7e-12),
    (units.parse_time, "1s", 1.0),
    (units.parse_time, "0ns", 0.0),
    (units.parse_length, "30m", 30.0),
    (units.parse_length, "2km", 2000.0),
    (units.parse_length, "50cm", 0.5),
    (units.parse_length, "3 mm", 3e-3),
    (units.parse_ratio, "2:1", 2.0),
    (units.parse_ratio, "1.5:1", 1.5),
    (units.parse_ratio, "1 : 1", 1.0),
    (units.parse_ratio, "7:3", 7 / 3),
    (units.parse_count, 1048576, 1048576),
    (units.parse_count, "1_048_576", 1048576),
    (units.parse_count, "1M", 1_000_000),
    (units.parse_count, "8k", 8000),
    (units.parse_count, "1.5k", 1500),
    (units.parse_count, "1e3", 1000),
    (units.parse_count, 1000.0, 1000),
    (units.parse_count, 2**53, 2**53),
]


@pytest.mark.some(10)
@pytest.mark.parametrize(("parse", "text", "value"), READ)
def test_quantity_is_read(
    parse: Callable[[str | int | float], float], text: str | int | float, value: float
) -> None:
    got = parse(text)
    assert got == value
    assert isinstance(got, int if parse in (units.parse_bytes, units.parse_count) else float)


REFUSED: list[tuple[Callable[[str | int | float], float], str | int | float, str]] = [
    (units.parse_rate, 800, "rate without unit"),
    (units.parse_rate, 800.0, "rate without unit"),
    (units.parse_rate, math.nan, "must be finite"),
    (units.parse_rate, True, "expected a rate"),
    (units.parse_bytes, "1M", "'M' may be decimal or binary; write 1MiB (binary) or 1MB (decimal)"),
    (units.parse_bytes, "8G", "write 8GiB (binary) or 8GB (decimal)"),
    (units.parse_bytes, "1K", "write 1KiB (binary) or 1kB (decimal)"),
    (units.parse_bytes, "1P", "write 1PB (decimal)"),
    (units.parse_bytes, "1KB", "did you mean 1kB or 1KiB?"),
    (units.parse_bytes, "1gib", "did you mean 1GiB?"),
    (units.parse_bytes, "8b", "'b' is bits; did you mean 8B (bytes)?"),
    (units.parse_bytes, "1Gb", "'Gb' is bits; did you mean 1GB (bytes)?"),
    (units.parse_bytes, "1Mibit", "'Mibit' is bits; did you mean 1MiB (bytes)?"),
    (units.parse_bytes, "100Gb/s", "is a unit of rate"),
    (units.parse_bytes, 0, "zero; must be positive"),
    (units.parse_bytes, "-1MB", "negative; must be positive"),
    (units.parse_bytes, "1.5B", "a fraction of a byte"),
    (units.parse_bytes, 0.5, "a fraction of a byte"),
    (units.parse_bytes, "100EB", "too large; expected at most 9223372036854775807 bytes"),
    (units.parse_bytes, math.inf, "must be finite"),
    (units.parse_time, "500", "time without unit; expected a time such as 500ns"),
    (units.parse_time, "30m", "'m' is a unit of length"),
    (units.parse_time, "1min", "unknown unit 'min'"),
    (units.parse_time, "5NS", "did you mean 5ns?"),
    (units.parse_time, "-5ns", "must not be negative"),
    (units.parse_time, "1e999s", "too large"),
    (units.parse_time, "1e300s", "too large; expected at most 1e+18 s"),
    (units.parse_time, "1e-320s", "too small"),
    (units.parse_length, "1e300km", "too large; expected at most 1e+18 m"),
    (units.parse_length, "30", "length without unit"),
    (units.parse_length, "30ms", "'ms' is a unit of time"),
    (units.parse_length, "30M", "did you mean 30m?"),
    (units.parse_length, "-30m", "must not be negative"),
    (units.parse_ratio, "2", "expected two numbers such as '2:1'"),
    (units.parse_ratio, 2, "expected two numbers such as '2:1'"),
    (units.parse_ratio, "2:0", "both sides must be positive"),
    (units.parse_ratio, "-2:1", "both sides must be positive"),
    (units.parse_ratio, "1:" + "1" * 99, "cannot be read"),
    (units.parse_ratio, "1e999:1", "too large"),
    (units.parse_count, 0, "zero"),
    (units.parse_count, -3, "negative"),
    (units.parse_count, "1.5", "not whole"),
    (units.parse_count, 2.5, "not whole"),
    (units.parse_count, 2**53 + 1, "too large; expected at most 9007199254740992"),
    (units.parse_count, 10**64, "of more than 64 digits: longer than 64 characters"),
    (units.parse_count, True, "expected a count such as 1024 or 8k"),
    (units.parse_count, math.nan, "must be finite"),
    (units.parse_count, "8K", "did you mean 8k?"),
    (units.parse_count, "8GB", "'GB' is a unit of size"),
    (units.parse_count, "1,152", "unknown unit ',152'"),
]


@pytest.mark.some(16)
@pytest.mark.parametrize(("parse", "text", "message"), REFUSED)
def test_quantity_is_refused(
    parse: Callable[[str | int | float], float], text: str | int | float, message: str
) -> None:
    with pytest.raises(UnitError, match=re.escape(message)):
        parse(text)


def test_huge_number_is_refused_without_being_printed() -> None:
    with pytest.raises(UnitError, match="of more than 64 digits"):
        units.parse_bytes(10**5000)  # str() of it would be a ValueError


ALL = (
    units.parse_rate,
    units.parse_bytes,
    units.parse_time,
    units.parse_length,
    units.parse_ratio,
    units.parse_count,
)


@pytest.mark.some(16)
@pytest.mark.parametrize("parse", ALL)
@pytest.mark.parametrize(
    "value", [None, [], {}, b"1", False, "", " ", "x" * 100_000, "1" * 100_000], ids=range(9)
)
def test_what_is_no_quantity_is_a_unit_error(parse: Callable[[object], float], value: object) -> None:
    with pytest.raises(UnitError, match=r"(rate|size|time|length|power|ratio|count) ") as caught:
        parse(value)
    assert len(str(caught.value)) < 300


@given(text=st.text(alphabet="0123456789.eE+-_ xX/:kMGTKibBpsWmnuNDR", max_size=20))
@settings(derandomize=True, max_examples=150)
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in ALL:
        try:
            value = parse(text)
        except UnitError:
            continue
        assert math.isfinite(value)
        assert value >= 0


FORMATS: list[tuple[Callable[..., str], float, str]] = [
    (units.format_rate, 400.0, "400 Gb/s (50 GB/s)"),
    (units.format_rate, 1600.0, "1.6 Tb/s (200 GB/s)"),
    (units.format_rate, 57600.0, "57.6 Tb/s (7.2 TB/s)"),
    (units.format_rate, 8e6, "8 Pb/s (1 PB/s)"),
    (units.format_rate, 8000 / 3, "2.667 Tb/s (333.3 GB/s)"),
    (units.format_rate, 0.0, "0 Gb/s (0 GB/s)"),
    (units.format_rate, math.inf, "inf Gb/s (inf GB/s)"),
    (units.format_rate_gbit, 999.96, "1 Tb/s"),
    (units.format_rate_gbit, 999.94, "999.9 Gb/s"),
    (units.format_rate_gbit, 1e-9, "1 b/s"),
    (units.format_rate_gbit, 1e-6, "1 kb/s"),
    (units.format_rate_gbit, 2e13, "20000 Eb/s"),
    (units.format_rate_gbit, -400.0, "-400 Gb/s"),
    (units.format_bytes, 2**30, "1 GiB"),
    (units.format_bytes, 2**20 + 2**10, "1025 KiB"),
    (units.format_bytes, 1_500_000_000, "1.5 GB"),
    (units.format_bytes, 1_024_000_000, "1.024 GB"),
    (units.format_bytes, 1000, "1000 B"),
    (units.format_bytes, 12345678, "12.35 MB"),
    (units.format_bytes, 0, "0 B"),
    (units.format_bytes, 2.5, "2.5 B"),
    (units.format_time, 2.5e-6, "2.5 us"),
    (units.format_time, 0.0132, "13.2 ms"),
    (units.format_time, 1e-9, "1 ns"),
    (units.format_time, 5e-13, "0.5 ps"),
    (units.format_time, 86400.0, "86400 s"),
    (units.format_time, 0.0, "0 s"),
    (units.format_power, 15.0, "15 W"),
    (units.format_power, 120e3, "120 kW"),
    (units.format_power, 1.2e6, "1.2 MW"),
    (units.format_count, 1152, "1,152"),
    (units.format_ratio, 1.0, "1:1"),
    (units.format_ratio, 1.5, "1.5:1"),
    (units.format_ratio, 7 / 3, "2.333:1"),
]


@pytest.mark.some(10)
@pytest.mark.parametrize(("show", "value", "text"), FORMATS)
def test_quantity_is_printed(show: Callable[..., str], value: float, text: str) -> None:
    assert show(value) == text


# Four digits are printed, so half a unit of the fourth is lost.
LOSS = 5.1e-4


@given(gbps=st.floats(1e-8, 1e12))
@settings(derandomize=True)
def test_rate_survives_printing(gbps: float) -> None:
    text = units.format_rate(gbps)
    bits, n_bytes = re.fullmatch(r"(.*) \((.*)\)", text).groups()  # type: ignore[union-attr]
    assert units.parse_rate(bits) == pytest.approx(gbps, rel=LOSS)
    assert units.parse_rate(n_bytes) == pytest.approx(gbps, rel=LOSS)
    assert bits == units.format_rate_gbit(gbps)


@given(n_bytes=st.one_of(st.integers(1, 2**62), st.integers(1, 9999).map(lambda k: k * 2**20)))
@settings(derandomize=True)
def test_size_survives_printing(n_bytes: int) -> None:
    text = units.format_bytes(n_bytes)
    got = units.parse_bytes(text)
    assert got == (n_bytes if "i" in text else pytest.approx(n_bytes, rel=LOSS))


@given(value=st.floats(1e-12, 1e14))
@settings(derandomize=True)
def test_time_length_and_power_survive_printing(value: float) -> None:
    assert units.parse_time(units.format_time(value)) == pytest.approx(value, rel=LOSS)
    assert units.parse_ratio(units.format_ratio(value)) == pytest.approx(value, rel=LOSS)


@given(value=st.decimals(min_value="0.001", max_value="99999", places=3))
@settings(derandomize=True)
def test_units_agree_exactly(value: object) -> None:
    # The same rate in Tb/s, Gb/s and, eight times as many bits, GB/s, is the same float.
    assert units.parse_rate(f"{value}Gb/s") == float(str(value))
    assert units.parse_rate(f"{value}Tb/s") == units.parse_rate(f"{value}e3Gb/s")
    assert units.parse_rate(f"{value}GB/s") == units.parse_rate(f"8x{value}Gb/s")
    assert units.parse_rate(f"{value}GB/s bidir") == units.parse_rate(f"4x{value}Gb/s")


def test_conversions_between_size_rate_and_time() -> None:
    assert units.gbps_to_gbytes(400.0) == 50.0
    assert units.gbytes_to_gbps(50.0) == 400.0
    assert units.seconds_to_send(10**9, 8.0) == 1.0
    assert units.seconds_to_send(0, 8.0) == 0.0
    assert units.gbytes_per_second(10**9, 0.02) == 50.0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_nothing_is_sent_at_no_rate_or_in_no_time(bad: float) -> None:
    with pytest.raises(UnitError, match="must be positive to send anything"):
        units.seconds_to_send(8, bad)
    with pytest.raises(UnitError, match="must be positive to give a rate"):
        units.gbytes_per_second(8, bad)
