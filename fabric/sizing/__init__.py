"""From a size to a fabric, and from a fabric to what has to be bought."""

from fabric.sizing.build import Design, design, design_for
from fabric.sizing.counts import Installed, Tier
from fabric.sizing.explain import Decision
from fabric.sizing.growth import Phase, growth
from fabric.sizing.presets import PRESETS, Preset, find_preset
from fabric.sizing.request import Ask
from fabric.sizing.switch import DesignError

__all__ = [
    "PRESETS",
    "Ask",
    "Decision",
    "Design",
    "DesignError",
    "Installed",
    "Phase",
    "Preset",
    "Tier",
    "design",
    "design_for",
    "find_preset",
    "growth",
]
