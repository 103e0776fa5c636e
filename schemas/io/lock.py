"""A lock on a folder of this machine: one process at a time works there."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from invdpo.schemas.errors import ConfigError, WorkspaceError
from invdpo.schemas.io.files import disk_errors
from invdpo.schemas.io.home import expand_path

LOCKLESS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What disks answer that know no locks, such as some network drives."""

log = logging.getLogger("invdpo.lock")


class FolderLock:
    """Entered by one process, and one thread of it, at a time; free as soon as its holder ends.

    May be nested. Making one touches nothing; leaving it removes a folder that it made and that is
    still empty. Entering raises `WorkspaceError` when another process holds it, or when the disk
    refuses.
    """

    def __init__(
        self,
        folder: Path,
        work: str = "writing there",
        *,
        other: str = "folder",
        beside: bool = False,
        signs: Collection[str] = (),
    ) -> None:
        """`work` is what its holder does, in words, and `other` what someone refused could use.

        With `beside` the lock is beside the folder, which may then be replaced entirely. With
        `signs`, paths of which a folder of this work has one, a folder that holds other files and
        none of them is refused with a `WorkspaceError` on entering.

        Raises `ConfigError` when `~` was not expanded: whoever tidies up after it could lose all.
        """
        if (at_home := expand_path(folder)) != folder:
            raise ConfigError(f"{folder}: ~ was not expanded. Give {at_home}.")
        self.folder, self.work, self.other, self.signs = folder, work, other, signs
        folder = folder.resolve() if beside else folder
        path = folder.with_name(f".{folder.name}.lock") if beside else folder / ".lock"
        self._holder = path.with_name(f"{path.name}.pid")
        self._lock, self._made = FileLock(path, timeout=0, is_singleton=True), False

    def __enter__(self) -> None:
        with disk_errors(self.folder):
            self._refuse_other_things()
            self._made = not self._holder.parent.exists()
            self._holder.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout:
                raise in_use(self.folder, self._held_by(), self.work, self.other) from None
            except OSError as error:
                if error.errno not in LOCKLESS:
                    raise
                log.warning(
                    f"{self.folder}: its disk does not support locks: run only one command at a "
                    "time in it."
                )
                return
            try:
                self._holder.write_text(str(os.getpid()))
            except OSError:
                self._lock.release()
                raise

    def __exit__(self, *_: object) -> None:
        if self._lock.lock_counter == 1:
            for path in (self._holder, Path(self._lock.lock_file)):
                with suppress(OSError):  # where open files can't be removed
                    path.unlink()
            if self._made:
                with suppress(OSError):  # there is something in it
                    self._holder.parent.rmdir()
        self._lock.release()

    def _refuse_other_things(self) -> None:
        if not self.signs or not self.folder.is_dir():
            return
        names = sorted(entry.name for entry in self.folder.iterdir() if entry.name[0] != ".")
        if names and not any((self.folder / sign).exists() for sign in self.signs):
            text = f"{self.folder}: holds other files, such as {names[0]}, so nothing is written"
            raise WorkspaceError(f"{text} there. Give a new folder.")

    def _held_by(self) -> str:
        """Who holds the lock; it may not have written its number yet."""
        try:
            number = self._holder.read_bytes()[:20]
        except OSError:
            number = b""
        return f"process {number.decode()}" if number.isdigit() else "another process"


def in_use(folder: Path, holder: str, work: str, other: str) -> WorkspaceError:
    """The error for who comes second."""
    advice = f"Wait until it ends, stop it, or use another {other}."
    return WorkspaceError(f"{folder}: {holder} is {work}. {advice}")
