"""Formats of other tools: logs of nccl-tests."""

from fabric.interop.nccl_tests import Log, Row, Timing, format_log, format_rows, parse_log, read_log

__all__ = ["Log", "Row", "Timing", "format_log", "format_rows", "parse_log", "read_log"]
