"""What was tightened of the brakes while the engine ran, in the `var` folder."""

import os
from typing import Final

import msgspec

from protocol.brakes import UNSAID, Brakes, limits
from protocol.errors import ConfigError
from protocol.limits import PRIVATE_BYTES_MAX
from protocol.runtime.process import replace_file
from protocol.units import decode_unit, encode_unit

NAME: Final = "brakes.json"

_encode = msgspec.json.Encoder(enc_hook=encode_unit).encode
_decode = msgspec.json.Decoder(Brakes, dec_hook=decode_unit).decode


class LimitsFile:
    """Whole or not at all, and read back before anything may be sent."""

    def __init__(self, var_dir: str) -> None:
        self.path = os.path.join(var_dir, NAME)

    def read(self) -> Brakes:
        """What was tightened; nothing, if there is no file. Raises ConfigError if it is damaged."""
        try:
            with open(self.path, "rb") as file:
                kept = _decode(file.read(PRIVATE_BYTES_MAX))
            limits(kept, False, self.path)
        except FileNotFoundError:
            return UNSAID
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, ConfigError) as e:
            text = "remove it, and the settings alone count (docs/RISK.md)"
            raise ConfigError(f"{self.path}: {e}: {text}") from None
        return kept

    def write(self, kept: Brakes) -> str:
        """Make it last. Returns why it could not be, "" if it is."""
        try:
            replace_file(self.path, _encode(kept))
        except OSError as e:
            return f"{self.path}: {e.strerror}"
        return ""
