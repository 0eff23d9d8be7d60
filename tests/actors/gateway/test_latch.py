"""The halt latch on a real disk: no way loses a halt."""

import errno
import os
from pathlib import Path

import pytest

from actors.gateway.halt import HaltSaved, LatchSeen, SaveHalt
from actors.gateway.latch import LatchKeeper
from protocol.latch import NO_LATCH, Latch, decode_latch, encode_latch
from protocol.runtime.latch import LatchFile, Overtaken

STOP = Latch(True, "stop", 5, 9, True)


@pytest.fixture
def file(tmp_path: Path) -> LatchFile:
    return LatchFile(str(tmp_path))


def test_what_is_written_is_read_and_lifted(file: LatchFile, tmp_path: Path) -> None:
    assert (file.read(), file.stopped()) == (NO_LATCH, "")
    assert file.write(STOP) == STOP
    assert (file.read(), file.stopped()) == (STOP, "stop")
    assert file.lift(NO_LATCH, STOP) == NO_LATCH
    assert list(tmp_path.iterdir()) == []


def test_a_hold_outlives_the_resume(file: LatchFile, tmp_path: Path) -> None:
    file.write(STOP)
    held = Latch(False, "over", 7, 9)
    assert file.lift(held, STOP) == held
    assert (file.read(), file.stopped()) == (held, "")
    assert [p.name for p in tmp_path.iterdir()] == ["halt"]
    assert file.write(STOP, held) == STOP


def test_the_latch_of_an_older_version_is_a_halt(file: LatchFile) -> None:
    Path(file.path).write_text('{"reason": "lunch", "at": 5}')
    assert file.read() == Latch(True, "lunch", 5)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"\xff", b'{"halted": 0}', b'{"reason": null}', b'{"at": "x"}']
)
def test_a_latch_that_can_not_be_read_is_a_halt_and_can_be_lifted(
    file: LatchFile, raw: bytes
) -> None:
    Path(file.path).write_bytes(raw)
    found = file.read()
    assert found.halted
    assert found.reason.startswith(f"{file.path} can't be read: ")
    assert file.lift(NO_LATCH, found) == NO_LATCH


def test_a_latch_that_not_even_root_can_open_is_a_halt(file: LatchFile) -> None:
    os.symlink(file.path, file.path)
    assert file.stopped() == f"{file.path} can't be read: {os.strerror(errno.ELOOP)}"


def test_an_empty_object_is_a_halt(file: LatchFile) -> None:
    Path(file.path).write_text("{}")
    assert file.stopped() == "halted"


def test_whoever_halts_during_a_resume_has_the_last_word(file: LatchFile) -> None:
    file.write(Latch(True, "fire", 8))
    with pytest.raises(Overtaken):
        file.lift(NO_LATCH, STOP)
    assert file.read() == Latch(True, "fire", 8)


def test_a_halt_written_while_the_old_one_is_taken_away_stays(
    file: LatchFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write(STOP)
    rename = os.rename

    def rename_then_halt(source: str, target: str) -> None:
        rename(source, target)
        file.write(Latch(True, "fire", 8))

    monkeypatch.setattr(os, "rename", rename_then_halt)
    with pytest.raises(Overtaken):
        file.lift(Latch(False, "over", 7, 9), STOP)
    assert file.read() == Latch(True, "fire", 8)


def test_a_resume_that_a_crash_interrupts_leaves_the_halt(file: LatchFile) -> None:
    file.write(STOP)
    os.rename(file.path, f"{file.path}.lifting")
    assert file.read() == STOP
    assert file.lift(NO_LATCH, STOP) == NO_LATCH
    assert file.read() == NO_LATCH


def test_what_another_process_wrote_of_hold_and_panic_is_kept(file: LatchFile) -> None:
    file.write(Latch(True, "by hand", 5, 99, True))
    assert file.write(Latch(True, "stop", 6, 9), over=NO_LATCH) == Latch(True, "stop", 6, 99, True)
    over = file.read()
    assert file.write(Latch(True, "stop", 6, 9), over) == Latch(True, "stop", 6, 9)


def test_the_keeper_tells_what_others_wrote_and_not_what_it_wrote(file: LatchFile) -> None:
    keeper = LatchKeeper(file)
    saved = keeper.save(SaveHalt(STOP, NO_LATCH))
    assert isinstance(saved, HaltSaved)
    assert (saved.latch, saved.problem) == (STOP, "")
    assert keeper.look() is None
    file.write(Latch(True, "fire", 8))
    seen = keeper.look()
    assert isinstance(seen, LatchSeen)
    assert seen.latch == Latch(True, "fire", 8)
    assert keeper.look() is None
    refused = keeper.save(SaveHalt(NO_LATCH, STOP))
    assert isinstance(refused, HaltSaved)
    assert (refused.latch.reason, refused.problem != "") == ("fire", True)


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    keeper = LatchKeeper(LatchFile(str(tmp_path / "gone")))
    saved = keeper.save(SaveHalt(STOP, NO_LATCH))
    assert isinstance(saved, HaltSaved)
    assert saved.problem.endswith("halt: No such file or directory")
    assert saved.latch == NO_LATCH


def test_what_is_encoded_is_decoded() -> None:
    assert decode_latch(encode_latch(STOP)) == STOP
