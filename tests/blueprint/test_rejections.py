# A slip and its message are read side by side, however long.
# ruff: noqa: E501
"""Every rejection that the grammar names, each by a file that is sound but for one slip.

In the files below the mark ``@@`` stands where the problem must be reported; it is taken out before loading.
"""

import re

import pytest

from fabric.errors import TopologyError
from fabric.graph import load, loads

MARK = "@@"


def pod(axes="rack: 2, slot: 4, spine: 2", devices="", links="", tail="", **changes):
    """Return a sound pod with some lines changed: keys of devices by their names, of rules by their numbers."""
    lines = {
        "gpu": "{kind: gpu, axes: [rack, slot]}",
        "leaf": "{kind: switch, axes: [rack]}",
        "top": "{kind: switch, axes: [spine]}",
        "down": "{between: [gpu, leaf], rate: 400Gb/s, each: [1, 4]}",
        "up": "{between: [leaf, top], rate: 400Gb/s, each: 2}",
    } | changes
    text = f"fabric: pod\naxes: {{{axes}}}\ndevices:\n"
    text += "".join(f"  {name}: {lines[name]}\n" for name in ("gpu", "leaf", "top")) + devices
    text += "".join(f"links:\n  - {lines['down']}\n  - {lines['up']}\n") + links
    return text + tail


def unmarked(text):
    """Return `text` without its mark, and the line and column of it."""
    before, mark, after = text.partition(MARK)
    assert mark, text
    assert MARK not in after, text
    return before + after, before.count("\n") + 1, len(before) - before.rfind("\n")


KEYS = {
    "key of the file": (pod(tail="@@absnet: []\n"), "absnet: unknown key 'absnet'; did you mean absent"),
    "key of a device": (
        pod(leaf="{kind: switch, @@axis: [rack], axes: [rack]}"),
        "unknown key 'axis'; did you",
    ),
    "key of a rule": (
        pod(up="{between: [leaf, top], @@rates: 1Gb/s}"),
        "unknown key 'rates'; did you mean rate",
    ),
    "key of a wiring": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, wiring: {@@patern: pairs, pattern: pairs, along: rack}}"),
        "unknown key 'patern'; did you mean pattern",
    ),
    "key of an include": (
        pod(tail="include: {fabric: hgx-h100, @@ove: {su: 2}}\n"),
        "unknown key 'ove'; .* over",
    ),
    "no name": ("@@axes: {a: 1}\n", "file: missing key 'fabric'"),
    "no axes": (pod(leaf="{kind: switch}").replace("leaf:", "@@leaf:"), "devices.leaf: missing key 'axes'"),
    "no between": (pod(up="@@{rate: 1Gb/s}"), r"links\[1\]: missing key 'between'"),
    "key twice": (pod(leaf="{kind: switch, axes: [rack], @@kind: nic}"), "duplicate key; first on line 5"),
    "device twice": (
        pod(devices="  @@leaf: {kind: switch, axes: []}\n"),
        "devices.leaf: duplicate key; first",
    ),
    "axis twice in the file": (pod(axes="rack: 2, slot: 4, spine: 2, @@rack: 2"), "axes.rack: duplicate key"),
    "rule twice": (
        pod(links="  - @@{between: [gpu, leaf], rate: 400Gb/s}\n"),
        "duplicate name 'gpu-leaf'; .*:8; ",
    ),
    "rule name twice": (
        pod(links="  - {between: [gpu, top], name: @@leaf-top, rate: 400Gb/s}\n"),
        "links.leaf-top: duplicate name 'leaf-top'; the first is at <text>:9; give this rule a name:",
    ),
    "no value": (
        pod(up="{between: [leaf, top], rate: 400Gb/s, name: @@}"),
        "links.leaf-top.name: a name starts",
    ),
    "format": (pod(tail="format: @@2\n"), "format: unknown value; got 2; expected 1"),
    "transit": (
        pod(leaf="{kind: switch, axes: [rack], transit: @@turns}"),
        "got turns; .*; did you mean turn",
    ),
    "kind": (
        pod(top="{kind: @@swich, axes: [spine]}"),
        "got swich; expected gpu, switch, .*; did you mean switch",
    ),
    "net": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, net: @@scaleup}"),
        "got scaleup; .*; did you mean scale-up",
    ),
    "part and kind": (pod(top="@@{kind: switch, part: sn5600, axes: []}"), "together"),
    "neither part nor kind": (pod(top="@@{axes: [spine]}"), "part or kind missing"),
    "list for a mapping": ("fabric: a\naxes: @@[a, b]\n", r"axes: expected a mapping; got \[a, b\]"),
    "text for a list": (pod(leaf="{kind: switch, axes: @@rack}"), "expected a list of axes, .*; got rack"),
    "text for a flag": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, peer: @@no}"),
        "expected true or false; got no",
    ),
    "empty file": ("@@", "empty file"),
    "more than a mapping": ("@@- fabric: a\n", "top level must be a mapping"),
    "tag": ("fabric: @@!!python/name:os.system x\n", "tag not allowed"),
}

