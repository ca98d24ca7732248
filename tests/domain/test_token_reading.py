"""The strict reading of tokens: what is a token, what is refused and why, and when a signature holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.domain.refusals import Reason, Refused
from tenure.domain.token import MAX_TOKEN, Token, check_times, checked_kid, read, signed_by, signed_by_key
from tenure.simulator import tokens

BOTH = frozenset({"RS256", "HS256"})
HS = frozenset({"HS256"})
SECRET = b"s" * 32
NOW = 1_800_000_000
CLAIMS: dict[str, Any] = {"iss": "client-1", "iat": NOW, "exp": NOW + 180, "qsh": "0" * 64, "aud": "https://app"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


def reason_of(text: str, algorithms: frozenset[str] = BOTH) -> Reason | None:
    """Why a text is refused, None if it is a token."""
    try:
        read(text, algorithms)
    except Refused as refused:
        return refused.reason
    return None


def claims(**more: Any) -> dict[str, Any]:
    """Good claims with some replaced or (OMIT) left out."""
    return tokens.merged(CLAIMS, more)


def raw(payload: bytes, header: bytes = b'{"alg":"HS256"}') -> str:
    """A token of raw bytes with an HMAC that holds."""
    return tokens.raw_hs256(header, payload, SECRET)


def good(**more: Any) -> Token:
    """A token read from good claims with some replaced."""
    return read(tokens.hs256(claims(**more), SECRET), HS)


@given(text=st.text())
def test_any_text_is_a_token_or_refused(text: str) -> None:
    """No text raises anything but a refusal."""
    reason_of(text)


@given(text=st.text(st.characters(codec=None), max_size=40))
def test_any_three_parts_are_a_token_or_refused(text: str) -> None:
    """No text in three parts, surrogates among it, raises anything but a refusal."""
    reason_of(f"{text}.{text}.{text}")


@given(header=st.binary(max_size=60), payload=st.binary(max_size=60), signature=st.binary(max_size=40))
def test_any_bytes_in_a_token_are_read_or_refused(header: bytes, payload: bytes, signature: bytes) -> None:
    """No bytes behind sound base64url raise anything but a refusal."""
    reason_of(tokens.raw_token(header, payload, signature))
    reason_of(tokens.raw_token(b'{"alg":"HS256"}', payload, signature))
    reason_of(tokens.raw_token(header, tokens.to_json(CLAIMS), signature))


@given(
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "x5u"]), JSON),
    body=st.dictionaries(st.sampled_from(["iss", "iat", "exp", "nbf", "aud", "qsh", "sub", "x"]), JSON),
    now=st.floats(0, 4e9),
)
def test_any_json_in_a_token_is_read_or_refused(header: dict[str, Any], body: dict[str, Any], now: float) -> None:
    """No JSON value in any member raises anything but a refusal, in the reading or in the times."""
    for head in (header, {"alg": "RS256"}):
        try:
            token = read(tokens.raw_token(tokens.to_json(head), tokens.to_json({**CLAIMS, **body}), b"x"), BOTH)
            check_times(token, now)
            checked_kid(token)
        except Refused:
            continue


def test_a_good_token_is_read_whole() -> None:
    """Every claim of a good token is there, and its signature holds."""
    token = read(tokens.hs256(claims(sub="account", nbf=NOW), SECRET, {"kid": "k"}), HS)
    assert (token.alg, token.kid, token.iss, token.sub) == ("HS256", "k", "client-1", "account")
    assert (token.iat, token.exp, token.nbf, token.aud) == (NOW, NOW + 180, NOW, None)
    assert signed_by(token, SECRET)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b", "a.b.c.d", " ", "é.é.é"])
def test_another_number_of_parts_is_malformed(text: str) -> None:
    """A token has exactly three parts."""
    assert reason_of(text) == Reason.TOKEN_MALFORMED


def test_only_canonical_base64url_is_read() -> None:
    """Padding, whitespace, the other alphabet and non-zero trailing bits are refused, in every part."""
    token = tokens.hs256(CLAIMS, SECRET)
    head, body, tail = token.split(".")
    assert len(tail) % 4 == 3
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other_bits = tail[:-1] + last[last.index(tail[-1]) + 1]
    spellings = [tokens.padded(token), f"{head}.{body}.{other_bits}", token + "\n", token + " ", " " + token]
    spellings += [
        f"{head[:4]}\n{head[4:]}.{body}.{tail}",
        f"{head}.{body[:4]} {body[4:]}.{tail}",
        f"{head}.{body}.+/+/",
    ]
    spellings += [f"{head}.{body}.A", f"{head}.{body}.{tail}\x00", f"{head}=.{body}.{tail}", f"{head}.{body}*.{tail}"]
    assert {text: reason_of(text) for text in spellings} == dict.fromkeys(spellings, Reason.TOKEN_MALFORMED)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"iss":"a","iss":"b","iat":1,"exp":2}',
        b'{"iss":"a","i\\u0073s":"b","iat":1,"exp":2}',
        b'{"iss":"a","iat":1,"exp":2,"x":{"y":1,"y":2}}',
        b'{"iss":"a","iat":1,"exp":NaN}',
        b'{"iss":"a","iat":1,"exp":2,"x":Infinity}',
        b'{"iss":"a","iat":1,"exp":2,"x":-Infinity}',
        json.dumps(CLAIMS).encode("utf-16"),
        json.dumps(CLAIMS).encode("utf-16-le"),
        json.dumps(CLAIMS).encode("utf-32"),
        b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode(),
        b'{"iss":"\\ud800","iat":1,"exp":2}',
        b'{"iss":"a","iat":1,"exp":2,"\\udc00":1}',
        b'{"iss":"a","iat":1,"exp":2,"x":"\\u0000"}',
        b'{"iss":"\xff","iat":1,"exp":2}',
        b'{"iss":"a","iat":1,"exp":2,"x":' + b"[" * 2500 + b"]" * 2500 + b"}",
        b'{"iss":"a","iat":1,"exp":' + b"9" * 5000 + b"}",
        b"[]",
        b"null",
        b'"x"',
        b"1",
        b"",
        b"{}{}",
        b"{",
    ],
)
def test_loose_json_is_malformed(payload: bytes) -> None:
    """Names twice, NaN, other encodings, lone surrogates, NUL, deep nesting and non-objects are refused anywhere."""
    assert reason_of(raw(payload)) == Reason.TOKEN_MALFORMED
    assert reason_of(raw(tokens.to_json(CLAIMS), payload)) == Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("member", ["crit", "b64", "zip"])
@pytest.mark.parametrize("value", [None, False, [], ["b64"], "DEF"])
def test_headers_that_change_the_reading_refuse(member: str, value: Any) -> None:
    """`crit`, `b64` and `zip` refuse, whatever they say."""
    assert reason_of(tokens.hs256(CLAIMS, SECRET, {member: value})) == Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c", "typ", "cty", "odd"])
def test_other_header_members_are_ignored(member: str) -> None:
    """Members that would name a key, and unknown ones, are never read."""
    assert reason_of(tokens.hs256(CLAIMS, SECRET, {member: "https://evil.example"})) is None


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", " none", "", "hs256", "HS256 ", "HS384", "HS512", "ES256", "PS256", "RS512"]
)
def test_every_other_algorithm_is_refused(alg: str) -> None:
    """The algorithm's name is compared exactly."""
    assert reason_of(tokens.none_token(CLAIMS, alg)) == Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("alg", [None, 1, True, ["HS256"], {"HS256": 1}])
