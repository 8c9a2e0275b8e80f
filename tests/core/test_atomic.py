import os
import subprocess
import sys
from contextlib import suppress

import pytest

from exomni.core.atomic import atomic_path, write_text
from exomni.core.errors import OutputError

FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from exomni.core.errors import OutputError
from exomni.core.atomic import write_text
try:
    write_text(sys.argv[1], "x" * 5000)
except OutputError:
    sys.exit(7)
"""


def test_a_file_appears_whole(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "one\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"one\n"
    assert os.listdir(tmp_path / "new") == ["a.txt"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with suppress(RuntimeError), atomic_path(tmp_path / "a.txt") as part:
        part.write_text("half")
        assert part.suffix == ".txt"
        assert part.parent == tmp_path
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_place_that_cannot_be_written(tmp_path):
    write_text(tmp_path / "file", "")
    for place in (tmp_path / "file" / "a.txt", "/proc/a.txt"):
        with pytest.raises(OutputError, match="cannot write"):
            write_text(place, "x")


def test_a_full_disk(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path / "a.txt")], check=False)
    assert done.returncode == 7
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
