"""One environment for every test: no display, no colour, no chance."""

import os

from hypothesis import settings

# Typer and Rich draw colours and boxes by these; a CI runner sets some of them.
for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
    os.environ.pop(name, None)
os.environ.update(NO_COLOR="1", MPLBACKEND="Agg")

# The same examples on every run, and no clock: a flaky or timed test is a defect.
settings.register_profile("fabtopo", derandomize=True, deadline=None, database=None)
settings.load_profile("fabtopo")
