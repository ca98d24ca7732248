"""Settings from the environment (prefix TENURE_) and a .env file: read once, checked whole, wrong ones named.

An empty variable counts as unset. http is allowed only on loopback, for the base URL and for the key hosts.
"""

import hashlib
import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tenure.api.payloads import is_loopback
from tenure.domain.check import ROTATION_GRACE
from tenure.domain.checkpoint import MAX_NOTE, read
from tenure.domain.token import LEEWAY, MAX_LIFETIME
from tenure.store.codec import canonical
from tenure.store.masters import GivenMaster, MasterKey, from_file, from_text

PRODUCTION_KEY_HOSTS = (
    "https://asap-distribution.us-west-2.prod.atl-asap.net",
    "https://connect-install-keys.atlassian.com",
)
PRODUCTION_SITES = (".atlassian.net", ".jira.com")

POSTGRES = ("postgresql://", "postgres://")

List = Annotated[tuple[str, ...], NoDecode]
Path_ = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+$")]


def _switch(value: object) -> object:
    words = {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}
    if isinstance(value, str):
        if value.lower() not in words:
            raise ValueError("on or off (also 1, 0, true, false)")
        return words[value.lower()]
    return value


Switch = Annotated[bool, BeforeValidator(_switch)]


class SettingsError(Exception):
    """A setting is wrong or missing; the message is one line that names it. Exit status 2."""


class StoreSettings(BaseSettings):
    """Where the store is: all that reading commands need."""

    model_config = SettingsConfigDict(
        env_prefix="TENURE_", env_file=".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    app_key: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,128}$")
    database_url: str = "events.db"

    @field_validator("database_url")
    @classmethod
    def _known_store(cls, value: str) -> str:
        if "://" in value and not value.startswith(("sqlite:///", *POSTGRES)):
            raise ValueError("a path, sqlite:///path or postgresql://…")
        return value

    @property
    def on_postgres(self) -> bool:
        """Whether the log is in PostgreSQL."""
        return self.database_url.startswith(POSTGRES)

    @property
    def log_path(self) -> Path:
        """The log's file; where it is in PostgreSQL, the one that it would be, for the files beside it."""
        return Path("events.db") if self.on_postgres else Path(self.database_url.removeprefix("sqlite:///"))

    def files(self) -> tuple[Path, ...]:
        """The store's files: those of the log, of the keys and of the decisions, unless a database has all of them."""
        return () if self.on_postgres else (self.log_path, self.beside("keys"), self.beside("decisions"))

    @property
    def keys(self) -> str:
        """Where the keys lie, in words."""
        return "the database" if self.on_postgres else str(self.beside("keys"))

    def beside(self, name: str) -> Path:
        """A file of the same store: `keys.db` beside `events.db`, `x.keys.db` beside `x.db`."""
        stem = self.log_path.stem
        return self.log_path.with_name(f"{name}.db" if stem == "events" else f"{stem}.{name}.db")


class KeySettings(StoreSettings):
    """What opening secrets needs besides."""

    master_key: str | None = None
    master_key_file: Path | None = None

    def master(self) -> MasterKey:
        """The master key, from one of its two places."""
        if (self.master_key is None) == (self.master_key_file is None):
            raise SettingsError(
                "TENURE_MASTER_KEY or TENURE_MASTER_KEY_FILE: set exactly one (make a key: tenure keys create FILE)"
            )
        if self.master_key_file is not None:
            return master_in(self.master_key_file, "TENURE_MASTER_KEY_FILE")
        try:
            return from_text(self.master_key or "")
        except ValueError:
            raise SettingsError("TENURE_MASTER_KEY: 32 bytes in base64 (make one: tenure keys create)") from None


def master_in(path: Path, name: str) -> GivenMaster:
    """The master key in a file, or SettingsError that begins with `name`."""
    try:
        return from_file(path)
    except UnicodeDecodeError:
        reason = f"{path} cannot be read (not text)"
    except ValueError:
        reason = f"{path}: 32 bytes in base64 (make one: tenure keys create)"
    except OSError as error:
        reason = f"{path} cannot be read ({error.strerror})" if error.strerror else str(error)
    raise SettingsError(f"{name}: {reason}")


class OperatorSettings(KeySettings):
    """What commands that change the store may need; without an app key they take that of the log."""

    erase_after_days: int = Field(60, ge=0)


