"""What every answer is: a frozen record that prints, and has the same names in JSON and in data frames."""

from __future__ import annotations

import dataclasses
import functools
import html
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, Protocol, TypeVar, cast, get_args, get_type_hints

from fabric.errors import ExtraError, printable
from fabric.text.as_json import plain, to_json
from fabric.text.columns import fit, terminal

FRAMES = ("polars", "pandas", "pyarrow")
"""Libraries of data frames, in the order in which an installed one is taken."""

_PAGE = 110
"""Columns of a notebook."""

HIDDEN: Mapping[str, bool] = {"json": False}
"""Metadata of a field that is no part of the answer, such as how long it took."""


class _ByAxes:
    """Marks a text in which devices are called by the axes."""


DeviceText = Annotated[str, _ByAxes()]
"""A text of an answer in which devices are called by the axes; `spelled` calls them otherwise."""


class CutOff(NamedTuple):
    """Endpoints that cannot take part: one of them, and how many are alike."""

    endpoint: DeviceText
    n: int


def say_lost(
    cut_off: Iterable[CutOff],
    n_failed: int,
    remedy: str,
    *,
    is_dropped: bool = False,
    kind: str = "endpoints",
) -> list[str]:
    r"""Return in words who takes no part: what has failed itself, and what failures cut off from most others.

    Parameters
    ----------
    cut_off : iterable of CutOff
    n_failed : int
    remedy : str
        What leaves out those that are cut off, as it is spelled where the question was asked.
    is_dropped : bool
        Whether they were left out.
    kind : str

    Examples
    --------
    >>> print(*say_lost([CutOff("node0/gpu0", 8)], 1, "--drop-unreachable"), sep="\n")
      left out: 1 endpoints that have failed
      cut off: 8 endpoints such as node0/gpu0; --drop-unreachable leaves them out
    """
    lines = [f"  left out: {n_failed:,} {kind} that have failed"] if n_failed else []
    what = "left out" if is_dropped else "cut off"
    lost = [f"  {what}: {n:,} {kind} such as {name}" for name, n in cut_off]
    if lost and remedy and not is_dropped:
        lost[-1] += f"; {remedy} leaves them out"
    return lines + lost


class DamageCount(NamedTuple):
    """How many devices and pairs of ends of cables are absent or down, and of how many kinds.

    What hangs together by an index, such as all that is down in a pod, is one part; parts that a permutation
    of the axes exchanges are of one kind. Time grows with the kinds.
    """

    n_marks: int
    n_kinds: int


def say_damage(damage: DamageCount | None) -> list[str]:
    """Return in words what is down and of how many kinds, where that is more than one thing.

    Examples
    --------
    >>> say_damage(DamageCount(50, 13))
    ['  damage: 50 marks of 13 kinds']
    """
    if damage is None or damage.n_marks < 2:
        return []
    kinds = "1 kind" if damage.n_kinds == 1 else f"{damage.n_kinds:,} kinds"
    return [f"  damage: {damage.n_marks:,} marks of {kinds}"]


class Slack(NamedTuple):
    """What a link class that does not bind has left: the idle part of its capacity, 0 to 1."""

    link: str
    idle: float


class Refused(NamedTuple):
    """An algorithm that cannot run here, and why."""

    algorithm: str
    why: DeviceText


class _Printer(Protocol):
    """What IPython hands to ``_repr_pretty_``."""

    def text(self, text: str) -> None:
        """Print `text`."""


class _Options(Protocol):
    """What rich says of where it prints."""

    max_width: int


