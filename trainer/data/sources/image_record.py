"""Image records, which every source yields: what is known of an image before it is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trainer.data.sources.reading import Reading
from trainer.system.printable import printable

POSITIVE, NEGATIVE, UNKNOWN = 1, 0, -1
KNOWN = {"positive": POSITIVE, "negative": NEGATIVE, "unknown": UNKNOWN}


@dataclass(frozen=True)
class ImageRecord:
    """One image of a source. It holds no pixels and can be sent to another process.

    Attributes:
      name: in the prepared data set; unique, and reveals no one's identity.
      labels: POSITIVE, NEGATIVE or UNKNOWN for each of the source's labels.
      patient: series and number, or any other key of the patient; "" where it is not known.
      split: "train", "val", "test", or "" where the source has none.
      place: where the source finds the image, if that is not its name.
      refused: why it is skipped, if that is known without its pixels; else "".
      left_out: whether that is a choice, such as of views, and no damage.
      anonymous: whether it may keep its name in a source that is identifying.
      columns: the values of the source's kept columns; () where it has none of them.
    """

    name: str
    labels: tuple[int, ...]
    patient: str = ""
    split: str = ""
    place: str = ""
    refused: str = ""
    left_out: bool = False
    anonymous: bool = False
    columns: tuple[str, ...] = ()

    def __post_init__(self):
        """Makes what is stored and shown printable, and keeps where the image is found."""
        name = printable(self.name)
        if name != self.name:
            object.__setattr__(self, "place", self.place or self.name)
            object.__setattr__(self, "name", name)
        object.__setattr__(self, "patient", printable(self.patient))


class Source(Protocol):
    """Labelled images that `radiograph prepare` and `radiograph audit` read. It can be pickled.

    Attributes:
      name: as the user gave it.
      synthetic: True for phantoms.
      identifying: whether there are DICOM files, whose names and patients must be hashed before
        they are kept.
      fingerprint: changes with the content and with the options.
      labels: the names of the K labels; of two classes the second is the one label.
      classes: the two class names where K is 1, the healthy one first; else ().
      exclusive: whether the K labels are classes that exclude one another, by how they are stored.
      columns: the names of the columns that are kept of each image beside its labels.
    """

    name: str
    synthetic: bool
    identifying: bool
    fingerprint: str
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    exclusive: bool
    columns: tuple[str, ...]

    @property
    def reading(self) -> Reading | None:
        """How its names were read, for those who check it; None where there is no choice."""

    def records(self) -> Sequence[ImageRecord]:
        """Returns every record, in a fixed order."""

    def read(self, record: ImageRecord) -> bytes:
        """Returns the bytes of the record's file.

        Raises:
          OSError: if it cannot be read.
        """
