"""From a number of GPUs to a fabric: the one verb of a design."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Unpack

from fabric.arguments import checked
from fabric.blueprint import Blueprint, loads_blueprint
from fabric.graph import Fabric
from fabric.results import Result
from fabric.sizing.arguments import DesignArguments
from fabric.sizing.counts import Installed, Tier, count_installed
from fabric.sizing.explain import Decision, explain
from fabric.sizing.layout import lay_out
from fabric.sizing.notices import warnings_of
from fabric.sizing.remedies import impossible
from fabric.sizing.request import Request, resolve
from fabric.sizing.search import solve
from fabric.sizing.switch import DesignError
from fabric.sizing.text import write
from fabric.sizing.tiers import Sizes


@dataclass(frozen=True, slots=True, eq=False)
class Design(Result):
    """A fabric that was designed.

    Parameters
    ----------
    text : str
        The topology file, with comments.
    blueprint : Blueprint
        That file, loaded and checked.
    explain : tuple of Decision
        Every number that was chosen, and why.
    asked : int
        GPUs asked for.
    gpus : int
        GPUs built for: whole racks.
    built : Installed
        What is installed; all that is built for, unless fewer GPUs are populated.
    sizes : Sizes
        All numbers of the design.
    request : Request
        What it was made from, with the rates that were chosen.
    """

    text: str
    blueprint: Blueprint
    explain: tuple[Decision, ...]
    asked: int
    gpus: int
    built: Installed
    sizes: Sizes
    request: Request = field(repr=False)

    @property
    def populated(self) -> int:
        """GPUs that are installed."""
        return self.built.gpus

    @property
    def n_tiers(self) -> int:
        """Tiers of switches."""
        return self.sizes.tiers

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Switches and ports of each tier, from the leaves up."""
        return self.built.tiers

    @property
    def switches(self) -> dict[str, int]:
        """Switches by tier."""
        return self.built.switches

    @property
    def cables(self) -> dict[str, int]:
        """Cables by rule of the file."""
        return dict(self.built.cables)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know before the design is built.

        Arguments that change nothing here, single switches that take GPUs off the network, and sizes nearby
        that need far fewer switches, or far more. Worked out anew each time, in some 20 designs.
        """
        return warnings_of(self.request, self.sizes)

    @property
    def fabric(self) -> Fabric:
        """The fabric, to ask questions of.

        Islands and reachability are not checked, as `fabric.load` does up to a size: that needs every device.
        """
        missed = "islands and reachability: not checked on a design; write the file and load it"
        skipped = (*self.blueprint.skipped, missed)
        return Fabric(self.blueprint.name, self.blueprint, None, skipped)

    def to_dict(self) -> dict[str, object]:
        """Return the documented keys of ``--json`` (docs/cli.md), but for the phases of growth."""
        return {
            "gpus": self.gpus,
            "asked": self.asked,
            "populated": self.populated,
            "tiers": self.n_tiers,
            "switches": self.switches,
            "cables": self.cables,
            "explain": [str(d) for d in self.explain],
            "warnings": list(self.warnings),
            "text": self.text,
        }

    def table(self) -> list[dict[str, object]]:
        """Return one row for each tier: its switches, and what their ports are for."""
        return [asdict(tier) for tier in self.tiers]

    def __str__(self) -> str:
        """Return the explanation."""
        return "\n".join(str(d) for d in self.explain)


@checked
def design(**arguments: Unpack[DesignArguments]) -> Design:
    """Design the fabric of a cluster.

    Parameters
    ----------
    **arguments
        Those of `fabric.sizing.arguments.DesignArguments`, which says what each means.

    Returns
    -------
    Design

    Raises
    ------
    ArgumentError
        If an argument is unknown, missing, or of another type.
    DesignError
        If it cannot be built: the constraint that fails, and the nearest that works.

    Notes
    -----
    The cheapest is the one of the fewest tiers, then of the fewest switches, then with cables of one rate all
    the way up, then of the fewest cables between switches. Uplinks are as few as the oversubscription allows.

    Examples
    --------
    >>> pod = design(gpus=1000, rack="hgx-h100", leaf="qm9700")
    >>> pod.gpus, pod.switches, pod.cables
    (1000, {'leaf': 32, 'spine': 16}, {'nic-leaf': 1000, 'leaf-spine': 1024})
    >>> print(next(d for d in pod.explain if d.what == "spines"))
    spines: 16 for 32 leaves, 2 cables a pair; 64 of 64 ports
      rule: the smallest number with ports enough that divides the uplinks of a leaf: whole cables
    """
    request = resolve(arguments)
    best = solve(request)
    if best is None:
        raise DesignError(impossible(request))
    # From here on with the rates that the search has chosen.
    request, sizes = request.rated(best.cables), best.sizes
    built = count_installed(request, sizes, request.populated)
    base = Path(request.given.get("base") or ".")
    name = request.given.get("name") or f"{request.rack.name}-{request.racks * request.rack.n_gpus}"
    # The file is the design: what is loaded is what a user gets.
    text = write(request, sizes, lay_out(request, sizes), built, name)
    return Design(
        text=text,
        blueprint=loads_blueprint(text, path=f"{name}.fabric.yaml", base=base),
        explain=explain(request, built, best),
        asked=request.gpus,
        gpus=request.racks * request.rack.n_gpus,
        built=built,
        sizes=sizes,
        request=request,
    )
