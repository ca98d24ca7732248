"""Calls a site's REST API in the app's name: Tenure signs, because Tenure alone holds the tenants' secrets."""

import os

import httpx

TENURE = os.environ.get("TENURE_INTERNAL_URL", "http://127.0.0.1:8001")


def call(tenant: str, method: str, path: str, **options: object) -> httpx.Response:
    """One call. `path` is relative to the tenant's base URL, with the query: `/rest/api/content?limit=10`."""
    signed = httpx.post(
        f"{TENURE}/sign",
        headers={"Authorization": f"Bearer {os.environ['TENURE_API_TOKEN']}"},
        json={"tenant": tenant, "method": method, "url": path},
    )
    signed.raise_for_status()
    answer = signed.json()
    headers = {"Authorization": f"JWT {answer['token']}"}
    return httpx.request(method, answer["base_url"].rstrip("/") + path, headers=headers, **options)
