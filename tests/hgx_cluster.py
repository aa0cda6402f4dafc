"""HGX servers under rails of leaves and spines, as the tests of formats and cable plans draw them."""

NODE_NAMES = 'names: {node: "gpu{su}-{node:02}"}\n'
ALL_NAMES = 'names: {node: "gpu{su}-{node}", leaf: "l{su}-{slot}", spine: "s{spine}"}\n'


def hgx_cluster(nodes=4, spines=4, names=NODE_NAMES):
    """Return the file of two units of so many servers, with the names of the site."""
    return f"""\
fabric: hgx
include: {{fabric: hgx-h100, over: {{su: 2, node: {nodes}}}}}
axes: {{spine: {spines}}}
devices:
  leaf:  {{part: sn5600, axes: [su, slot]}}
  spine: {{part: sn5600, axes: [spine]}}
links:
  - {{between: [nic, leaf], rate: 400Gb/s}}
  - {{between: [leaf, spine], rate: 800Gb/s, count: 2}}
{names}"""
