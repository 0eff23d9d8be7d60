"""Who follows which prefixes, and so which topics."""

from collections import Counter


class Audience:
    """Clients by prefix. A topic's audience is worked out once, and again after each change."""

    def __init__(self) -> None:
        self._clients: dict[str, dict[int, None]] = {}  # by prefix
        self._lengths: Counter[int] = Counter()  # how many prefixes of which length
        self._known: dict[str, tuple[int, ...]] = {}  # by topic
        self._shared: dict[tuple[str, ...], tuple[int, ...]] = {}  # by the prefixes that fit

    @property
    def prefixes(self) -> tuple[str, ...]:
        return tuple(self._clients)

    def add(self, client: int, prefix: str) -> bool:
        """True if nobody has followed this prefix so far."""
        first = prefix not in self._clients
        if first:
            self._lengths[len(prefix)] += 1
        self._clients.setdefault(prefix, {})[client] = None
        self._forget()
        return first

    def remove(self, client: int, prefix: str) -> bool:
        """True if nobody follows this prefix any more."""
        clients = self._clients[prefix]
        del clients[client]
        if not clients:
            del self._clients[prefix]
            self._lengths[len(prefix)] -= 1
            self._lengths += Counter()  # without those that are at zero
        self._forget()
        return not clients

    def fitting(self, topic: str) -> tuple[str, ...]:
        """The prefixes under which a topic is. A space ends a topic, in a prefix as in a frame."""
        text = f"{topic} "
        found = (text[:length] for length in self._lengths if length <= len(text))
        return tuple(prefix for prefix in found if prefix in self._clients)

    def of(self, topic: str) -> tuple[int, ...]:
        """The clients that follow a topic, each once."""
        known = self._known.get(topic)
        if known is not None:
            return known
        prefixes = self.fitting(topic)
        clients = self._shared.get(prefixes)
        if clients is None:
            clients = tuple(dict.fromkeys(c for prefix in prefixes for c in self._clients[prefix]))
            self._shared[prefixes] = clients
        if clients:
            self._known[topic] = clients
        return clients

    def follow(self, prefix: str) -> tuple[int, ...]:
        """The clients that follow by this very prefix."""
        return tuple(self._clients.get(prefix, ()))

    def _forget(self) -> None:
        self._known.clear()
        self._shared.clear()
