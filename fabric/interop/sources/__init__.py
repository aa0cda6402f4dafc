"""Formats of other tools that say which cables there are."""

from fabric.interop.sources.formats import SOURCES, Progress, SourceFormat, read_sources
from fabric.interop.sources.found import FoundCable, Port, Survey

__all__ = ["SOURCES", "Progress", "Survey", "FoundCable", "Port", "SourceFormat", "read_sources"]
