"""The address of a folder in a bucket, gs://BUCKET/PATH."""

import re

from trainer.system.errors import UsageError

BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
ADDRESS = re.compile(r"gs://([^/]*)(?:/(.*))?")


def split(url: str) -> tuple[str, str]:
    """Returns "BUCKET" and "PATH" of "gs://BUCKET/PATH/".

    Raises:
      UsageError: if it is not such an address.
    """
    address = ADDRESS.fullmatch(url)
    if not address:
        raise UsageError(f"{url!r} is not in a bucket: give gs://BUCKET/PATH.")
    bucket, path = address[1], address[2] or ""
    if not BUCKET.fullmatch(bucket):
        raise UsageError(
            f"{bucket!r} in {url!r} cannot be the name of a bucket: give 3 to 222 lowercase "
            "letters, digits, dots, dashes and underscores, with a letter or a digit at both ends."
        )
    return bucket, path.strip("/")
