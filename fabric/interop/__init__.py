"""Formats of other tools: logs of nccl-tests."""

from fabric.interop.nccl_tests import Log, LoggedTiming, LogRow, format_log, format_rows, parse_log, read_log

__all__ = ["Log", "LogRow", "LoggedTiming", "format_log", "format_rows", "parse_log", "read_log"]
