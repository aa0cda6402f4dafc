"""How many cables of a file are up, counted without classes: pairs of devices as boxes of indices.

As devices are counted in `fabric.symmetry.counting`: a pair is a point on the axes of its left device and on
those on which its right device may differ. What has failed or is absent on either side is a box there, and so
are the cables between two selectors. ::

    leaf [pod, k]  spine [pod, s]     pairs: pod x k x s        spine3 of pod1 down: pod 1 x any k x s 3
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fabric.blueprint.model import Blueprint, MarkedCables, Rule, Selector, Term
from fabric.blueprint.rule_axes import agreeing_axes, relation_axes
from fabric.symmetry.counting import Box, boxes_of, meet, union_size

MANY_BOXES = 64
"""Boxes of what is down up to which they are put together."""


def cables_up(blueprint: Blueprint, rule: Rule, above: float = 0.0) -> int | None:
    """Return how many cables of a rule have more than a part of their rate; None where boxes do not say.

    With none, 0, these are all that are up. Boxes do not say which of some cables are marked, nor what
    wiring, a twist or a ring over a product is.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {i: 3, j: 4}, devices: {gpu: {kind: gpu, axes: [i, j]}, leaf: {kind: "
    >>> text += "switch, axes: [j]}}, links: [{between: [gpu, leaf], rate: 1Gb/s, count: 2}], "
    >>> text += "failed: [leaf1, i0/gpu0]}"
    >>> b = loads_blueprint(text)
    >>> cables_up(b, b.rules[0])
    16
    """
    relation = rule.relation
    axes = relation_axes(blueprint, rule)
    is_known = relation is None or (
        relation.kind in ("mesh", "ring", "line")
        and not relation.twist
        and (relation.kind == "mesh" or len(axes) == 1)
    )
    marked = tuple(cables for cables in blueprint.marked_cables if cables.part <= above)
    if not is_known or any(cables.n is not None for cables in marked):
        return None
    pairs = _JoinedBoxes(blueprint, rule, agreeing_axes(blueprint, rule), axes, marked)
    down = list(pairs.down())
    if len(down) > MANY_BOXES:
        return None
    return sum(n * pairs.n_up(part, down) for n, part in pairs.counted())


@dataclass(frozen=True, slots=True)
class _JoinedBoxes:
    """The pairs that a rule may join: points on the axes of the left device, then on others of the right."""

    blueprint: Blueprint
    rule: Rule
    agree: tuple[str, ...]
    free: tuple[str, ...]
    marked: tuple[MarkedCables, ...]

    @property
    def _left(self) -> tuple[str, ...]:
        return self.blueprint.groups[self.rule.left_group].primitives

    @property
    def _right(self) -> tuple[str, ...]:
        return self.blueprint.groups[self.rule.right_group].primitives

    @property
    def _is_next(self) -> bool:
        """Whether the left device alone says the pair: the right one is next on a ring or line."""
        return self.rule.relation is not None and self.rule.relation.kind != "mesh"

    @property
    def _is_between(self) -> bool:
        """Whether the two devices of a pair are of different groups."""
        return len(set(self.rule.groups)) == 2

    @property
    def _is_twice(self) -> bool:
        """Whether each pair of a mesh is listed both ways round; a one-way cable is of one way."""
        is_mesh = self.rule.relation is not None and not self._is_next
        return is_mesh and not self.rule.is_oneway and not self._is_between

    def _boxes(self, left: Box, right: Box) -> list[Box]:
        """Return the pairs whose two devices lie in a box each."""
        at = dict(zip(self._right, right, strict=True))
        found = [list(left)]
        for place, p in enumerate(self._left):
            n, (lo, hi) = self.blueprint.axes[p].size, at.get(p, (0, 0))
            if p in self.agree:
                limits = [(lo, hi)]
            elif p in self.free and self._is_next:
                # The left device of the wrap cable is the last; two of one group have one, or one each way.
                is_ring = self.rule.relation is not None and self.rule.relation.kind == "ring"
                wraps = is_ring and (n > 2 or (n == 2 and (self.rule.is_oneway or self._is_between)))
                limits = [(max(lo - 1, 0), hi - 1)] if hi else []
                limits += [(n - 1, n - 1)] if wraps and not lo else []
            else:
                continue
            found = [
                [*box[:place], (max(box[place][0], a), min(box[place][1], b)), *box[place + 1 :]]
                for box in found
                for a, b in limits
            ]
        rest = [at[p] for p in self._right if not self._is_shared(p)]
        whole = [tuple(box + rest) for box in found]
        return [box for box in whole if all(a <= b for a, b in box)]

    def _is_shared(self, p: str) -> bool:
        return p in self.agree or (self._is_next and p in self.free)

    def _sides(self, left: Selector, right: Selector) -> Iterator[Box]:
        groups = self.rule.groups
        for a in boxes_of(self.blueprint, groups[0], left):
            for b in boxes_of(self.blueprint, groups[1], right):
                yield from self._boxes(a, b)

    def down(self) -> Iterator[Box]:
        """Yield the pairs that have no cable that counts."""
        every = Selector("", None)
        for selector in (*self.blueprint.absent, *self.blueprint.failed):
            yield from self._sides(selector, every)
            yield from self._sides(every, selector)
        for failure in self.marked:
            if failure.may_be_of(self.rule.name):
                yield from self._sides(failure.left, failure.right)
                yield from self._sides(failure.right, failure.left)

    def counted(self) -> Iterator[tuple[int, list[Box]]]:
        """Yield the pairs of the rule, with the cables of each."""
        left, right = self.rule.left, self.rule.right
        # Whatever parts of its group the sides of a mesh are.
        ways = [(left, right), (right, left)] if self._is_twice else [(left, right)]
        count = self.rule.count
        if isinstance(count, int):
            yield count, [box for way in ways for box in self._sides(*way)]
            return
        axis = self.rule.count_axis
        is_left = set(self.blueprint.primitives(axis)) <= set(self._left)
        for i, n in enumerate(count):
            one, every = Selector("", None, (Term(axis, i, i),)), Selector("", None)
            sides = (one, every) if is_left else (every, one)
            yield (
                n,
                [
                    both
                    for way, own in zip(ways, (sides, sides[::-1]), strict=False)
                    for a in self._sides(*way)
                    for b in self._sides(*own)
                    if (both := meet(a, b)) is not None
                ],
            )

    def n_up(self, pairs: list[Box], down: list[Box]) -> int:
        """Return how many of some pairs are not down."""
        lost = [both for a in pairs for b in down if (both := meet(a, b)) is not None]
        if self.rule.relation is None or self._is_next:
            return union_size(pairs) - union_size(lost)
        # A mesh joins no device with itself, and each pair once, whichever side it is named from.
        found = [self._apart(pairs), self._apart(lost)]
        return (found[0] - found[1]) // (2 if self._is_twice else 1)

    def _apart(self, boxes: list[Box]) -> int:
        """Return how many pairs in some boxes differ on the axes of the mesh."""
        rest = [p for p in self._right if not self._is_shared(p)]
        place = [(self._left.index(p), len(self._left) + rest.index(p)) for p in self.free]
        equal = []
        for box in boxes:
            limits = list(box)
            for a, b in place:
                limits[a] = (max(box[a][0], box[b][0]), min(box[a][1], box[b][1]))
                limits[b] = (0, 0)
            if all(lo <= hi for lo, hi in limits):
                equal.append(tuple(limits))
        return union_size(boxes) - union_size(equal)
