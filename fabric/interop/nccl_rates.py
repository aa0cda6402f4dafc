"""What NCCL calls PCIe and NVLink, and their rates; shared by what reads and what writes its topology."""

from __future__ import annotations

LANE_GBPS = {"2.5": 1.5, "5": 3.0, "8": 6.0, "16": 12.0, "32": 24.0, "64": 48.0}
"""GT/s to Gb/s of one PCIe lane as NCCL counts them, by generation (src/graph/topo.cc)."""
NVLINK_GBPS = {"60": 160.0, "70": 200.0, "80": 200.0, "86": 112.5, "90": 200.0, "100": 400.0, "103": 400.0}
"""Wire rate of one NVLink by compute capability, each direction: NVLink 1 160 Gb/s, 2 to 4 200, 5 400
(NVIDIA's whitepapers of P100, V100, A100, H100, Blackwell). GA10x has 112.5. NCCL's own are net."""
NVSWITCH_CLASS = "0x068000"
