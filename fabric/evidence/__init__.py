"""Measured collectives: one row for every point, with the fabric that it was measured on and its source."""

from fabric.evidence.points import (
    EvidenceSource,
    Point,
    TokenPoint,
    fabric_text,
    points,
    sources,
    token_points,
)

__all__ = ["EvidenceSource", "Point", "TokenPoint", "fabric_text", "points", "sources", "token_points"]
