"""The doctor of the query-string hash names the mistake that was made, and none where none was."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.domain.qsh import accepted_hashes, request_hash
from tenure.domain.qsh_doctor import MISTAKES, diagnose_hash

BASE = "/base/app"


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


MADE = {
    "base_path_kept": ("GET", "/base/app/page", "a=1", BASE, "GET&/base/app/page&a=1"),
    "base_path_stripped": ("GET", "/jira/page", "", "", "GET&/page&"),
    "prefix_removed": ("POST", "/webhooks/issue", "", "", "POST&/connect/webhooks/issue&"),
    "prefix_added": ("POST", "/base/app/edge/one/page", "", BASE, "POST&/page&"),
    "trailing_slash": ("GET", "/page", "", "", "GET&/page/&"),
    "slash_missing": ("GET", "/page", "", "", "GET&page&"),
    "path_encoded": ("GET", "/a:b", "", "", "GET&/a%3Ab&"),
    "path_lower_case": ("GET", "/Page", "", "", "GET&/page&"),
    "ampersand_in_path": ("GET", "/a&b", "", "", "GET&/a&b&"),
    "query_in_path": ("GET", "/page", "a=1", "", "GET&/page?a=1&"),
    "method_rewritten": ("GET", "/page", "a=1", "", "POST&/page&a=1"),
    "method_lower_case": ("GET", "/page", "", "", "get&/page&"),
    "query_dropped": ("POST", "/installed", "user_key=admin", "", "POST&/installed&"),
    "query_raw": ("GET", "/page", "b=%7e&a=1", "", "GET&/page&b=%7e&a=1"),
    "jwt_included": ("GET", "/page", "a=1&jwt=x.y.z", "", "GET&/page&a=1&jwt=x.y.z"),
    "raw_name_order": ("GET", "/page", "a%3A=x&a0=y", "", "GET&/page&a0=y&a%3A=x"),
    "not_sorted": ("GET", "/page", "b=2&a=1", "", "GET&/page&b=2&a=1"),
    "plus_for_space": ("GET", "/page", "q=a%20b", "", "GET&/page&q=a+b"),
    "plus_kept": ("GET", "/page", "q=a+b", "", "GET&/page&q=a%2Bb"),
    "not_encoded": ("GET", "/page", "q=a%3Db%2Fc", "", "GET&/page&q=a=b/c"),
    "encoded_twice": ("GET", "/page", "q=a%2Fb", "", "GET&/page&q=a%252Fb"),
    "lower_case_escapes": ("GET", "/page", "q=a%2Fb", "", "GET&/page&q=a%2fb"),
    "java_encoding": ("GET", "/page", "q=~%20%2A", "", "GET&/page&q=%7E+*"),
    "repeated_apart": ("GET", "/page", "a=2&a=1", "", "GET&/page&a=1&a=2"),
    "repeated_unsorted": ("GET", "/page", "a=2&a=1", "", "GET&/page&a=2,1"),
    "repeated_comma_encoded": ("GET", "/page", "a=2&a=1", "", "GET&/page&a=1%2C2"),
}


@pytest.mark.parametrize("code", MADE)
def test_each_known_mistake_is_named(code: str) -> None:
    """A hash made with one known mistake is named by that mistake."""
    method, path, query, base, text = MADE[code]
    found = diagnose_hash(hashed(text), method, path, query, base)
    # a raw query and an unsorted one are the same text where nothing needs encoding; either name is right
    assert [mistake.code for mistake in found] == [code]


def test_every_mistake_is_tried() -> None:
    """Each mistake of the list has its case here, besides the two that no request text can show."""
    assert MISTAKES.keys() - MADE.keys() == {"upper_case_hash", "context_token"}
    right = request_hash("GET", "/page", "")
    assert [m.code for m in diagnose_hash(right.upper(), "GET", "/page", "")] == ["upper_case_hash"]
    assert [m.code for m in diagnose_hash("context-qsh", "GET", "/page", "")] == ["context_token"]


def test_two_mistakes_at_once() -> None:
    """Two mistakes of different kinds are named together."""
    found = diagnose_hash(hashed("GET&/base/app/page&b=2&a=1"), "GET", "/base/app/page", "b=2&a=1", BASE)
    assert [mistake.code for mistake in found] == ["base_path_kept", "not_sorted"]


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@given(received=TEXT, method=st.sampled_from(["GET", "POST"]), path=TEXT, query=TEXT, base=st.sampled_from(["", BASE]))
def test_any_request_is_read(received: str, method: str, path: str, query: str, base: str) -> None:
    """Any text at all gives an answer, and what is right or random is no known mistake."""
    path = "/" + path
    assert diagnose_hash(hashed(received + "?"), method, path, query, base) == ()
    for right in accepted_hashes(method, path, query, base):
        assert diagnose_hash(right, method, path, query, base) == ()
