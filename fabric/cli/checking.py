"""What `fabtopo check` prints: that a file is sound, and whether the fabric is what the file expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fabric import __version__
from fabric.blueprint import census
from fabric.blueprint.planes import box_notes
from fabric.blueprint.ports import layer_notes
from fabric.cli.options import fabric_of, in_words_of_site, say, tell
from fabric.errors import LimitError, Problem, TopologyError
from fabric.text.annotations import Annotation, to_github, to_sarif
from fabric.text.as_json import to_json

if TYPE_CHECKING:
    from fabric.graph import Fabric
    from fabric.study.expectations import Expectations

FORMS = ("text", "json", "github", "sarif")


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """What became of one topology file.

    Parameters
    ----------
    path : Path
    fabric : Fabric or None
        None where the file is broken.
    error : TopologyError or None
    expected : Expectations or None
        None where nothing is expected.
    """

    path: Path
    fabric: Fabric | None = None
    error: TopologyError | None = None
    expected: Expectations | None = None

    @property
    def status(self) -> int:
        """0 where the file is sound and all that it expects is met, 1 where it is not met, 2 if broken."""
        return 2 if self.error else int(bool(self.expected and self.expected.unmet))

    def annotations(self) -> list[Annotation]:
        """Return problems, and what is not met, line by line."""
        if self.error:
            return [_annotation(problem) for problem in self.problems]
        lines = self.expected.unmet if self.expected else ()
        return [Annotation(line.path, line.line, line.col, line.status, line.message) for line in lines]

    def to_dict(self) -> dict[str, object]:
        """Return the documented keys of ``check --json``."""
        if self.fabric is None:
            return {"status": "error", "message": str(self.error), "problems": self.problems}
        blueprint = self.fabric.axes_or_refuse("a check")
        devices, cables = _count(self.fabric)
        return {
            "status": "unmet" if self.status else "ok",
            "name": self.fabric.name,
            "devices": devices,
            "cables": cables,
            "skipped": self.fabric.skipped,
            "notes": (*box_notes(blueprint), *layer_notes(blueprint)),
            "expectations": self.expected.outcomes if self.expected else (),
        }

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with a broken file."""
        return tuple(self.error.problems) if self.error else ()

    def __str__(self) -> str:
        """Return what is to be told of the file."""
        if self.fabric is None:
            return str(self.error)
        blueprint = self.fabric.axes_or_refuse("a check")
        devices, cables = _count(self.fabric)
        known = [n for n in cables.values() if n is not None]
        n_cables = f"{sum(known):,} cables" if len(known) == len(cables) else "cables not counted"
        sizes = ", ".join(f"{n:,} {name}" for name, n in devices.items())
        lines = [f"{self.path}: ok: {self.fabric.name}: {sizes}; {n_cables}"]
        lines += [f"{self.path}: not checked: {why}" for why in self.fabric.skipped]
        lines += [f"{self.path}: note: {note}" for note in (*box_notes(blueprint), *layer_notes(blueprint))]
        lines += [str(self.expected)] if self.expected else []
        return "\n".join(lines)


def check_files(paths: Sequence[Path], form: str, *, site_names: bool = False) -> int:
    """Print what is to be said of topology files, and return the exit status: that of the worst.

    Parameters
    ----------
    paths : sequence of Path
    form : {"text", "json", "github", "sarif"}
    site_names : bool
        Whether devices are called as the site does.
    """
    checked = [_checked(path, site_names=site_names) for path in paths]
    if form == "text":
        for file in checked:
            say(str(file), err=True) if file.status == 2 else tell(str(file))
    elif form == "json":
        say(to_json(checked[0].to_dict() if len(checked) == 1 else [file.to_dict() for file in checked]))
    else:
        notes = [note for file in checked for note in file.annotations()]
        text = to_github(notes) if form == "github" else to_sarif(notes, __version__)
        if text:
            say(text)
    return max(file.status for file in checked)


def _checked(path: Path, *, site_names: bool) -> CheckedFile:
    try:
        fabric = fabric_of(path, site_names=site_names)
    except TopologyError as error:
        return CheckedFile(path, error=error)
    expected = _expected(fabric)
    return CheckedFile(
        path, fabric, expected=expected and in_words_of_site(expected, fabric, site_names=site_names)
    )


def _annotation(problem: Problem) -> Annotation:
    place = f"{problem.path}:{problem.line}:{problem.col}: "
    return Annotation(problem.path, problem.line, problem.col, "problem", str(problem).removeprefix(place))


def _expected(fabric: Fabric) -> Expectations | None:
    """Return what became of what a file expects; None where that is nothing, and no solver is loaded."""
    if not fabric.axes_or_refuse("a check").expectations:
        return None
    from fabric.study.expectations import check

    return check(fabric)


def _count(fabric: Fabric) -> tuple[dict[str, int], dict[str, int | None]]:
    """Return the devices of each group and the cables of each rule; None where these are not counted."""
    whole = fabric.axes_or_refuse("a check").whole
    try:
        counted = census(whole)
    except LimitError:  # as the fabric says among what was skipped
        return {name: whole.n_devices(name) for name in whole.groups}, dict.fromkeys(
            r.name for r in whole.rules
        )
    devices = {name: counted.present(name) for name in whole.groups}
    return devices, {tally.rule.name: tally.total for tally in counted.rules}
