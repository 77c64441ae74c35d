"""Codes of DICOM results: what radiographs are labelled with, in SNOMED CT and DICOM's own."""

import re

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

PRIVATE = "99RADTRAINER"  # designator of what no public scheme has
SCHEME = CodingSchemeIdentificationItem(PRIVATE, name="Labels of radiograph-trainer")

# By a label in small letters without spaces and the like, as data sets write them.
_SNOMED = {
    "pneumonia": ("233604007", "Pneumonia"),
    "bacterialpneumonia": ("53084003", "Bacterial pneumonia"),
    "viralpneumonia": ("75570004", "Viral pneumonia"),
    "covid19": ("840539006", "COVID-19"),
    "covid": ("840539006", "COVID-19"),
    "tuberculosis": ("56717001", "Tuberculosis"),
    "pneumothorax": ("36118008", "Pneumothorax"),
    "effusion": ("60046008", "Pleural effusion"),
    "pleuraleffusion": ("60046008", "Pleural effusion"),
    "atelectasis": ("46621007", "Atelectasis"),
    "cardiomegaly": ("8186001", "Cardiomegaly"),
    "consolidation": ("95436008", "Lung consolidation"),
    "edema": ("19242006", "Pulmonary edema"),
    "pulmonaryedema": ("19242006", "Pulmonary edema"),
    "emphysema": ("87433001", "Pulmonary emphysema"),
    "fibrosis": ("51615001", "Fibrosis of lung"),
    "pulmonaryfibrosis": ("51615001", "Fibrosis of lung"),
    "mass": ("4147007", "Mass"),
    "nodule": ("27925004", "Nodule"),
    "fracture": ("125605004", "Fracture of bone"),
    "normal": ("17621005", "Normal"),
}
_DICOM = {
    "infiltration": ("112121", "Infiltrate"),
    "infiltrate": ("112121", "Infiltrate"),
    "lungopacity": ("112001", "Opacity"),
    "opacity": ("112001", "Opacity"),
    "nofinding": ("111286", "No abnormality"),
}
LONGEST_MEANING = 64  # characters


def finding(label: str) -> CodedConcept:
    """Returns the code of a label; of one that is not in the tables its name, as a private code."""
    key = re.sub(r"[\W_]", "", label.casefold())
    for scheme, codes in (("SCT", _SNOMED), ("DCM", _DICOM)):
        if key in codes:
            return CodedConcept(codes[key][0], scheme, codes[key][1])
    return private(label)


def private(name: str) -> CodedConcept:
    """Returns a code of this package's own scheme, whose value is the name itself."""
    text = "".join(filter(str.isprintable, name.replace("\\", "/"))).strip() or "unnamed"
    return CodedConcept(text, PRIVATE, text[:LONGEST_MEANING])
