"""The catalogue: parts, protocols and media as data files, each row with its source."""

from fabric.parts.catalogue import (
    Catalogue,
    catalogue,
    find_medium,
    find_part,
    find_protocol,
    load_catalogue,
)
from fabric.parts.model import (
    CONFIDENCES,
    Evidence,
    Frozen,
    Medium,
    Part,
    PortClass,
    Protocol,
    Source,
    cables_per_port,
    evidence,
)

__all__ = [
    "CONFIDENCES",
    "Catalogue",
    "Evidence",
    "Frozen",
    "Medium",
    "Part",
    "PortClass",
    "Protocol",
    "Source",
    "cables_per_port",
    "catalogue",
    "evidence",
    "find_medium",
    "find_part",
    "find_protocol",
    "load_catalogue",
]
