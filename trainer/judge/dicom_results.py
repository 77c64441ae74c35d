"""Predictions as DICOM objects in the study of each image: the evidence, and a report."""

import hashlib
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

from trainer.data.sources.files import one_line
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

    def write(self, predicted: Sequence[Predicted]) -> dict[int, str]:
        """Writes the results of some files; returns why some have none, by their place."""
        places = [n for n, each in enumerate(predicted) if each.file.dicom is not None]
        sources = [predicted[place] for place in places]
        self.others += len(predicted) - len(sources)
        failed: dict[int, str] = {}
        if not sources:
            return failed
        labels = np.array([each.probabilities.argmax() for each in sources])
        images = np.stack([each.image for each in sources])
        layer, heat = heat_maps.evidence(self.network, images, labels)
        for place, each, label, evidence in zip(places, sources, labels, heat, strict=True):
            name = self.made_by.labels[label]
            title = f"Research use only: {name}, probability {each.probabilities[label]:.3f}"
            maps = {f"Grad-CAM at {layer}": evidence[None]}
            note = f"{algorithm.RESEARCH}: {algorithm.NAME} {self.made_by.version}"
            picture = heat_sheet(title, each.image[None], maps, captions=[note]).pixels
            try:
                made = self._made(each, picture)
            except Exception as error:  # highdicom and pydicom raise whatever they meet
                failed[place] = f"no DICOM results: {type(error).__name__}: {one_line(error)}"
                continue
            for kind, content in made.items():
                path = f"{heat_maps.below(each.file.path)}.{kind}.dcm"
                atomic.write_bytes(self.folder / path, content)
        return failed

    def _made(self, predicted: Predicted, picture: np.ndarray) -> dict[str, bytes]:
        """Returns the results of a file by their kind."""
        source = predicted.file.dicom
        assert source is not None
        made = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name of one word, and the like
            for kind, dataset in {
                CAPTURE: self._capture(source, predicted, picture),
                REPORT: dicom_report.report(
                    source, predicted, self.made_by, **self._common(source, predicted, REPORT)
                ),
            }.items():
                _leave_out_the_clock(dataset)
                content = io.BytesIO()
                dataset.save_as(content, enforce_file_format=True)
                made[kind] = content.getvalue()
        self.unknown += not source.get("BurnedInAnnotation")
        return made

    def _capture(self, source: Dataset, predicted: Predicted, picture: np.ndarray) -> SCImage:
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
            **self._common(source, predicted, CAPTURE),
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

    def _common(self, source: Dataset, predicted: Predicted, kind: str) -> dict:
        """Returns what all results have in common, as highdicom takes it."""
        date, time = _moment(source)
        shown = hashlib.sha256(predicted.image.tobytes()).hexdigest()
        of_series = (source.StudyInstanceUID, source.SeriesInstanceUID)
        return {
            "series_instance_uid": self.made_by.uid(*of_series, kind),
            "series_number": SERIES_NUMBERS[kind],
            "series_description": f"{algorithm.NAME} {kind} (research use only)",
            # Of two images that wrongly have one UID the results have two.
            "sop_instance_uid": self.made_by.uid(source.SOPInstanceUID, kind, shown),
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
