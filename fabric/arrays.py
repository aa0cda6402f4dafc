"""The arrays that stand for devices, links and loads."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
"""Numbers of devices, groups, links; counts."""

Floats = npt.NDArray[np.float64]
"""Rates [Gb/s per direction], sizes of classes, loads."""

Bools = npt.NDArray[np.bool_]
"""Which devices or links are meant."""
