"""Measured collectives: one row for every point, with the fabric that it was measured on and its source."""

from fabric.evidence.points import EvidenceSource, Point, fabric_text, points, sources

__all__ = ["Point", "EvidenceSource", "fabric_text", "points", "sources"]