NAMES = {
    "axis ending in a digit": (
        pod(axes="rack: 2, slot: 4, spine: 2, @@x1: 2"),
        "axes.x1: .*must not end in a digit",
    ),
    "group ending in a digit": (
        pod(devices="  @@cpu0: {kind: host, axes: []}\n"),
        "cpu0: .*not end in a digit",
    ),
    "prefix ending in a digit": (
        pod(tail="include: {fabric: hgx-h100, as: @@p1}\n"),
        "as: .*not end in a digit",
    ),
    "over ending in a digit": (
        pod(tail="include: {fabric: hgx-h100, over: {@@u2: 1}}\n"),
        "not end in a digit",
    ),
    "axis with a space": (
        pod(axes="rack: 2, slot: 4, spine: 2, @@a b: 2"),
        "a name starts and ends with a letter",
    ),
    "markup in a group": (pod(devices='  @@"<b>": {kind: host, axes: []}\n'), "a name starts and ends with"),
    "markup in the fabric": (
        "fabric: @@<script>\n",
        "a name starts and ends with a letter or a digit and holds",
    ),
    "formula in the fabric": (
        "fabric: @@=cmd|x\n",
        "a name starts and ends with a letter or a digit and holds",
    ),
    "path in the fabric": ("fabric: @@../etc\n", "a name starts and ends with a letter or a digit and holds"),
    "line break in a rule": (
        pod(up='{between: [leaf, top], rate: 1Gb/s, name: @@"a\\nb"}'),
        "a name starts and ends",
    ),
    "pipe in a rule": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, name: @@a|b}"),
        "name: a name starts and ends",
    ),
    "escape in a note": ('fabric: a\nabout: @@"\\e[31m"\n', "about: expected printable text"),
    "long name": (f"fabric: @@{'a' * 81}\n", "a name has at most 80 characters"),
    "long selector": (pod(tail=f"absent: [@@{'a' * 401}]\n"), "at most 400 characters"),
    "number for a name": ("fabric: @@7\n", "a name starts and ends with a letter or a digit and holds"),
    "group with the name of another axis": (
        pod(axes="rack: 2, slot: 4, spine: 2, top: 2").replace("axes: [spine]", "axes: @@[spine]"),
        r"devices.top: group 'top' has the name of an axis that is not its last; got \[spine\]; rename",
    ),
    "group with the name of its first axis": (
        pod(gpu="{kind: gpu, axes: [rack, slot]}", axes="rack: 2, slot: 4, spine: 2, gpu: 3").replace(
            "[rack, slot]", "@@[gpu, rack, slot]"
        ),
        "group 'gpu' has the name of an axis that is not its last",
    ),
}

NUMBERS = {
    "size zero": (pod(axes="rack: @@0, slot: 4, spine: 2"), "axes.rack: zero; got 0; "),
    "size negative": (pod(axes="rack: @@-2, slot: 4, spine: 2"), "axes.rack: negative; got -2; "),
    "size not whole": (pod(axes="rack: @@2.5, slot: 4, spine: 2"), "axes.rack: not whole; got 2.5; "),
    "size true": (pod(axes="rack: @@true, slot: 4, spine: 2"), "axes.rack: expected a whole number"),
    "size too large": (
        pod(axes="rack: @@9007199254740993, slot: 4, spine: 2"),
        "too large; got 9007199254740993; expected at most 9007",
    ),
    "size of nothing": (
        pod(axes="rack: @@, slot: 4, spine: 2"),
        "axes.rack: expected a whole number .*; got nothing",
    ),
    "over zero": (
        pod(tail="include: {fabric: hgx-h100, over: {su: @@0}}\n"),
        "include.over.su: zero; got 0; ",
    ),
    "islands none": (pod(tail="islands: @@-1\n"), "islands: negative; got -1; "),
    "count zero": (pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@0}"), "zero; got 0; "),
    "count negative": (pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@-1}"), "negative; got -1; "),
    "count not whole": (pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@1.5}"), "not whole; got 1.5; "),
    "count in a list negative": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@{rack: [1, -1]}}"),
        r"count: a count list holds whole numbers of at least 0, .*; got \{rack: \[1, -1\]\}",
    ),
    "each zero": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, each: @@[0, 2]}"),
        "each: zero; got .0, 2.; must",
    ),
    "each of three": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, each: @@[1, 2, 3]}"),
        "expected one number, or",
    ),
    "product too large": (
        pod(axes="rack: 2, slot: 4, spine: 2, a: 1G, b: 1G, @@c: [a, b]"),
        r"axes.c: axis 'c' is too large; got 1000000000000000000; expected at most 2\*\*53",
    ),
    "too many devices": (
        pod(
            axes="rack: 2, slot: 4, spine: 2, a: 1G", devices="  z: {kind: nic, axes: @@[a, rack, slot, b]}\n"
        ).replace("a: 1G", "a: 1G, b: 10M"),
        r"devices.z: z has too many devices; got 80000000000000000; expected at most 2\*\*53",
    ),
    "too many cables": (
        pod(axes="rack: 200M, slot: 4, spine: 200M")
        .replace("[leaf, top]", "@@[leaf, top]")
        .replace(", each: 2", ""),
        r"links.leaf-top: leaf-top has too many cables; got 4e\+16; expected at most 2\*\*53",
    ),
    "a slow cable without how slow": (
        pod(tail="degraded: [@@[gpu, leaf]]\n"),
        r"degraded\[0\]: expected a part of its rate, such as 1/2, 50% or 0.5, or a rate, such as 200Gb/s",
    ),
    "a slow cable as a word": (
        pod(tail="degraded: [@@gpu]\n"),
        r"degraded\[0\]: expected \[selector, how fast\], \[selector, selector, how fast\]",
    ),
    "a slow cable that is not slow": (
        pod(tail="degraded: [@@[gpu, leaf, 100%]]\n"),
        r"degraded\[0\]: a slow cable has a part between 0 and 1 of its rate; got 100%",
    ),
    "a slow cable that is not slower than its rule": (
        pod(tail="degraded: [@@[gpu, leaf, NDR]]\n"),
        r"degraded\[0\]: not slower: NDR, where the cables are of 400 Gb/s",
    ),
    "a slow cable that carries nothing": (
        pod(tail="degraded: [@@[gpu, leaf, 0]]\n"),
        r"degraded\[0\]: a cable that carries nothing has failed: write it in failed",
    ),
    "so many slow cables of several rates": (
        pod(down="{between: [gpu, leaf], rate: 100Gb/s}", tail="degraded: [@@[leaf, '*', 2, 50Gb/s]]\n"),
        r"degraded\[0\]: 2 of the cables are of several rates; say a part of them",
    ),
    "slow cables that do not exist": (
        pod(tail="degraded: [@@[gpu, top, 1/2]]\n"),
        r"degraded\[0\]: no cable between gpu and top",
    ),
    "more slow cables than there are": (
        pod(tail="degraded: [@@[rack0/gpu0, leaf, 2, 1/2]]\n"),
        r"degraded\[0\]: more degraded cables than there are between rack0/gpu0 and leaf; got 2; .* 1",
    ),
    "a slow device without cables": (
        pod(devices="  lone: {kind: switch, axes: []}\n", tail="degraded: [@@[lone, 1/2]]\n"),
        r"degraded\[0\]: no cable at lone; name a device that has cables",
    ),
    "unknown device, degraded": (
        pod(tail="degraded: [@@[lef0, 1/2]]\n"),
        r"degraded\[0\]: selector 'lef0': no device group 'lef'; did you mean leaf",
    ),
    "failed count zero": (
        pod(tail="failed: [@@[gpu, leaf, 0]]\n"),
        r"failed\[0\]: zero; got .gpu, leaf, 0.; must",
    ),
    "length negative": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, length: @@-3m}"),
        "must not be negative; got -3m",
    ),
    "length without unit": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, length: @@3}"),
        "a length with its unit",
    ),
}

