"""The command `fabtopo`."""

from fabric.cli.app import main

__all__ = ["main"]
