"""A hall of two scalable units under shared spines, and what its devices are called at the site."""

HALL = """
fabric: hall
axes: {su: 2, node: 3, slot: 2, spine: 2}
devices:
  gpu: {kind: gpu, axes: [su, node, slot]}
  leaf: {kind: switch, axes: [su, slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s}
"""
NAMES = 'names: {leaf: "dc1-s{su}-l{slot+1:02}", spine: "dc1-sp{spine+1}", node: "h{su+1}-{node:02}"}\n'
