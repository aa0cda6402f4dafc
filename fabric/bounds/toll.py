"""A cut of the ranks as prices on links."""

from __future__ import annotations

from dataclasses import dataclass

from fabric.arrays import Bools, Floats
from fabric.symmetry import Mark, Quotient


@dataclass(frozen=True, eq=False)
class Toll:
    """Prices on the links that a rank, or a part of the ranks, is fed over.

    Parameters
    ----------
    view : Quotient
        With all of `marks` told apart.
    marks : tuple of Mark
    price : ndarray of float64
        Of every directed link of the view.
    near, far : ndarray of bool, shape (c,)
        Classes that are fed, and those that hold data for them; the other way round if `is_inward`.
    is_inward : bool
    """

    view: Quotient
    marks: tuple[Mark, ...]
    price: Floats
    near: Bools
    far: Bools
    is_inward: bool = False
