"""One zip archive, or several that make up one set, read without unpacking them."""

import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from itertools import count
from pathlib import PurePosixPath, PureWindowsPath
from typing import IO, Any

from etils import epath

from trainer.data.sources import files
from trainer.system import gcs
from trainer.system.errors import UsageError

NESTED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
# What public sets put beside their archives.
DOCUMENTS = (
    *(".csv", ".tsv", ".txt", ".md", ".rst", ".pdf", ".html", ".htm", ".rtf", ".doc", ".docx"),
    *(
        ".xls",
        ".xlsx",
        ".json",
        ".xml",
        ".yaml",
        ".yml",
        ".bib",
        ".md5",
        ".sha1",
        ".sha256",
        ".ini",
    ),
)
DOCUMENT_NAMES = (
    "readme",
    "license",
    "licence",
    "citation",
    "notice",
    "changelog",
    "copying",
    "icon\r",
)
READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # others unpack without a bound
METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd"}
ENCRYPTED = 0x1
# Of the central directory (APPNOTE.TXT 4.3.12): how an entry begins, its size without what its
# lengths name, and the bit of its second byte of flags that says that its name is UTF-8.
DIRECTORY, ENTRY, UTF_8 = b"PK\x01\x02", 46, 0x08


class Archives:
    """The members of zip archives. With several, each archive's lie in a folder of its name.

    Members that could do harm or cannot be read are listed with a reason and never opened.
    """

    def __init__(self, name: str, paths: Sequence[epath.Path]):
        self.name = name
        self._paths = tuple(paths)
        self._opened: tuple[int, list[_Archive]] | None = None
        self.refused: dict[str, str] = {}
        self.stamps: dict[str, str] = {}
        self._members: dict[str, tuple[int, int]] = {}  # (archive, its place in the directory)
        for number, archive in enumerate(self._archives()):
            folder = f"{paths[number].stem}/" if len(paths) > 1 else ""
            self._list(number, archive, folder)
        self._refuse_closed()
        self.stamps = dict(sorted(self.stamps.items()))

    def __getstate__(self) -> dict:
        return vars(self) | {"_opened": None}

    def read(self, name: str) -> bytes:
        """Returns the file's bytes; see `Files`."""
        return files.within_limit(self.head(name, files.MAX_BYTES + 1), name)

    def head(self, name: str, size: int) -> bytes:
        """Returns the first `size` bytes of the file; see `Files`."""
        number, place = self._members[name]
        archive = self._archives()[number]
        try:
            with gcs.translate_errors(self.name), archive.open(archive.infolist()[place]) as member:
                return member.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as damage:
            raise OSError(f"damaged in the archive ({files.one_line(damage)})") from damage

    def content(self, name: str) -> str:
        """Returns the file's size and checksum; see `Files`."""
        return self.stamps[name]

    def _refuse_closed(self) -> None:
        """Raises a UsageError if no member but documents can be read, for one reason."""
        members = [n for n in self._members if not is_document(n.rpartition("/")[2])]
        reasons = {self.refused.get(name, "") for name in members or self._members}
        reason = reasons.pop() if len(reasons) == 1 else ""
        if reason == "encrypted":
            raise UsageError(
                f"--source={self.name} is encrypted: unpack it with its password and give the "
                "folder."
            )
        if reason.startswith("compressed"):
            raise UsageError(
                f"--source={self.name} holds files {reason}: unpack it and give the folder."
            )

    def _archives(self) -> list["_Archive"]:
        """Opens the archives in each process, as processes would share a file handle's position."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), [_opened(path) for path in self._paths]
        return self._opened[1]

    def _list(self, number: int, archive: "_Archive", folder: str) -> None:
        for place, member in enumerate(archive.infolist()):
            name = folder + member.filename.replace("\\", "/")
            if name.endswith("/") or not member.filename:
                continue
            reason = _refusal(member)
            if place in archive.misnamed:
                name = name.encode("cp437").decode(errors="backslashreplace")
                reason = "its name is marked as UTF-8 and is not"
            if name in self._members:
                name = f"{name} (occurrence at {place})"
                reason = "the archive has this name twice: the first is taken"
            if reason:
                self.refused[name] = reason
            self._members[name] = number, place
            self.stamps[name] = f"{member.file_size} {member.CRC}"


class _Archive(zipfile.ZipFile):
    """An archive that opens though some of its names are marked as UTF-8 and are not.

    Attributes:
      misnamed: the places of these in its directory; their names read as code page 437.
    """

    def __init__(self, file: IO[bytes]):
        self.misnamed: list[int] = []
        try:
            super().__init__(file)
        except UnicodeDecodeError:
            file.seek(0)
            super().__init__(_Unmarked(file, self.misnamed))
            self.fp = file


class _Unmarked:
    """A zip file in whose directory the mark of UTF-8 is taken from names that are not."""

    def __init__(self, file: IO[bytes], misnamed: list[int]):
        self._file, self._misnamed = file, misnamed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        data, start = bytearray(self._file.read(size)), 0
        for place in count():
            if len(data) < start + ENTRY or data[start : start + 4] != DIRECTORY:
                return bytes(data)
            lengths = struct.unpack_from("<3H", data, start + 28)  # of name, extra field, comment
            name = bytes(data[start + ENTRY : start + ENTRY + lengths[0]])
            if data[start + 9] & UTF_8 and not _is_utf_8(name):
                data[start + 9] &= ~UTF_8
                self._misnamed.append(place)
            start += ENTRY + sum(lengths)
        return bytes(data)


def only_archives(folder: epath.Path) -> list[epath.Path]:
    """Returns the zip archives in a folder without other files, or [].

    Documents, such as README or Thumbs.db, and hidden files do not count.
    """
    archives = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".zip":
            archives.append(path)
        elif not is_document(path.name):
            return []
    return archives


def is_document(file: str) -> bool:
    """Returns whether a file of this name tells about a set, or is one that computers leave."""
    stem, dot, suffix = file.lower().rpartition(".")
    return (
        file.startswith((".", "__MACOSX"))
        or dot + suffix in (*DOCUMENTS, ".db")
        or (stem or suffix).partition(".")[0] in DOCUMENT_NAMES
    )


def _opened(path: epath.Path) -> _Archive:
    file = gcs.open_seekable(path)
    try:
        return _Archive(file)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        file.seek(0)
        start = file.read(tarfile.BLOCKSIZE)
        file.close()
    if start.startswith(b"PK\x03\x04"):
        raise UsageError(f"{path} is damaged or incomplete: download it again.")
    if (
        start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"Rar!", b"7z\xbc\xaf"))
        or start[257:262] == b"ustar"
    ):
        raise UsageError(f"{path} is not a zip archive: unpack it first and give the folder.")
    raise UsageError(f"{path} is not a zip archive: give a .zip, a folder, a .csv or phantom:N.")


def _is_utf_8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refusal(member: zipfile.ZipInfo) -> str:
    """Returns why a member is never opened, or ""."""
    name = member.filename.replace("\\", "/")
    if "\0" in member.orig_filename:
        return "its name holds a NUL"
    if ".." in name.split("/"):
        return "its path leaves the archive"
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive:
        return "its path is absolute"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a symbolic link"
    if member.flag_bits & ENCRYPTED:
        return "encrypted"
    if name.lower().endswith(NESTED):
        return "an archive within the archive: unpack it first"
    if member.compress_type not in READABLE:
        method = METHODS.get(member.compress_type, f"method {member.compress_type}")
        return f"compressed with {method}, which is not read"
    if member.file_size > files.MAX_BYTES:
        return f"larger than {files.MAX_BYTES // 2**20} MiB"
    return ""
