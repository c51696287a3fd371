"""Fixtures of the interoperability tests; all that use the server are marked `interop`."""

from collections.abc import Iterator

import pytest

from tests.interop.node_server import node_server
from tests.machines.process import MachineProcess


@pytest.fixture(scope="session")
def interop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineProcess]:
    """One node-opcua server for the whole run: use job ids of your own, and leave its units Idle.

    A test that freezes or kills it starts one of its own: `running_node_server`.
    """
    with node_server(tmp_path_factory.mktemp("interop") / "calls.jsonl") as server:
        yield server
