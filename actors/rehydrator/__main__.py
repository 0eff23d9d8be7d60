"""python -m actors.rehydrator"""

from actors.rehydrator.shell import serve
from protocol.runtime.process import main

if __name__ == "__main__":
    main("rehydrator", serve)
