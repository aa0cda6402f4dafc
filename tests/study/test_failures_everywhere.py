"""`failures` answers for every file of topologies/ that has endpoints: all that is up is told, and proven."""

from pathlib import Path

import pytest

from fabric import failures, load

ROOT = Path(__file__).parents[2]
QUICK = ("patterns/fat-tree", "patterns/rail-only", "systems/tpu-v5p-2x2x2")
FILES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "topologies").rglob("*.fabric.yaml"))


def marked(path):
    """Return a file as a case, slow unless it is of the few that stand for their family."""
    is_quick = path.removeprefix("topologies/").removesuffix(".fabric.yaml") in QUICK
    return pytest.param(path, marks=() if is_quick else pytest.mark.slow, id=path)


@pytest.mark.parametrize("path", [marked(path) for path in FILES])
def test_every_file_with_endpoints_is_answered(path):
    fabric = load(ROOT / path)
    answer = failures(fabric)
    assert answer.rows
    assert answer.rate_gbps > 0
    is_torus = any(group.transit == "all" for group in fabric.blueprint.groups.values())
    for row in answer.rows:
        if row.kept is None or row.total_kept is None:
            # One cable down in a torus of thousands leaves nearly every chip a class of its own.
            assert is_torus, row.why
            assert "variables" in row.why
            continue
        assert row.status in ("optimal", "bounded", "none"), (row.name, row.why)
        assert row.certificate.lower_gbps <= row.certificate.upper_gbps * (1 + 1e-9)
        assert row.kept >= 0, row.name
        assert row.total_kept >= 0, row.name
        # Fewer can have more, also in all: of two boxes one is left, which sends by NVLink alone.
        if row.n_others == answer.n_endpoints:
            assert row.kept <= 1 + 1e-6, row.name
        if row.n_after == answer.n_endpoints:
            assert row.total_kept <= 1 + 1e-6, row.name
    assert answer.n_devices > 0
    assert answer.n_cables > 0
