"""The status page: HTML without JavaScript, and the JSON beside it."""

import html
from typing import Any

from protocol.latch import moment
from supervisor.books import summary
from supervisor.followers import trouble

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

_STYLE = """
:root { color-scheme: light dark; --line: #8883; --soft: #888; --good: #15803d; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --good: #4ade80; --bad: #f87171; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  font-variant-numeric: tabular-nums; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 0; }
h1 { font-size: 1.5rem; margin: 0; } h1 span { color: var(--soft); font-weight: 400; }
.good { color: var(--good); } .bad { color: var(--bad); }
ul { padding: 0; list-style: none; margin: .5rem 0 1.5rem; }
.flags { display: flex; flex-wrap: wrap; gap: .5rem; }
.flags li { border: 1px solid var(--line); border-radius: .5rem; padding: .15rem .6rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; } .n { text-align: right; }
footer { color: var(--soft); margin-top: 1.5rem; }
"""


def render(status: dict[str, Any]) -> str:
    """The page for one state of `/status.json`. Everything from outside is escaped."""
    verdict = (
        '<span class="good">healthy</span>'
        if status["healthy"]
        else '<span class="bad">not healthy</span>'
    )
    said = list(status["reasons"])
    if status["processes"].get("gateway", {}).get("counters", {}).get("restore_unconfirmed"):
        said.append("a restore waits for you: sidecar confirm-restore")
    said += armed(status["processes"])
    hold = status["processes"].get("gateway", {}).get("counters", {}).get("hold_ms", 0)
    if hold:
        said.append(f"creates are held for {-(-hold // 1000)} s more, after a cancel-all")
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in said)
    flags = "".join(
        f'<li class="{"good" if on else "bad"}">{"✓" if on else "✗"} {html.escape(flag)}</li>'
        for flag, on in status["flags"].items()
    )
    rows = "".join(_row(name, process) for name, process in status["processes"].items())
    gate = "good" if status["gate"] == "open" else "bad"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{"✓" if status["healthy"] else "✗"} kalshi-sidecar</title><style>{_STYLE}</style></head>
<body><h1>kalshi-sidecar <span>{html.escape(status["profile"])}</span> · {verdict}
<span>· gate</span> <span class="{gate}">{html.escape(status["gate"])}</span></h1>
<ul class="bad">{reasons}</ul><ul class="flags">{flags}</ul>
<table><thead><tr><th>process</th><th>state</th><th class="n">pid</th><th class="n">restarts</th>
<th class="n">heartbeat</th><th>reason</th></tr></thead><tbody>{rows}</tbody></table>
<p>{html.escape(summary(status["processes"]))}</p>
{_followers(status["followers"])}
<footer>As of {html.escape(status["as_of"])} · <code>/status.json</code> · <code>/readyz</code>
</footer></body></html>
"""


def armed(processes: dict[str, Any]) -> list[str]:
    """A line if orders leave for the real exchange: until when."""
    until = processes.get("gateway", {}).get("counters", {}).get("armed_until", 0)
    return [f"live is armed until {moment(until * 1_000_000)}"] if until else []


def _followers(followers: dict[str, Any]) -> str:
    """Programs that say how they follow; nothing while there are none."""
    if not followers:
        return ""
    rows = "".join(_follower(name, follower) for name, follower in followers.items())
    return f"""<h2>Followers</h2>
<table><thead><tr><th>program</th><th>state</th><th class="n">follows</th><th class="n">lost</th>
<th class="n">gaps</th><th class="n">lag</th><th class="n">said</th></tr></thead>
<tbody>{rows}</tbody></table>"""


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
