"""Fabrics in the formats of other tools: each with what it cannot hold."""

from fabric.interop.export.formats import FORMATS, Export, Format, export

__all__ = ["FORMATS", "Export", "Format", "export"]
