"""Views of a fabric with one thing wrong, which no proof may take for right."""

from dataclasses import replace

import numpy as np


def recounted(view, rng):
    own = view.base[::2] == rng.randrange(int(view.base.max()) + 1) & -2
    count = np.where(own, view.classes.count * rng.choice((0, 2, 3)), view.classes.count)
    return replace(view, classes=replace(view.classes, count=count))


def rerated(view, rng):
    e, factor = view.classes, rng.choice((0.5, 0.8, 1.25))
    rate = np.where(e.rule == rng.randrange(len(e.rules)), e.rate_gbps * factor, e.rate_gbps)
    return replace(view, classes=replace(e, rate_gbps=rate))


def let_through(view, rng):
    e, group = view.classes, rng.randrange(len(view.classes.groups))
    transit = rng.choice(("turn", "pass", "end", "relay", "all"))
    changed = tuple(replace(g, transit=transit) if i == group else g for i, g in enumerate(e.groups))
    return replace(view, classes=replace(e, groups=changed))


def resized(view, rng):
    size = view.size.copy()
    size[rng.randrange(len(size))] += 1
    return replace(view, size=size)
