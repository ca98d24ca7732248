"""How the doctor of the query-string hash tries each mistake: every method and prefix, how deep, and two at once."""

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenure.domain.qsh_doctor import PAIRS_UP_TO, diagnose_hash

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
PREFIXES = ("/api", "/app", "/connect", "/jira", "/wiki", "/tenure", "/v1")


def named(text: str, method: str, path: str, query: str, base: str = "") -> list[str]:
    """The codes of the mistakes by which `text` was hashed instead of the request."""
    found = diagnose_hash(hashlib.sha256(text.encode()).hexdigest(), method, path, query, base)
    return [mistake.code for mistake in found]


@pytest.mark.parametrize("signed", METHODS)
def test_each_method_may_have_been_signed_instead(signed: str) -> None:
    """A call signed for any method and received as another is a method rewritten."""
    received = "POST" if signed == "GET" else "GET"
    assert named(f"{signed}&/page&a=1", received, "/page", "a=1") == ["method_rewritten"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_each_usual_prefix_may_have_been_removed(prefix: str) -> None:
    """A prefix that proxies often remove is tried in front of the path, and alone where the path is the root."""
    assert named(f"GET&{prefix}/page&", "GET", "/page", "") == ["prefix_removed"]
    assert named(f"GET&{prefix}&", "GET", "/", "") == ["prefix_removed"]


@pytest.mark.parametrize("removed", ["/one/two/boX", "/one/two", "/one"])
def test_the_base_path_or_its_beginning_may_have_been_removed(removed: str) -> None:
    """The base path, and each of its beginnings up to a slash, is tried in front of the path."""
    for base in ("/one/two/boX", "/one/two/boX/"):
        assert named(f"GET&{removed}/page&", "GET", "/page", "", base) == ["prefix_removed"]


def test_up_to_three_pieces_in_front_may_be_too_many() -> None:
    """One, two or three pieces of the path are left out, never four, and never the last."""
    path = "/one/two/three/four/five/siX"
    assert named("GET&/two/three/four/five/siX&", "GET", path, "") == ["base_path_stripped"]
    assert named("GET&/three/four/five/siX&", "GET", path, "") == ["prefix_added"]
    assert named("GET&/four/five/siX&", "GET", path, "") == ["prefix_added"]
    assert named("GET&/five/siX&", "GET", path, "") == []
    assert named("GET&/&", "GET", "/one/two", "") == []


def test_below_a_base_path_a_piece_too_many_was_added_on_the_way() -> None:
    """Only where no base path is known may a piece that is missing be the sender's idea of one."""
    assert named("GET&/page&", "GET", "/base/edge/page", "", "/base") == ["prefix_added"]
    found = diagnose_hash(hashlib.sha256(b"GET&/page&").hexdigest(), "GET", "/edge/page", "")
    assert [mistake.code for mistake in found] == ["base_path_stripped"]


def test_only_slashes_are_taken_off_a_path() -> None:
    """A letter at either end of the path stays where a slash is added or left out."""
    assert named("GET&/pageX/&", "GET", "/pageX", "") == ["trailing_slash"]
    assert named("GET&Xpage&", "GET", "/Xpage", "") == ["slash_missing"]


def test_a_path_escaped_again_keeps_what_a_path_may_hold() -> None:
    """Escaped once more, only what may not stand in a path as it is changes: the percent sign of each escape."""
    kept = "/a-b_c.d~e!f$g'h(i)j*k+l,m;n=o:p@q"
    assert named(f"GET&{kept}%252Fr&", "GET", f"{kept}%2Fr", "") == ["path_encoded"]


def test_the_token_s_own_parameter_is_in_no_other_mistake() -> None:
    """Whatever else was done to the query, the jwt parameter was left out."""
    assert named("GET&/page&b=2&a=1", "GET", "/page", "b=2&jwt=x.y.z&a=1") == ["not_sorted"]
    assert named("GET&/page&q=a+b", "GET", "/page", "q=a%20b&jwt=x.y.z") == ["plus_for_space"]
    assert named("GET&/page&q=a%2Bb", "GET", "/page", "q=a+b&jwt=x.y.z") == ["plus_kept"]
    assert named("GET&/page&b=%7e&a=1", "GET", "/page", "b=%7e&jwt=x.y.z&a=1") == ["query_raw"]


def test_every_escape_of_a_value_may_be_in_lower_case() -> None:
    """Not the first escape alone, and nothing but the escapes."""
    assert named("GET&/page&q=A%2fB%2fC", "GET", "/page", "q=A%2FB%2FC") == ["lower_case_escapes"]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("POST&/base/page&a=1&b=2", ["method_rewritten", "base_path_kept"]),
        ("get&/page/&a=1&b=2", ["method_lower_case", "trailing_slash"]),
        ("POST&/page&b=2&a=1", ["method_rewritten", "not_sorted"]),
        ("get&/page&", ["method_lower_case", "query_dropped"]),
        ("GET&/page/&b=2&a=1", ["trailing_slash", "not_sorted"]),
        ("POST&/page/&b=2&a=1", []),
    ],
)
def test_any_two_mistakes_of_different_kinds_are_named(text: str, codes: list[str]) -> None:
    """Of method, path and query any two may be wrong; all three at once are not tried."""
    assert named(text, "GET", "/base/page", "b=2&a=1", "/base") == codes


@pytest.mark.parametrize(("longer", "codes"), [(0, ["trailing_slash", "not_sorted"]), (1, [])])
def test_two_mistakes_are_tried_up_to_4096_characters(longer: int, codes: list[str]) -> None:
    """Path and query count together; one mistake is still named where they are longer."""
    assert PAIRS_UP_TO == 4096
    query = "b=2&a=".ljust(PAIRS_UP_TO - len("/page") + longer, "1")
    assert named(f"GET&/page/&{query}", "GET", "/page", query) == codes
    assert named(f"GET&/page&{query}", "GET", "/page", query) == ["not_sorted"]


@given(path=st.text(max_size=20), query=st.text(max_size=20))
@example(path="\ud800", query="")
@example(path="", query="q=\ud800")
@example(path="", query="q=\ud800~&b=%")
def test_text_that_is_no_unicode_is_read(path: str, query: str) -> None:
    """A lone surrogate in path or query, as a command line may bring it, raises nothing."""
    assert diagnose_hash("0" * 64, "GET", "/" + path, query) == ()
