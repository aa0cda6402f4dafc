"""Many runs of the layers below, and measurements held against them."""

from fabric.study.sweeps import run

__all__ = ["run"]
