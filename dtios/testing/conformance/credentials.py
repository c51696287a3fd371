"""Rules CRE: who is let in, who no longer is, and that nobody reads the password."""

from typing import Any

from dtios.model.errors import CredentialsError
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import Suite
from dtios.testing.conformance.connection import enter, lost_within
from dtios.testing.conformance.probe import Probe, standing
from dtios.testing.conformance.rig import Rig
from dtios.testing.conformance.rule import Need, check, raises

__all__ = ["Identifying"]

USER = "conformance"


class Identifying(Suite):
    @check("CRE-1", "a wrong password is a CredentialsError that does not show it", Level.SILVER, Need.CREDENTIALS)
    async def test_wrong_password(self) -> None:
        async with self.rigged() as rig:
            await rig.require(USER, "right-one")
            await enter(rig, **_signed_in(rig, "right-one"))
            error = await raises(CredentialsError, enter(rig, **_signed_in(rig, "wrong-one")))
            said = f"{error.message} {error.where} {error.mend}"
            assert "wrong-one" not in said, "the error shows the password"

    @check("CRE-2", "a replaced password: the old one is refused, and the new one works", Level.GOLD, Need.CREDENTIALS)
    async def test_replaced_password(self) -> None:
        async with self.rigged() as rig:
            await rig.require(USER, "the-old-one")
            probe = Probe(rig.connect(**_signed_in(rig, "the-old-one")), rig)
            async with standing(probe):
                await rig.require(USER, "the-new-one")
                await rig.cut()
                await lost_within(probe, 2.0, "a closed socket")
            await raises(CredentialsError, _again(probe))
            _signed_in(rig, "the-new-one")  # into the file that the settings name
            await _again(probe)


def _signed_in(rig: Rig, password: str) -> dict[str, Any]:
    """Settings. The password stands in a file, as secrets do."""
    rig.home.mkdir(parents=True, exist_ok=True)
    file = rig.home / "conformance-password"
    file.write_text(password, "utf-8")
    return {**rig.secured, "user": USER, "password": {"file": str(file)}}


async def _again(probe: Probe) -> None:
    async with standing(probe):
        pass
