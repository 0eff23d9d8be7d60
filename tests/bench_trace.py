"""Chromium's own trace of one page, read: its frames, and what its main thread did.

Times in a trace are of the monotonic clock, in microseconds: the same that we read.
"""

import json
from collections import Counter, defaultdict
from enum import Enum
from typing import Any, Final, NamedTuple

# Only these: with all of `cc` and `benchmark`, writing the trace is work that shows in the numbers.
CATEGORIES: Final = (
    "-*",
    "devtools.timeline",
    "disabled-by-default-devtools.timeline",
    "disabled-by-default-devtools.timeline.frame",
)
PROFILED: Final = (*CATEGORIES, "disabled-by-default-v8.cpu_profiler")
VSYNC_MS: Final = 1_000 / 60
JITTER_MS: Final = 1.0  # a tick that comes so much late is no missed one

KINDS: Final = {
    "script": (
        "AnimationFrame::Script::Execute", "EvaluateScript", "EventDispatch", "FireAnimationFrame",
        "FunctionCall", "MajorGC", "MinorGC", "RunMicrotasks", "TimerFire",
    ),
    "style and layout": ("HitTest", "Layout", "ScheduleStyleRecalculation", "UpdateLayoutTree"),
    "paint": ("Commit", "CullRectUpdate", "Layerize", "Paint", "PrePaint", "UpdateLayer"),
}  # fmt: skip
KIND_OF: Final = {name: kind for kind, names in KINDS.items() for name in names}


class Outcome(Enum):
    """What became of one tick of the display, 60 of which make a second."""

    SHOWN = "a frame with all that the main thread had to show was presented"
    STILL = "the main thread ran its frame, and nothing on the page had changed"
    MISSED = "the main thread's work was not ready, or was thrown away"


class Frame(NamedTuple):
    """`at`: when the display ticked, in ms."""

    at: float
    outcome: Outcome


class Work(NamedTuple):
    """What a main thread did, in shares of the time: on the clock, and of a processor.

    The first holds the second, and the waiting for a processor that others have. `kinds` are of
    a processor.
    """

    busy: float
    processor: float
    kinds: dict[str, float]


