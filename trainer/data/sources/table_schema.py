"""The meaning of a table's columns: by the user's options, or those of the public tables."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainer.data.sources import findings
from trainer.data.sources.options import Options
from trainer.system.errors import UsageError

# Wang et al., CVPR 2017, doi:10.1109/CVPR.2017.369.
NIH_FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema"),
    *("Fibrosis", "Hernia", "Infiltration", "Mass", "Nodule", "Pleural_Thickening"),
    *("Pneumonia", "Pneumothorax"),
)
# Irvin et al., AAAI 2019, arXiv:1901.07031, without their "No Finding": it means that all
# others are negative.
CHEXPERT_OBSERVATIONS = (
    *("Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion"),
    *("Pleural Other", "Fracture", "Support Devices"),
)
LEAST_OBSERVATIONS = 5  # by which a table is CheXpert's
MOST_COLUMNS, MOST_LETTERS = 20, 60  # that a message lists, of each column


@dataclass(frozen=True)
class Schema:
    """The columns of a table; "" where it has none.

    Attributes:
      path: paths of the images, or keys that are their file names without a suffix.
      labels: one column a label, or one column of names.
      patient: the patient.
      split: train, val or test.
      view: the view, in the words that `views.view_of` knows.
      modality: the modality, in the words that `views.modality_of` knows.
      folder: what precedes the path in the name of a folder, where a row is of all images in it.
      reader: who read the image, where several did.
      findings: the names that the one column may hold; () for all that it does.
      separator: what separates the names in a cell, as `findings.names_in` has it.
      blank_is_negative: whether a blank label means negative; else it is unknown.
      split_lists: whether NIH's train_val_list.txt and test_list.txt give the split.
      split_in_path: whether CheXpert's folders train/ and valid/ give it.
    """

    path: str = ""
    labels: tuple[str, ...] = ()
    patient: str = ""
    split: str = ""
    view: str = ""
    modality: str = ""
    reader: str = ""
    folder: str = ""
    findings: tuple[str, ...] = ()
    separator: str = ""
    blank_is_negative: bool = False
    split_lists: bool = False
    split_in_path: bool = False


def find_schema(columns: Sequence[str], options: Options, table: str) -> Schema:
    """Returns the columns given by the options, and the public tables' own for the others.

    Raises:
      UsageError: if the table has no such column, or its labels are not known.
    """
    schema = _public(columns)
    if options.label_columns and options.label_columns != schema.labels:
        schema = replace(schema, labels=options.label_columns, findings=(), separator="")
    schema = replace(
        schema,
        path=options.path_column or schema.path,
        patient="" if options.no_patients(columns) else options.patient_column or schema.patient,
        split=options.split_column or schema.split,
        view=options.view_column or schema.view,
        modality=options.modality_column or schema.modality,
        reader=options.reader_column or schema.reader,
    )
    _check("path_column", schema.path, columns, table=table)
    for column in schema.labels or ("",):
        _check("label_columns", column, columns, table=table)
    for role in ("patient", "split", "view", "modality", "reader"):
        if column := getattr(schema, role):
            _check(f"{role}_column", column, columns, table=table)
    if schema.patient in schema.labels:
        raise UsageError(
            f"--patient_column={schema.patient} is a column of labels of {table} too: it tells one "
            "or the other."
        )
    return schema


def _public(columns: Sequence[str]) -> Schema:
    """Returns the schema of the public table with these columns, or an empty one."""
    known = set(columns)

    def if_there(*names: str) -> str:
        return next((name for name in names if name in known), "")

    if {"Image Index", "Finding Labels"} <= known:
        return Schema(
            path="Image Index",
            labels=("Finding Labels",),
            patient=if_there("Patient ID"),
            view=if_there("View Position"),
            findings=NIH_FINDINGS,
            separator="|",
            split_lists=True,
        )
    observed = [name for name in CHEXPERT_OBSERVATIONS if name in known]
    if "Path" in known and ("Frontal/Lateral" in known or len(observed) >= LEAST_OBSERVATIONS):
        # A finding that a report does not mention counts as absent, as in NIH's table; only -1
        # means that the report itself is uncertain.
        return Schema(
            path="Path",
            labels=tuple(observed),
            view=if_there("Frontal/Lateral"),  # CheXpert's groundtruth.csv has it in the path
            blank_is_negative=True,
            split_in_path=True,
        )
    if {"patientId", "Target"} <= known:
        # RSNA Pneumonia Detection Challenge 2018, whose patientId is the name of an image.
        return Schema("patientId", ("Target",))
    if {"ImageId", "EncodedPixels"} <= known:  # SIIM-ACR Pneumothorax
        return Schema("ImageId", ("EncodedPixels",))
    if {"dicom_id", "subject_id", "study_id"} <= known:
        # MIMIC-CXR-JPG's metadata, split and CheXpert labels, joined.
        return Schema(
            path="dicom_id",
            labels=tuple(observed),
            patient="subject_id",
            split=if_there("split"),
            view=if_there("ViewPosition"),
            blank_is_negative=True,
        )
    if {"ImageID", "PatientID", "Labels"} <= known:  # PadChest
        projection, modality = if_there("Projection"), if_there("Modality_DICOM")
        return Schema("ImageID", ("Labels",), "PatientID", view=projection, modality=modality)
    if {"ReportID", "Labels"} <= known:  # BIMCV-COVID19: a row is of a session, ses-E01234/
        return Schema("ReportID", ("Labels",), if_there("PatientID"), folder="ses-")
    if {"image_id", "class_name"} <= known:  # VinDr-CXR's boxes, VinBigData: a row a box and reader
        # Its "Nodule/Mass" is one finding.
        return Schema(
            "image_id", ("class_name",), reader=if_there("rad_id"), separator=findings.WHOLE
        )
    if {"image_id", "No finding", "Aortic enlargement"} <= known:  # VinDr-CXR's image labels
        others = ("image_id", "rad_id", "No finding", "")
        labels = tuple(name for name in columns if name not in others)
        return Schema("image_id", labels, reader=if_there("rad_id"))
    if {"filename", "finding", "patientid"} <= known:  # covid-chestxray-dataset
        view, modality = if_there("view"), if_there("modality")
        return Schema(
            "filename", ("finding",), "patientid", view=view, modality=modality, separator="/"
        )
    if {"uid", "filename", "projection"} <= known:  # OpenI by its Kaggle tables, joined
        problems = tuple(filter(None, [if_there("Problems")]))
        # "Hernia, Hiatal" is one of them.
        return Schema("filename", problems, "uid", view="projection", separator=";")
    return Schema()


def _check(flag: str, column: str, columns: Sequence[str], *, table: str) -> None:
    if column in columns and column:
        return
    names = [" ".join(name.split())[:MOST_LETTERS] for name in columns[:MOST_COLUMNS] if name]
    shown = ", ".join(names)
    if len(columns) > MOST_COLUMNS:
        shown += f" and {len(columns) - MOST_COLUMNS} more"
    if not column:
        raise UsageError(f"{table} needs --{flag}: it has the columns {shown}.")
    near = difflib.get_close_matches(column, columns, 1, 0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise UsageError(f"{table} has no column {column!r} (--{flag}){hint}: it has {shown}.")
