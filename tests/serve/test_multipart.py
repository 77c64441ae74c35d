"""Files come out of a form as they went in, and what is no form is refused in a sentence."""

import pytest

from trainer.serve.multipart import MOST_PARTS, read_files
from trainer.serve.refusal import Refusal

TYPE = "multipart/form-data; boundary=xx"


def form(*parts: tuple[str, bytes], end: bytes = b"--xx--\r\n") -> bytes:
    head = b'--xx\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n'
    return b"".join(head % (name.encode(), b"f.dcm", data) for name, data in parts) + end


def test_files_keep_bytes_name_and_order():
    data = b"\r\n--x" + bytes(range(256))
    found = read_files(TYPE, form(("file", data), ("other", b"1"), ("file", b"")), most=2)
    assert found == [("f.dcm", data), ("f.dcm", b"")]


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b'<b>\xe2\x80\xae"'.replace(b'"', b'\\"'), '<b>\u202e"'),
        (b"x" * 5000, "x" * 5000),
        (b"", ""),
        (b"\xff\xfe.png", "\ufffd\ufffd.png"),
        (b"\0\x1b[31m", "\0\x1b[31m"),
        (b"../../etc/passwd", "../../etc/passwd"),
    ],
    ids=["HTML", "long", "empty", "not UTF-8", "control characters", "path"],
)
def test_name_of_a_file_is_text_and_nothing_else(sent: bytes, name: str):
    head = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n' % sent
    assert read_files(TYPE, head + b"a\r\n--xx--\r\n", most=1) == [(name, b"a")]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("", b"", 415),
        ("multipart/form-data", form(("file", b"a")), 415),
        (TYPE, b"", 400),
        (TYPE, b"nonsense", 400),
        (TYPE, form(("file", b"a"), end=b""), 400),
        (TYPE, form(("file", b"a"), end=b"")[:-9], 400),
        (TYPE, form(("image", b"a")), 400),
        (TYPE, b"--xx\r\n" + b"a" * 20_000, 400),
        (TYPE, form(*[("x", b"")] * (MOST_PARTS + 1)), 400),
        (TYPE, form(("file", b"a"), ("file", b"b")), 413),
        (TYPE + "\xff; charset=zlib", form(("file", b"a")), 400),
    ],
)
def test_what_is_no_form_of_files_is_refused(kind: str, body: bytes, status: int):
    with pytest.raises(Refusal) as refused:
        read_files(kind, body, most=1)
    assert refused.value.status == status and "\n" not in str(refused.value)
