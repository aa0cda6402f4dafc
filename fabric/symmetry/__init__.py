"""The quotient of a fabric under its automorphisms: what solvers see, at any size."""

from fabric.symmetry.nesting import Nesting, NoSymmetryError, nesting
from fabric.symmetry.quotient import Mark, Quotient, quotient

__all__ = ["Mark", "Nesting", "NoSymmetryError", "Quotient", "nesting", "quotient"]