RATES = {
    "rate missing": (
        pod(up="@@{between: [leaf, top]}"),
        "links.leaf-top: rate missing; give rate with its unit",
    ),
    "rate negative": (
        pod(up="{between: [leaf, top], rate: @@-1Gb/s}"),
        "negative; got -1Gb/s; must be positive",
    ),
    "rate zero": (pod(up="{between: [leaf, top], rate: @@0Gb/s}"), "zero; got 0Gb/s; must be positive"),
    "rate without unit": (
        pod(up="{between: [leaf, top], rate: @@400}"),
        "rate without unit; got 400; write 400Gb/s",
    ),
    "rate in a wrong case": (
        pod(up="{between: [leaf, top], rate: @@400gbps}"),
        "unknown unit 'gbps'; got 400gbps; did you mean",
    ),
    "rate that is a size": (pod(up="{between: [leaf, top], rate: @@4GB}"), "'GB' is a unit of size"),
    "rate of nothing": (
        pod(up="{between: [leaf, top], rate: @@}"),
        "expected a rate with its unit, .*; got nothing",
    ),
    "unknown protocol": (pod(up="{between: [leaf, top], link: @@nvlink}"), "'nvlink'; did you mean nvlink"),
    "unknown medium": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, medium: @@copper}"),
        "unknown medium 'copper'",
    ),
    "two rates on one pair": (
        pod(links="  - {between: [gpu, leaf], name: slow, rate: @@100Gb/s}\n"),
        "links.slow: two rules of unequal rate on one pair: gpu-leaf and slow; got 400 Gb/s .* and 100 Gb/s",
    ),
    "two rates, sides exchanged": (
        pod(links="  - {between: [leaf, rack1/slot2/gpu], name: slow, rate: @@100Gb/s}\n"),
        "links.slow: two rules of unequal rate on one pair",
    ),
    "two rates of protocols": (
        pod(links="  - {between: [gpu, leaf], name: slow, link: @@pcie5}\n"),
        "links.slow: two rules of unequal rate on one pair: gpu-leaf and slow; got 400 Gb/s .* and 504 Gb/s",
    ),
    "two rates in a group": (
        pod(
            links="  - {between: [gpu, gpu], name: near, ring: slot, rate: 1Gb/s}\n"
            "  - {between: [slot0/gpu, slot1/gpu], name: far, rate: @@2Gb/s}\n"
        ),
        "unequal rate on one pair: near and far",
    ),
    "two rates in a mesh": (
        pod(
            links="  - {between: [gpu, gpu], name: near, mesh: slot, rate: 1Gb/s}\n"
            "  - {between: [slot2/gpu, slot1/gpu], name: far, rate: @@2Gb/s}\n"
        ),
        "unequal rate on one pair: near and far",
    ),
}

REFERENCES = {
    "unknown part": (
        pod(top="{part: @@sn5601, axes: [spine]}"),
        "devices.top: unknown part 'sn5601'; did you mean",
    ),
    "unknown device": (
        pod(up="{between: [leaf, @@tops], rate: 1Gb/s}"),
        "no device group 'tops'; did you mean top",
    ),
    "unknown axis of a device": (
        pod(leaf="{kind: switch, axes: [slot, @@rak]}"),
        "unknown axis 'rak'; did you mean rack",
    ),
    "unknown axis of a product": (
        pod(axes="rack: 2, slot: 4, spine: 2, @@c: [rak, slot]"),
        "axes.c: unknown axis 'rak'",
    ),
    "unknown axis of a mesh": (
        pod(up="{between: [gpu, gpu], mesh: @@slots, rate: 1Gb/s}"),
        "unknown axis 'slots'",
    ),
    "unknown axis of a wiring": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: slots, pairs: [[0, 1]]}}"
        ),
        "unknown axis 'slots'; did you mean slot",
    ),
    "unknown axis of a twist": (
        pod(up="{between: [gpu, gpu], ring: slot, twist: @@{rak: 1}, rate: 1Gb/s}"),
        "axis 'rak'",
    ),
    "unknown axis of a count": (
        pod(up="{between: [leaf, top], count: @@{rak: [1, 2]}, rate: 1Gb/s}"),
        "axis 'rak'",
    ),
    "unknown axis of a selector": (
        pod(up="{between: [@@rak0/leaf, top], rate: 1Gb/s}"),
        "no axis 'rak'; did you mean",
    ),
    "unknown device, absent": (
        pod(tail="absent: [rack0/leaf, @@rack0/lef]\n"),
        "selector 'rack0/lef': no device group",
    ),
    "unknown device, failed": (
        pod(tail="failed: [@@lef0]\n"),
        "selector 'lef0': no device group 'lef'; did you mean leaf",
    ),
    "an axis for a device, failed": (
        pod(tail="failed: [@@rack0]\n"),
        "selector 'rack0' names no device group: rack is an axis; write 'rack0/\\*' for all devices there",
    ),
    "selector out of range": (
        pod(up="{between: [@@rack2/leaf, top], rate: 1Gb/s}"),
        "matches nothing: rack2 is beyond",
    ),
    "selector partly out of range": (
        pod(tail="absent: [@@gpu2-4]\n"),
        "slot4 is beyond the last index, slot3",
    ),
    "selector that runs backwards": (pod(tail="absent: [@@gpu3-2]\n"), "range 3-2 of slot runs backwards"),
    "selector with a padded index": (pod(tail="absent: [@@gpu01]\n"), "cannot read 'gpu01'; .*not padded"),
    "selector with the wrong axis": (
        pod(tail="absent: [@@slot1/leaf]\n"),
        "leaf has no axis slot; it is placed on rack",
    ),
    "selector with an axis twice": (pod(tail="absent: [@@slot1/gpu1]\n"), "axis slot is restricted twice"),
    "selector that excludes itself": (
        pod(axes="rack: 2, a: 2, b: 2, slot: [a, b], spine: 2", tail="absent: [@@a0/gpu2]\n"),
        "selector 'a0/gpu2' matches nothing: its terms exclude each other",
    ),
    "selector of no group": (
        pod(tail="absent: [@@slot1/spine1/*]\n"),
        "matches nothing: no device group has all",
    ),
    "star in front": (pod(tail='absent: [@@"*/gpu"]\n'), r"cannot read '\*' in selector '\*/gpu'"),
    "index of one device": (
        pod(devices="  one: {kind: host, axes: []}\n", tail="absent: [@@one1]\n"),
        "one is one device and has no index",
    ),
    "side without a group": (
        pod(up='{between: ["@@rack0/*", top], rate: 1Gb/s}').replace('"@@', '@@"'),
        "one device group",
    ),
    "unmatched side": (
        pod(
            axes="rack: 2, a: 2, b: 2, slot: [a, b], spine: 2",
            down="{between: [@@a0/gpu2, leaf], rate: 1Gb/s}",
        ),
        "selector 'a0/gpu2' matches nothing: its terms exclude each other",
    ),
}

