"""A small disk of our own: a tmpfs in a mount namespace that only a few processes see."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


class Unmountable(Exception):
    """This machine lets us mount nothing; the text says why."""


class Island:
    """A namespace, held by one process, where something else is mounted on a folder."""

    def __init__(self, folder: str, holder: "subprocess.Popen[str]") -> None:
        self._folder = folder
        self._holder = holder
        self.within = ["nsenter", "-m", "-w", "-t", str(holder.pid)]  # before a command

    def remount(self, options: str) -> None:
        """Mount it again with other options: another size, or read-only."""
        command = [*self.within, "mount", "-o", f"remount,{options}", self._folder]
        subprocess.run(command, check=True)

    def rescue(self, target: str) -> None:
        """Copy what is on the island to where everyone sees it."""
        shutil.copytree(f"/proc/{self._holder.pid}/root{self._folder}", target)


@contextmanager
def island(folder: str, options: str) -> Iterator[Island]:
    """Mount a tmpfs on a folder until the end of the block. Raises Unmountable."""
    mount = f"mount -t tmpfs -o mode=700,{options} none {folder} && echo mounted && exec cat"
    command = ["unshare", "-m", "sh", "-c", mount]
    pipe = subprocess.PIPE
    try:
        holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    except FileNotFoundError as e:
        raise Unmountable("unshare is not installed") from e
    assert holder.stdout is not None
    mounted = holder.stdout.readline() == "mounted\n"
    try:
        if mounted:
            yield Island(folder, holder)
    finally:
        _, why = holder.communicate()  # it ends with its input
    if not mounted:
        raise Unmountable(why.strip())
