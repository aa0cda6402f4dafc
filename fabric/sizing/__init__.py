"""From a size to a fabric, and from a fabric to what has to be bought.

The names below are loaded when they are first used: the command line needs the arguments of a design for its
help, and nothing of the designer.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False

if TYPE_CHECKING:
    from fabric.sizing.arguments import DesignArguments, DesignOptions
    from fabric.sizing.build import Design, design
    from fabric.sizing.counts import Installed, Tier
    from fabric.sizing.explain import Decision
    from fabric.sizing.phases import GrowthPhase, growth
    from fabric.sizing.presets import PRESETS, Preset, find_preset
    from fabric.sizing.switch import DesignError

__all__ = [
    "PRESETS",
    "Decision",
    "Design",
    "DesignArguments",
    "DesignError",
    "DesignOptions",
    "Installed",
    "GrowthPhase",
    "Preset",
    "Tier",
    "design",
    "find_preset",
    "growth",
]

_HOME = {
    "arguments": ("DesignArguments", "DesignOptions"),
    "build": ("Design", "design"),
    "counts": ("Installed", "Tier"),
    "explain": ("Decision",),
    "phases": ("GrowthPhase", "growth"),
    "presets": ("PRESETS", "Preset", "find_preset"),
    "switch": ("DesignError",),
}

# Hidden from type checkers, which would otherwise accept any misspelt name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a public name on first use (PEP 562)."""
        module = next((module for module, names in _HOME.items() if name in names), None)
        if module is None:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg, name=name)
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
