"""Addresses last: they carry namespace URIs and come back as the same node, in whatever order the namespaces are."""

from uuid import UUID

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import nodeid_from_binary
from hypothesis import given
from hypothesis import strategies as st

from dtios.sdk.errors import ConfigurationError
from dtios_opcua.binary.nodeid import Namespaces, encode_node_id, sort_key

UA = "http://opcfoundation.org/UA/"
IDENTIFIERS = st.one_of(st.integers(0, 2**32 - 1), st.text(), st.uuids(), st.binary())


@given(st.integers(0, 2), IDENTIFIERS)
def test_an_address_comes_back_as_the_same_node(index, identifier):
    spaces = Namespaces((UA, "urn:a;b%3Bc", "http://maker.com/x"))
    assert spaces.key(spaces.address((index, identifier))) == (index, identifier)


@given(IDENTIFIERS)
def test_an_address_survives_another_order_of_namespaces(identifier):
    before, after = Namespaces((UA, "urn:a", "urn:b")), Namespaces((UA, "urn:b", "urn:a"))
    assert after.key(before.address((1, identifier))) == (2, identifier)


@given(st.integers(0, 65535), IDENTIFIERS)
def test_asyncua_reads_the_same_node_id(index, identifier):
    decoded = nodeid_from_binary(ua.utils.Buffer(encode_node_id((index, identifier))))
    assert (decoded.NamespaceIndex, decoded.Identifier) == (index, identifier)


def test_the_opc_ua_namespace_is_not_spelled_out():
    assert Namespaces((UA,)).address((0, 2253)) == "i=2253"


def test_an_unknown_namespace_is_no_key():
    assert Namespaces((UA,)).key("nsu=urn:gone;i=1") is None


@pytest.mark.parametrize(
    "address", ["", "Temperature", "i=", "i=-1", "i=4294967296", "i=x", "g=1", "b=%", "nsu=urn:a", "ns=2;i=5"]
)
def test_what_is_no_address_is_said_in_one_sentence(address):
    with pytest.raises(ConfigurationError, match="nsu="):
        Namespaces((UA, "urn:a")).key(address)


def test_node_ids_have_an_order():
    spaces = Namespaces((UA, "urn:a"))
    keys = [(1, "b"), (1, 10), (1, UUID(int=3)), (1, 9), (1, b"x"), (1, "a"), (0, 5)]
    in_order = sorted(keys, key=lambda key: sort_key(spaces, key))
    assert in_order == [(0, 5), (1, 9), (1, 10), (1, "a"), (1, "b"), (1, UUID(int=3)), (1, b"x")]
