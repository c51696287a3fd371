"""`dtios trust`: whose certificates are taken for good, and our own for the other end."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dtios.cli.group import LazyGroup
from dtios.cli.options import json_option, place_options

if TYPE_CHECKING:
    from dtios.sdk.pki import TrustList

__all__ = ["command", "output_schemas"]


def output_schemas() -> dict[str, dict[str, Any]]:
    from dtios.cli.forms import TEXT, TEXT_OR_NULL, array, choice, line_schema, record
    from dtios.sdk.pki import FaultKind

    faults = array(choice(*(kind.value for kind in FaultKind)))
    kinds = choice("certificate", "revocation-list", "unreadable")
    entry = record(
        {
            "store": choice("own", "trusted", "issuers", "rejected"), "kind": kinds, "name": TEXT, "thumbprint": TEXT_OR_NULL,
            "issuer": TEXT_OR_NULL, "application_uri": TEXT_OR_NULL, "valid_from": TEXT_OR_NULL, "valid_to": TEXT_OR_NULL,
            "accepted": faults, "refused": faults, "url": TEXT_OR_NULL, "file": TEXT,
        }
    )  # fmt: skip
    accepted = record({"added": array(TEXT), "accepted": faults, "still_refused": faults})
    rejected = record({"rejected": TEXT, "name": TEXT})
    exported = record({"file": TEXT, "thumbprint": TEXT, "application_uri": TEXT, "valid_to": TEXT})
    forms = {"list": entry, "accept": accepted, "reject": rejected, "export": exported}
    return {f"trust {name}": line_schema(f"trust {name}", form) for name, form in forms.items()}


@click.group("trust", cls=LazyGroup)
def command() -> None:
    """Certificates: whom we trust, whom we refused, and our own.

    They lie in the state directory, below pki, laid out as the OPC Foundation does it.

    \b
    Examples:
      dtios trust list
      dtios trust accept 6F1A8E2C
    """


def _run(config: Path | None, state: Path | None, body: Callable[[Path], int]) -> int:
    """`body` with the state directory, off the loop. The trust list has a lock of its own, so a runtime may run beside it."""
    import anyio.to_thread

    from dtios.cli.place import find_place
    from dtios.cli.running import quiet_logging, run_async

    quiet_logging()
    place = find_place(config, state)

    async def main() -> int:
        return await anyio.to_thread.run_sync(body, place.state.path)

    return run_async(main)


def _show(as_json: bool, form: dict[str, Any], text: str) -> int:
    import json

    click.echo(json.dumps(form, ensure_ascii=False) if as_json else text)
    return 0


@command.command("list")
@place_options
@json_option
def list_entries(config: Path | None, state: Path | None, as_json: bool) -> int:
    """List all certificates and revocation lists: our own, the trusted, the issuers' and the rejected ones.

    \b
    Example:
      dtios trust list --json
    """

    def body(home: Path) -> int:
        from dtios.cli.trust_forms import entry_form, entry_table
        from dtios.sdk.pki import TrustList

        forms = [entry_form(entry) for entry in TrustList(home).entries()]
        if not as_json:
            click.echo(entry_table(forms) or f"no certificates in {home / 'pki'}")
        for form in forms if as_json else ():
            _show(True, form, "")
        return 0

    return _run(config, state, body)


@command.command("accept")
@click.argument("what", metavar="THUMBPRINT|FILE")
@click.option("--broken", is_flag=True, help="Accept it with the faults it was refused for, now that you know them.")
@click.option("--issuer", is_flag=True, help="FILE completes chains, and is not trusted by itself.")
@place_options
@json_option
def accept(what: str, broken: bool, issuer: bool, config: Path | None, state: Path | None, as_json: bool) -> int:
    """Trust a server's certificate that was refused, by its thumbprint, or what a FILE holds: a certificate, that of a CA, or
    a CA's revocation list.

    The beginning of a thumbprint is enough. Compare it with what the machine shows of its own certificate.

    \b
    Examples:
      dtios trust accept 6F1A8E2C
      dtios trust accept 6F1A8E2C --broken
      dtios trust accept plant-ca.der
      dtios trust accept plant-ca.crl
    """

    def body(home: Path) -> int:
        from dtios.sdk.pki import TrustList, spelled_thumbprint

        trust_list = TrustList(home)
        if spelled_thumbprint(what) is None or Path(what).exists():
            return _add(trust_list, Path(what), broken, issuer, as_json)
        return _accept(trust_list, what, broken, as_json)

    return _run(config, state, body)


def _add(trust_list: "TrustList", file: Path, broken: bool, issuer: bool, as_json: bool) -> int:
    from dtios.model.errors import ConfigurationError

    if broken:
        raise ConfigurationError(
            "faults are accepted of a certificate that was refused",
            where="--broken",
            mend="connect first, then give its thumbprint",
        )
    added = trust_list.add(file, issuer=issuer)
    where = "an issuer" if issuer else "trusted"
    form = {"added": added, "accepted": [], "still_refused": []}
    return _show(
        as_json, form, "\n".join(f"{one}: {'known' if 'revocation list' in one else where} from now on" for one in added)
    )


def _accept(trust_list: "TrustList", what: str, broken: bool, as_json: bool) -> int:
    from dtios.sdk.pki import common_name, thumbprint

    certificate, accepted, still = trust_list.accept(what, broken=broken)
    name = f"{common_name(certificate)}, {thumbprint(certificate)}"
    text = f"{name}: trusted from now on"
    if accepted:
        text += f", though it is or has: {', '.join(accepted)}"
    if still:
        text += f"; it was refused for this as well: {', '.join(still)}; to accept that, too: add --broken"
    form = {"added": [name], "accepted": [kind.value for kind in accepted], "still_refused": [kind.value for kind in still]}
    return _show(as_json, form, text)


@command.command("reject")
@click.argument("what", metavar="THUMBPRINT")
@place_options
@json_option
def reject(what: str, config: Path | None, state: Path | None, as_json: bool) -> int:
    """Trust a certificate no more. What was accepted of it is forgotten, too; a session that stands goes on until it ends.

    \b
    Example:
      dtios trust reject 6F1A8E2C
    """

    def body(home: Path) -> int:
        from dtios.sdk.pki import TrustList, common_name, thumbprint

        certificate = TrustList(home).reject(what)
        form = {"rejected": thumbprint(certificate), "name": common_name(certificate)}
        return _show(as_json, form, f"{form['name']}, {form['rejected']}: not trusted any more")

    return _run(config, state, body)


@command.command("export")
@click.argument("file", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@place_options
@json_option
def export(file: Path | None, config: Path | None, state: Path | None, as_json: bool) -> int:
    """Write our own certificate into FILE, for the administrator of a server: DER, or PEM where FILE ends in .pem.

    It is made if there is none yet. The private key stays where it is.

    \b
    Example:
      dtios trust export dtios.der
    """

    def body(home: Path) -> int:
        from dtios.cli.trust_forms import exported
        from dtios.sdk.pki import OwnCertificates

        certificate = OwnCertificates(home).identities()[0].certificate
        form = exported(certificate, file)
        text = f"{form['file']}: {form['application_uri']}, {form['thumbprint']}, valid to {form['valid_to'][:10]}"
        return _show(as_json, form, text)

    return _run(config, state, body)
