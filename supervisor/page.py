"""The status page: HTML without JavaScript, and the JSON beside it."""

import html
from typing import Any

from protocol.latch import moment
from supervisor.books import summary
from supervisor.followers import trouble

POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
REFRESH_S = 2


def render(status: dict[str, Any], front: str, still: bool = False) -> str:
    """The page for one state of `/status.json`. Everything from outside is escaped.

    `front` is the address of the front, which has the other page. This one comes anew by itself,
    without a script, unless it is to hold still, for whoever reads slowly or by ear.
    """
    healthy = status["healthy"]
    gate = "good" if status["gate"] == "open" else "bad"
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in _reasons(status))
    flags = "".join(
        f'<li class="pill {"good" if on else "bad"}">{"✓" if on else "✗"} {html.escape(flag)}</li>'
        for flag, on in status["flags"].items()
    )
    rows = "".join(_row(name, process) for name, process in status["processes"].items())
    again = "" if still else f'<meta http-equiv="refresh" content="{REFRESH_S}">'
    other = '<a href="/">Go on</a>' if still else '<a href="/?still">Hold still</a>'
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">{again}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{"✓" if healthy else "✗"} kalshi-sidecar</title>
<link rel="stylesheet" href="/look.css"></head>
<body><header class="bar"><h1>kalshi-sidecar</h1>
<p class="pill">{html.escape(status["profile"])}</p>
<p class="pill {"good" if healthy else "bad"}">{"healthy" if healthy else "not healthy"}</p>
<p class="pill {gate}">gate {html.escape(status["gate"])}</p>
<nav><a href="{html.escape(front)}/">Markets, orders, halt and panic</a></nav></header>
<main>{f'<ul class="why">{reasons}</ul>' if reasons else ""}
<section><h2>Flags</h2><ul class="flags">{flags}</ul></section>
<section><h2>Processes</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Processes, table">
<table><thead><tr><th>process</th><th>state</th>
<th class="n">pid</th><th class="n">restarts</th><th class="n">heartbeat</th><th>reason</th></tr>
</thead><tbody>{rows}</tbody></table></div>
<p class="soft">{html.escape(summary(status["processes"]))}</p></section>
{_followers(status["followers"])}
<footer class="soft">As of {html.escape(status["as_of"])} · {other} ·
<a href="/status.json">status.json</a> · <a href="/readyz">readyz</a></footer></main></body></html>
"""


def _reasons(status: dict[str, Any]) -> list[str]:
    """Why it is not healthy, and what else somebody has to know."""
    counters = status["processes"].get("gateway", {}).get("counters", {})
    said = list(status["reasons"])
    if counters.get("restore_unconfirmed"):
        said.append("a restore waits for you: sidecar confirm-restore")
    said += armed(status["processes"])
    hold = counters.get("hold_ms", 0)
    if hold:
        said.append(f"creates are held for {-(-hold // 1000)} s more, after a cancel-all")
    return said


def armed(processes: dict[str, Any]) -> list[str]:
    """A line if orders leave for the real exchange: until when."""
    until = processes.get("gateway", {}).get("counters", {}).get("armed_until", 0)
    return [f"live is armed until {moment(until * 1_000_000)}"] if until else []


def _followers(followers: dict[str, Any]) -> str:
    """Programs that say how they follow; nothing while there are none."""
    if not followers:
        return ""
    rows = "".join(_follower(name, follower) for name, follower in followers.items())
    return f"""<section><h2>Followers</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Followers, table">
<table><thead><tr><th>program</th><th>state</th><th class="n">follows</th>
<th class="n">lost</th><th class="n">gaps</th><th class="n">lag</th><th class="n">said</th></tr>
</thead><tbody>{rows}</tbody></table></div></section>"""


def _follower(name: str, follower: dict[str, Any]) -> str:
    wrong = trouble(follower["lost"], follower["lag_ms"])
    return (
        f'<tr><td>{html.escape(name)}</td><td class="{"bad" if wrong else "good"}">'
        f'{wrong or "keeps up"}</td><td class="n">{follower["followed"]}</td>'
        f'<td class="n">{follower["lost"]}</td><td class="n">{follower["gaps"]}</td>'
        f'<td class="n">{follower["lag_ms"]} ms</td><td class="n">{follower["age_ms"]} ms ago</td>'
        "</tr>"
    )


def _row(name: str, process: dict[str, Any]) -> str:
    age = process["heartbeat_age_ms"]
    beat = "–" if age < 0 else f"{age} ms"
    kind = "good" if process["state"] == "ready" else "bad"
    return (
        f'<tr><td>{html.escape(name)}</td><td class="{kind}">{html.escape(process["state"])}</td>'
        f'<td class="n">{process["pid"]}</td><td class="n">{process["restarts"]}</td>'
        f'<td class="n">{beat}</td><td>{html.escape(process["reason"])}</td></tr>'
    )
