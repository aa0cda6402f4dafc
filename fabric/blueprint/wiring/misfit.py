"""What a pattern says of sizes and parameters that do not fit it, and how many pairs it may make."""

from __future__ import annotations

from typing import NoReturn

from fabric.blueprint.limits import MAX_PAIRS
from fabric.units import format_count


class MisfitError(ValueError):
    """Sizes or parameters that a pattern cannot be made with.

    Parameters
    ----------
    fault : str
    got, expected, todo : str
        As `what` and its details in `fabric.errors.Problem`.
    """

    def __init__(self, fault: str, *, got: str = "", expected: str = "", todo: str = "") -> None:
        super().__init__(fault)
        self.fault, self.got, self.expected, self.todo = fault, got, expected, todo


def refuse(fault: str, *, got: str = "", expected: str = "", todo: str = "") -> NoReturn:
    """Raise a `MisfitError`."""
    raise MisfitError(fault, got=got, expected=expected, todo=todo)


def refuse_many(n_pairs: int, most: int = MAX_PAIRS) -> None:
    """Raise a `MisfitError` if there are more than `most` pairs; to be asked before they are made."""
    if n_pairs > most:
        got, expected = f"{format_count(n_pairs)} pairs", f"at most {format_count(most)}"
        refuse("pattern too large", got=got, expected=expected)
