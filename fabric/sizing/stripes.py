"""Stripes: how the uplinks of switches are dealt to the switches above them.

::

    even      up = 8, above = 4      every pair has 2 cables
    uneven    up = 5, above = 4      every pair has 1, and one cable is left over for each switch below:

              above     0  1  2  3
              below 0   2  1  1  1       the window of one more begins where that of the switch before ends,
                    1   1  2  1  1       so that no switch above has more than one cable more than another
                    2   1  1  2  1
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fabric.sizing.rack import divisors

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """Switches that have one cable more to the same few switches above.

    Parameters
    ----------
    below : tuple of (int, int)
        First and last index on the leading axes of the switches below.
    above : tuple of (int, int)
        First and last of the switches above, in one range or two.
    """

    below: tuple[Range, ...]
    above: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Stripe:
    """The cables between switches and the switches above.

    Parameters
    ----------
    below : tuple of int
        Sizes of the axes on which the switches below stand, outermost first.
    up : int
        Uplinks of each of them.
    above : int
        Switches above, `up` at most.
    """

    below: tuple[int, ...]
    up: int
    above: int

    @property
    def n_below(self) -> int:
        """Switches below."""
        return math.prod(self.below)

    @property
    def count(self) -> int:
        """Cables of every pair."""
        return self.up // self.above

    @property
    def extra(self) -> int:
        """Switches above to which one below has a cable more."""
        return self.up % self.above

    @property
    def most(self) -> int:
        """Cables of the switch above that has the most."""
        return -(-self.n_below * self.up // self.above)

    @property
    def depth(self) -> int:
        """Leading axes that windows differ by: as few as deal the cables left over out evenly.

        Where the other axes hold several switches, whole rounds of windows do; else one more or less is left.
        """
        for depth in range(1, len(self.below)):
            classes = math.prod(self.below[:depth])
            if classes == self.n_below or classes * self.extra % self.above == 0:
                return depth
        return len(self.below)

    def windows(self) -> Iterator[Window]:
        """Yield who has a cable more to whom; nothing where the stripes are even.

        Notes
        -----
        Windows repeat after above / gcd(extra, above) steps. Where the first axis alone tells them apart and
        holds a whole number of such periods, neighbours take the same window, which makes fewer of them.
        """
        if not self.extra:
            return
        leading = self.below[: self.depth]
        period = self.above // math.gcd(self.extra, self.above)
        # So many neighbours on the first axis share a window.
        alike = leading[0] // period if len(leading) == 1 and leading[0] % period == 0 else 1
        for k in range(math.prod(leading) // alike):
            # Round robin: the window of one more begins where that of the switch before ends.
            first = k * self.extra % self.above
            last = first + self.extra - 1
            split = last >= self.above
            # A window over the last switch wraps round to the first, in two ranges.
            above = ((first, self.above - 1), (0, last - self.above)) if split else ((first, last),)
            if len(leading) == 1:
                yield Window(((k * alike, (k + 1) * alike - 1),), above)
            else:
                yield Window(tuple((i, i) for i in _unravel(k, leading)), above)

    def cables(self, n_first: int) -> npt.NDArray[np.int64]:
        """Return the cables of every pair.

        Parameters
        ----------
        n_first : int
            Only the switches below with the first so many indices of the outermost axis.

        Returns
        -------
        ndarray of int64, shape (n, above)
            n is the switches below, in the order of their axes.
        """
        table = np.full((*self.below, self.above), self.count, dtype=np.int64)
        for window in self.windows():
            rows = tuple(slice(lo, hi + 1) for lo, hi in window.below)
            for lo, hi in window.above:
                table[rows][..., lo : hi + 1] += 1
        return table[:n_first].reshape(-1, self.above)


def _unravel(k: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    return next(itertools.islice(itertools.product(*map(range, sizes)), k, None))


def stripe(n_below: int, up: int, capacity: int, *, is_even: bool = True) -> int:
    """Count the switches above.

    Parameters
    ----------
    n_below : int
        Switches below.
    up : int
        Uplinks of each of them.
    capacity : int
        Cables that a switch above has ports for.
    is_even : bool
        Whether every switch below has the same whole number of cables to each above; else these numbers
        differ by one at most.

    Returns
    -------
    int
        The smallest number whose ports take all uplinks and that gives every pair a cable; a divisor of `up`
        where stripes are even. 0 if there is none.

    Notes
    -----
    NVIDIA's DGX SuperPOD reference architecture RA-11333-001, table 4: 24 leaves with 32 uplinks each need 12
    switches of 64 ports by their number, and have 16, since 32 uplinks do not stripe evenly over 12.

    Examples
    --------
    >>> stripe(16, 32, 64), stripe(24, 32, 64), stripe(64, 32, 64), stripe(65, 32, 64)
    (8, 16, 32, 0)
    >>> stripe(24, 32, 64, is_even=False)
    12
    """
    if is_even:
        # Even: a whole number of cables for each pair, so the number above divides the uplinks.
        return next((s for s in divisors(up) if n_below * up // s <= capacity), 0)
    # Uneven: the pigeonhole bound is enough, as windows spread what is left over to within one cable.
    least = -(-n_below * up // capacity) if capacity else 0
    return max(least, 1) if 0 < least <= up else 0
