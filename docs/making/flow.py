"""Which way a call takes through Tenure: the picture of the README."""

from tenure.projections.svg import Canvas


def picture() -> str:
    """The SVG: Jira and a browser on the left, Tenure in the middle, the app on the right."""
    canvas = Canvas(
        980,
        430,
        "The way of a call through Tenure",
        "Jira's lifecycle callbacks reach the public listener, are proved, decided and appended to the log, and the"
        " security contexts follow in the same transaction. Webhooks are checked against the contexts and passed on to"
        " the app. A proxy asks the internal listener about every page load. The app asks it to sign outgoing calls.",
    )
    _outside(canvas)
    _inside(canvas)
    _ways(canvas)
    return canvas.svg()


def _outside(canvas: Canvas) -> None:
    canvas.labelled(24, 70, 130, 130, "Jira site", "lifecycle calls", "and webhooks")
    canvas.labelled(24, 310, 130, 60, "Browser", "page loads")
    canvas.labelled(190, 310, 150, 60, "Your proxy", "nginx, Caddy, Traefik")
    canvas.labelled(836, 190, 120, 180, "Your app", "webhooks come", "in proved,", "pages with who", "is asking")


def _inside(canvas: Canvas) -> None:
    canvas.box(360, 24, 420, 300, "group")
    canvas.text(376, 48, "tenure serve", "title")
    canvas.labelled(376, 70, 108, 60, "prove", "who is calling", kind="ours")
    canvas.labelled(520, 70, 108, 60, "decide", "by the table", kind="ours")
    canvas.labelled(664, 70, 100, 60, "log", "append only", kind="ours")
    canvas.labelled(634, 200, 130, 60, "contexts", "who may, right now", kind="ours")
    canvas.labelled(376, 200, 130, 60, "check", "every other call", kind="ours")


def _ways(canvas: Canvas) -> None:
    for path in (
        "M154 100 H372",
        "M484 100 H516",
        "M628 100 H660",
        "M714 130 V196",
        "M634 230 H510",
        "M154 180 H260 V222 H372",
        "M154 340 H186",
        "M265 310 V245 H372",
        "M440 260 V290 H832",
        "M340 356 H832",
        "M896 190 V120 H784",
    ):
        canvas.arrow(path)
    for x, y, words in (
        (164, 90, "installed, enabled, …"),
        (164, 172, "webhooks"),
        (722, 160, "same"),
        (722, 175, "moment"),
        (572, 221, "reads"),
        (600, 282, "accepted webhooks"),
        (500, 348, "pages, with X-Tenure-Client-Key and its sisters"),
        (277, 282, "may it in?"),
        (800, 110, "sign my call"),
    ):
        canvas.text(x, y, words, "small", "middle" if words == "reads" else "start")
    kept = "Every decision, accepted or refused, is kept with its reason. The log and the rest are files you own."
    canvas.text(24, 408, kept, "small")
