"""Which plain axes a rule speaks of, and on which the two ends of its cables agree."""

from __future__ import annotations

from fabric.blueprint.model import Blueprint, Rule
from fabric.blueprint.selector import pinned_axes


def relation_axes(blueprint: Blueprint, rule: Rule) -> tuple[str, ...]:
    """Return the primitive axes of the relation of `rule`, last one fastest; empty without a relation."""
    axes = rule.relation.axes if rule.relation else ()
    return tuple(p for a in axes for p in blueprint.primitives(a))


def twist_axes(blueprint: Blueprint, rule: Rule) -> tuple[str, ...]:
    """Return the primitive axes that the twist of `rule` shifts."""
    twist = rule.relation.twist if rule.relation else ()
    return tuple(p for a, _ in twist for p in blueprint.primitives(a))


def agreeing_axes(blueprint: Blueprint, rule: Rule) -> tuple[str, ...]:
    """Return the primitive axes on which both devices of a pair must agree, up to a twist."""
    left, right = (blueprint.groups[group].primitives for group in rule.groups)
    free = {
        *relation_axes(blueprint, rule),
        *(pinned_axes(blueprint, rule.left) & pinned_axes(blueprint, rule.right)),
    }
    return tuple(p for p in left if p in right and p not in free)
