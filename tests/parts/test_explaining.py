"""What a quantity says."""

import json

import pytest

from fabric import cli
from fabric.errors import UnitError
from fabric.parts import catalogue
from fabric.parts.explaining import NEAR, explain


def test_a_rate_is_read_in_one_direction_and_may_mean_both():
    bare = explain("1.8TB/s")
    assert (bare.kind, bare.value, bare.half) == ("rate", 14_400, 7_200)
    # NVLink 5 of a B200: 18 links of 50 GB/s each way, sold as 1.8 TB/s.
    assert ("b200_sxm", "18 nvlink5 ports", 7_200.0) in bare.near_half
    assert not any(kin.entry == "b200_sxm" for kin in bare.near)


@pytest.mark.parametrize("text", ["1.8TB/s bidir", "1.8TB/s bidirectional"])
def test_both_directions_are_halved(text):
    told = explain(text)
    assert (told.value, told.half, told.near_half) == (7_200, None, ())
    assert told.near == explain("1.8TB/s").near_half


@pytest.mark.parametrize("text", ["900GB/s per-dir", "900GB/s/dir"])
def test_one_direction_that_is_told_is_not_doubted(text):
    assert (explain(text).value, explain(text).half) == (7_200, None)


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("16MiB", "size", 2**24),
        ("500ns", "time", 5e-7),
        ("30m", "length", 30),
        ("1.2kW", "power", 1200),
        ("NDR", "rate", 400),
        ("8x100G", "rate", 800),
    ],
)
def test_kinds(text, kind, value):
    answer = explain(text)
    assert (answer.kind, answer.value) == (kind, pytest.approx(value))
    assert str(answer).startswith(f"{text} is a {kind}: ")


def test_every_figure_that_is_near_is_told_nearest_first():
    answer = explain("410Gb/s")
    apart = [abs(kin.value - 410) / max(kin.value, 410) for kin in answer.near]
    assert apart == sorted(apart)
    assert apart[-1] <= NEAR
    links = {p.id for p in catalogue().protocols.values() if abs(p.rate_gbps - 410) / 410 <= NEAR}
    assert links <= {kin.entry for kin in answer.near}
    assert links


def test_powers_of_parts_are_found():
    assert "gb200_gpu" in {kin.entry for kin in explain("1200W").near}


@pytest.mark.parametrize(
    "text", ["", "fast", "3 apples", "1M", "800gb/s", "-3GB/s", "nan", "1e999GB/s", "9" * 80]
)
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(UnitError, match="is no rate, size, time, length or power"):
        explain(text)


def test_command(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr("sys.argv", ["fabtopo", "explain", *words])
        with pytest.raises(SystemExit, match=r"^\d$") as stop:
            cli.main()
        return stop.value.code, capsys.readouterr().out

    status, out = run("1.8TB/s")
    assert status == 0
    assert "if it is the sum of both directions: 7.2 Tb/s (900 GB/s) in each" in out
    assert json.loads(run("1.8TB/s", "bidir", "--json")[1])["value"] == 7_200
    assert run("many")[0] == 2