AXES = {
    "axis that is itself": (
        pod(axes="rack: 2, slot: 4, spine: 2, @@c: [c, rack]"),
        "axis cycle: 'c' is part of itself",
    ),
    "axes of each other": (
        pod(axes="rack: 2, slot: 4, spine: 2, @@c: [d], d: [rack, e], e: [slot, c]"),
        "axis cycle: 'c'",
    ),
    "axis twice in a device": (
        pod(gpu="{kind: gpu, axes: @@[rack, slot, rack]}"),
        "axis 'rack' twice in device 'gpu'",
    ),
    "axis twice in a device, composed": (
        pod(axes="rack: 2, slot: 4, spine: 2, c: [slot, rack]", gpu="{kind: gpu, axes: @@[rack, c]}"),
        r"axis 'rack' twice in device 'gpu'; got \[rack, c\]",
    ),
    "axis twice in a product": (
        pod(axes="rack: 2, slot: 4, spine: 2, @@c: [rack, rack]"),
        "with 'rack' twice",
    ),
    "empty product": (
        pod(axes="rack: 2, slot: 4, spine: 2, c: @@[]"),
        "axes.c: a composed axis lists the names",
    ),
    "product with a number": (
        pod(axes="rack: 2, slot: 4, spine: 2, c: @@[rack, 2]"),
        "a composed axis lists the names",
    ),
}

