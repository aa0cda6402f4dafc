"""Numbers and names in words, the same in figures and in text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable

WIDTH = 80
"""Columns of a terminal."""

_UPPER = frozenset({"cpu", "dpu", "fpga", "gpu", "lpu", "nic", "npu", "tpu", "ufm"})


def noun(name: str, n: float = 1) -> str:
    """Return the name of a device group as a word, in the plural unless `n` is 1.

    Examples
    --------
    >>> noun("gpu"), noun("gpu", 8), noun("leaf", 2), noun("nvswitch", 2), noun("spine", 2)
    ('GPU', 'GPUs', 'leaves', 'nvswitches', 'spines')
    """
    if name in _UPPER:
        return name.upper() + ("" if n == 1 else "s")
    if n == 1 or _is_label(name):
        return name
    if name.endswith("leaf"):
        return f"{name[:-1]}ves"
    return name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


def number(value: float) -> str:
    """Return a figure of four digits, or with all before the point; never with a power of ten.

    Examples
    --------
    >>> number(8294.4), number(921.6), number(0.19685), number(8), number(7.234e-05)
    ('8,294', '921.6', '0.1968', '8', '0.00007234')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.4g}"
    return text if "e" not in text else f"{value:.{3 - math.floor(math.log10(abs(value)))}f}"


def counted(n: int, name: str) -> str:
    """Return a number of devices, or of anything else with a regular plural.

    Examples
    --------
    >>> counted(1152, "gpu"), counted(1, "leaf"), counted(48, "th"), counted(1, "vr.gpu")
    ('1,152 GPUs', '1 leaf', '48 × th', '1 × vr.gpu')
    """
    return f"{n:,} × {name}" if _is_label(name) else f"{n:,} {noun(name, n)}"


def _is_label(name: str) -> bool:
    """Return whether a name is too short, or dotted, to be a word with a plural."""
    return name not in _UPPER and ("." in name or len(name) < 3)


def join_words(words: list[str]) -> str:
    """Return `words` as a list in a sentence.

    Examples
    --------
    >>> join_words(["a"]), join_words(["a", "b"]), join_words(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def span(bounds: tuple[int, int]) -> str:
    """Return fewest and most as one number where they are the same.

    Examples
    --------
    >>> span((36, 36)), span((31, 32))
    ('36', '31-32')
    """
    return f"{bounds[0]:,}" if bounds[0] == bounds[1] else f"{bounds[0]:,}-{bounds[1]:,}"


def ratio(value: float) -> str:
    """Return a ratio against one, to three digits.

    Examples
    --------
    >>> ratio(9.0), ratio(7.438), ratio(0.992)
    ('9:1', '7.44:1', '0.992:1')
    """
    return f"{value:.3g}:1" if value < 1000 else f"{value:,.0f}:1"


def fold(lines: Iterable[str]) -> str:
    """Return lines as a text that fits a terminal; what goes on is indented by four more.

    Examples
    --------
    >>> print(fold(["  " + "word " * 16]))
      word word word word word word word word word word word word word word word
          word
    """
    return "\n".join(part for line in lines for part in _fold(line))


def _fold(line: str) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line, WIDTH, subsequent_indent=f"{indent}    ", break_long_words=False, break_on_hyphens=False
    ) or [line]
