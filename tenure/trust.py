"""Settings that widen trust, and which of them are on: `/readyz` and `tenure doctor` name them."""

from urllib.parse import urlsplit

from tenure.api.payloads import is_loopback
from tenure.settings import PRODUCTION_KEY_HOSTS, PRODUCTION_SITES, Settings


def widened(settings: Settings) -> list[str]:
    """A sentence for each setting that trusts more than the default does, the variable's name first."""
    upstream = urlsplit(settings.upstream_url or "")
    base = urlsplit(settings.base_url)
    found = {
        "LEGACY_INSTALL": (
            settings.legacy_install,
            "an unknown tenant's first install is believed without a signature",
        ),
        "EXTRA_BASE_URLS": (bool(settings.extra_base_urls), "installs made for other base URLs are believed"),
        "ALLOWED_SITES": (settings.allowed_sites != PRODUCTION_SITES, "tenants may have other sites than Atlassian's"),
        "INSTALL_KEYS_URL": (
            settings.install_keys_url != PRODUCTION_KEY_HOSTS,
            "keys of other hosts than Atlassian's two vouch for installs",
        ),
        "TRUSTED_PROXIES": (bool(settings.trusted_proxies), "an address told in X-Forwarded-For is recorded"),
        "FORWARD_AUTH": (settings.forward_auth is not None, "a proxy's headers say what /forward-auth is asked about"),
        "STORE_ACCOUNT_IDS": (settings.store_account_ids, "account ids are kept readable"),
        "ERASE_AFTER_DAYS": (settings.erase_after_days == 0, "uninstalled tenants are never erased by the service"),
        "BASE_URL": (base.scheme == "http", "the base URL is http, for development"),
        "UPSTREAM_URL": (
            upstream.scheme == "http" and not is_loopback(upstream.hostname or ""),
            "webhooks go to the app over http beyond this machine",
        ),
    }
    return [f"TENURE_{name}: {sentence}" for name, (on, sentence) in found.items() if on]