RELATIONS = {
    "two relations": (
        pod(up="@@{between: [gpu, gpu], mesh: slot, ring: rack, rate: 1Gb/s}"),
        "more than one relation; got mesh and ring",
    ),
    "twist without a ring": (
        pod(up="@@{between: [gpu, gpu], mesh: slot, twist: {rack: 1}, rate: 1Gb/s}"),
        "twist without a ring",
    ),
    "twist that is no number": (
        pod(up="{between: [gpu, gpu], ring: slot, twist: {rack: @@1.5}, rate: 1Gb/s}"),
        "twist.rack: expected a whole",
    ),
    "mesh on one side": (
        pod(up="{between: [gpu, leaf], name: x, mesh: @@slot, rate: 1Gb/s}"),
        "relation axis 'slot' is not on both sides: leaf is placed on rack",
    ),
    "ring on one side": (
        pod(up="{between: [leaf, gpu], ring: @@slot, rate: 1Gb/s}"),
        "relation axis 'slot' is not on both sides",
    ),
    "line on neither side": (
        pod(up="{between: [leaf, leaf], line: @@slot, rate: 1Gb/s}"),
        "relation axis 'slot' is not on both sides",
    ),
    "twist of the ring's axis": (
        pod(up="{between: [gpu, gpu], ring: slot, twist: @@{slot: 1}, rate: 1Gb/s}"),
        "twist axis 'slot' need not agree",
    ),
    "twist of an axis of one side": (
        pod(up="{between: [gpu, leaf], name: x, ring: rack, twist: @@{slot: 1}, rate: 1Gb/s}"),
        "twist axis 'slot' need not agree",
    ),
    "twist of a pinned axis": (
        pod(up="{between: [rack0/gpu, rack1/gpu], ring: slot, twist: @@{rack: 1}, rate: 1Gb/s}"),
        "twist axis 'rack' need not agree on the two sides; both sides pin it",
    ),
    "one group without a relation": (
        pod(up="{between: @@[gpu, gpu], rate: 1Gb/s}"),
        r"gpu on both sides needs a relation, .*write such as \[rack0/gpu, rack1/gpu\]",
    ),
    "one group pinned together": (
        pod(up="{between: @@[slot1/gpu, gpu1], rate: 1Gb/s}"),
        "gpu on both sides needs a relation",
    ),
    "one group pinned on one side": (
        pod(up="{between: @@[slot1/gpu, gpu], rate: 1Gb/s}"),
        "gpu on both sides needs a relation",
    ),
    "side of three": (pod(up="{between: @@[gpu, leaf, top], rate: 1Gb/s}"), r"expected \[lower, upper\]"),
    "unknown pattern": (
        pod(up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: torus, along: slot}}"),
        "unknown pattern 'torus'; patterns are pairs, dragonfly, slim-fly",
    ),
    "pattern without its pairs": (
        pod(up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: slot}}"),
        "pattern pairs without pairs",
    ),
    "pairs that are no pairs": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: {pattern: pairs, along: slot, pairs: @@[[0, 1, 2]]}}"
        ),
        r"pairs\[0\] is not \[left index, right index\]",
    ),
    "pairs of no indices": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: {pattern: pairs, along: slot, pairs: @@[[0, 1], [0, x]]}}"
        ),
        r"pairs\[1\]: an index is a whole number",
    ),
    "pairs out of range": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: slot, pairs: [[0, 4]]}}"
        ),
        r"pairs\[0\]: index out of range; got 4; expected 0 to 3",
    ),
    "pairs with too few numbers": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: [rack, slot], pairs: [[0, [0, 1]]]}}"
        ),
        r"pairs\[0\]: an index needs one number for each axis of along; got 0; expected 2",
    ),
    "pair of one device": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: slot, pairs: [[1, 1]]}}"
        ),
        r"pairs\[0\] joins a device with itself",
    ),
    "pair twice": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: slot, pairs: [[0, 1], [1, 0]]}}"
        ),
        r"pairs\[1\] is pairs\[0\] again; use count",
    ),
    "wiring with an axis twice": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: [slot, slot], pairs: [[[0, 1], [1, 0]]]}}"
        ),
        r"axis twice in wiring; got \[slot, slot\]",
    ),
    "ring of one": (
        pod(
            axes="rack: 2, slot: 1, spine: 2",
            down="{between: [gpu, leaf], rate: 1Gb/s}",
            links="  - {between: @@[gpu, gpu], ring: slot, rate: 1Gb/s}\n",
        ),
        "links.gpu-gpu: gpu-gpu joins nothing",
    ),
    "sides that a mesh keeps apart": (
        pod(up="{between: @@[rack0/leaf, rack0/leaf], mesh: rack, rate: 1Gb/s}"),
        "links.leaf-leaf: leaf-leaf joins nothing",
    ),
    "count list of the wrong length": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@{rack: [1, 2, 3]}}"),
        "count list of the wrong length for 'rack'; got 3; expected 2",
    ),
    "count list on the relation's axis": (
        pod(up="{between: [gpu, gpu], mesh: slot, rate: 1Gb/s, count: @@{slot: [1, 1, 1, 1]}}"),
        "count list on 'slot', an axis of the relation",
    ),
    "count list on the twist's axis": (
        pod(up="{between: [gpu, gpu], ring: slot, twist: {rack: 1}, rate: 1Gb/s, count: @@{rack: [1, 1]}}"),
        "count list on 'rack', an axis of the relation",
    ),
    "count list on an axis of neither side": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@{slot: [1, 1, 1, 1]}}"),
        "count list on 'slot', an axis of neither side",
    ),
    "count list on a pinned axis": (
        pod(up="{between: [rack0/gpu, rack1/leaf], name: x, rate: 1Gb/s, count: @@{rack: [1, 1]}}"),
        "count list on 'rack', which both sides pin",
    ),
    "count list of two axes": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@{rack: [1, 1], spine: [1, 1]}}"),
        "a count list has one axis",
    ),
    "count list that is empty": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@{rack: []}}"),
        "expected a list with one number per index of rack",
    ),
    "count list of zeros": (
        pod(up="{between: @@[leaf, top], rate: 1Gb/s, count: {rack: [0, 0]}}"),
        "leaf-top joins nothing",
    ),
    "each of the left side": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, each: [@@3, 2]}"),
        "each: wrong number of cables at leaf0; got 2; expected 3; leaf and top share no axis, so that every leaf is joined with every top",
    ),
    "each of the right side": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, each: [2, @@3]}"),
        "each: wrong number of cables at top0; got 2; expected 3",
    ),
    "each of a mesh": (
        pod(up="{between: [gpu, gpu], mesh: slot, rate: 1Gb/s, each: @@9}"),
        "each: wrong number of cables at rack0/gpu0; .*; expected 9; check the size of slot, and the count",
    ),
    "each of a pattern": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: {pattern: jellyfish, along: slot, degree: 2}, each: @@9}"
        ),
        "each: wrong number .*; check sizes, order of along and parameters of the pattern",
    ),
    "each of both sides": (
        pod(down="{between: [gpu, leaf], rate: 1Gb/s, each: @@1}"),
        "each: wrong number of cables at leaf0; got 4; expected 1",
    ),
    "each of a selector": (
        pod(links="  - {between: [rack1/gpu, top], rate: 1Gb/s, each: [@@1, 4]}\n"),
        "wrong number of cables at rack1/gpu0; got 2; expected 1",
    ),
    "each before absent": (
        pod(down="{between: [gpu, leaf], rate: 1Gb/s, each: [1, @@3]}", tail="absent: [gpu3]\n"),
        "wrong number of cables at leaf0; got 4; expected 3",
    ),
}

SWITCH = "{part: sn5600, axes: [rack]}"
PORTS = {
    "more cables than ports": (
        pod(
            axes="rack: 2, slot: 65, spine: 2",
            leaf=SWITCH,
            down="{between: [gpu, @@leaf], rate: 800Gb/s}",
            up="{between: [gpu, top], rate: 1Gb/s}",
        ),
        "links.gpu-leaf: port budget: leaf0 needs 65 network ports; got 65 cables of 800 Gb/s .*; expected at most 64 of 800 Gb/s .*, all that sn5600 has; place leaf",
    ),
    "more cables than ports, two rules": (
        pod(
            axes="rack: 2, slot: 63, spine: 2",
            leaf=SWITCH,
            down="{between: [gpu, leaf], rate: 800Gb/s}",
            up="{between: [@@leaf, top], rate: 800Gb/s}",
        ),
        "links.leaf-top: port budget: leaf0 needs 65 network ports; got 65 cables of 800",
    ),
    "breakout takes whole cages": (
        pod(
            axes="rack: 2, slot: 63, spine: 3",
            leaf=SWITCH,
            down="{between: [gpu, leaf], rate: 800Gb/s}",
            up="{between: [@@leaf, top], rate: 400Gb/s}",
        ),
        "needs 65 network ports; got 63 cables of 800 Gb/s .* and 3 cables of 400 Gb/s",
    ),
    "twin ports break out together": (
        pod(
            axes="rack: 2, slot: 63, spine: 1",
            leaf="{part: qm9700, axes: [rack]}",
            down="{between: [gpu, leaf], rate: 400Gb/s}",
            up="{between: [@@leaf, top], rate: 200Gb/s}",
        ),
        "needs 65 network ports; got 63 cables of 400 Gb/s .* and 1 cable of 200 Gb/s",
    ),
    "a NIC with two cables": (
        pod(
            gpu="{part: cx7, axes: [rack, slot]}",
            down="{between: [gpu, leaf], rate: 400Gb/s}",
            up="{between: [@@gpu, top], rate: 400Gb/s}",
        ),
        "rack0/gpu0 needs 3 network ports; got 3 cables of 400 Gb/s .*; expected at most 1 of 400",
    ),
    "port slower than its cable": (
        pod(leaf=SWITCH, up="{between: [leaf, top], rate: @@1600Gb/s}"),
        "cable faster than the network port of sn5600; got 1.6 Tb/s .*; expected at most 800 Gb/s",
    ),
    "port slower than its protocol": (
        pod(
            gpu="{part: h100_sxm5, axes: [rack, slot]}",
            links="  - {between: [gpu, top], link: @@pcie6}\n",
            down="{between: [gpu, leaf], link: nvlink4}",
        ),
        "cable faster than the pcie port of h100_sxm5; got 968 Gb/s .*; expected at most 504 Gb/s",
    ),
    "no port for the protocol": (
        pod(leaf=SWITCH, up="{between: [leaf, top], link: @@nvlink5}"),
        "unclear port class: sn5600 has no nvlink5 port; its ports are network",
    ),
    "no port at all": (
        pod(
            gpu="{part: graviton5, axes: [rack, slot], endpoint: true}",
            down="{between: @@[gpu, leaf], rate: 800Gb/s}",
        ),
        "graviton5 has no port in the catalogue; write kind: host instead of the part",
    ),
    "no port in common": (
        pod(
            gpu="{part: v100_sxm, axes: [rack, slot]}",
            leaf=SWITCH,
            down="{between: @@[gpu, leaf], rate: 100Gb/s}",
        ),
        "unclear port class: the parts share none; got v100_sxm with nvlink2, pcie and sn5600 with network; name the protocol",
    ),
    "several ports in common": (
        pod(
            gpu="{part: h100_sxm5, axes: [rack, slot]}",
            leaf="{part: h200_sxm, axes: [rack]}",
            down="{between: @@[gpu, leaf], rate: 100Gb/s}",
            up="{between: [leaf, top], link: pcie5}",
        ),
        "unclear port class; got h100_sxm5 with nvlink4, pcie and h200_sxm with nvlink4, pcie",
    ),
    "several ports against a generic device": (
        pod(gpu="{part: h100_sxm5, axes: [rack, slot]}", down="{between: @@[gpu, leaf], rate: 100Gb/s}"),
        "unclear port class; got h100_sxm5 with nvlink4, pcie",
    ),
}

