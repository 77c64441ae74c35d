"""What the results of a prediction take over from the DICOM file that they are of."""

import re
from typing import Any

from pydicom import Dataset, datadict, uid
from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, DT, TM, PersonName, validate_value

from trainer.data.decode import dicom
from trainer.data.decode.limits import LeftOut, Unreadable, reading

PATIENT = (0x0010, 0x0012)  # groups of the elements that are of the patient
KEPT = {  # other elements: of the study, the device, and the image that is referred to
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyDescription", "IssuerOfAccessionNumberSequence"),
    *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"),
    *("SeriesInstanceUID", "SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime"),
    *("SOPClassUID", "SOPInstanceUID", "ContentDate", "ContentTime", "InstanceNumber"),
    *("PatientOrientation", "BurnedInAnnotation", "LossyImageCompression"),
    *("LossyImageCompressionRatio", "LossyImageCompressionMethod"),
}
# What a standard object must have, though it may be empty.
PRESENT = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
SEXES = ("M", "F", "O")
MOMENTS = {"DA": DA, "DT": DT, "TM": TM}
DEEPEST = 4  # sequences within sequences


def source(data: bytes, *, allow_burned_in: bool = False) -> Dataset | None:
    """Returns the patient, the study and the references of a DICOM file; None of another file.

    Text is as in Unicode. What is not valid by the standard is left out.

    Args:
      data: the file's bytes.
      allow_burned_in: takes an image with names burnt in, too.

    Raises:
      LeftOut: names are burnt into the image, or it says something else of them than no.
      Unreadable: the file lacks what refers to it.
    """
    if not dicom.is_dicom(data):
        return None
    with reading():
        return _checked(dicom.elements(data), allow_burned_in)


def _checked(given: Dataset, allow_burned_in: bool) -> Dataset:
    found = _clean(given, KEPT)
    said = given.get("BurnedInAnnotation") or ""
    said = {str(one).strip().upper() for one in (said if isinstance(said, MultiValue) else [said])}
    if said - {"", "NO"} and not allow_burned_in:
        raise LeftOut(
            "BurnedInAnnotation is not NO, so that a copy may show names; --allow_burned_in "
            "writes it"
        )
    for name in UIDS:
        if not re.fullmatch(r"[0-9.]{1,64}", str(found.get(name, ""))):
            raise Unreadable(f"damaged: no valid {name}, by which DICOM results refer to the image")
    for name in ("PatientID", "PatientName"):
        if name in given and name not in found:
            raise Unreadable(f"damaged: no valid {name}, under which DICOM results are filed")
    if not _is_image(found.get("SOPClassUID", "")):
        raise Unreadable("not supported: no SOP class of images, as DICOM results refer to")
    for name in PRESENT:
        if name not in found:
            setattr(found, name, None)
    if found.PatientSex not in SEXES:
        found.PatientSex = None
    return found


def _clean(dataset: Dataset, kept: set[str] | None = None, depth: int = 0) -> Dataset:
    """Returns the valid elements of a dataset, or of those that are kept, with text decoded."""
    dataset.decode()
    clean = Dataset()
    for tag in dataset.keys():  # noqa: SIM118
        keyword = datadict.keyword_for_tag(tag)
        if not keyword or (kept and keyword not in kept and tag.group not in PATIENT):
            continue
        try:
            element = dataset[tag]
        except Exception:  # whatever pydicom raises on damaged elements
            continue
        if element.VR == "SQ":
            if depth < DEEPEST:
                clean.add_new(tag, "SQ", [_clean(item, depth=depth + 1) for item in element.value])
        elif _is_valid(element):
            clean.add_new(tag, element.VR, _plain(element.value))
    return clean


def _is_valid(element: DataElement) -> bool:
    value = element.value
    if isinstance(value, MultiValue) and datadict.dictionary_VM(element.tag) == "1":
        return False
    try:
        for one in value if isinstance(value, MultiValue) else [value]:
            validate_value(element.VR, str(one) if isinstance(one, PersonName) else one, RAISE)
            if element.VR in MOMENTS:
                MOMENTS[element.VR](one)  # 31 February is of the right form
    except Exception:  # of a value that is not even of the type that its kind has
        return False
    return True


def _plain(value: Any) -> Any:
    """Returns a value that is encoded anew when it is written, names too."""
    return str(value) if isinstance(value, PersonName) else value


def _is_image(sop_class: str) -> bool:
    name, kind, info, retired, _ = uid.UID_dictionary.get(str(sop_class), ("",) * 5)
    return kind == "SOP Class" and "Image Storage" in name and not info and not retired
