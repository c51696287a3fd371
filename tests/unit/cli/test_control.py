import os
import pwd
import stat

import anyio
import pytest

from dtios.model.errors import TemporaryError
from dtios.runtime.clients.control import connect_control, serve_control
from dtios.runtime.state import StateDirectory
from dtios.sdk.codec import pack
from dtios.sdk.protocol import CLIENT_DECODER, RUNTIME_DECODER, Failure, Hello, Reply, Request
from dtios.sdk.transport import Closed


async def _echo_principal(transport, principal):
    while True:
        request = CLIENT_DECODER.decode(await transport.receive())
        await transport.send(pack(Reply(request.id, principal)))


async def _ask(transport):
    await transport.send(pack(Request(1, Hello("command"))))
    return RUNTIME_DECODER.decode(await transport.receive())


@pytest.mark.parametrize("depth", [0, 30], ids=["short", "longer than a socket address"])
async def test_principal_comes_from_the_kernel(tmp_path, depth):
    state = StateDirectory(tmp_path.joinpath(*["deep-dir"] * depth))
    user = pwd.getpwuid(os.geteuid()).pw_name
    with state.lock():
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve_control, state, _echo_principal)
            assert stat.S_IMODE(state.socket.stat().st_mode) == 0o600
            transport = await connect_control(state)
            with anyio.fail_after(5):
                assert await _ask(transport) == Reply(1, f"cli:{user}")
            await transport.aclose()
            tasks.cancel_scope.cancel()
    assert not state.socket.exists()


async def test_socket_of_a_dead_runtime_is_replaced(tmp_path):
    state = StateDirectory(tmp_path)
    with state.lock():
        async with await anyio.create_unix_listener(state.socket):
            pass
        with pytest.raises(TemporaryError, match="no runtime answers"):
            await connect_control(state)
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve_control, state, _echo_principal)
            transport = await connect_control(state)
            with anyio.fail_after(5):
                assert isinstance(await _ask(transport), Reply)
            await transport.aclose()
            tasks.cancel_scope.cancel()


async def test_one_client_too_many_gets_a_sentence_and_a_failing_one_harms_nobody(tmp_path):
    async def fail_on_request(transport, principal):
        await transport.receive()
        raise RuntimeError("a defect in serving")

    state = StateDirectory(tmp_path)
    with state.lock():
        async with anyio.create_task_group() as tasks:
            await tasks.start(lambda task_status: serve_control(state, fail_on_request, limit=1, task_status=task_status))
            first, second = await connect_control(state), await connect_control(state)
            with anyio.fail_after(5):
                failure = await _ask(second)
                assert isinstance(failure, Failure)
                assert (failure.kind, failure.message) == ("temporary", "1 commands are connected already")
                with pytest.raises(Closed):
                    await _ask(first)
                third = await connect_control(state)
                with pytest.raises(Closed):
                    await _ask(third)
            for transport in (first, second, third):
                await transport.aclose()
            tasks.cancel_scope.cancel()
