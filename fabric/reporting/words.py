"""Numbers and names in words, the same in figures and in text."""

from __future__ import annotations

_UPPER = frozenset({"cpu", "dpu", "gpu", "nic", "npu", "tpu", "ufm"})
_PLURALS = {"leaf": "leaves"}


def noun(name: str, n: float = 1) -> str:
    """Return the name of a device group as a word, in the plural unless `n` is 1.

    Examples
    --------
    >>> noun("gpu"), noun("gpu", 8), noun("leaf", 2), noun("nvswitch", 2), noun("spine", 2)
    ('GPU', 'GPUs', 'leaves', 'nvswitches', 'spines')
    """
    if name in _UPPER:
        return name.upper() + ("" if n == 1 else "s")
    # A short or dotted name of a group is a label, not a word.
    if n == 1 or "." in name or len(name) < 3:
        return name
    return _PLURALS.get(name) or name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


def counted(n: int, name: str) -> str:
    """Return a number of devices, or of anything else with a regular plural.

    Examples
    --------
    >>> counted(1152, "gpu"), counted(1, "leaf")
    ('1,152 GPUs', '1 leaf')
    """
    return f"{n:,} {noun(name, n)}"


def listed(words: list[str]) -> str:
    """Return `words` as a list in a sentence.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def span(found: tuple[int, int]) -> str:
    """Return fewest and most as one number where they are the same.

    Examples
    --------
    >>> span((36, 36)), span((31, 32))
    ('36', '31-32')
    """
    return f"{found[0]:,}" if found[0] == found[1] else f"{found[0]:,}-{found[1]:,}"


def ratio(value: float) -> str:
    """Return a ratio against one, to three digits.

    Examples
    --------
    >>> ratio(9.0), ratio(7.438), ratio(0.992)
    ('9:1', '7.44:1', '0.992:1')
    """
    return f"{value:.3g}:1" if value < 1000 else f"{value:,.0f}:1"
