"""Arithmetic of small finite fields GF(p^n), as tables.

An element is a polynomial over GF(p) of degree below n; its number is the value of that at p. So 0 and 1 are
the zero and the one, and for n = 1 the numbers are the integers modulo p.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Ints


@dataclass(frozen=True, slots=True)
class Field:
    """Tables of GF(q).

    Parameters
    ----------
    plus, minus, times : ndarray of int64, shape (q, q)
        Sum, difference and product of the elements of a row and a column.
    power : ndarray of int64, shape (q - 1,)
        ``power[k]`` is the k-th power of a primitive element: every element but 0, once.
    """

    plus: Ints
    minus: Ints
    times: Ints
    power: Ints


def prime_power(q: int) -> tuple[int, int] | None:
    """Return (p, n) where q = p^n for a prime p, and None for any other number.

    Examples
    --------
    >>> [prime_power(q) for q in (8, 19, 12, 1)]
    [(2, 3), (19, 1), None, None]
    """
    # The least divisor is prime; q is a power of it, or of no prime.
    p = next((d for d in range(2, int(q**0.5) + 1) if q % d == 0), q)
    n = 0
    while q > 1 and q % p == 0:
        q, n = q // p, n + 1
    return (p, n) if q == 1 and n else None


def field(p: int, n: int) -> Field:
    """Return the field of p^n elements, for a prime `p`.

    Examples
    --------
    >>> four = field(2, 2)
    >>> four.times.tolist()
    [[0, 0, 0, 0], [0, 1, 2, 3], [0, 2, 3, 1], [0, 3, 1, 2]]
    """
    q = p**n
    place = p ** np.arange(n, dtype=np.int64)
    # Sums go digit by digit, modulo p and without carry.
    digit = np.arange(q, dtype=np.int64)[:, None] // place % p
    power = next(powers for powers in _powers(p, n) if len(powers) == q - 1)
    # Products by discrete logarithms: x^a x^b = x^(a + b mod q - 1); 0 has none.
    log = np.zeros(q, dtype=np.int64)
    log[power] = np.arange(q - 1)
    times = power[(log[:, None] + log) % (q - 1)]
    times[0] = times[:, 0] = 0
    return Field((digit[:, None] + digit) % p @ place, (digit[:, None] - digit) % p @ place, times, power)


def _powers(p: int, n: int) -> Iterator[Ints]:
    """Yield the powers of x modulo each x^n - c(x), up to the first that is 1.

    Where there are p^n - 1 of them, all elements but 0 have an inverse: this is a field, and x is primitive.
    """
    for number in range(1, p**n):
        c = [number // p**k % p for k in range(n)]
        unit = [1] + [0] * (n - 1)
        powers, element = [unit], _times_x(unit, c, p)
        while element != unit and len(powers) < p**n:
            powers.append(element)
            element = _times_x(element, c, p)
        yield np.array([sum(d * p**k for k, d in enumerate(e)) for e in powers], dtype=np.int64)


def _times_x(element: list[int], c: list[int], p: int) -> list[int]:
    # Shift up by one, and replace x^n by c(x).
    top = element[-1]
    return [(low + top * coefficient) % p for low, coefficient in zip([0, *element[:-1]], c, strict=True)]
