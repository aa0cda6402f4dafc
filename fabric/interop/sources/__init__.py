"""Formats of other tools that say which cables there are."""

from fabric.interop.sources.formats import SOURCES, Source, read_sources
from fabric.interop.sources.found import Found, FoundCable, Port

__all__ = ["SOURCES", "Found", "FoundCable", "Port", "Source", "read_sources"]
