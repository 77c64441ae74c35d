"""A prediction as a DICOM structured report: Comprehensive SR, template TID 1500."""

from collections.abc import Iterator
from typing import Any

from highdicom import sr
from highdicom.enum import ContentQualificationValues
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes

from trainer.judge import algorithm, dicom_codes
from trainer.judge.algorithm import Algorithm
from trainer.judge.predicted import Predicted

CHEST_RADIOGRAPHY = CodedConcept("399208008", "SCT", "Plain chest X-ray")
RAW, CALIBRATED = "not calibrated", "calibrated"


def report(
    source: Dataset, predicted: Predicted, made_by: Algorithm, **common: Any
) -> sr.ComprehensiveSR:
    """Returns the report of a prediction.

    Each label is a measurement group: the finding coded, whether it is present by the decision, its
    probability, the calibrated one and the threshold. What the gate flags is one more group.

    Args:
      source: what is known of the image, see `dicom_source`.
      predicted: the prediction.
      made_by: what made it.
      common: what all results have in common, as `highdicom` takes it.
    """
    groups = [*_labels(source, predicted, made_by), *_flagged(source, predicted, made_by)]
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=made_by.uid("device"), name=algorithm.NAME, model_name=algorithm.NAME
    )
    observer = sr.ObserverContext(codes.DCM.Device, device)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=CHEST_RADIOGRAPHY,
        imaging_measurements=groups,
    )
    return sr.ComprehensiveSR(
        evidence=[source],
        content=content,
        is_complete=True,
        coding_schemes=[dicom_codes.SCHEME],
        content_qualification=ContentQualificationValues.RESEARCH,
        **common,
    )


def _labels(
    source: Dataset, predicted: Predicted, made_by: Algorithm
) -> Iterator[sr.MeasurementsAndQualitativeEvaluations]:
    for number, label in enumerate(made_by.labels):
        measurements = [
            _probability(predicted.probabilities[number], RAW),
            _probability(predicted.calibrated[number], CALIBRATED),
        ]
        if made_by.thresholds:
            measurements.append(_number(codes.DCM.ThresholdValue, made_by.thresholds[number], RAW))
        decided = codes.DCM.Present if predicted.decided[number] else codes.DCM.Absent
        yield _group(
            source,
            made_by,
            label,
            finding_type=dicom_codes.finding(label),
            measurements=measurements,
            qualitative_evaluations=[
                sr.QualitativeEvaluation(codes.DCM.PresenceOfProperty, decided)
            ],
        )


def _flagged(
    source: Dataset, predicted: Predicted, made_by: Algorithm
) -> Iterator[sr.MeasurementsAndQualitativeEvaluations]:
    """Yields the check that the image does not pass, if there is one."""
    if flagged := predicted.finding:
        yield _group(
            source,
            made_by,
            "image quality",
            finding_type=codes.DCM.ImageQuality,
            measurements=[
                _number(dicom_codes.private("value"), flagged.value),
                _number(dicom_codes.private("limit"), flagged.limit),
            ],
            qualitative_evaluations=[
                sr.QualitativeEvaluation(
                    dicom_codes.private("check not passed"), dicom_codes.private(flagged.check)
                )
            ],
        )


def _group(
    source: Dataset, made_by: Algorithm, name: str, **content: Any
) -> sr.MeasurementsAndQualitativeEvaluations:
    reference = source.SOPClassUID, source.SOPInstanceUID
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=made_by.uid(source.SOPInstanceUID, "tracking", name), identifier=name
        ),
        algorithm_id=sr.AlgorithmIdentification(
            algorithm.NAME, made_by.version, parameters=made_by.parameters
        ),
        source_images=[sr.SourceImageForMeasurementGroup(*reference)],
        **content,
    )


def _probability(value: float, method: str) -> sr.Measurement:
    return _number(codes.DCM.Probability, value, method)


def _number(name: Any, value: float, method: str = "") -> sr.Measurement:
    return sr.Measurement(
        name=name,
        value=float(value),
        unit=codes.UCUM.NoUnits,
        method=dicom_codes.private(method) if method else None,
    )
