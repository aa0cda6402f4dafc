"""Graphs of diameter 2 with nearly as many routers as their degree allows."""

from __future__ import annotations

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.wiring.finite_field import field, prime_power
from fabric.blueprint.wiring.misfit import refuse, refuse_many


def slim_fly(sizes: tuple[int, ...]) -> Ints:
    """Return the McKay-Miller-Siran graph of a prime power q = 4w + d, with d of -1, 0 or 1.

    ::

        half 0, columns x                                     half 1, columns m

        (0,0,0)  (0,1,0)  ...                                 (1,0,0)  (1,1,0)  ...
        (0,0,1)  (0,1,1)  ...  (0,x,y) ------------- (1,m,c)  (1,0,1)  (1,1,1)  ...
           :        :                    y = m x + c             :        :
        in a column: y - y' in X                              in a column: c - c' in X'

    Parameters
    ----------
    sizes : (int, int, int)
        2, q and q: the half, the column and the place in the column.

    Returns
    -------
    ndarray of int64, shape (q * q * (3 * q - d) / 2, 2)
        Pairs of flat indices, each pair once: 2 q^2 routers of degree (3q - d) / 2 and diameter 2.

    Raises
    ------
    MisfitError
        If the sizes are not 2, q and q for such a q, or there are too many pairs.

    References
    ----------
    McKay, Miller, Siran, "A note on large graphs of diameter two and given maximum degree", J. Combin. Theory
    B 74, 1998; Hafner, "Geometric realisation of the graphs of McKay-Miller-Siran", same journal 90, 2004,
    for the sets X and X'; Besta, Hoefler, "Slim Fly: a cost effective low-diameter network topology", SC
    2014, section II-B.

    Examples
    --------
    >>> pairs = slim_fly((2, 5, 5))  # the Hoffman-Singleton graph
    >>> len(pairs), set(np.bincount(pairs.ravel()).tolist())
    (175, {7})
    """
    q = sizes[1]
    if sizes != (2, q, q):
        refuse("sizes do not fit", got=" x ".join(map(str, sizes)), expected="2 x q x q")
    refuse_many(3 * q**3 // 2)
    power = prime_power(q)
    if power is None or q % 4 == 2:
        refuse(f"no such graph of q = {q}", expected="a prime power above 2", todo=_nearest(q))
    gf, index = field(*power), np.arange(q)
    # The sets X and X': within a column, routers are joined whose difference is in its set.
    steps = gf.power[_exponents(q)], gf.power[(_exponents(q) + 1) % (q - 1)]
    blocks = []
    for half, step in enumerate(steps):
        y, partner = np.nonzero(np.triu(np.isin(gf.minus, step), 1))
        column = half * q * q + q * index[:, None]
        blocks.append(np.stack([column + y, column + partner], axis=-1).reshape(-1, 2))
    # Across the halves: point (x, y) and line (m, c) with y = m x + c.
    m, x, c = np.meshgrid(index, index, index, indexing="ij")
    across = np.stack([q * x + gf.plus[gf.times[m, x], c], q * q + q * m + c], axis=-1)
    return np.concatenate([*blocks, across.reshape(-1, 2)])


def _exponents(q: int) -> Ints:
    """Return the exponents of the primitive element in X; those in X' are one higher."""
    if q % 4 != 3:
        return np.arange(0, q - 1, 2)
    return np.concatenate([np.arange(0, (q - 1) // 2, 2), np.arange((q - 1) // 2, q - 1, 2)])


def _nearest(q: int) -> str:
    fits = [n for n in range(3, 2 * q + 4) if prime_power(n) and n % 4 != 2]
    below, above = [n for n in fits if n < q][-1:], next(n for n in fits if n > q)
    return f"take {' or '.join(map(str, [*below, above]))}"
