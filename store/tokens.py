"""API tokens: shown once, stored as a digest, compared in constant time, with scopes and an end.

A token is `tnr_` and 32 random bytes; so much randomness needs no slow hash. They lie with the keys. A login code opens
the console once, within ten minutes, in a token's name: for a link that is printed on a terminal. A session of the
console that was logged out is kept as a digest of its id until it would have ended by itself.
"""

import hashlib
import hmac
import secrets
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tenure.domain.times import stored, stored_at
from tenure.store.clock import utc_now
from tenure.store.key_database import KeyDatabase

LOGIN_CODE_MINUTES = 10
SCOPES = ("audit", "replay", "operate", "sign")


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token as listed; times are UTC, empty `revoked_at`: in force until `expires_at`."""

    name: str
    scopes: tuple[str, ...]
    created_at: str
    expires_at: str
    revoked_at: str


class ApiTokens:
    """The tokens of one key store. One thread at a time."""

    def __init__(self, database: KeyDatabase) -> None:
        self._database = database
        self._execute = database.execute

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing: what is created within is there only if nothing within fails."""
        return self._database.transaction()

    def create(self, name: str, scopes: tuple[str, ...], days: int) -> tuple[str, ApiToken]:
        """A new token and its entry, in the open transaction, or ValueError if the name is taken."""
        if self._execute("SELECT 1 FROM api_tokens WHERE name = ?", (name,)).fetchone():
            raise ValueError(f"a token named {name} exists already")
        token = f"tnr_{secrets.token_urlsafe(32)}"
        ends = stored(datetime.now(UTC) + timedelta(days=days))
        entry = ApiToken(name, scopes, utc_now(), ends, "")
        self._execute(
            "INSERT INTO api_tokens VALUES (?, ?, ?, ?, ?, ?)",
            (name, _digest(token), " ".join(scopes), entry.created_at, ends, ""),
        )
        return token, entry

    def listing(self) -> list[ApiToken]:
        """All tokens, by name."""
        rows = self._execute("SELECT name, scopes, created_at, expires_at, revoked_at FROM api_tokens ORDER BY name")
        return [ApiToken(row[0], tuple(row[1].split()), *row[2:]) for row in rows]

    def revoke(self, name: str) -> bool:
        """Ends a token at once; False if there is none of this name."""
        with self.transaction():
            return bool(
                self._execute("UPDATE api_tokens SET revoked_at = ? WHERE name = ?", (utc_now(), name)).rowcount
            )

    def scopes_of(self, token: str) -> tuple[str, ...] | None:
        """The scopes of a token in force, else None."""
        digest = _digest(token)
        row = self._execute(
            "SELECT digest, scopes FROM api_tokens WHERE digest = ? AND revoked_at = '' AND expires_at > ?",
            (digest, utc_now()),
        ).fetchone()
        if row is None or not hmac.compare_digest(row[0], digest):
            return None
        return tuple(row[1].split())

    def scopes_of_name(self, name: str) -> tuple[str, ...] | None:
        """The scopes of the token of this name if it is in force, else None. Names are never used again."""
        row = self._execute(
            "SELECT scopes FROM api_tokens WHERE name = ? AND revoked_at = '' AND expires_at > ?", (name, utc_now())
        ).fetchone()
        return tuple(row[0].split()) if row else None

    def login_code(self, name: str) -> str:
        """A new code that logs in once in the name of a token."""
        code = secrets.token_urlsafe(24)
        ends = stored(datetime.now(UTC) + timedelta(minutes=LOGIN_CODE_MINUTES))
        with self.transaction():
            self._execute("DELETE FROM login_codes WHERE expires_at < ?", (utc_now(),))
            self._execute("INSERT INTO login_codes VALUES (?, ?, ?)", (_digest(code), name, ends))
        return code

    def redeem(self, code: str) -> str:
        """The name a login code stands for, and the end of that code; empty if there is none (any more)."""
        with self.transaction():
            row = self._execute(
                "DELETE FROM login_codes WHERE digest = ? AND expires_at > ? RETURNING name", (_digest(code), utc_now())
            ).fetchall()
        return str(row[0][0]) if row else ""

    def end_session(self, identifier: str, until: float) -> None:
        """Keeps that a session has ended, until it would have by itself (Unix seconds)."""
        with self.transaction():
            self._execute("DELETE FROM ended_sessions WHERE expires_at < ?", (utc_now(),))
            self._execute(
                "INSERT INTO ended_sessions VALUES (?, ?) ON CONFLICT DO NOTHING",
                (_digest(identifier), stored_at(until)),
            )

    def session_ended(self, identifier: str) -> bool:
        """Whether a session has ended before its time."""
        found = self._execute("SELECT 1 FROM ended_sessions WHERE digest = ?", (_digest(identifier),)).fetchone()
        return found is not None

    def name_of(self, token: str) -> str:
        """The name of a token, in force or not; empty if it is unknown."""
        row = self._execute("SELECT name FROM api_tokens WHERE digest = ?", (_digest(token),)).fetchone()
        return str(row[0]) if row else ""


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
