"""The files of a multipart request, in memory alone."""

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from trainer.serve.refusal import Refusal, invalid

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "file"
MOST_PARTS = 256
MOST_HEADER = 2**14  # bytes of a line, which has a file's name
HOW = f"send multipart/form-data with parts named {FIELD}, as curl -F {FIELD}=@NAME does"


class Part(NamedTuple):
    """A file as it was sent.

    Attributes:
      name: that its client gave it.
      data: its bytes.
    """

    name: str
    data: bytes


def read_files(content_type: str, body: bytes, *, most: int) -> list[Part]:
    """Returns the files of a request in order.

    Args:
      content_type: header of the request.
      body: of the request.
      most: files that are allowed.

    Raises:
      Refusal: 415, it is no multipart request; 400, it is damaged or has no files; 413, too many.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The request is no form: {HOW}.")
    collector = _Collector()
    try:
        parser = MultipartParser(
            options[b"boundary"], collector.callbacks(), max_header_size=MOST_HEADER
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise invalid(f"The form is damaged, or a name in it is too long: {HOW}.") from error
    if not collector.complete:
        raise invalid(f"The form is cut off: {HOW}.")
    if not collector.files:
        raise invalid(f"The request has no files: {HOW}.")
    if len(collector.files) > most:
        raise Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The request has {len(collector.files):,} files: send at most {most:,} at once.",
        )
    return collector.files


class _Collector:
    """Gathers what a parser finds.

    Attributes:
      files: those named `FIELD`.
      complete: whether the form ended.
    """

    def __init__(self) -> None:
        self.files: list[Part] = []
        self.complete = False
        self._parts = 0
        self._header = [b"", b""]  # name and value
        self._disposition = b""
        self._data = bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        """Returns what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._add(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": self._add_data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise ValueError("too many parts")
        self._disposition, self._data = b"", bytearray()

    def _add(self, place: int, data: bytes) -> None:
        self._header[place] += data

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = [b"", b""]

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def _end(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") == FIELD.encode():
            name = options.get(b"filename", b"").decode("utf-8", "replace")
            self.files.append(Part(name, bytes(self._data)))

    def _finish(self) -> None:
        self.complete = True
