"""A FastAPI app behind forward auth: uvicorn fastapi_app:app --host 127.0.0.1 --port 3000"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse

app = FastAPI(openapi_url=None, redirect_slashes=False)  # a redirected URL has another signature


@dataclass(frozen=True)
class Caller:
    """Who calls, as Tenure has proved. `account_id` is empty when no user acts."""

    client_key: str
    base_url: str
    account_id: str
    decision: str


def caller(request: Request) -> Caller:
    """Fails closed: without the proxy's headers something stands in front of the app that should not."""
    said = request.headers
    if not said.get("x-tenure-client-key"):
        raise HTTPException(500, "The proxy did not say who calls.")
    return Caller(
        said["x-tenure-client-key"],
        said.get("x-tenure-base-url", ""),
        said.get("x-tenure-account-id", ""),
        said.get("x-tenure-decision", ""),
    )


Known = Annotated[Caller, Depends(caller)]


@app.get("/page", response_class=HTMLResponse)
def page(known: Known) -> str:
    """What Jira loads in its iframe."""
    return f"<!doctype html><title>Example</title><p>Hello from {known.base_url}</p>"


@app.get("/api/me")
def me(known: Known) -> dict[str, str]:
    """What the page's own script asks, with a context token."""
    return {"tenant": known.client_key, "account": known.account_id, "decision": known.decision}


@app.post("/webhooks", status_code=204)
@app.post("/webhooks/{rest:path}", status_code=204)
async def webhook(request: Request, known: Known) -> None:
    """An accepted webhook, passed on by Tenure (TENURE_UPSTREAM_URL=http://127.0.0.1:3000)."""
    event = await request.json()
    print(known.client_key, event["webhookEvent"])


@app.get("/static/hello.txt", response_class=HTMLResponse)
def hello() -> str:
    """An open place: nobody is asked, so nobody is known."""
    return "hello"
