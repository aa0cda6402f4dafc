"""The quotient of a fabric under its automorphisms: what solvers see, at any size."""

from fabric.symmetry.lifting import Lift, RealLink, sample_links
from fabric.symmetry.nesting import Nesting, NoSymmetryError, Tie, nesting
from fabric.symmetry.quotient import Mark, Quotient, as_mark, quotient
from fabric.symmetry.refinement import REFINE_LIMIT, coarsest, refine

__all__ = [
    "REFINE_LIMIT",
    "Lift",
    "Mark",
    "Nesting",
    "NoSymmetryError",
    "Quotient",
    "RealLink",
    "Tie",
    "as_mark",
    "coarsest",
    "nesting",
    "quotient",
    "refine",
    "sample_links",
]
