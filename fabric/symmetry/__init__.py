"""The quotient of a fabric under its automorphisms: what solvers see, at any size."""

from fabric.symmetry.counting import count_named, devices_up
from fabric.symmetry.damage import Sides
from fabric.symmetry.ground import Ground, lay_ground
from fabric.symmetry.labels import Mark
from fabric.symmetry.lifting import Lift, RealLink, sample_links
from fabric.symmetry.nesting import Nesting, NoSymmetryError, Tie, lopsided_axes, nesting
from fabric.symmetry.quotient import Quotient, quotient
from fabric.symmetry.refinement import (
    REFINE_LIMIT,
    Colouring,
    ColourView,
    coarsest,
    colour_from_all,
    one_view,
    refine,
)
from fabric.symmetry.unfolding import AxisView, Unfolding

__all__ = [
    "REFINE_LIMIT",
    "AxisView",
    "ColourView",
    "Colouring",
    "Ground",
    "Lift",
    "Mark",
    "Nesting",
    "NoSymmetryError",
    "Quotient",
    "RealLink",
    "Sides",
    "Tie",
    "Unfolding",
    "coarsest",
    "colour_from_all",
    "count_named",
    "devices_up",
    "lay_ground",
    "lopsided_axes",
    "nesting",
    "one_view",
    "quotient",
    "refine",
    "sample_links",
]
