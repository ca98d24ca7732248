"""An auditor with an API token, asking a running house over HTTP."""

from typing import Any

import httpx

from support.house import House
from tenure.store.tokens import ApiTokens


def token_of(house: House, *scopes: str) -> str:
    """A new API token with these scopes."""
    store = ApiTokens(house.key_database())
    try:
        number = len(store.listing())
        return store.create(f"of-the-tests-{number}", scopes, 1)[0]
    finally:
        store.close()


class Auditor:
    """Asks `/audit/…` with a token of scope audit."""

    def __init__(self, house: House, *scopes: str) -> None:
        self.house = house
        self.token = token_of(house, *(scopes or ("audit",)))

    def ask(self, path: str, accept: str = "application/json", **parameters: Any) -> httpx.Response:
        """One question."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": accept}
        url = f"{self.house.service.internal_url}/audit/{path}"
        return httpx.get(url, params=parameters, headers=headers, trust_env=False, timeout=30)

    def told(self, path: str, **parameters: Any) -> Any:
        """The JSON of an answer that must be 200."""
        answer = self.ask(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def walk(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        """Every item, page by page."""
        found: list[dict[str, Any]] = []
        after: dict[str, Any] = {}
        while True:
            page = self.told(path, **parameters, **after)
            found += page["items"]
            if page["next"] is None:
                return found
            after = {"after": page["next"]}
