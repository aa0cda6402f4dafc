"""Summaries, figures and the report of a fabric.

`report` is loaded on first use: it needs the solvers, and those SciPy; ``fabtopo show`` needs only
`fabric.sizing.summary`.
"""

from __future__ import annotations

# Type checkers know the name; see fabric/__init__.py.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from fabric.reporting.page import report

__all__ = ["report"]

# Hidden from type checkers, which would otherwise accept any misspelt name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load `report` on first use (PEP 562)."""
        if name not in __all__:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from fabric.reporting.page import report

        globals()[name] = report
        return report
