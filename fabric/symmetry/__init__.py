"""The quotient of a fabric under its automorphisms: what solvers see, at any size."""

from fabric.symmetry.counting import devices_up
from fabric.symmetry.labels import Mark, as_mark
from fabric.symmetry.lifting import Lift, RealLink, sample_links
from fabric.symmetry.nesting import Nesting, NoSymmetryError, Tie, lopsided_axes, nesting
from fabric.symmetry.quotient import Ground, Quotient, grounded, quotient
from fabric.symmetry.refinement import (
    REFINE_LIMIT,
    ColourView,
    Refined,
    coarsest,
    one_view,
    refine,
    refined,
)
from fabric.symmetry.unfolding import AxisView, Unfolding

__all__ = [
    "REFINE_LIMIT",
    "AxisView",
    "ColourView",
    "Ground",
    "Lift",
    "Mark",
    "Nesting",
    "NoSymmetryError",
    "Quotient",
    "RealLink",
    "Refined",
    "Tie",
    "Unfolding",
    "as_mark",
    "coarsest",
    "devices_up",
    "grounded",
    "lopsided_axes",
    "nesting",
    "one_view",
    "quotient",
    "refine",
    "refined",
    "sample_links",
]
