"""The server behind the rig, in a process of its own: `python -m dtios_opcua_rig.server PORT FOLDER`.

Makes its certificate in FOLDER and prints its port when it is ready; then a JSON object a line in, one out, until its input ends.
Values travel pickled: both ends are ours.
"""

import asyncio
import base64
import json
import logging
import pickle
import socket
import sys
from pathlib import Path
from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.server.server import Server
from cryptography.x509.oid import ExtendedKeyUsageOID

from dtios_opcua_rig.machine import Machine

__all__ = ["main"]

ua: Any = asyncua_ua  # its annotations are narrower than what it takes
_POLICIES = [ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
_NAMES = {"countryName": "CN", "stateOrProvinceName": "AState", "localityName": "Foo", "organizationName": "Bar"}


async def main(port: int, folder: Path) -> None:
    server: Any = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    await _secure(server, folder)
    machine = Machine(server)
    await machine.build()
    async with server:
        print(server.bserver.port, flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            name, arguments = pickle.loads(base64.b64decode(json.loads(line)))
            answer = await getattr(machine, name)(*arguments)
            print(json.dumps(base64.b64encode(pickle.dumps(answer)).decode()), flush=True)


async def _secure(server: Any, folder: Path) -> None:
    """A certificate of its own, made once; who comes encrypted is not asked for another one."""
    key, certificate = folder / "server.pem", folder / "server.der"
    uri = "urn:dtios:conformance:server"
    await server.set_application_uri(uri)
    host = socket.gethostname()
    await setup_self_signed_certificate(key, certificate, uri, host, [ExtendedKeyUsageOID.SERVER_AUTH], _NAMES)
    await server.load_certificate(str(certificate))
    await server.load_private_key(str(key))
    server.set_security_policy(_POLICIES)


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