class Trace:
    """The trace between two moments. Raises ValueError where it is of no page."""

    def __init__(self, raw: bytes, since_us: int, until_us: int) -> None:
        events: list[dict[str, Any]] = json.loads(raw)["traceEvents"]
        started = [e for e in events if e["name"] == "TracingStartedInBrowser"]
        if not started:
            raise ValueError("the trace does not say which page it is of")
        self.pid: int = started[0]["args"]["data"]["frames"][0]["processId"]
        self.seconds = (until_us - since_us) / 1e6
        self._since, self._until = since_us, until_us
        self._all = [e for e in events if e["pid"] == self.pid]
        self._events = [e for e in self._all if since_us <= e["ts"] < until_us]

    def count(self, name: str) -> int:
        """How many events of this name there are."""
        return sum(e["name"] == name for e in self._events)

    def frames(self) -> list[Frame]:
        """Each tick of the display that the page was told of, and what became of it.

        `PipelineReporter` is the browser's word on every BeginFrame, from the tick to the moment
        when it is on the screen: the only event that tells a presented frame from a dropped one,
        and a dropped one from one that had nothing to show. `Display::DrawAndSwap` counts only
        what was drawn, for all pages together, and a callback of requestAnimationFrame says
        nothing about whether its frame was ever shown.

        A frame is forked where the compositor could not wait for the main thread: then one part
        is PRESENTED_PARTIAL or DROPPED, and the other says what became of the main thread's work.
        The page moves nothing by the compositor alone, so PRESENTED_PARTIAL shows what stood
        there before, and PRESENTED_ALL in any part is what the trader sees.
        """
        ticks: dict[tuple[int, int], float] = {}
        states: dict[tuple[int, int], set[str]] = defaultdict(set)
        for event in self._events:
            if event["name"] != "PipelineReporter" or event["ph"] != "b":
                continue
            told = event["args"]["frame_reporter"]
            id = (told["frame_source"], told["frame_sequence"])
            ticks[id] = min(ticks.get(id, event["ts"]), event["ts"])
            states[id].add(told["state"].removeprefix("STATE_"))
        found = [Frame(at / 1e3, _outcome(states[id])) for id, at in ticks.items()]
        return sorted(found, key=lambda frame: frame.at)

    def work(self) -> Work:
        """What the main thread did; of nested events each counts only what is its own."""
        kinds: Counter[str] = Counter()
        for name, spent_ms in self.spans().items():
            kinds[KIND_OF.get(name, "the browser's own")] += spent_ms
        whole_ms = self.seconds * 1e3
        busy_ms = sum(e["dur"] for e in self._on_main() if e["name"] == "RunTask") / 1e3
        shares = {kind: spent_ms / whole_ms for kind, spent_ms in kinds.most_common()}
        return Work(busy_ms / whole_ms, sum(shares.values()), shares)

    def spans(self) -> Counter[str]:
        """Milliseconds of a processor by the name of what the main thread did, each its own."""
        found: Counter[str] = Counter()
        inside: list[dict[str, Any]] = []
        for event in self._on_main():
            while inside and event["ts"] >= inside[-1]["ts"] + inside[-1]["dur"]:
                inside.pop()
            spent_ms = event.get("tdur", 0) / 1e3
            found[event["name"]] += spent_ms
            if inside:
                found[inside[-1]["name"]] -= spent_ms
            inside.append(event)
        return found

    def _on_main(self) -> list[dict[str, Any]]:
        [main] = {
            e["tid"]
            for e in self._all
            if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"
        }
        spans = [e for e in self._events if e["ph"] == "X" and e["tid"] == main]
        return sorted(spans, key=lambda e: (e["ts"], -e["dur"]))

    def functions(self) -> Counter[str]:
        """Milliseconds in each function of the page's scripts and all that it called.

        Only of a trace that was made with PROFILED.
        """
        frames: dict[int, tuple[str, int | None]] = {}
        samples: list[tuple[int, int]] = []
        at = 0
        for event in sorted(self._all, key=lambda e: int(e["ts"])):
            if event["name"] == "Profile":
                at = event["args"]["data"]["startTime"]
            if event["name"] != "ProfileChunk":
                continue
            data = event["args"]["data"]
            profile = data.get("cpuProfile", {})
            for node in profile.get("nodes", []):
                frames[node["id"]] = (_named(node["callFrame"]), node.get("parent"))
            for id, passed in zip(
                profile.get("samples", []), data.get("timeDeltas", []), strict=True
            ):
                at += passed
                samples.append((at, id))
        found: Counter[str] = Counter()
        for (begun, id), (ended, _) in zip(samples, samples[1:], strict=False):
            if not self._since <= begun < self._until:
                continue
            named: set[str] = set()
            up: int | None = id
            while up is not None:
                name, up = frames[up]
                named.add(name)
            for name in named - {""}:
                found[name] += ended - begun
        return Counter({name: spent / 1e3 for name, spent in found.items()})


def _outcome(states: set[str]) -> Outcome:
    if "PRESENTED_ALL" in states:
        return Outcome.SHOWN
    if "NO_UPDATE_DESIRED" in states:
        return Outcome.STILL
    assert states <= {"DROPPED", "PRESENTED_PARTIAL"}, states
    return Outcome.MISSED


def _named(frame: dict[str, Any]) -> str:
    """A function by its name and where it stands; "" for what is in no file."""
    if "/page/" not in frame.get("url", ""):
        return ""
    line = frame.get("lineNumber", -1) + 1
    return f"{frame['functionName'] or '(anonymous)'} {frame['url'].rpartition('/')[2]}:{line}"


def frame_times(frames: list[Frame]) -> list[float]:
    """From one tick that was met to the next that was, in ms: 16.7 where none was missed."""
    met = [frame.at for frame in frames if frame.outcome is not Outcome.MISSED]
    return [after - before for before, after in zip(met, met[1:], strict=False)]


def late(times: list[float]) -> float:
    """The share of frames, in percent, that took longer than one tick of the display."""
    return 100 * sum(time > VSYNC_MS + JITTER_MS for time in times) / max(len(times), 1)