WHOLE = {
    "more islands than said": (
        "@@"
        + pod(
            links="  - {between: [gpu, leaf], rate: 400Gb/s, name: x}\n",
            up="{between: [rack0/leaf, top], rate: 400Gb/s}",
        ),
        "endpoints in more islands than the file says; got 2; expected 1; one endpoint of each: rack0/gpu0, rack1/gpu0; join them, or say islands: 2",
    ),
    "more islands than two": (
        pod(
            axes="rack: 3, slot: 4, spine: 2",
            up="{between: [rack0/leaf, top], rate: 400Gb/s}",
            tail="islands: @@2\n",
        ),
        "more islands than the file says; got 3; expected 2",
    ),
    "fewer islands than said": (
        pod(tail="islands: @@2\n"),
        "fewer islands than the file says; got 1; expected 2; say islands: 1",
    ),
    "an endpoint out of reach": (
        pod(up="{between: [top, leaf], rate: 400Gb/s}").replace("gpu: {", "@@gpu: {"),
        "devices.gpu: rack0/gpu0 cannot reach rack1/gpu0 under the path rules; got 4 gpu out of reach; check which side",
    ),
    "endpoints out of reach through a NIC": (
        pod(top="{kind: nic, axes: [spine]}").replace("gpu: {", "@@gpu: {"),
        "rack0/gpu0 cannot reach rack1/gpu0 under the path rules",
    ),
    "a one-way rule": (
        pod(down="{between: [gpu, leaf], rate: 400Gb/s, oneway: true}").replace("gpu: {", "@@gpu: {"),
        "cannot reach rack0/gpu1",
    ),
    "failed cables that do not exist": (
        pod(tail="failed: [@@[gpu, top]]\n"),
        r"failed\[0\]: no cable between gpu and top",
    ),
    "failed cables of an absent device": (
        pod(tail="absent: [rack1/gpu3]\nfailed: [@@[rack1/gpu3, leaf]]\n"),
        "no cable between rack1/gpu3 and leaf",
    ),
    "too many failed cables": (
        pod(tail="failed: [@@[rack0/gpu, leaf, 5]]\n"),
        "more failed cables than there are between rack0/gpu and leaf; got 5; expected at most 4",
    ),
    "failed cable of four": (
        pod(tail="failed: [@@[gpu, leaf, 1, 2]]\n"),
        r"expected a selector, \[selector, selector\]",
    ),
}

SECTIONS = {
    "keys": KEYS,
    "names": NAMES,
    "numbers": NUMBERS,
    "rates": RATES,
    "references": REFERENCES,
    "axes": AXES,
    "relations": RELATIONS,
    "ports": PORTS,
    "whole": WHOLE,
}
CASES = [
    pytest.param(*case, id=f"{s}: {name}") for s, cases in SECTIONS.items() for name, case in cases.items()
]


@pytest.mark.parametrize(("text", "match"), CASES)
def test_rejected(text, match):
    text, line, col = unmarked(text)
    with pytest.raises(TopologyError, match=rf"^<text>:{line}:{col}: .*(?:{match})") as caught:
        loads(text)
    assert len(caught.value.problems) == 1


def test_the_pod_without_a_slip_is_sound():
    assert loads(pod()).skipped == ()


RACK = """\
fabric: rack
axes: {tray: 2, slot: 2}
devices:
  gpu: {kind: gpu, axes: [tray, slot]}
  nic: {kind: nic, axes: [tray, slot]}
links:
  - {between: [gpu, nic], rate: 400Gb/s}
"""
# The same as a part of which only one may be included under its own names.
COUSIN = "fabric: cousin\naxes: {tray: 3}\ndevices:\n  cpu: {kind: host, axes: [tray]}\n"
SPLIT = "fabric: split\naxes: {a: 2, b: 2, slot: [a, b]}\ndevices:\n  cpu: {kind: host, axes: [slot]}\n"
TURNED = "fabric: turned\naxes: {a: 2, b: 2, slot: [b, a]}\ndevices:\n  dpu: {kind: nic, axes: [slot]}\n"
TWIN = (
    "fabric: twin\naxes: {x: 2}\ndevices:\n  one: {kind: nic, axes: [x]}\n  two: {kind: switch, axes: [x]}\n"
    "links:\n  - {between: [one, two], name: gpu-nic, rate: 400Gb/s}\n"
)
FILES = {"rack": RACK, "cousin": COUSIN, "split": SPLIT, "turned": TURNED, "twin": TWIN}
LEAF = "devices:\n  leaf: {kind: switch, axes: []}\nlinks:\n  - {between: [nic, leaf], rate: 400Gb/s}\n"

