"""Which settings trust more than the defaults do, in words: for `doctor`, and for whoever else must say so."""

from urllib.parse import urlsplit

from tenure.api.payloads import is_loopback
from tenure.settings import PRODUCTION_KEY_HOSTS, Settings

DEFAULT_SITES = (".atlassian.net", ".jira.com")


def widened(settings: Settings, internal_host: str = "127.0.0.1") -> list[str]:
    """A sentence for each setting that widens trust; empty: nothing does. `internal_host` is what `serve` was given."""
    return [
        *_schemes(settings),
        *_parties(settings),
        *_exposure(settings, internal_host),
    ]


def _schemes(settings: Settings) -> list[str]:
    found = []
    if settings.legacy_install:
        found.append("LEGACY_INSTALL is on: whoever sends a tenant's first unsigned `installed` is believed")
    if settings.extra_base_urls:
        found.append(
            f"EXTRA_BASE_URLS is set: installs meant for {', '.join(settings.extra_base_urls)} are believed, too"
        )
    return found


def _parties(settings: Settings) -> list[str]:
    found = []
    hosts = [host for host in settings.install_keys_url if host not in PRODUCTION_KEY_HOSTS]
    if hosts:
        found.append(f"INSTALL_KEYS_URL is not Atlassian's production only: {', '.join(hosts)} can vouch for any site")
    sites = [site for site in settings.allowed_sites if not _within_default(site)]
    if sites:
        found.append(f"ALLOWED_SITES is wider than the default: a tenant may call {', '.join(sites)} its base URL")
    networks = [str(net) for net in settings.trusted_proxies if net.prefixlen == 0]
    if networks:
        found.append(f"TRUSTED_PROXIES has {', '.join(networks)}: anybody may name any address as his own")
    return found


def _within_default(site: str) -> bool:
    return any(site == known or site.endswith(known) for known in DEFAULT_SITES)


def _exposure(settings: Settings, internal_host: str) -> list[str]:
    found = []
    if settings.store_account_ids:
        found.append("STORE_ACCOUNT_IDS is on: decisions keep account ids in the clear")
    if not is_loopback(internal_host):
        found.append(f"the internal listener is on {internal_host}: keep it from everybody but the proxy")
    if urlsplit(settings.base_url).scheme == "http":
        found.append("BASE_URL is http: good for trying out, never for a real site")
    return found
