"""Staging beside production: the how-to's two settings files, and what parts the two services."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.house import House
from support.proxies import HOW_TO
from support.settings_files import settings_in
from tenure.simulator.site import Site

PRODUCTION, STAGING = (settings_in(HOW_TO / "staging" / f"{name}.env") for name in ("production", "staging"))
# what is the machine's: the tests have their own of each
OWN = {"DATABASE_URL": "", "MASTER_KEY_FILE": "", "UPSTREAM_URL": ""}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The service of the real app."""
    with House(tmp_path_factory.mktemp("production"), PRODUCTION | OWN) as house:
        yield house


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The service of the app that is being tried."""
    with House(tmp_path_factory.mktemp("staging"), STAGING | OWN) as house:
        yield house


def _ours(house: House, **options: str) -> Site:
    return house.site(app_key=house.settings["APP_KEY"], **options)


def test_the_two_share_nothing() -> None:
    """App key, base URL, log, master key and upstream of the two files differ."""
    for name in ("APP_KEY", "BASE_URL", "DATABASE_URL", "MASTER_KEY_FILE", "UPSTREAM_URL"):
        assert PRODUCTION[name] != STAGING[name]
    assert Path(PRODUCTION["DATABASE_URL"]).parent != Path(STAGING["DATABASE_URL"]).parent


def test_each_takes_its_own_and_refuses_the_other(production: House, staging: House) -> None:
    """One development site has both apps: each service takes its own install and traffic and not the other's."""
    base_url = "https://example-dev.atlassian.net"
    real, tried = _ours(production, base_url=base_url), _ours(staging, base_url=base_url)
    assert (real.install().status, tried.install().status) == (204, 204)
    assert (production.page(real).status_code, staging.page(tried).status_code) == (200, 200)
    # staging's install sent on to production: other audience, and with the audience right another app key
    sent_on = _ours(production, audience=STAGING["BASE_URL"]).install()
    assert (sent_on.status, production.reason(sent_on)) == (401, "audience_mismatch")
    mixed = production.site(app_key=STAGING["APP_KEY"]).install()
    assert (mixed.status, production.reason(mixed)) == (400, "app_mismatch")
    assert production.page(tried).status_code == staging.page(real).status_code == 401


def test_staging_takes_only_its_development_site(staging: House) -> None:
    """A stranger's site cannot install the staging app."""
    sent = _ours(staging, base_url="https://stranger.atlassian.net").install()
    assert (sent.status, staging.reason(sent)) == (400, "site_not_allowed")


def test_an_extra_base_url_would_believe_stagings_tokens(tmp_path: Path) -> None:
    """Why EXTRA_BASE_URLS is not for staging: with it a token made for staging installs into production."""
    misused = PRODUCTION | OWN | {"EXTRA_BASE_URLS": STAGING["BASE_URL"]}
    with House(tmp_path, misused) as house:
        assert _ours(house, audience=STAGING["BASE_URL"]).install().status == 204