def test_an_algorithm_that_is_no_text_is_malformed(alg: Any) -> None:
    """An algorithm is a text."""
    assert reason_of(tokens.hs256(CLAIMS, SECRET, {"alg": alg})) == Reason.TOKEN_MALFORMED


def test_the_route_says_which_algorithm_it_takes() -> None:
    """A sound token of an algorithm the route does not take is refused before its claims are looked at."""
    assert reason_of(tokens.hs256({}, SECRET), frozenset({"RS256"})) == Reason.ALGORITHM_NOT_ALLOWED
    assert reason_of(tokens.hs256({}, SECRET), HS) == Reason.CLAIM_MISSING


def test_the_size_is_looked_at_first() -> None:
    """8 KiB are taken, one character more is too large, whatever it holds."""
    assert reason_of("." * (MAX_TOKEN + 1)) == Reason.TOKEN_TOO_LARGE
    assert reason_of("." * MAX_TOKEN) == Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("name", ["iat", "exp", "nbf"])
@pytest.mark.parametrize(
    "value", [True, False, 1.0, float(NOW), str(NOW), "", 1e300, -1, -NOW, 1 << 53, 10**30, [], {}, [NOW]]
)
def test_times_are_whole_numbers_in_range(name: str, value: Any) -> None:
    """A time of any other type, negative or huge, is malformed."""
    assert reason_of(tokens.hs256(claims(**{name: value}), SECRET)) == Reason.CLAIM_MALFORMED


