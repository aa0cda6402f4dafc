"""Spares and prices of a bill: rounded line by line, taken only where given, and read from a list."""

import math
from fractions import Fraction

import pytest

from fabric import from_networkx, to_networkx
from fabric.errors import PartError, QuestionError
from fabric.graph import loads
from fabric.parts import catalogue
from fabric.sizing.bom import bom
from fabric.sizing.chassis import all_chassis
from fabric.sizing.prices import Price, indicative_prices, read_prices
from tests.sizing.test_bom import of, rail


def test_spares_are_rounded_up_line_by_line():
    bill = bom(of("gb300-nvl72-1152"), spares=2)
    spares = {(one.kind, one.where, one.reach_m): one.n_spare for one in bill.items}
    assert spares["switch", "leaf", None] == 2  # 1.28
    assert spares["switch", "spine", None] == 1  # 0.36
    assert spares["transceiver", "leaf", None] == 47  # 46.08
    assert spares["gpu", "gpu", None] == spares["switch chip", "nvswitch", None] == 0
    assert {one.n_spare for one in bom(of("gb300-nvl72-1152")).items} == {0}
    assert bill.power_w == bom(of("gb300-nvl72-1152")).power_w
    # 50 is exactly 4 percent of 1250, not one more
    assert bom(rail("cx7", "q3450", ", length: 1m", n=50), spares=4).count("nic") == 50
    assert next(i for i in bom(rail("cx7", "sn5400", n=50), spares=4).items if i.kind == "nic").n_spare == 2


@pytest.mark.parametrize("n", [375, 500])
def test_spares_are_those_of_exact_arithmetic(n):
    # 8.8 percent of 375 are 33, and 33.00000000000001 in floating point.
    fabric = loads(RAIL % n)
    for tenths in range(4, 250, 4):
        bill = bom(fabric, spares=tenths / 10)
        found = {item.kind: item.n_spare for item in bill.items}
        assert found["nic"] == found["cable"] == math.ceil(Fraction(tenths * n, 1000)), tenths


RAIL = """{fabric: rail, axes: {i: %d}, devices: {nic: {part: cx7, axes: [i], endpoint: true},
  leaf: {kind: switch, axes: []}}, links: [{between: [nic, leaf], rate: 400Gb/s}]}"""


def test_no_price_no_cost():
    bill = bom(of("gb300-nvl72-1152"), spares=2)
    assert bill.cost_usd is None
    assert "USD" not in str(bill) + bill.to_markdown()
    assert {row["price_low_usd"] for row in bill.table()} == {None}
    assert {row["price"] for row in bill.to_dict()["items"]} == {None}


def test_cost_is_number_and_spares_times_price():
    prices = {"sn5610": 40_000, "leaf": Price(50_000, 60_000, "offer 17", "given"), "opt_800_sm": 700.5}
    bill = bom(of("gb300-nvl72-1152"), prices=prices, spares=2)
    optics = (1152 + 24 + 2304 + 47 + 1152 + 24) * 700.5
    assert bill.cost_usd == (
        pytest.approx((64 + 2) * 50_000 + (18 + 1) * 40_000 + optics),
        pytest.approx((64 + 2) * 60_000 + (18 + 1) * 40_000 + optics),
    )
    assert {one.where for one in bill.cost_unknown if one.kind == "gpu"} == {"gpu"}
    assert "offer 17" in bill.to_markdown()
    assert "Without a price, and not in that sum: 16 rack (floor)" in str(bill)


def test_shipped_prices_are_taken_only_when_passed():
    prices = indicative_prices()
    assert set(prices) <= {*catalogue().parts, *catalogue().media, *all_chassis(), "network rack"}
    for price in prices.values():
        assert price.source
        assert price.confidence != "published"  # no list price was found
    # What the reader says of a part goes before what others say of the whole server.
    bill = bom(of("superpod-h100-4su"), prices={**prices, "h100_sxm5": 20_000})
    (gpu,) = (one for one in bill.items if one.kind == "gpu")
    assert (gpu.cost_usd, gpu.price.confidence) == ((1016 * 20_000,) * 2, "given")
    (nic,) = (one for one in bill.items if one.where == "nic" and one.kind == "nic")
    assert nic.cost_usd == (1016 * 1200, 1016 * 2000)
    (server,) = (one for one in bill.items if one.kind == "chassis")
    assert server.price is None
    # Else the server has the price of all that is in it, and spares are bought beside it.
    bill = bom(of("superpod-h100-4su"), prices=prices, spares=1)
    (server,) = (one for one in bill.items if one.kind == "chassis")
    assert server.cost_usd == (127 * 250_000, 127 * 400_000)
    (gpu,) = (one for one in bill.items if one.kind == "gpu")
    assert (gpu.price_in, gpu.cost_usd) == ("dgx-h100", None)
    (nic,) = (one for one in bill.items if one.where == "nic" and one.kind == "nic")
    assert (nic.price_in, nic.n_spare, nic.cost_usd) == ("dgx-h100", 11, (11 * 1200, 11 * 2000))
    (optic,) = (one for one in bill.items if one.where == "nic" and one.kind == "transceiver")
    assert optic.price_in == ""
    assert optic.cost_usd == ((508 + 6) * 500, (508 + 6) * 1500)
    assert not {one.where for one in bill.cost_unknown} & {
        "gpu",
        "nic",
        "cpu",
        "nvswitch",
        "pcieswitch",
        "dpu",
    }


