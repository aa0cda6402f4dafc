"""The topology file: grammar, checks, and the blueprint that a file becomes."""

from fabric.blueprint.census import Census, census
from fabric.blueprint.load import load_blueprint, loads_blueprint
from fabric.blueprint.model import Axis, Blueprint, DeviceGroup, Rule, Selector
from fabric.blueprint.schema import json_schema
from fabric.blueprint.templates import template_names

__all__ = [
    "Axis",
    "Blueprint",
    "Census",
    "DeviceGroup",
    "Rule",
    "Selector",
    "census",
    "json_schema",
    "load_blueprint",
    "loads_blueprint",
    "template_names",
]
