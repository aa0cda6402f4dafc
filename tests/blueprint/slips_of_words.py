# A slip and its message are read side by side, however long.
# ruff: noqa: E501
"""Slips in keys, names, numbers and rates, each with the message that it must give."""

from tests.blueprint.slips import pod

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
