"""From a size to a fabric, and from a fabric to what has to be bought."""

from fabric.design.build import Design, design, design_for
from fabric.design.counts import Installed, Tier
from fabric.design.explain import Decision
from fabric.design.growth import Phase, growth
from fabric.design.presets import PRESETS, Preset, find_preset
from fabric.design.request import Ask
from fabric.design.switch import DesignError

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
