"""A Django app behind forward auth, in one file: uvicorn django_app:app --host 127.0.0.1 --port 3000"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path, re_path

settings.configure(
    SECRET_KEY=os.urandom(32).hex(),
    ALLOWED_HOSTS=["app.example.com", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    # no CsrfViewMiddleware: no cookie authenticates anybody here. No XFrameOptionsMiddleware: it forbids Jira's iframe
    MIDDLEWARE=["django_app.TenureMiddleware"],
    APPEND_SLASH=False,
)


@dataclass(frozen=True)
class Caller:
    """Who calls, as Tenure has proved. `account_id` is empty when no user acts."""

    client_key: str
    base_url: str
    account_id: str
    decision: str


class TenureMiddleware:
    """Sets `request.caller`; fails closed outside the open places."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        said = request.headers
        request.caller = Caller(
            said.get("X-Tenure-Client-Key", ""),
            said.get("X-Tenure-Base-Url", ""),
            said.get("X-Tenure-Account-Id", ""),
            said.get("X-Tenure-Decision", ""),
        )
        if not request.caller.client_key and not request.path.startswith("/static/"):
            return HttpResponse("The proxy did not say who calls.", status=500)
        return self.get_response(request)


def page(request: HttpRequest) -> HttpResponse:
    """What Jira loads in its iframe."""
    return HttpResponse(f"<!doctype html><title>Example</title><p>Hello from {request.caller.base_url}</p>")


def me(request: HttpRequest) -> HttpResponse:
    """What the page's own script asks, with a context token."""
    known = request.caller
    return JsonResponse({"tenant": known.client_key, "account": known.account_id, "decision": known.decision})


def webhook(request: HttpRequest, rest: str) -> HttpResponse:
    """An accepted webhook, passed on by Tenure (TENURE_UPSTREAM_URL=http://127.0.0.1:3000)."""
    event = json.loads(request.body)
    print(request.caller.client_key, event["webhookEvent"])
    return HttpResponse(status=204)


def hello(request: HttpRequest) -> HttpResponse:
    """An open place: nobody is asked, so nobody is known."""
    return HttpResponse("hello")


urlpatterns = [
    path("page", page),
    path("api/me", me),
    re_path(r"^webhooks/?(?P<rest>.*)$", webhook),
    path("static/hello.txt", hello),
]
app = get_asgi_application()
