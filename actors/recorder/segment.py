"""The segment that is being written: what its index will say."""

from msgspec import Struct

from protocol.recording import Block, Head, Index

INDEX_BYTES = 512  # of an index without its blocks, generously
INDEX_BYTES_A_BLOCK = 160


class Counts(Struct):
    """What some lines hold. The times are of frames."""

    frames: int = 0
    holes: int = 0
    first_at: int = 0
    last_at: int = 0


class Segment:
    """Counts what goes in, block by block."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.size = 0
        self.blocks: list[Block] = []
        self.waiting = Counts()  # in lines that are not handed over yet
        self._leaving = Counts()  # in the block that is being written

    @property
    def taken(self) -> int:
        """Bytes on disk, once the index is there, too."""
        return self.size + INDEX_BYTES + INDEX_BYTES_A_BLOCK * (len(self.blocks) + 1)

    def note(self, frame_at: int, hole: bool) -> None:
        """A line more: of a frame that came then, of a hole, or (0, False) of neither."""
        counts = self.waiting
        counts.holes += hole
        if frame_at:
            counts.frames += 1
            counts.first_at = counts.first_at or frame_at
            counts.last_at = max(counts.last_at, frame_at)

    def close_block(self) -> None:
        """The lines so far go to the disk."""
        self._leaving, self.waiting = self.waiting, Counts()

    def written(self, size: int) -> None:
        """They are there, as so many bytes."""
        c = self._leaving
        self.blocks.append(Block(self.size, size, c.frames, c.holes, c.first_at, c.last_at))
        self.size += size

    def index(self) -> Index:
        """What the whole holds; whoever has the file adds its checksum."""
        firsts = [block.first_at for block in self.blocks if block.first_at]
        return Index(
            self.head,
            self.size,
            "",
            sum(block.frames for block in self.blocks),
            sum(block.holes for block in self.blocks),
            firsts[0] if firsts else 0,
            max((block.last_at for block in self.blocks), default=0),
            tuple(self.blocks),
        )
