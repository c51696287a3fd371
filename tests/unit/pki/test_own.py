"""Our own certificate: made once, renewed in time, its key for nobody else."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from dtios.model.errors import ConfigurationError
from dtios.sdk.pki import OwnCertificates, names_of
from dtios.sdk.pki.making import own_addresses, own_host
from tests.certificates import DAY, NOW, make, make_ca


def test_made_at_first_use_with_everything_a_server_looks_at(tmp_path: Path) -> None:
    own = OwnCertificates(tmp_path)
    (identity,) = own.identities()
    certificate = identity.certificate
    uris, hosts = names_of(certificate)
    assert uris == [identity.application_uri]
    assert identity.application_uri.startswith(f"urn:{own_host()}:dtios:")
    assert hosts == [own_host(), *own_addresses()]
    assert identity.key.key_size >= 2048
    assert certificate.signature_hash_algorithm.name == "sha256"
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert all((usage.digital_signature, usage.content_commitment, usage.key_encipherment, usage.data_encipherment))
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.CLIENT_AUTH in purposes
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    (key_file,) = (tmp_path / "pki" / "own" / "private").iterdir()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    for folder in (tmp_path / "pki", tmp_path / "pki" / "own", tmp_path / "pki" / "own" / "private"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [one.certificate for one in own.identities()] == [certificate]
    assert "RSA" not in repr(identity)


def test_renewed_before_it_ends_and_the_old_one_stays_until_then(tmp_path: Path) -> None:
    now = [datetime.now(UTC)]
    own = OwnCertificates(tmp_path, lambda: now[0])
    (first,) = own.identities()
    ends = first.certificate.not_valid_after_utc
    now[0] = ends - timedelta(days=91)
    assert own.identities() == [first]
    now[0] = ends - timedelta(days=89)
    new, old = own.identities()
    assert old == first
    assert new.certificate.not_valid_after_utc > ends
    assert new.application_uri == first.application_uri
    assert new.key.private_numbers() != first.key.private_numbers()
    now[0] = ends + timedelta(days=1)
    assert [one.certificate for one in own.identities()] == [new.certificate]


def test_ended_ones_are_removed_with_their_keys(tmp_path: Path) -> None:
    now = [datetime.now(UTC)]
    own = OwnCertificates(tmp_path, lambda: now[0])
    for _ in range(3):
        newest = own.identities()[0]
        now[0] = newest.certificate.not_valid_after_utc + DAY
    assert len(own.identities()) == 1
    for folder in ("certs", "private"):
        assert len(list((tmp_path / "pki" / "own" / folder).iterdir())) == 1


def test_a_pair_that_somebody_put_there_is_used_as_it_is(tmp_path: Path) -> None:
    given = make("dtios of line 3", by=make_ca(), uris=("urn:line3:dtios",), ends=NOW + 5 * DAY)
    for folder, name, data in (("certs", "line3.pem", given.pem), ("private", "anything.key", given.key_pem)):
        path = tmp_path / "pki" / "own" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)
    (identity,) = OwnCertificates(tmp_path).identities()
    assert identity.certificate == given.certificate
    assert identity.application_uri == "urn:line3:dtios"


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    own = OwnCertificates(tmp_path)
    own.identities()
    (key_file,) = (tmp_path / "pki" / "own" / "private").iterdir()
    key_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="other users may read") as caught:
        own.identities()
    assert "chmod 600" in caught.value.mend


def test_a_certificate_without_its_key_is_of_no_use(tmp_path: Path) -> None:
    own = OwnCertificates(tmp_path)
    first = own.identities()[0]
    (key_file,) = (tmp_path / "pki" / "own" / "private").iterdir()
    key_file.unlink()
    assert own.identities()[0].certificate != first.certificate
