"""Two kinds of wrong, and one for settings.

ProtocolError
├── LocalProtocolError    we broke the rules: a bug of ours, let it crash
├── RemoteProtocolError   they did: count it at the boundary, carry on
└── ConfigError           the operator did: say it in one line, exit 78
"""


class ProtocolError(Exception):
    """Never raised itself; what the three kinds have in common."""


class LocalProtocolError(ProtocolError):
    """Our own code broke a rule of the protocol. Starting again is the way out."""


class RemoteProtocolError(ProtocolError):
    """Something from outside is not what it should be; the text says what and where."""


class ConfigError(ProtocolError):
    """A setting is wrong. The text is one line that names the setting and its place."""
