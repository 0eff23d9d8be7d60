"""Faults put into a running process from outside: strace kills or fails one of its syscalls.

strace counts each syscall and each thread for itself, from the moment it is attached.
"""

import ctypes
import subprocess
from collections.abc import Sequence

PR_SET_PTRACER = 0x59616D61
ANYBODY = -1


class Untraceable(Exception):
    """This machine lets nobody trace a process; the text says why."""


def allow() -> None:
    """Let a process that is no parent of ours trace us, where Yama would not."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)


def attach(pid: int, log: str, calls: Sequence[str], fault: str) -> "subprocess.Popen[str]":
    """Do `fault` to the syscalls of a process, and log them. It ends with the process.

    Raises Untraceable.
    """
    watched = ",".join(calls)
    command = ["strace", "-f", "-o", log, "-e", f"trace={watched}"]
    command += ["-e", f"inject={watched}:{fault}", "-p", str(pid)]
    try:
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError as e:
        raise Untraceable("strace is not installed") from e
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    if "attached" not in line:
        tracer.wait()
        tracer.stderr.close()
        raise Untraceable(line.strip())
    return tracer


def detach(tracer: "subprocess.Popen[str]") -> None:
    """Wait for the end of a tracer whose process has ended."""
    tracer.communicate()
