"""Files with one slip: sound but for the place of the mark ``@@``, which is taken out before loading."""

MARK = "@@"


def pod(axes="rack: 2, slot: 4, spine: 2", devices="", links="", tail="", **changes):
    """Return a sound pod with some lines changed: of devices by their groups, of rules by `down` and `up`."""
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
