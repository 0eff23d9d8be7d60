"""python -m actors.api"""

from actors.api.shell import serve
from protocol.runtime.process import main

if __name__ == "__main__":
    main("api", serve)
