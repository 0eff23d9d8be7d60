"""One line about all books, out of what the stream counts: for the page and the command."""

from typing import Any


def summary(processes: dict[str, Any]) -> str:
    """How many books are right, and how far that has been looked at; "" if nobody has counted."""
    counted = processes.get("stream", {}).get("counters", {})
    if "books_live" not in counted:
        return ""
    right = f"{counted['books_live'] - counted.get('books_stale', 0)} live"
    wrong = [
        f"{counted[key]} {word}"
        for key, word in (
            ("books_stale", "stale"),
            ("books_lost", "lost"),
            ("books_awaited", "awaited"),
            ("quarantined", "in quarantine"),
            ("markets_left_out", "markets left out"),
        )
        if counted.get(key)
    ]
    audited = f"{counted.get('books_audited', 0)} the same as the exchange's listing just now"
    return f"books: {', '.join([right, *wrong])}; {audited}"
