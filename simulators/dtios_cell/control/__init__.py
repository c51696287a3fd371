"""The control endpoint of a cell: what faces, drivers and people ask of the plant, as lines of JSON over TCP on loopback.

A line from a client is `{"id": 1, "do": "ask", ...}`; its answer has the same id and `result`, or `refused` with the reason. Who
follows gets `{"reading": ...}`, `{"job": ...}` and `{"fault": ...}` lines besides, each with the cell's `sequence` number.
"""

from dtios_cell.control.asking import ask
from dtios_cell.control.client import CellClient, CellRefusal, connect_cell
from dtios_cell.control.server import CellServer

__all__ = ["CellClient", "CellRefusal", "CellServer", "ask", "connect_cell"]