def test_price_lists_are_read(tmp_path):
    file = tmp_path / "prices.csv"
    file.write_text(
        "item,price_usd,price_min_usd,price_max_usd,source,confidence,note\n"
        "sn5610,41000,,,offer 17,,\nopt_800_sm,,600,800,offer 18,reported,per module\n"
    )
    assert read_prices(file) == {
        "sn5610": Price(41_000, 41_000, "offer 17", "given"),
        "opt_800_sm": Price(600, 800, "offer 18", "reported", "per module"),
    }
    assert bom(of("gb300-nvl72-1152"), prices=read_prices(file)).cost_usd is not None


@pytest.mark.some(10)
@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("item,cost\n", r":1:6: unknown column 'cost'"),
        ("item,price_usd,source\n,5,a\n", r":2:1: expected an item, once; got ''"),
        ("item,price_usd,source\nx,5,a\nx,6,a\n", r":3:1: expected an item, once; got 'x'"),
        ("item,price_usd,source\nx,five,a\n", r":2:3: x: number 'five'"),
        ("item,price_usd,source\nx,5,\n", r":2:1: x: price of USD 5 to 5 without a source"),
        ("item,price_usd,source\nx,-5,a\n", r":2:3: x: number '-5': expected digits"),
        ("item,price_min_usd,price_max_usd,source\nx,5,4,a\n", r"USD 5 to 4; expected a range"),
        (
            "item,price_min_usd,price_max_usd,source\nx,5,,a\n",
            r":2:1: x: expected price_usd, or price_min",
        ),
        ("item,price_usd,price_min_usd,source\nx,5,4,a\n", r":2:1: x: expected price_usd, or"),
        ("item,source\nx,a\n", r":2:1: x: expected price_usd, or"),
        ("item,price_usd,source,confidence\nx,5,a,sure\n", r":2:1: x: price with confidence 'sure'"),
        # Hostile: no number that only Python reads, none that overflows, no cell without end.
        ("item,price_usd,source\nx,1e308,a\n", r":2:3: x: number '1e308': too large"),
        ("item,price_usd,source\nx,1_000,a\n", r":2:3: x: number '1_000'"),
        ("item,price_usd,source\nx,\u0661\u0662,a\n", r":2:3: x: number '\u0661\u0662'"),
        ("item,price_usd,source\nx,nan,a\n", r":2:3: x: number 'nan'"),
        ("item,price_usd,source\nx,1e-320,a\n", r":2:3: x: number '1e-320': too small"),
        (f"item,price_usd,source\nx,5,{'a' * 200_000}\n", r":2:5: a cell of 200,000 characters"),
        ("item" + ",price_usd" * 2_000 + "\n", r":1:\d+: a row of more than 1,000 cells"),
        ('item,price_usd,source\n"x,5,a\n', r":2:1: a quote that is not closed"),
        ('item,price_usd,source\n"x"y,5,a\n', r":2:4: .*a cell that is quoted in part"),
        ("item,price_usd,source\nx,5,a,b\n", r":2:7: a cell too many"),
        ("item,price_usd,price_usd\n", r":1:6: column 'price_usd' twice"),
        ("", r":1:1: empty; expected a line with some of item, price_usd"),
        ("\n \n", r":1:1: empty; expected a line with some of item, price_usd"),
        ("item,price_usd,source\n\x1b[31m,5,\n", r":2:1: \ufffd\[31m: price of USD 5 to 5 without a source"),
        ("item,price_usd,source\nx,5,a\0\n", r":2:6: not a text, or one in UTF-16"),
    ],
)
def test_price_lists_that_are_refused(text, match, tmp_path):
    (tmp_path / "prices.csv").write_text(text)
    with pytest.raises(PartError, match=match):
        read_prices(tmp_path / "prices.csv")


def test_a_price_list_that_is_not_there(tmp_path):
    with pytest.raises(PartError, match=r"prices\.csv: file not found$"):
        read_prices(tmp_path / "prices.csv")


def test_what_a_bill_is_refused_for(constructs):
    fabric = of("gb300-nvl72")
    with pytest.raises(PartError, match="price of unknown item 'gb300_gpus'; did you mean gb300_gpu"):
        bom(fabric, prices={"gb300_gpus": 1})
    with pytest.raises(PartError, match="expected a range from 0 to"):
        bom(fabric, prices={"gb300_gpu": -1})
    for spares in (-1, math.nan, math.inf):
        with pytest.raises(QuestionError, match="spares"):
            bom(fabric, spares=spares)
    with pytest.raises(QuestionError, match="a bill of materials needs axes; a fabric read"):
        bom(from_networkx(to_networkx(fabric)))
    assert bom(fabric.blueprint) == bom(fabric)
