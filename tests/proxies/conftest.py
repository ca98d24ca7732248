"""A service with a real proxy in front, one of each kind."""

from collections.abc import Iterator

import pytest

from support.house import House
from support.proxies import NAMES, Front, Proxy, found


@pytest.fixture(scope="session", params=NAMES)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """One proxy of each kind, with the how-to's own configuration."""
    name = str(request.param)
    found(name)
    folder = tmp_path_factory.mktemp(name)
    (folder / "proxy").mkdir()
    with (
        House(folder, {"FORWARD_AUTH": name}) as house,
        Proxy(name, folder / "proxy", house.url, house.service.internal_url, house.receiver.url) as proxy,
        proxy.client() as client,
    ):
        yield Front(house, proxy, client)
