"""What users rely on: names, order and defaults of arguments, fields and JSON keys of answers."""

from pathlib import Path

import fabric
from tools.public_face import face

PROMISED = Path(__file__).parent / "public_face.txt"


def test_the_public_face_is_the_promised_one():
    remedy = "run `make public-face`, and say in CHANGELOG.md what changed (CONTRIBUTING.md, deprecation)"
    assert face() == PROMISED.read_text(), remedy


def test_every_public_name_is_in_it():
    text = PROMISED.read_text()
    assert [n for n in fabric.__all__ if f"class {n}(" not in text and f"{n}(\n" not in text] == []
