"""`python -m actors.paper`: the paper exchange as a process."""

from actors.paper.shell import serve
from protocol.runtime.process import main

if __name__ == "__main__":
    main("paper", serve)
