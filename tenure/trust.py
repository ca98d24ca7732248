"""What an operator should know of the settings, in words: which trust more than the defaults, what a store cannot do.

`/readyz` and `tenure doctor` say it.
"""

from urllib.parse import urlsplit

from tenure.api.payloads import is_loopback
from tenure.settings import PRODUCTION_KEY_HOSTS, PRODUCTION_SITES, Settings


def widened(settings: Settings, internal_host: str = "127.0.0.1") -> list[str]:
    """A sentence for each setting that widens trust, the variable's name first; empty: none does.

    `internal_host` is what `serve` was given.
    """
    hosts = [host for host in settings.install_keys_url if host not in PRODUCTION_KEY_HOSTS]
    sites = [site for site in settings.allowed_sites if not site.endswith(PRODUCTION_SITES)]
    anybody = [str(network) for network in settings.trusted_proxies if network.prefixlen == 0]
    upstream = urlsplit(settings.upstream_url or "")
    head = urlsplit(settings.head_url or "")
    found = (
        (settings.legacy_install, "LEGACY_INSTALL is on: a tenant's first `installed` is believed unsigned"),
        (
            bool(settings.extra_base_urls),
            f"EXTRA_BASE_URLS is set: installs meant for {', '.join(settings.extra_base_urls)} are believed, too",
        ),
        (
            bool(hosts),
            f"INSTALL_KEYS_URL is not Atlassian's production only: {', '.join(hosts)} can vouch for any site",
        ),
        (
            bool(sites),
            f"ALLOWED_SITES is wider than the default: a tenant may call {', '.join(sites)} its base URL",
        ),
        (bool(anybody), f"TRUSTED_PROXIES has {', '.join(anybody)}: anybody may name any address as his own"),
        (settings.store_account_ids, "STORE_ACCOUNT_IDS is on: decisions keep account ids in the clear"),
        (settings.erase_after_days == 0, "ERASE_AFTER_DAYS is 0: the service never erases an uninstalled tenant"),
        (urlsplit(settings.base_url).scheme == "http", "BASE_URL is http: good for trying out, never for a real site"),
        (
            upstream.scheme == "http" and not is_loopback(upstream.hostname or ""),
            "UPSTREAM_URL is http beyond this machine: webhooks go to the app in the clear",
        ),
        (
            head.scheme == "http" and not is_loopback(head.hostname or ""),
            "HEAD_URL is http beyond this machine: whoever is in between can keep heads from who is to hold them",
        ),
        (
            not is_loopback(internal_host),
            f"the internal listener is on {internal_host}: keep it from everybody but the proxy",
        ),
    )
    return [sentence for on, sentence in found if on]
