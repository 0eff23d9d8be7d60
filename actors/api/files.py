"""The files of the page at `/`: read once, at the start, and given to everybody.

They hold nothing secret. What the page may load and do is said with each of them: its own files,
its own API, and nothing else. No style and no script stands in the HTML.
"""

from importlib.resources import files
from typing import Final

from protocol.http import Answer

KINDS: Final = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
    "txt": b"text/plain; charset=utf-8",
}
POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HARDENED: Final = (
    (b"cache-control", b"no-cache"),  # a browser asks again: the engine may be a newer one
    (b"content-security-policy", POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


def _file(name: str, content: bytes) -> Answer:
    kind = KINDS[name.rpartition(".")[2]]
    headers = [*HARDENED, (b"content-type", kind), (b"content-length", b"%d" % len(content))]
    return Answer(200, headers, content)


def _page() -> dict[str, Answer]:
    """By path: the page itself at `/`, what it loads under `/page/`."""
    shared = files("protocol").joinpath("look.css")
    listed = [*files("actors.api").joinpath("page").iterdir(), shared]
    found = {f.name: f.read_bytes() for f in listed if f.name.rpartition(".")[2] in KINDS}
    paths = {"index.html": "/"}
    return {paths.get(n, f"/page/{n}"): _file(n, content) for n, content in found.items()}


PAGE: Final = _page()
