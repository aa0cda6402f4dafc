"""What was worked out of a fabric is kept on it, for as long as it lives.

A cache of the whole process would keep the last fabrics alive, with all that was made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

Owner = TypeVar("Owner")
Value = TypeVar("Value")
Rest = ParamSpec("Rest")

_PLACE = "_remembered"


def remembered(
    maxsize: int,
) -> Callable[[Callable[Concatenate[Owner, Rest], Value]], Callable[Concatenate[Owner, Rest], Value]]:
    """Return a decorator that keeps the last answers of a function on its first argument.

    Parameters
    ----------
    maxsize : int
        Answers that are kept for each owner; the one not asked for longest goes first.

    Notes
    -----
    The owner is compared by identity. What holds its owner is a cycle, which the garbage collector takes.
    """

    def decorate(
        function: Callable[Concatenate[Owner, Rest], Value],
    ) -> Callable[Concatenate[Owner, Rest], Value]:
        @wraps(function)
        def inner(owner: Owner, /, *args: Rest.args, **more: Rest.kwargs) -> Value:
            answers: dict[Hashable, Value] = vars(owner).setdefault(_PLACE, {}).setdefault(function, {})
            key = (args, tuple(sorted(more.items())))
            # A dict keeps the order of insertion: what was asked for last is put last.
            value = answers.pop(key) if key in answers else function(owner, *args, **more)
            answers[key] = value
            if len(answers) > maxsize:
                del answers[next(iter(answers))]
            return value

        return inner

    return decorate
