"""The ground: what crosses a process boundary, and what it means."""
