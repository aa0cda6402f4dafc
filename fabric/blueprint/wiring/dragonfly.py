"""Groups that are all joined with one another, by cables shared out over their members."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.wiring.misfit import refuse, refuse_many


def dragonfly(
    sizes: tuple[int, ...], *, cables: int = 1, arrangement: Literal["absolute", "relative"] = "absolute"
) -> Ints:
    """Join every two groups by `cables` cables, spread evenly over the routers of a group.

    ::

        4 groups of 3 routers, one cable between every two, one port p a router r

        absolute        p = 0   1   2               relative        p = 0   1   2
            group 0 to      1   2   3                   group 0 to      1   2   3
            group 1 to      0   2   3                   group 1 to      2   3   0
            group 2 to      0   1   3                   group 2 to      3   0   1
            group 3 to      0   1   2                   group 3 to      0   1   2

    Parameters
    ----------
    sizes : (int, int)
        Groups g, and routers a in each.
    cables : int
        Cables between every two groups, at most a; each is of two routers that no other cable joins.
    arrangement : {"absolute", "relative"}
        Port p of group i goes to group p, or p + 1 from i on; or it goes to group i + p + 1 mod g, which
        every rotation of the groups keeps.

    Returns
    -------
    ndarray of int64, shape (cables * g * (g - 1) / 2, 2)
        Pairs of flat indices, each pair once.

    Raises
    ------
    MisfitError
        If there are more cables than routers in a group, or too many pairs.

    Notes
    -----
    A group has cables * (g - 1) ports, and a router every a-th part of them, one more or less where they do
    not divide: port p is of router ``p * a // (cables * (g - 1))``, which is p // h where a router has h. A
    second cable of each two groups follows in a second round of the ports, g - 1 places on, and so at another
    router of both.

    The same rule joins the spines of a dragonfly+ and the servers of a DCell: with one cable and g = a + 1,
    absolute, server j - 1 of cell i meets server i of cell j for all i < j.

    References
    ----------
    Kim, Dally, Scott, Abts, "Technology-driven, highly-scalable dragonfly topology", ISCA 2008. Hastings,
    Rincon-Cruz, Spehlmann, Meyers, Xu, Bunde, Leung, "Comparing global link arrangements for dragonfly
    networks", CLUSTER 2015, section II. Shpiner, Haramaty, Eliad, Zdornov, Gafni, Zahavi, "Dragonfly+: low
    cost topology for scaling datacenters", HiPINEB 2017. Guo et al., "DCell", SIGCOMM 2008, figure 3.

    Examples
    --------
    >>> dragonfly((3, 2)).tolist()
    [[0, 2], [1, 4], [3, 5]]
    """
    n_groups, n_routers = sizes
    if cables > n_routers:
        fault = "more cables between two groups than routers in one"
        todo = "a pair is joined once; parallel cables are the count of the rule"
        refuse(fault, got=f"{cables} cables", expected=f"at most {n_routers}", todo=todo)
    refuse_many(cables * n_groups * (n_groups - 1) // 2)
    # Every two groups, lower first, and the port that either gives to the other.
    low, high = np.triu_indices(n_groups, 1)
    ports = (high - 1, low) if arrangement == "absolute" else (high - low - 1, n_groups - 1 - (high - low))
    # One row a cable: its round of the ports starts where the last one ended.
    first = (n_groups - 1) * np.arange(cables, dtype=np.int64)[:, None]
    n_ports = max(1, cables * (n_groups - 1))
    # Ports are shared out over the routers as evenly as they divide.
    ends = [
        group * n_routers + (first + port) * n_routers // n_ports
        for group, port in zip((low, high), ports, strict=True)
    ]
    return np.stack(ends, axis=-1).reshape(-1, 2)
