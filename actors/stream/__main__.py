"""python -m actors.stream"""

from actors.stream.shell import serve
from protocol.runtime.process import main

if __name__ == "__main__":
    main("stream", serve)
