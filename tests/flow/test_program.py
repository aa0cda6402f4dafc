"""The class program apart from its fabrics: what is left of a solution once rounding is out of it."""

import numpy as np
import pytest

from fabric.flow import folding
from fabric.flow.by_axes import axes_program
from fabric.flow.concurrent import check_concurrent
from fabric.flow.program import solve_commodities
from fabric.flow.traffic import Traffic
from fabric.graph import loads

TWO_TIERS = """{fabric: a, axes: {leaf: 3, i: 2, s: 2}, devices: {gpu: {kind: gpu, axes: [leaf, i]},
  sw: {kind: switch, axes: [leaf]}, top: {kind: switch, axes: [s]}, far: {kind: switch, axes: [leaf, s]}},
  links: [{between: [gpu, sw], rate: 4Gb/s}, {between: [sw, top], rate: 4Gb/s},
    {between: [sw, far], rate: 1Gb/s}]}"""


def solved():
    work = axes_program(loads(TWO_TIERS).blueprint, Traffic())
    return work, solve_commodities(work.capacity, work.commodities)


@pytest.mark.parametrize("size", [1e-14, 1e-11])
def test_crumbs_are_swept_up(size):
    work, answer = solved()
    (block,) = work.commodities
    (flow,) = answer.flow
    passing = np.bincount(block.moves.head, flow, minlength=block.moves.n_states)
    idle = (passing == 0) & (block.supply == 0)
    # A dead end, such as a switch that leads nowhere, takes in what a solver's tolerance lets it have.
    at = int(np.flatnonzero(idle[block.moves.head] & ~idle[block.moves.tail])[0])
    crumbs = flow.copy()
    crumbs[at] += size * answer.rate_gbps
    assert (folding.settle(block, crumbs, answer.rate_gbps) == flow).all()
    crumbs[at] = 1e-6 * answer.rate_gbps
    assert (folding.settle(block, crumbs, answer.rate_gbps) == crumbs).all()


def test_what_flows_is_left_alone():
    work, answer = solved()
    (block,) = work.commodities
    (flow,) = answer.flow
    assert (folding.settle(block, flow, answer.rate_gbps) == flow).all()
    assert check_concurrent(work, answer).status == "optimal"
