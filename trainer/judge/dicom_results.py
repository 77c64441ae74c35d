"""Predictions as DICOM objects in the study of each image: the evidence, and a report."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from etils import epath
from highdicom.enum import ContentQualificationValues, CoordinateSystemNames
from highdicom.sc import SCImage
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from trainer.judge import algorithm, dicom_report, heat_maps
from trainer.judge.algorithm import Algorithm
from trainer.judge.predicted import Predicted
from trainer.show.pictures.heat import heat_sheet
from trainer.system import atomic
from trainer.training.trained_model import TrainedModel

CAPTURE, REPORT = "capture", "report"  # kinds of results
SERIES_NUMBERS = {CAPTURE: 9001, REPORT: 9002}  # beyond those of devices
BY_THE_CLOCK = (
    *("InstanceCreationDate", "InstanceCreationTime"),
    *("DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
)
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
MOMENTS = ("Content", "Acquisition", "Series", "Study")  # of the source, the first one it has


@dataclass
class DicomResults:
    """Writes a Secondary Capture and a Comprehensive SR for each predicted DICOM file.

    What is written depends on the file and the algorithm alone, so that the same prediction writes
    the same again.

    Attributes:
      folder: where a file's results lie under its own path, with .capture.dcm and .report.dcm.
      network: whose evidence is shown.
      made_by: what names itself as the origin.
      others: number of predicted files that are no DICOM.
      unknown: number of files that do not say whether names are burnt in.
    """

    folder: epath.Path
    network: TrainedModel
    made_by: Algorithm
    others: int = 0
    unknown: int = 0

    def write(self, predicted: Sequence[Predicted]) -> None:
        """Writes the results of some files."""
        sources = [each for each in predicted if each.file.dicom is not None]
        self.others += len(predicted) - len(sources)
        if not sources:
            return
        labels = np.array([each.probabilities.argmax() for each in sources])
        images = np.stack([each.image for each in sources])
        layer, heat = heat_maps.evidence(self.network, images, labels)
        for each, label, evidence in zip(sources, labels, heat, strict=True):
            name = self.made_by.labels[label]
            title = f"Research use only: {name}, probability {each.probabilities[label]:.3f}"
            maps = {f"Grad-CAM at {layer}": evidence[None]}
            note = f"{algorithm.RESEARCH}: {algorithm.NAME} {self.made_by.version}"
            picture = heat_sheet(title, each.image[None], maps, captions=[note]).pixels
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a name of one word, and the like
                self._write(each, picture)

    def _write(self, predicted: Predicted, picture: np.ndarray) -> None:
        source = predicted.file.dicom
        assert source is not None
        self.unknown += "BurnedInAnnotation" not in source
        made = {
            CAPTURE: self._capture(source, picture),
            REPORT: dicom_report.report(
                source, predicted, self.made_by, **self._common(source, REPORT)
            ),
        }
        for kind, dataset in made.items():
            _leave_out_the_clock(dataset)
            content = io.BytesIO()
            dataset.save_as(content, enforce_file_format=True)
            path = f"{heat_maps.below(predicted.file.path)}.{kind}.dcm"
            atomic.write_bytes(self.folder / path, content.getvalue())

    def _capture(self, source: Dataset, picture: np.ndarray) -> SCImage:
        """Returns a picture as a Secondary Capture."""
        capture = SCImage.from_ref_dataset(
            source,
            pixel_array=picture,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system=CoordinateSystemNames.PATIENT,
            patient_orientation=("L", "F"),  # replaced below by the source's own
            transfer_syntax_uid=ExplicitVRLittleEndian,
            content_qualification=ContentQualificationValues.RESEARCH,
            **self._common(source, CAPTURE),
        )
        capture.copy_patient_and_study_information(source)
        capture.PatientOrientation = source.get("PatientOrientation") or []
        capture.ConversionType = "WSD"  # a workstation's
        capture.DerivationDescription = f"Grad-CAM over the image. {algorithm.RESEARCH}."
        capture.ImageComments = algorithm.RESEARCH
        for name in ("BurnedInAnnotation", *LOSSY):
            if name in source:
                capture[name] = source[name]
        capture.SourceImageSequence = [_reference(source)]
        return capture

    def _common(self, source: Dataset, kind: str) -> dict:
        """Returns what all results have in common, as highdicom takes it."""
        date, time = _moment(source)
        of_series = (source.StudyInstanceUID, source.SeriesInstanceUID)
        return {
            "series_instance_uid": self.made_by.uid(*of_series, kind),
            "series_number": SERIES_NUMBERS[kind],
            "series_description": f"{algorithm.NAME} {kind} (research use only)",
            "sop_instance_uid": self.made_by.uid(source.SOPInstanceUID, kind),
            "instance_number": max(int(source.get("InstanceNumber") or 1), 1),
            "manufacturer": algorithm.NAME,
            "manufacturer_model_name": algorithm.NAME,
            "software_versions": self.made_by.version,
            "device_serial_number": self.made_by.weights,
            "content_date": date,
            "content_time": time,
            "specific_character_set": "ISO_IR 192",
        }


def _moment(source: Dataset) -> tuple[str | None, str | None]:
    """Returns date and time of the source; None where it has no date, which is then the clock's."""
    for name in MOMENTS:
        if date := source.get(f"{name}Date"):
            return date, source.get(f"{name}Time") or "000000"
    return None, None


def _reference(source: Dataset) -> Dataset:
    """Returns a reference to the image that a picture is derived from."""
    reference, purpose = Dataset(), Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator = code.value, code.scheme_designator
    purpose.CodeMeaning = code.meaning
    reference.PurposeOfReferenceCodeSequence = [purpose]
    return reference


def _leave_out_the_clock(dataset: Dataset) -> None:
    for name in BY_THE_CLOCK:
        if name in dataset:
            delattr(dataset, name)
    for equipment in dataset.get("ContributingEquipmentSequence") or ():
        if "ContributionDateTime" in equipment:
            del equipment.ContributionDateTime
