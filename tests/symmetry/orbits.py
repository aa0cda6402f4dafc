"""Orbits by brute force: all automorphisms of the expanded fabric, and what they map to what.

It shares nothing with `fabric.symmetry`: the devices and cables that are up are a graph with colours, and a
search puts devices on devices one by one until all cables are there again.
"""

import numpy as np
from scipy import sparse


class Automorphisms:
    """Generators of the group that keeps groups, rules, the ends of rules, numbers of cables and their rates.

    For each device in turn they hold one that keeps all devices before it and moves it to each place that
    some automorphism moves it to: a strong generating set.
    """

    def __init__(self, e):
        self.devices = np.flatnonzero(~e.failed).tolist()
        self.start = {v: int(e.group[v]) for v in self.devices}
        # Cables from v to w as (rule, end of the rule, number, rate), by v and w.
        self.cables = {v: {} for v in self.devices}
        rows = (e.tail, e.head, e.rule, e.alive, e.rate_gbps)
        for t, h, r, n, rate in zip(*(x.tolist() for x in rows), strict=True):
            if n:
                is_peer = e.rules[r].is_peer and not e.rules[r].is_oneway
                self.cables[t].setdefault(h, []).append((r, 0, n, rate))
                self.cables[h].setdefault(t, []).append((r, 0 if is_peer else 1, n, rate))
        for row in self.cables.values():
            row.update({w: tuple(sorted(own)) for w, own in row.items()})
        self.generators = []
        self._generate()

    def _generate(self):
        kept = []
        for v in self.devices:
            reached = {v}
            for w in self.devices:
                # What keeps all devices before v, and has been found, need not be searched for.
                stack = list(reached)
                while stack:
                    x = stack.pop()
                    for g in self.generators:
                        if g[x] not in reached and all(g[u] == u for u in kept):
                            reached.add(g[x])
                            stack.append(g[x])
                if w not in reached and w not in kept:
                    found = self._search([*((u, u) for u in kept), (v, w)])
                    if found:
                        self.generators.append(found)
            kept.append(v)

    def _search(self, pairs):
        """Return an automorphism that maps the first of each pair to the second, or None."""
        one, other = ({p[i]: n for n, p in enumerate(pairs)} for i in (0, 1))
        one, other = self._coloured(one), self._coloured(other)
        if sorted(one.values()) != sorted(other.values()):
            return None
        return self._extend({}, one, other, sorted(self.devices, key=lambda v: (v not in dict(pairs), v)))

    def _extend(self, image, one, other, left):
        if not left:
            return image
        # Beside what has its place already: there most is known.
        v = next((x for x in left if any(u in image for u in self.cables[x])), left[0])
        used = set(image.values())
        for w in self.devices:
            if w in used or one[v] != other[w]:
                continue
            if all(self.cables[v].get(u) == self.cables[w].get(image[u]) for u in image):
                found = self._extend({**image, v: w}, one, other, [x for x in left if x != v])
                if found:
                    return found
        return None

    def _coloured(self, fixed):
        """Return colours that automorphisms keep: hashes of neighbourhoods, which only spare a search."""
        colour = {v: hash((group, fixed.get(v, -1))) for v, group in self.start.items()}
        n = 0
        while n < len(set(colour.values())):
            n = len(set(colour.values()))
            colour = {
                v: hash((own, tuple(sorted((c, colour[w]) for w, c in self.cables[v].items()))))
                for v, own in colour.items()
            }
        return colour

    def orbits(self, tuples):
        """Return the orbit of every tuple of devices, shape (k, w); all images must be among them."""
        place = {row: i for i, row in enumerate(map(tuple, tuples.tolist()))}
        rows, images = [], []
        for g in self.generators:
            for row, i in place.items():
                rows.append(i)
                images.append(place[tuple(g[v] for v in row)])
        n = len(tuples)
        graph = sparse.coo_array((np.ones(len(rows)), (rows, images)), shape=(n, n))
        return sparse.csgraph.connected_components(graph, directed=False)[1]


def mismatches(e, views, commodities):
    """Return what is of one class although no automorphism maps one to the other, one of each kind."""
    group = Automorphisms(e)
    ends = np.column_stack([e.tail, e.head])
    ends = np.stack([ends, ends[:, ::-1]], axis=1).reshape(-1, 2)
    one_way = np.array([r.is_oneway for r in e.rules])[e.rule]
    up = np.flatnonzero(
        np.repeat(e.alive > 0, 2) & ~(np.repeat(one_way, 2) & (np.arange(len(ends)) % 2 == 1))
    )
    # A link is its ends and its rule: what is joined by several rules is several links.
    pairs, link = np.unique(ends[up], axis=0, return_inverse=True)
    of_pair = group.orbits(pairs)[link.ravel()]
    found = set()
    sources = np.concatenate([view.sources for view in views])
    triples = np.column_stack([np.repeat(sources, len(pairs)), np.tile(pairs, (len(sources), 1))])
    # Images of endpoints that take part may be some that do not.
    every = np.flatnonzero(e.is_endpoint & ~e.failed)
    whole = np.column_stack([np.repeat(every, len(pairs)), np.tile(pairs, (len(every), 1))])
    orbit_of = dict(zip(map(tuple, whole.tolist()), group.orbits(whole).tolist(), strict=True))
    orbit = np.array([orbit_of[row] for row in map(tuple, triples.tolist())]).reshape(len(sources), -1)
    of_device = dict(zip(every.tolist(), group.orbits(every[:, None]).tolist(), strict=True))
    base, at = None, 0
    for view, commodity in zip(views, commodities, strict=True):
        if len({of_device[s] for s in view.sources.tolist()}) > 1:
            found.add("sources that are not alike")
        seen = np.array([view.seen(s)[up] for s in view.sources.tolist()])
        if (seen < 0).any():
            found.add("a link of no class")
        if (np.repeat(commodity.view.classes.rate_gbps, 2)[seen] != np.repeat(e.rate_gbps, 2)[up]).any():
            found.add("a link at another rate than its class")
        own = orbit[at : at + len(seen)][:, link.ravel()]
        at += len(seen)
        if _is_mixed(seen.ravel(), own.ravel()):
            found.add("links that are not alike from sources of one class")
        for row in commodity.view.base[seen]:
            base = row if base is None else base
            if (row != base).any():
                found.add("a link of two classes of the base")
    if _is_mixed(base, of_pair):
        found.add("links of one class of the base that are not alike")
    return sorted(found)


def _is_mixed(of_class, orbit):
    """Return whether a class has things of two orbits."""
    return len(np.unique(np.column_stack([of_class, orbit]), axis=0)) > len(np.unique(of_class))
