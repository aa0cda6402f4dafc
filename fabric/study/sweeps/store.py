"""Where the answers of a sweep are kept: one SQLite file, that several runs may share.

An answer has the hash of its question, so that two runs that answer the same write the same; the first stays.
SQLite keeps a file sound whatever is killed (https://www.sqlite.org/atomiccommit.html).
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from fabric.errors import FileError

APPLICATION = 0x66616273
"""Of the header of our files, ``fabs``."""
FORM = 1
"""Of the table; another one is another form of file."""
PATIENCE_S, EVERY_S = 60.0, 0.2
"""How long another run is waited for, and how much work a killed run may lose."""


class Store:
    """Answers by the hash of their question.

    Parameters
    ----------
    path : str or Path
        Empty for one that is gone afterwards.

    Raises
    ------
    FileError
        If it is no such file, or cannot be written.
    """

    def __init__(self, path: str | Path = "") -> None:
        self._folder = None if path else tempfile.TemporaryDirectory(prefix="fabtopo-")
        self._path = Path(path) if self._folder is None else Path(self._folder.name) / "answers.sqlite"
        self._unsaved: list[tuple[str, str]] = []
        self._saved_at, self._has_saved = time.monotonic(), False
        try:
            self._file = sqlite3.connect(self._path, timeout=PATIENCE_S, isolation_level=None)
        except sqlite3.Error as error:
            raise self._fault(error) from None
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        try:
            self._file.execute("BEGIN IMMEDIATE")
            is_ours = self._pragma("application_id") == APPLICATION
            is_new = not self._file.execute("SELECT 1 FROM sqlite_master").fetchone()
            if is_new:
                self._file.execute(f"PRAGMA application_id = {APPLICATION}")
                self._file.execute(
                    "CREATE TABLE answers (question TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID"
                )
            elif not is_ours or self._pragma("user_version") != FORM:
                raise FileError(
                    str(self._path), "is no store of answers of this fabtopo", "name another file"
                )
            # A file that may only be read is told by a write alone.
            self._file.execute(f"PRAGMA user_version = {FORM}")
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._fault(error) from None

    def _pragma(self, name: str) -> int:
        return int(self._file.execute(f"PRAGMA {name}").fetchone()[0])

    def _fault(self, error: sqlite3.Error) -> FileError:
        """Return what went wrong, as everyone says it of files."""
        todo = "what was answered before is kept" if self._has_saved else "name another file"
        return FileError(str(self._path), f"cannot be used as a store: {error}", todo)

    def unknown(self, questions: Sequence[str]) -> set[str]:
        """Return which of some questions have no answer yet."""
        marks = ",".join("?" * len(questions))
        query = f"SELECT question FROM answers WHERE question IN ({marks})"  # noqa: S608 - marks alone
        found = {row[0] for row in self._read(query, list(questions))}
        return set(questions) - found - {question for question, _ in self._unsaved}

    def answer(self, question: str) -> str:
        """Return the answer of a question that has one."""
        rows = self._read("SELECT answer FROM answers WHERE question = ?", [question])
        if not rows:
            raise FileError(str(self._path), f"has lost the answer of {question[:12]}", "run it again")
        return str(rows[0][0])

    def _read(self, query: str, values: list[str]) -> list[tuple[str, ...]]:
        try:
            return list(self._file.execute(query, values))
        except sqlite3.Error as error:
            raise self._fault(error) from None

    def keep(self, question: str, answer: str) -> None:
        """Keep an answer; several are written at once, at most `EVERY_S` after the first of them."""
        self._unsaved.append((question, answer))
        if time.monotonic() - self._saved_at >= EVERY_S:
            self.save()

    def save(self) -> None:
        """Write what is not written yet."""
        if self._unsaved:
            try:
                self._file.execute("BEGIN IMMEDIATE")
                self._file.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", self._unsaved)
                self._file.execute("COMMIT")
            except sqlite3.Error as error:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                self._unsaved.clear()
                raise self._fault(error) from None
            self._has_saved = True
            self._unsaved.clear()
        self._saved_at = time.monotonic()

    def __enter__(self) -> Self:
        """Return the store; it is closed at the end, whatever happens."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left and close the file."""
        try:
            self.save()
        finally:
            self._file.close()
            if self._folder is not None:
                self._folder.cleanup()
