"""From cables as they were found to the axes that they follow."""

from fabric.interop.recovery.dump import Dump, dump_of
from fabric.interop.recovery.recover import Recovered, recover

__all__ = ["Dump", "Recovered", "dump_of", "recover"]
