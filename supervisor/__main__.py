"""python -m supervisor"""

from protocol.runtime.process import main
from supervisor.shell import serve

if __name__ == "__main__":
    main("supervisor", serve)