INCLUDES = {
    "unknown template": (
        "include: @@hgx-h10\n",
        "no template 'hgx-h10'; did you mean hgx-h100.*; a file of your own",
    ),
    "missing file": (
        "include: {fabric: @@./rak.fabric.yaml}\n",
        "cannot include './rak.fabric.yaml': no such file",
    ),
    "file with too long a name": (f"include: {{fabric: @@./{'a' * 300}.fabric.yaml}}\n", "no such file"),
    "absolute path": (
        "include: {fabric: @@/etc/rack.fabric.yaml}\n",
        "cannot include '/etc/rack.fabric.yaml'; expected a template",
    ),
    "file of another kind": (
        "include: {fabric: @@../passwd}\n",
        "cannot include '../passwd'; expected a template or a relative path",
    ),
    "no file at all": ("include: @@7\n", "include: expected a mapping; got 7"),
    "itself": (
        "include: {fabric: @@./top.fabric.yaml}\n",
        "include cycle; got top.fabric.yaml includes top.fabric.yaml",
    ),
    "over an axis it has": (
        "include: {fabric: ./rack.fabric.yaml, over: @@{tray: 2}}\n" + LEAF,
        "over: ./rack.fabric.yaml already has an axis 'tray'; take another axis name, or include with as",
    ),
    "devices twice": (
        "include:\n  - ./rack.fabric.yaml\n  - @@./rack.fabric.yaml\n" + LEAF,
        r"include\[1\]: ./rack.fabric.yaml brings devices that another include has; got gpu, nic; give one of them as",
    ),
    "a rule name twice": (
        "include:\n  - ./rack.fabric.yaml\n  - @@./twin.fabric.yaml\n" + LEAF,
        r"include\[1\]: ./twin.fabric.yaml brings a rule 'gpu-nic' that another include has",
    ),
    "a device of an include again": (
        "include: ./rack.fabric.yaml\ndevices:\n  @@nic: {kind: nic, axes: []}\n",
        "devices.nic: duplicate name 'nic'; it comes from .*rack.fabric.yaml:5; rename one, or include with as",
    ),
    "axis of two sizes": (
        "include:\n  - ./rack.fabric.yaml\n  - @@./cousin.fabric.yaml\n" + LEAF,
        "axis 'tray' comes from two includes with another size; got 3 and 2; give one of them as: prefix",
    ),
    "axis of two products": (
        "include:\n  - ./split.fabric.yaml\n  - @@./turned.fabric.yaml\n",
        r"axis 'slot' comes from two includes with another product; got \[b, a\] and \[a, b\]",
    ),
    "axis redeclared with another size": (
        "include: ./rack.fabric.yaml\naxes: {@@tray: 3}\n" + LEAF,
        "axes.tray: axis 'tray' redeclared with another size; got 3; expected 2; the same name is the same axis",
    ),
    "axis split into a wrong product": (
        "include: {fabric: ./rack.fabric.yaml, over: {pod: 6}}\naxes: {a: 2, @@pod: [a, tray]}\n" + LEAF,
        "axis 'pod' redeclared with a wrong product; got 2 x 2 = 4; expected 6",
    ),
    "composed axis split otherwise": (
        "include: ./split.fabric.yaml\naxes: {@@slot: [b, a]}\n",
        r"axis 'slot' redeclared with 'a' at another place; got \[b, a\] of 2 x 2; expected \[a, b\] of 2 x 2",
    ),
    "composed axis of another size": (
        "include: ./split.fabric.yaml\naxes: {@@slot: 8}\n",
        "axis 'slot' redeclared with another size; got 8; expected 4",
    ),
    "axis split into its neighbour": (
        "include: ./rack.fabric.yaml\naxes: {@@tray: [slot]}\n" + LEAF,
        "axis 'slot' twice in device 'gpu'",
    ),
    "axis that is part of itself": (
        "include: ./rack.fabric.yaml\naxes: {@@slot: [tray, slot]}\n" + LEAF,
        "axis cycle: 'slot' is part of itself",
    ),
    "endpoints out of reach in a template": (
        "include: @@{fabric: ./rack.fabric.yaml, over: {rack: 2}}\n" + LEAF.replace("nic, leaf", "leaf, nic"),
        "cannot reach",
    ),
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / f"{name}.fabric.yaml").write_text(text)
    return tmp_path


@pytest.mark.parametrize(("text", "match"), INCLUDES.values(), ids=INCLUDES)
def test_include_rejected(folder, text, match):
    text, line, col = unmarked(f"fabric: top\n{text}")
    path = folder / "top.fabric.yaml"
    path.write_text(text)
    with pytest.raises(TopologyError, match=match) as caught:
        load(path)
    assert [(p.path, p.line, p.col) for p in caught.value.problems] == [(str(path), line, col)]