class Settings(KeySettings):
    """Everything `serve` needs."""

    app_key: str = Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")
    base_url: str
    extra_base_urls: List = ()
    installed_path: Path_ = "/installed"
    uninstalled_path: Path_ = "/uninstalled"
    enabled_path: Path_ = "/enabled"
    disabled_path: Path_ = "/disabled"
    webhooks_path: Path_ = "/webhooks"
    upstream_url: str | None = None
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    forward_auth: Literal["traefik", "caddy", "nginx"] | None = None
    install_keys_url: List = Field(PRODUCTION_KEY_HOSTS, min_length=1)
    allowed_sites: List = Field(PRODUCTION_SITES, min_length=1)
    legacy_install: Switch = False
    refuse_disabled: Switch = False
    descriptor_file: Path | None = None
    erase_after_days: int = Field(60, ge=0)
    head_file: Path | None = None
    head_url: str | None = None
    head_every_minutes: int = Field(60, ge=1)
    alarm_url: str | None = None
    store_account_ids: Switch = False
    webhook_limit: int = Field(10 * 1024 * 1024, ge=1)
    decisions_days: int = Field(90, ge=1)
    decisions_mb: int = Field(1024, ge=8)
    ballast_mb: int = Field(8, ge=0)
    log_calls: Literal["notable", "all"] = "notable"
    slow_ms: int = Field(1000, ge=1)

    @field_validator("extra_base_urls", "install_keys_url", "allowed_sites", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_sites")
    @classmethod
    def _lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(site.lower() for site in value)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return tuple(ip_network(p.strip()) for p in value.split(",") if p.strip()) if isinstance(value, str) else value

    @field_validator("base_url", "extra_base_urls", "install_keys_url")
    @classmethod
    def _safe_urls(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for url in (value,) if isinstance(value, str) else value:
            _check_url(url)
        return value.rstrip("/") if isinstance(value, str) else tuple(url.rstrip("/") for url in value)

    @field_validator("upstream_url", "head_url")
    @classmethod
    def _upstream(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or parts.query:
                raise ValueError("an http or https URL of host and path")
        return value

    @field_validator("alarm_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        # a query is allowed: many such addresses carry their key in it
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or parts.fragment:
                raise ValueError("an http or https URL")
        return value

    @field_validator("head_file")
    @classmethod
    def _safe_head_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        taken = [Path(f"{path}{side}") for path in _store_files(info.data) for side in ("", "-wal", "-shm", "-lease")]
        taken += [path for path in (info.data.get("master_key_file"), info.data.get("descriptor_file")) if path]
        if any(value.resolve() == path.resolve() or _same_file(value, path) for path in taken):
            raise ValueError("a file of its own; this one is the store's, the master key's or the descriptor")
        if not holds_head(value):
            raise ValueError("a new file, or one that holds a signed head; this one holds something else")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> "Settings":
        paths = (self.installed_path, self.uninstalled_path, self.enabled_path, self.disabled_path, self.webhooks_path)
        taken = {"/healthz", "/atlassian-connect.json"}
        if len(set(paths)) != len(paths) or taken & set(paths):
            raise ValueError(f"the five paths must differ from each other and from {' and '.join(sorted(taken))}")
        return self

    @property
    def base_path(self) -> str:
        """The base URL's path, without a trailing slash."""
        return urlsplit(self.base_url).path.rstrip("/")

    @property
    def audiences(self) -> frozenset[str]:
        """The base URLs that an install token may name."""
        return frozenset((self.base_url, *self.extra_base_urls))

    def deciding(self) -> dict[str, Any]:
        """The settings that decide a verdict, and the constants beside them; no secret among them."""
        return {
            "audiences": sorted(self.audiences),
            "base_path": self.base_path,
            "allowed_sites": list(self.allowed_sites),
            "install_keys_url": list(self.install_keys_url),
            "legacy_install": self.legacy_install,
            "refuse_disabled": self.refuse_disabled,
            "forward_auth": self.forward_auth or "",
            "trusted_proxies": [str(network) for network in self.trusted_proxies],
            "webhook_limit": self.webhook_limit,
            "leeway": LEEWAY,
            "max_lifetime": MAX_LIFETIME,
            "rotation_grace": ROTATION_GRACE,
        }

    def digest(self) -> str:
        """Names the settings that decide: 16 hex digits of a hash over them."""
        return hashlib.sha256(canonical(self.deciding()).encode()).hexdigest()[:16]


def _store_files(data: dict[str, Any]) -> list[Path]:
    store = StoreSettings.model_construct(database_url=data.get("database_url", "events.db"))
    return [store.log_path, *map(store.beside, ("keys", "decisions"))]


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def holds_head(path: Path) -> bool:
    """Whether a signed head may be written there: the path is free, or what stands there is one."""
    try:
        if path.is_file() and path.stat().st_size <= MAX_NOTE:
            read(path.read_text("utf-8"))
            return True
        return not os.path.lexists(path)
    except (OSError, ValueError):
        return False


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0 or parts.query or parts.fragment or parts.username:
        raise ValueError("a URL of scheme, host and path")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("https (http only on loopback)")


def load(kind: type[StoreSettings]) -> StoreSettings:
    """Settings of a kind, or SettingsError with one line that names all that are wrong or missing."""
    try:
        return kind()
    except ValidationError as error:
        problems = [
            _told(first["loc"], first["type"], first["msg"])
            for first in error.errors(include_input=False, include_url=False)
        ]
    except ValueError as error:
        raise SettingsError(f"TENURE settings: {type(error).__name__}") from None
    raise SettingsError("; ".join(dict.fromkeys(problems)))


def _told(where: tuple[int | str, ...], kind: str, message: str) -> str:
    name = "TENURE_" + str(where[0] if where else "INSTALLED_PATH").upper()
    return f"{name}: {'is required' if kind == 'missing' else message.removeprefix('Value error, ')}"


def load_whole() -> Settings:
    """What `serve` needs, or SettingsError with one line that names all that is wrong, the master key too."""
    try:
        found = load(Settings)
    except SettingsError as error:
        raise SettingsError("; ".join((str(error), *_master_problem()))) from None
    assert isinstance(found, Settings)  # noqa: S101 (for the type checker)
    return found


def _master_problem() -> list[str]:
    try:
        keys = load(KeySettings)
    except SettingsError:
        return []  # among those that were found
    assert isinstance(keys, KeySettings)  # noqa: S101 (for the type checker)
    try:
        keys.master()
    except SettingsError as error:
        return [str(error)]
    return []
