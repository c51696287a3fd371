"""The mark on edge nodes that a runtime publishes itself: its own host leaves them out, and sees those of other runtimes."""

import os
import uuid
from pathlib import Path
from typing import Final

__all__ = ["EPOCH", "GAPS", "MARK", "ORDER", "SEQUENCE", "instance_id"]

MARK: Final = "Properties/DTI-OS Runtime"
"""A String metric in NBIRTH: the publishing runtime's `instance_id`."""

EPOCH: Final = "DTI-OS/Epoch"
SEQUENCE: Final = "DTI-OS/Sequence"
ORDER: Final = "DTI-OS/Order"
GAPS: Final = "DTI-OS/Gaps"
"""What a runtime's edge node says of each of its DDATA messages (dtios_mqtt.north.edge.node). They are no signals."""


def instance_id(home: Path) -> str:
    """This runtime's id, made when first asked for and kept in the state directory (`home`). File I/O; raises OSError."""
    path = home / "instance"
    try:
        return _read(path)
    except FileNotFoundError:
        home.mkdir(parents=True, exist_ok=True)
    made = f"{uuid.uuid4()}"
    beside = path.with_name(f".{path.name}-{made}")
    beside.write_text(made, "ascii")
    try:
        os.link(beside, path)  # whoever comes first
    except FileExistsError:
        return _read(path)
    finally:
        beside.unlink()
    return made


def _read(path: Path) -> str:
    return path.read_text("ascii", errors="replace").strip()
