"""python -m actors.gateway"""

from actors.gateway.shell import serve
from protocol.runtime.process import main

if __name__ == "__main__":
    main("gateway", serve)
