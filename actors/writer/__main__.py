"""python -m actors.writer"""

from actors.writer.shell import serve
from protocol.runtime.process import main

if __name__ == "__main__":
    main("writer", serve)