@pytest.mark.parametrize("name", ["iss", "qsh", "sub"])
@pytest.mark.parametrize(
    "value", [True, 0, 1.5, 1e300, [], ["client-1"], {}, "", " ", "a b", "a\n", "é", "x" * 256, "a\x7f"]
)
def test_names_are_plain_texts(name: str, value: Any) -> None:
    """A name of any other type, empty, too long or with blanks, is malformed."""
    assert reason_of(tokens.hs256(claims(**{name: value}), SECRET)) == Reason.CLAIM_MALFORMED


@pytest.mark.parametrize("name", ["iss", "iat", "exp"])
@pytest.mark.parametrize("value", [None, tokens.OMIT])
def test_required_claims_are_required(name: str, value: Any) -> None:
    """`iss`, `iat` and `exp` missing or null: claim missing."""
    assert reason_of(tokens.hs256(claims(**{name: value}), SECRET)) == Reason.CLAIM_MISSING


@pytest.mark.parametrize("name", ["nbf", "qsh", "sub", "aud", "jti", "context"])
def test_other_claims_may_be_missing(name: str) -> None:
    """An HS256 token is readable without any other claim."""
    assert reason_of(tokens.hs256(claims(**{name: tokens.OMIT}), SECRET)) is None


@pytest.mark.parametrize("value", [1, True, {}, [1], ["https://app", None], 1e300])
def test_the_audience_of_an_install_token_is_text(value: Any) -> None:
    """An RS256 audience is a text or a list of texts; HS256 tokens' audience is not read at all."""
    assert reason_of(raw(tokens.to_json(claims(aud=value)), b'{"alg":"RS256"}')) == Reason.CLAIM_MALFORMED
    assert reason_of(raw(tokens.to_json(claims(aud=value)))) is None


def test_an_install_token_needs_an_audience() -> None:
    """An RS256 token without `aud` has a claim missing."""
    assert reason_of(raw(tokens.to_json(claims(aud=tokens.OMIT)), b'{"alg":"RS256"}')) == Reason.CLAIM_MISSING


@pytest.mark.parametrize(
    ("iat", "exp", "nbf", "now", "expected"),
    [
        (NOW, NOW + 180, None, NOW, None),
        (NOW, NOW + 180, None, NOW + 180 + 29.999, None),
        (NOW, NOW + 180, None, NOW + 180 + 30, Reason.EXPIRED),
        (NOW + 30, NOW + 180, None, NOW, None),
        (NOW + 31, NOW + 180, None, NOW, Reason.NOT_YET_VALID),
        (NOW, NOW + 180, NOW + 30, NOW, None),
        (NOW, NOW + 180, NOW + 31, NOW, Reason.NOT_YET_VALID),
        (NOW, NOW + 180, 0, NOW, None),
        (NOW, NOW + 3600, None, NOW, None),
        (NOW, NOW + 3601, None, NOW, Reason.LIFETIME_TOO_LONG),
        (NOW, NOW, None, NOW, Reason.CLAIM_MALFORMED),
        (NOW + 2, NOW + 1, None, NOW, Reason.CLAIM_MALFORMED),
        (NOW, NOW + 1, None, NOW, None),
        (0, (1 << 53) - 1, None, NOW, Reason.LIFETIME_TOO_LONG),
    ],
)
def test_times_at_their_boundaries(iat: int, exp: int, nbf: int | None, now: float, expected: Reason | None) -> None:
    """Leeway is 30 s on all, a life is more than nothing and at most 3600 s."""
    found = None
    try:
        check_times(good(iat=iat, exp=exp, nbf=nbf), now)
    except Refused as refused:
        found = refused.reason
    assert found == expected


@pytest.mark.parametrize("kid", ["a", "A-Za_0", "x" * 128, "00000000-1111-4222-8333-444444444444", "-", "_"])
def test_a_plain_key_id_is_taken(kid: str) -> None:
    """1 to 128 letters, digits, hyphens and underscores."""
    assert checked_kid(read(tokens.hs256(CLAIMS, SECRET, {"kid": kid}), HS)) == kid


