"""The query-string hash against published vectors and an independent implementation."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import pytest
from atlassian_jwt import url_utils
from hypothesis import given
from hypothesis import strategies as st

from tenure.domain.qsh import accepted_hashes, canonical_path, canonical_query, canonical_request, request_hash

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "qsh_vectors.json").read_text())
LETTER = st.characters(codec="utf-8")
TEXT = st.text(LETTER, max_size=6)
PIECE = st.one_of(
    st.just(""),
    st.builds(quote, TEXT),
    st.builds(quote_plus, TEXT),
    st.builds(
        lambda n, v: f"{quote_plus(n)}={quote(v)}", st.one_of(TEXT, st.sampled_from(["a", "b", "jwt", "a:"])), TEXT
    ),
)
SEGMENT = st.text("abcXYZ019-._~!$&'()*+,=@", max_size=6)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['method']} {vector['url']}"[:60])
def test_published_vectors_give_the_published_hash(vector: dict[str, Any]) -> None:
    """Every published vector yields its canonical request and hash; a literal space in one means %20."""
    parts = urlsplit(vector["url"].replace(" ", "%20"))
    if vector["canonical"]:
        assert canonical_request(vector["method"], parts.path, parts.query, vector["base_path"]) == vector["canonical"]
    assert request_hash(vector["method"], parts.path, parts.query, vector["base_path"]) == vector["qsh"]


def test_the_vectors_are_all_there() -> None:
    """No vector was lost on the way."""
    assert len(VECTORS) == 46


@given(
    method=st.sampled_from(["get", "POST", "Put"]),
    segments=st.lists(SEGMENT, max_size=4),
    pieces=st.lists(PIECE, max_size=6),
)
def test_the_hash_agrees_with_another_library(method: str, segments: list[str], pieces: list[str]) -> None:
    """We agree with the PyPI package on every URL it can read.

    Known differences, excluded by construction: it cuts off a fragment and treats `;` as path parameters, takes a
    colon in the first segment for a scheme, knows no base path, and replaces what is not UTF-8 by U+FFFD.
    """
    path, query = "/" + "/".join(segments), "&".join(pieces)
    theirs = url_utils.canonicalize_request(method, f"{path}?{query}")
    assert canonical_request(method, path, query) == theirs
    assert request_hash(method, path, query) == url_utils.hash_url(method, f"{path}?{query}")


@pytest.mark.parametrize(
    ("path", "base", "expected"),
    [
        ("/wiki/x", "/wiki", "/x"),
        ("/wiki", "/wiki", "/"),
        ("/wiki/", "/wiki/", "/"),
        ("/wikipedia/x", "/wiki", "/wikipedia/x"),
        ("/x/wiki/y", "/wiki", "/x/wiki/y"),
        ("/wiki/wiki/x", "/wiki", "/wiki/x"),
        ("/WIKI/x", "/wiki", "/WIKI/x"),
        ("", "", "/"),
        ("/a&b/", "", "/a%26b"),
        ("/a%20b", "", "/a%20b"),
    ],
)
def test_the_base_path_goes_only_at_a_segment_boundary(path: str, base: str, expected: str) -> None:
    """The base URL's path is taken off once, whole segments only."""
    assert canonical_path(path, base) == expected


def test_names_are_sorted_as_encoded() -> None:
    """Sorting is by the encoded name, as the host does, not by the raw one."""
    assert canonical_query("a%3A=x&a0=y") == "a%3A=x&a0=y"


@pytest.mark.parametrize("query", ["jwt=x", "jwt", "j%77t=x", "jwt=x&jwt=y", "&&", ""])
def test_the_token_parameter_is_no_part_of_the_hash(query: str) -> None:
    """However it is written, `jwt` is dropped, and so are empty pieces."""
    assert canonical_query(query) == ""


@pytest.mark.parametrize("query", ["JWT=x", "jwtx=x", "xjwt=x"])
def test_only_the_exact_name_is_dropped(query: str) -> None:
    """A name that only looks like the token parameter is hashed."""
    assert canonical_query(query) == query


def test_bytes_that_are_not_utf8_hash_as_sent() -> None:
    """An escape that is not UTF-8 keeps its byte and raises nothing."""
    assert canonical_query("a=%ff%FE") == "a=%FF%FE"


def test_a_path_with_escapes_has_two_honest_hashes() -> None:
    """For a path with escapes the raw and the decoded hash are both accepted, else exactly one."""
    assert accepted_hashes("GET", "/a%20b", "") == (request_hash("GET", "/a%20b", ""), request_hash("GET", "/a b", ""))
    assert accepted_hashes("GET", "/a", "x=%20") == (request_hash("GET", "/a", "x=%20"),)


@given(path=st.text(LETTER), query=st.text(LETTER))
def test_no_path_or_query_raises(path: str, query: str) -> None:
    """Whatever text is addressed, there is a hash for it."""
    hashes = accepted_hashes("GET", path, query, "/base")
    assert all(len(found) == 64 for found in hashes)


def test_a_base_path_left_out_is_none() -> None:
    """Without one the whole path is hashed, whatever it begins with."""
    assert canonical_path("/XX/page") == "/XX/page"
    assert canonical_request("GET", "/XX/page", "") == "GET&/XX/page&"
    assert request_hash("GET", "/XX/page", "") == request_hash("GET", "/XX/page", "", "/base")
    assert accepted_hashes("GET", "/XX/page", "") == (request_hash("GET", "/XX/page", "", ""),)


def test_what_is_no_text_is_hashed_and_raises_nothing() -> None:
    """A lone surrogate in a path and escapes that are not UTF-8 are hashed with a replacement in their place."""
    assert request_hash("GET", "/a\ud800", "") == request_hash("GET", "/a?", "")
    assert accepted_hashes("GET", "/a%FF", "")[1] == request_hash("GET", "/a\ufffd", "")


def test_a_base_path_is_stripped_of_its_slashes_alone() -> None:
    """A name that ends in X stays whole."""
    assert canonical_path("/appX/page", "/appX") == "/page"
    assert canonical_path("/appX/page", "/appX/") == "/page"