class Result:
    """Base of all answers: frozen dataclasses with a text of some lines.

    A subclass names in `shown` the properties that belong into its JSON beside its fields, and overrides
    `table` where that is not the answer itself in one row.
    """

    __slots__ = ()
    shown: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Keep from the terminal what could steer it: names of devices are the user's, or a stranger's."""
        if (written := cls.__dict__.get("__str__")) is not None:

            @functools.wraps(written)
            def shown(answer: Result) -> str:
                return printable(written(answer), kept="\n")

            cls.__str__ = shown  # type: ignore[assignment]

    def to_dict(self) -> dict[str, object]:
        """Return fields and shown properties by name, records as dictionaries; what is infinite is None."""
        # Every subclass is a dataclass.
        fields = dataclasses.fields(cast("Any", self))
        names = [f.name for f in fields if f.metadata.get("json", True)]
        return {name: plain(getattr(self, name)) for name in (*names, *self.shown)}

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return to_json(self.to_dict())

    def table(self) -> list[dict[str, object]]:
        """Return the table of the answer: the numbers and names of `to_dict`, one row if it is one thing."""
        return [{k: v for k, v in self.to_dict().items() if not isinstance(v, list | dict)}]

    def to_frame(self, library: str = "") -> Any:  # noqa: ANN401 - a frame of the library that is installed
        """Return `table` as a data frame.

        Parameters
        ----------
        library : {"", "polars", "pandas", "pyarrow"}
            Left out, one that is imported already, else one that is installed.

        Raises
        ------
        ExtraError
            If none is installed.
        """
        return frame(self.table(), library)

    def picture(self) -> str:
        """Return the answer as SVG, where that says more than its words; else an empty text."""
        return ""

    def _repr_html_(self) -> str:
        with terminal(_PAGE):
            text = fit(str(self))
        return f"<pre>{html.escape(text)}</pre>{self.picture()}"

    def __rich_console__(self, console: object, options: _Options) -> Iterator[object]:
        """Yield the text, in tables that fit; its brackets are no markup."""
        from rich.text import Text

        with terminal(options.max_width):
            yield Text(fit(str(self)), no_wrap=True)

    def _repr_pretty_(self, printer: _Printer, cycle: bool) -> None:  # noqa: FBT001 - IPython's signature
        printer.text("..." if cycle else str(self))


_Value = TypeVar("_Value")


def spelled(answer: _Value, spell: Callable[[str], str]) -> _Value:
    """Return an answer in which every `DeviceText` is spelled otherwise.

    Examples
    --------
    >>> spelled((CutOff("gpu3", 4),), str.upper)
    (CutOff(endpoint='GPU3', n=4),)
    """
    value: Any = answer
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return cast("_Value", tuple(spelled(part, spell) for part in value))
    is_record = dataclasses.is_dataclass(value) and not isinstance(value, type)
    if not is_record and not isinstance(value, tuple):
        return answer
    record: type = type(value)
    said = _device_texts(record)
    names = [f.name for f in dataclasses.fields(value)] if is_record else value._fields
    old = {name: getattr(value, name) for name in names}
    new = {n: _respelled(v, spell) if n in said else spelled(v, spell) for n, v in old.items()}
    return cast("_Value", dataclasses.replace(value, **new) if is_record else record(**new))


def _respelled(value: object, spell: Callable[[str], str]) -> object:
    if isinstance(value, tuple):
        return tuple(_respelled(part, spell) for part in value)
    return spell(value) if isinstance(value, str) else value


@functools.cache
def _device_texts(record: type) -> frozenset[str]:
    """Return the fields of a record that are device texts."""
    hints = get_type_hints(record, include_extras=True)
    return frozenset(name for name, hint in hints.items() if _is_device_text(hint))


def _is_device_text(hint: object) -> bool:
    parts = get_args(hint)
    return any(isinstance(part, _ByAxes) or _is_device_text(part) for part in parts)


def frame(rows: Iterable[Mapping[str, object]], library: str = "") -> Any:  # noqa: ANN401
    """Return rows as a data frame of the library that the user has.

    Raises
    ------
    ExtraError
        If there is none, or not the one asked for.
    """
    names = [library] if library else sorted(FRAMES, key=lambda name: name not in sys.modules)
    for name in names:
        if name not in FRAMES:
            break
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        records = [dict(row) for row in rows]
        return module.Table.from_pylist(records) if name == "pyarrow" else module.DataFrame(records)
    known = ", ".join(FRAMES)
    msg = f"no data frames of {library}; known are {known}" if library else f"install one of {known}"
    raise ExtraError(msg)