@pytest.mark.parametrize(
    "kid", [None, "", "x" * 129, "a/b", "../x", "a.b", "a b", "a\n", "é", "a%2Fb", "a?b", 1, True, ["a"], {}, "１"]
)
def test_any_other_key_id_is_malformed(kid: Any) -> None:
    """Nothing that could change the key host's URL gets as far as it."""
    token = read(tokens.hs256(CLAIMS, SECRET, {"kid": kid}), HS)
    with pytest.raises(Refused) as caught:
        checked_kid(token)
    assert caught.value.reason == Reason.KID_MALFORMED


def test_an_hmac_holds_under_its_own_secret_only() -> None:
    """Another secret, a changed claim or a cut signature does not hold."""
    text = tokens.hs256(CLAIMS, SECRET)
    head, body, tail = text.split(".")
    assert signed_by(read(text, HS), SECRET)
    assert not signed_by(read(text, HS), SECRET + b"s")
    assert not signed_by(read(text, HS), b"")
    other = tokens.b64url(tokens.to_json(claims(iss="other")))
    for changed in (f"{head}.{other}.{tail}", f"{head}.{body}.", f"{head}.{body}.{tail[:40]}"):
        assert not signed_by(read(changed, HS), SECRET)


def test_an_rsa_signature_holds_under_its_own_key_only() -> None:
    """Another key, a changed claim or an empty signature does not hold, and raises nothing."""
    key, other = tokens.pooled_key("domain", 0), tokens.pooled_key("domain", 1)
    text = tokens.rs256(CLAIMS, key, "k")
    assert signed_by_key(read(text, BOTH), key.public_key())
    assert not signed_by_key(read(text, BOTH), other.public_key())
    head, body, tail = text.split(".")
    changed = tokens.b64url(tokens.to_json(claims(iss="other")))
    for forged in (f"{head}.{changed}.{tail}", f"{head}.{body}.", f"{head}.{body}.AAAA"):
        assert not signed_by_key(read(forged, BOTH), key.public_key())


def test_a_fingerprint_names_what_was_signed() -> None:
    """Two readings of a token have one fingerprint, another claim has another, the signature has no part in it."""
    text = tokens.hs256(CLAIMS, SECRET)
    assert read(text, HS).fingerprint == read(text, HS).fingerprint
    assert read(text, HS).fingerprint == read(tokens.hs256(CLAIMS, b"t"), HS).fingerprint
    assert good(iat=NOW - 1).fingerprint != read(text, HS).fingerprint


def test_names_of_1_to_255_characters_are_taken() -> None:
    """The shortest and the longest name."""
    for name in ("a", "x" * 255):
        assert good(iss=name).iss == name


def test_an_install_tokens_audience_is_kept() -> None:
    """One text, or each of a list, in its order; a refusal names the claim."""
    for value, expected in (("https://app", ("https://app",)), (["a", "b"], ("a", "b")), ([], ())):
        assert read(raw(tokens.to_json(claims(aud=value)), b'{"alg":"RS256"}'), BOTH).aud == expected
    for odd in (tokens.OMIT, 1):
        with pytest.raises(Refused) as caught:
            read(raw(tokens.to_json(claims(aud=odd)), b'{"alg":"RS256"}'), BOTH)
        assert caught.value.detail == "aud"


@pytest.mark.parametrize(
    ("now", "iat", "exp", "nbf", "detail"),
    [
        (NOW + 300, NOW, NOW + 180, None, "120 s ago"),
        (NOW - 100, NOW, NOW + 180, None, "in 100 s"),
        (NOW - 100, NOW, NOW + 180, NOW + 20, "in 120 s"),
        (NOW, NOW, NOW + 4000, None, "4000 s"),
        (-100, 0, 180, None, "in 100 s"),
    ],
)
def test_a_token_out_of_its_time_says_by_how_much(now: float, iat: int, exp: int, nbf: int | None, detail: str) -> None:
    """The operator is told the seconds."""
    with pytest.raises(Refused) as caught:
        check_times(good(iat=iat, exp=exp, nbf=nbf), now)
    assert caught.value.detail == detail


def test_the_beginning_of_time_is_a_time() -> None:
    """Without `nbf` a token of the year 1970 is not dated ahead."""
    check_times(good(iat=0, exp=60), -30)


def test_a_refused_algorithm_is_told_cut() -> None:
    """At most 40 characters of what a stranger wrote."""
    with pytest.raises(Refused) as caught:
        read(tokens.none_token(CLAIMS, "x" * 41), BOTH)
    assert caught.value.detail == "x" * 40
