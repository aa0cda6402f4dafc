"""The tools that formats are of take our files: netlab, ibsim and ibnetdiscover, schemas of others.

None of them comes with the development tools; without one its test is skipped. Schemas are looked for in the
folder that the variable FABTOPO_SCHEMAS names, as their projects have them: ``clab.schema.json`` of
containerlab, ``kueue.x-k8s.io_topologies.yaml`` and ``kueue.x-k8s.io_resourceflavors.yaml`` of Kueue.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml

from fabric.errors import QuestionError
from fabric.graph import load, loads
from fabric.interop.export import export
from fabric.interop.sources import read_sources
from fabric.sizing.cable_plan import CablePlan
from tests.hgx_cluster import hgx_cluster

ROOT = Path(__file__).parents[2]
HGX = hgx_cluster()


def tool(name, package):
    """Return the path of a tool, of this environment or of the system."""
    found = shutil.which(
        name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
    )
    return found or pytest.skip(f"{name} is not installed: {package}")


def schema(name):
    path = Path(os.environ.get("FABTOPO_SCHEMAS", "")) / name
    if "FABTOPO_SCHEMAS" not in os.environ or not path.exists():
        pytest.skip(f"no {name}: FABTOPO_SCHEMAS names no folder that has it")
    return yaml.safe_load(path.read_text())


def pairs(text):
    return Counter(frozenset((c.a.node, c.z.node)) for c in CablePlan(loads(text).blueprint).cables())


@pytest.mark.slow
def test_netlab_creates_our_topology(tmp_path):
    netlab = tool("netlab", "pip install networklab")
    (tmp_path / "topology.yml").write_text(export(loads(HGX), "netlab").files[""])
    command = [netlab, "create", "-o", "yaml=made.yml", "topology.yml"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    made = yaml.safe_load((tmp_path / "made.yml").read_text())
    links = [[end["node"] for end in link["interfaces"]] for link in made["links"]]
    assert Counter(map(frozenset, links)) == pairs(HGX)
    assert {link["bandwidth"] for link in made["links"]} == {400_000_000, 800_000_000}


def sweep(net, host, folder):
    """Return what ibnetdiscover sees, started at a host, of a network that ibsim simulates."""
    ibsim, ibnetdiscover = (
        tool("ibsim", "apt install ibsim-utils"),
        tool("ibnetdiscover", "apt install infiniband-diags"),
    )
    library = next(iter(Path("/usr/lib").glob("*/umad2sim/libumad2sim.so")), None)
    if library is None:
        pytest.skip("libumad2sim.so is not installed: apt install libumad2sim0")
    (folder / "net").write_text(net)
    # Both find each other by a socket of this name.
    here = os.environ | {"IBSIM_SOCKNAME": f"fabtopo-{os.getpid()}"}
    log = (folder / "log").open("w")
    with (
        log,
        subprocess.Popen(
            [ibsim, "-s", "-n", "net"], cwd=folder, env=here, stdin=subprocess.PIPE, stdout=log, stderr=log
        ) as simulator,
    ):
        try:
            more = {"LD_PRELOAD": str(library), "SIM_HOST": host}
            for _ in range(50):
                run = subprocess.run(
                    [ibnetdiscover], env=here | more, capture_output=True, text=True, check=False, timeout=60
                )
                if run.returncode == 0 and run.stdout:
                    return run.stdout
                time.sleep(0.1)
        finally:
            simulator.kill()
    return pytest.fail(f"ibnetdiscover: {run.stderr[-500:]}\nibsim: {(folder / 'log').read_text()[-500:]}")


@pytest.mark.slow
def test_ibnetdiscover_sees_our_network_and_we_read_it(tmp_path):
    net = export(loads(HGX), "ibsim").files[""]
    (tmp_path / "sweep").write_text(sweep(net, "gpu0-00", tmp_path))
    found = read_sources([tmp_path / "sweep"], "ibnetdiscover")
    assert Counter(frozenset((c.a[0], c.z[0])) for c in found.cables) == pairs(HGX)
    # Ports are numbered as the file for ibsim numbers them.
    written, node = set(), ""
    for line in net.splitlines():
        word, *rest = line.split('"')
        if word.startswith("["):
            far, number = rest
            written.add(frozenset([(node, word.strip("[]\t")), (far, number.strip("[]"))]))
        elif rest:
            node = rest[0]
    assert {frozenset((c.a, c.z)) for c in found.cables} == written
    assert {name for name, kind in found.kinds.items() if kind == "host"} == {
        f"gpu{su}-0{n}" for su in range(2) for n in range(4)
    }


def test_containerlab_topologies_are_valid():
    validator = jsonschema.Draft7Validator(schema("clab.schema.json"))
    for text in (HGX, (ROOT / "topologies/patterns/hyperx.fabric.yaml").read_text()):
        errors = [
            error.message
            for error in validator.iter_errors(yaml.safe_load(export(loads(text), "containerlab").files[""]))
        ]
        assert errors == []


FILES = [
    "topologies/gb300-nvl72-1152.fabric.yaml",
    "topologies/gb300-nvl72.fabric.yaml",
    "topologies/systems/tpu-v4-4x4x8.fabric.yaml",
]


@pytest.mark.parametrize("file", FILES)
def test_kueue_resources_are_valid(file):
    resources = list(yaml.safe_load_all(export(load(ROOT / file), "kueue").files["topology.yaml"]))
    assert [one["kind"] for one in resources] == ["Topology", "ResourceFlavor"]
    for resource, name in zip(resources, ("topologies", "resourceflavors"), strict=True):
        crd = schema(f"kueue.x-k8s.io_{name}.yaml")
        version = resource["apiVersion"].partition("/")[2]
        (served,) = [one for one in crd["spec"]["versions"] if one["name"] == version and one["served"]]
        errors = jsonschema.Draft7Validator(served["schema"]["openAPIV3Schema"]).iter_errors(resource)
        assert [error.message for error in errors] == []


# Of the resource definition (kubernetes-sigs/kueue, kueue.x-k8s.io_topologies.yaml), and of labels and names
# in Kubernetes (docs "Labels and Selectors", "Object Names and IDs").
NODE_LABEL = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])"
)
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@pytest.mark.parametrize("file", FILES)
def test_kueue_has_the_levels_and_labels_that_it_may_have(file):
    files = export(load(ROOT / file), "kueue").files
    topology, flavor = yaml.safe_load_all(files["topology.yaml"])
    labels = [level["nodeLabel"] for level in topology["spec"]["levels"]]
    assert len(set(labels)) == len(labels) <= 8
    assert all(NODE_LABEL.fullmatch(label) and len(label) <= 316 for label in labels)
    assert labels.index("kubernetes.io/hostname") == len(labels) - 1
    nodes = list(yaml.load_all(files["nodes.yaml"], yaml.CSafeLoader))
    assert all(OBJECT.fullmatch(one["metadata"]["name"]) for one in (topology, flavor, *nodes))
    for node in nodes:
        own = node["metadata"]["labels"]
        assert set(labels) <= set(own)
        assert all(NODE_LABEL.fullmatch(key) and VALUE.fullmatch(value) for key, value in own.items())
        assert own["kubernetes.io/hostname"] == node["metadata"]["name"]


def test_names_that_kubernetes_has_not_are_refused():
    with pytest.raises(QuestionError, match=r"kueue: 'GPU_0' is no name of a node in Kubernetes"):
        export(
            loads(
                HGX.replace("gpu{su}-{node:02}", "GPU_{su}{node}")
                .replace("su: 2, node", "su: 1, node")
                .replace("GPU_{su}{node}", "GPU_{node}")
            ),
            "kueue",
        )
