"""Which files of a source are images: by their suffix, or else by their first bytes."""

from collections.abc import Collection, Sequence

from etils import epy

from trainer.data.sources import dicom_folder
from trainer.data.sources.archive import is_document
from trainer.data.sources.files import Files
from trainer.system import threads

with epy.lazy_imports():  # pydicom
    from trainer.data.decode import dicom

SUFFIXES = (
    *(".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"),
    *(".jp2", ".j2k", ".pgm", ".pnm"),
    *dicom_folder.SUFFIXES,
)
FIRST_BYTES = (
    *(b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"BM", b"GIF8", b"RIFF", b"P2", b"P5"),
    *(b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
)
THREADS = 16  # they mostly wait for the disk or the bucket


def has_suffix(name: str) -> bool:
    """Returns whether a file's name ends as an image's does."""
    return name.lower().endswith(SUFFIXES)


def among(names: Sequence[str], content: Files) -> Collection[str]:
    """Returns the names of images; only files of an unknown kind are opened."""
    unknown = [n for n in names if not has_suffix(n) and not is_document(n.rpartition("/")[2])]
    heads = threads.map_in_order(lambda name: _head(content, name), unknown, threads=THREADS)
    images = {name for name, head in zip(unknown, heads, strict=True) if _is_image(head)}
    return images | {name for name in names if has_suffix(name)}


def kind(name: str) -> str:
    """Returns what a file that is no image is called, with its suffix."""
    file = name.rpartition("/")[2]
    _, dot, suffix = file.rpartition(".")
    return f"no images (*.{suffix.lower()})" if dot and suffix.isalnum() else "no images"


def _head(content: Files, name: str) -> bytes:
    try:
        return content.head(name, dicom_folder.MAGIC_BYTES)
    except OSError:
        return b""


def _is_image(head: bytes) -> bool:
    return head.startswith(FIRST_BYTES) or dicom.is_dicom(head)