def test_include_cycle_of_two_files(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.fabric.yaml").write_text(f"fabric: {name}\ninclude: ./{other}.fabric.yaml\n")
    got = r"^.*b\.fabric\.yaml:2:10: include: include cycle; got a\S+ includes b\S+ includes a\S+$"
    with pytest.raises(TopologyError, match=got):
        load(tmp_path / "a.fabric.yaml")


def test_include_of_too_many_files(tmp_path):
    for i in range(9):
        twice = f"[./f{i + 1}.fabric.yaml, ./f{i + 1}.fabric.yaml]" if i < 8 else "[]"
        (tmp_path / f"f{i}.fabric.yaml").write_text(f"fabric: f\ninclude: {twice}\n")
    with pytest.raises(TopologyError, match="too many includes; expected at most 64 files in all"):
        load(tmp_path / "f0.fabric.yaml")


def test_include_is_relative_to_the_file_that_has_it(folder):
    (folder / "below").mkdir()
    (folder / "below" / "mid.fabric.yaml").write_text("fabric: mid\ninclude: ../rack.fabric.yaml\n" + LEAF)
    (folder / "top.fabric.yaml").write_text("fabric: top\ninclude: below/mid.fabric.yaml\n")
    assert load(folder / "top.fabric.yaml").blueprint.n_devices("nic") == 4


def test_errors_of_an_include_show_its_own_place(folder):
    (folder / "bad.fabric.yaml").write_text(COUSIN.replace("host", "hots"))
    text = "fabric: top\ninclude: ./bad.fabric.yaml\ndevices:\n  x: {kind: nik, axes: [tray]}\n"
    with pytest.raises(TopologyError, match="got hots") as caught:
        loads(text, base=folder)
    found = {(p.path, p.line, p.what) for p in caught.value.problems}
    assert found == {("<text>", 4, "unknown value"), (str(folder / "bad.fabric.yaml"), 4, "unknown value")}


def located(text, **options):
    """Return the places of all problems of `text`."""
    with pytest.raises(TopologyError, match=":") as caught:
        loads(text, **options)
    return [(p.line, p.col, p.what) for p in caught.value.problems]


def test_all_errors_at_once():
    text = """\
fabric: many
formt: 1
axes: {rack: 0, slot: 4, c: [slot, slt]}
devices:
  gpu: {kind: gpu, axes: [slot, ract]}
  nic: {part: cx88, axes: [slots]}
  host: {kind: host, axes: [slot]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [host, leaf], rate: 400}
  - {between: [host, lea], rate: 400Gb/s}
  - {between: [host, leaf], name: odd, rate: 400Gb/s, each: 1}
  - {between: [host, leaf], name: two, rate: 200Gb/s}
absent: [slot9/host]
failed: [[leef, host], [host, leaf, 0]]
islands: -1
"""
    assert located(text) == [
        (2, 1, "unknown key 'formt'"),
        (3, 14, "zero"),
        (3, 26, "unknown axis 'slt'"),
        (5, 33, "unknown axis 'ract'"),
        (6, 15, "unknown part 'cx88'; did you mean cx8?"),
        (6, 28, "unknown axis 'slots'"),
        (10, 35, "rate without unit"),
        (11, 22, "no device group 'lea'; did you mean leaf?"),
        (14, 10, "selector 'slot9/host' matches nothing: slot9 is beyond the last index, slot3"),
        (15, 10, "no device group 'leef'; did you mean leaf?"),
        (15, 24, "zero"),
        (16, 10, "negative"),
    ]


def test_errors_that_need_counting_at_once():
    text = pod(
        axes="rack: 2, slot: 65, spine: 2",
        down="{between: [gpu, leaf], rate: 400Gb/s, each: [2, 64]}",
        links="  - {between: [gpu, leaf], name: slow, rate: 200Gb/s}\n  - {between: [gpu, gpu], ring: slot, rate: 1Gb/s, each: 1}\n",
        tail="failed: [[gpu, top]]\n",
    )
    assert located(text) == [
        (8, 50, "each: wrong number of cables at rack0/gpu0"),
        (8, 53, "each: wrong number of cables at leaf0"),
        (10, 46, "two rules of unequal rate on one pair: gpu-leaf and slow"),
        (11, 58, "each: wrong number of cables at rack0/gpu0"),
        (12, 10, "no cable between gpu and top"),
    ]


ALONE = {
    "axis": (pod(axes="rack: @@0, slot: 4, spine: 2, c: [rack, slot]", tail="absent: [rack0/gpu0]\n")),
    "axis of a product": pod(
        axes="rack: 2, slot: 4, spine: 2, @@c: [rac, slot], d: [c]", gpu="{kind: gpu, axes: [d]}"
    ),
    "all axes": "fabric: a\naxes: @@[rack]\ndevices:\n  gpu: {kind: gpu, axes: [rack]}\n",
    "device": pod(leaf="{kind: @@swich, axes: [rack]}", tail="absent: [leaf0]\nfailed: [[gpu, leaf]]\n"),
    "device with a missing part": pod(leaf="{part: @@sn5601, axes: [rack]}", tail="absent: [rack0/*]\n"),
    "device on a broken axis": pod(axes="rack: @@-2, slot: 4, spine: 2"),
    "device of a broken placement": pod(leaf="{kind: switch, axes: @@[rack, rack]}"),
    "all devices": "fabric: a\naxes: {a: 2}\ndevices: @@[gpu]\nlinks:\n  - {between: [gpu, gpu], mesh: a, rate: 1Gb/s}\n",
    "include": "fabric: a\ninclude: @@hgx\nlinks:\n  - {between: [gpu, leaf], mesh: slot, rate: 1Gb/s}\nabsent: [slot1/*]\n",
    "over": "fabric: a\ninclude: {fabric: gb300-nvl72, over: {rack: @@0}}\naxes: {b: 2, rack: [b]}\nlinks:\n  - {between: [nic, nic], ring: rack, rate: 1Gb/s}\n",
    "rule": pod(leaf=SWITCH, down="{between: [gpu, leaf], rate: @@1}", tail="failed: [[gpu, leaf]]\n"),
    "absent": pod(
        axes="rack: 2, slot: 65, spine: 2",
        leaf=SWITCH,
        down="{between: [gpu, leaf], rate: 800Gb/s}",
        tail="absent: [@@slot65/gpu]\n",
    ),
    "redeclared axis": "fabric: a\ninclude: hgx-h100\naxes: {@@slot: 4}\ndevices:\n  leaf: {kind: switch, axes: [slot]}\n"
    "links:\n  - {between: [nic, leaf], rate: NDR, each: 1}\n",
    "placement of an included group": "fabric: a\ninclude: hgx-h100\naxes: {x: 4, chip: [x], y: 2, @@socket: [y], bank: [y]}\n",
}


@pytest.mark.parametrize("text", ALONE.values(), ids=ALONE)
def test_one_broken_element_is_one_problem(text):
    text, line, col = unmarked(text)
    assert [place[:2] for place in located(text)] == [(line, col)]


def test_no_message_has_python_or_pydantic_in_it():
    jargon = re.compile(r"Input should|pydantic|NoneType|\bdict\b|\bNone\b|\bstr\b|\\x|Traceback|\[type=")
    for text, _ in (case for cases in SECTIONS.values() for case in cases.values()):
        with pytest.raises(TopologyError, match=":") as caught:
            loads(unmarked(text)[0])
        assert not jargon.search(str(caught.value))
