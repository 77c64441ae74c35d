"""DICOM results lie in the study of their image, name it, and are valid, whatever its header is."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from tests.data.decode.test_dicom import dataset_of, file_of, ramp, saved
from trainer.data.decode.limits import LeftOut, Unreadable
from trainer.judge import dicom_source
from trainer.judge.algorithm import Algorithm
from trainer.judge.ensemble import Ensemble
from trainer.judge.gate import Finding
from trainer.judge.input_files import DecodedFile
from trainer.judge.predicted import Predicted

pytest.importorskip("highdicom")

from trainer.judge import dicom_codes
from trainer.judge.dicom_results import DicomResults

UIDS = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4"}
STUDY = {"StudyDate": "20200102", "StudyTime": "101112", "AccessionNumber": "A1"}
HEADERS = {
    "plain": {"BurnedInAnnotation": "NO"},
    "japanese": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎",
    },
    "latin": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg"},
    "odd": {
        "PatientSex": "MALE",
        "PatientBirthDate": "1.2.1980",
        "StudyDate": "20200231",
        "StudyTime": "99:99",
        "InstanceNumber": "-5",
        "PatientOrientation": ["L", "FR", "X"],
        "Manufacturer": "m" * 300,
    },
}


def dicom_file(**attributes):
    return file_of(ramp(12), **{**UIDS, **STUDY, **attributes})


@pytest.fixture(scope="module")
def network(finished):
    return Ensemble.load([finished])


def write(folder, network, **sources):
    """Writes the results of some files; returns capture and report of each, and why some fail."""
    made_by = Algorithm.of_network(network)
    results = DicomResults(epath.Path(folder), network.members[0], made_by)
    rng, one = np.random.default_rng(0), np.array([0.75])
    images = rng.integers(0, 256, (len(sources), 64, 64, 1), np.uint8)
    failed = results.write(
        [
            Predicted(
                DecodedFile(f"/in/{name}.dcm", dicom=source),
                image,
                one,
                one / 3,
                one > 0.5,
                Finding("unlike", 3.5, 2.0),
            )
            for (name, source), image in zip(sources.items(), images, strict=True)
        ]
    )
    paths = {name: f"{folder}/in/{name}.dcm" for name, source in sources.items() if source}
    files = {n: (f"{p}.capture.dcm", f"{p}.report.dcm") for n, p in paths.items()}
    return results, files, failed


@pytest.fixture(scope="module")
def written(network, tmp_path_factory):
    sources = {
        n: dicom_source.source(dicom_file(**attributes)) for n, attributes in HEADERS.items()
    }
    return write(tmp_path_factory.mktemp("out"), network, **sources)[1]


def test_results_lie_in_the_study_of_the_image_in_series_of_their_own(written):
    capture, report = map(dcmread, written["plain"])

    series = {"1.2.4", capture.SeriesInstanceUID, report.SeriesInstanceUID}
    assert len(series) == len({"1.2", capture.SOPInstanceUID, report.SOPInstanceUID}) == 3
    for dataset in (capture, report):
        assert (dataset.StudyInstanceUID, dataset.AccessionNumber) == ("1.2.3", "A1")
        assert (dataset.PatientID, dataset.PatientName) == ("P1", "Doe^Jane")
        assert (dataset.ContentDate, dataset.ContentTime) == ("20200102", "101112")
        assert dataset.ContentQualification == "RESEARCH"
        assert "InstanceCreationDate" not in dataset
    assert capture.pixel_array.shape[2] == 3 and capture.BurnedInAnnotation == "NO"
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2"
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (reference,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == "1.2"


def test_a_report_holds_finding_decision_probabilities_threshold_and_check(written, network):
    report = dcmread(written["plain"][1])

    groups = report.ContentSequence[-1].ContentSequence
    cells = []
    for group in groups:
        for item in group.ContentSequence:
            name = item.ConceptNameCodeSequence[0].CodeMeaning
            if item.ValueType == "NUM":
                cells.append((name, item.MeasuredValueSequence[0].FloatingPointValue))
            elif item.ValueType == "CODE":
                cells.append((name, item.ConceptCodeSequence[0].CodeValue))
            elif item.ValueType == "TEXT":
                cells.append((name, item.TextValue))
    made_by = Algorithm.of_network(network)
    for cell in [
        ("Finding", "233604007"),
        ("Presence of property", "121053"),
        ("Probability", 0.75),
        ("Probability", 0.25),
        ("Threshold Value", made_by.thresholds[0]),
        ("Algorithm Name", "radiograph-trainer"),
        ("Algorithm Parameters", f"run {made_by.runs[0]}"),
        ("check not passed", "unlike"),
        ("value", 3.5),
        ("limit", 2.0),
    ]:
        assert cell in cells


@pytest.mark.parametrize("name", HEADERS)
def test_dcmtk_reads_the_results_without_complaint(written, name):
    if not (shutil.which("dsrdump") and shutil.which("dcmdump")):
        pytest.skip("needs dcmtk")
    for tool, file in zip(("dcmdump", "dsrdump"), written[name], strict=True):
        done = subprocess.run([tool, file], capture_output=True, text=True, timeout=20)
        # Its checker of values knows no UTF-8.
        complaints = [line for line in done.stderr.splitlines() if "ISO_IR 192" not in line]
        assert (done.returncode, complaints) == (0, [])


def test_names_in_any_encoding_are_kept(written):
    for name in ("japanese", "latin"):
        for dataset in map(dcmread, written[name]):
            assert dataset.PatientName == HEADERS[name]["PatientName"]


def test_two_images_that_wrongly_have_one_uid_have_results_of_their_own(written):
    files = [file for files in written.values() for file in files]

    uids = {dcmread(file).SOPInstanceUID for file in files}

    assert len(uids) == len(files) == 2 * len(HEADERS)


def test_the_same_prediction_writes_the_same_whatever_fails_beside_it_and_another_algorithm_not(
    written, network, tmp_path, monkeypatch
):
    source = dicom_source.source(dicom_file(BurnedInAnnotation="NO"))
    made = DicomResults._made

    def fail(results, predicted, picture):
        if "odd" in predicted.file.path:
            raise AttributeError("nothing\nknows it")
        return made(results, predicted, picture)

    monkeypatch.setattr(DicomResults, "_made", fail)

    results, again, failed = write(tmp_path, network, plain=source, png=None, odd=source)

    assert failed == {2: "no DICOM results: AttributeError: nothing knows it"}
    assert not epath.Path(again.pop("odd")[1]).exists()

    for first, second in zip(written["plain"], again["plain"], strict=True):
        with open(first, "rb") as one, open(second, "rb") as other:
            assert one.read() == other.read()
    assert (results.others, results.unknown) == (1, 0)
    at_half = Algorithm.of_network(network, 0.5)
    (member,) = network.members
    config = ConfigDict(member.config)
    config.model.views = 2
    by_views = Algorithm.of_network(replace(network, members=[replace(member, config=config)]))
    made_by = (results.made_by, at_half, by_views)
    assert len({algorithm.uid("1.2", "report") for algorithm in made_by}) == 3


def test_what_cannot_be_copied_or_referred_to_is_refused():
    assert dicom_source.source(b"\xff\xd8\xff\xe0" + b"\0" * 200) is None
    for written in ("YES", "yes", " Yes", ["NO", "YES"], "UNKNOWN"):
        with pytest.raises(LeftOut, match="--allow_burned_in"):
            dicom_source.source(dicom_file(BurnedInAnnotation=written))
    allowed = dicom_source.source(dicom_file(BurnedInAnnotation="YES"), allow_burned_in=True)
    assert allowed.BurnedInAnnotation == "YES"
    for attributes, lacking in [
        ({"StudyInstanceUID": ""}, "StudyInstanceUID"),
        ({"SOPClassUID": "1.2.840.1"}, "SOP class"),
        ({"PatientID": "x" * 200}, "PatientID"),
    ]:
        with pytest.raises(Unreadable, match=lacking):
            dicom_source.source(dicom_file(**attributes))


def test_nothing_private_is_copied():
    given = dataset_of(ramp(12), 12, ExplicitVRLittleEndian, **UIDS)
    block = given.private_block(0x0011, "VENDOR", create=True)
    block.add_new(1, "LO", "Jane Doe burnt in: YES")

    source = dicom_source.source(saved(given))

    assert source.PatientName == "Doe^Jane" and "Jane Doe" not in str(source)


@pytest.mark.parametrize(
    ("label", "scheme", "value"),
    [
        ("PNEUMONIA", "SCT", "233604007"),
        ("Pleural Effusion", "SCT", "60046008"),
        ("No_Finding", "DCM", "111286"),
        ("COVID-19", "SCT", "840539006"),
        ("Support Devices", dicom_codes.PRIVATE, "Support Devices"),
        ("a\\b", dicom_codes.PRIVATE, "a/b"),
        ('<b>a"\u202e</b>', dicom_codes.PRIVATE, '<b>a"</b>'),
    ],
)
def test_a_label_has_a_public_code_or_its_name_as_a_private_one(label, scheme, value):
    code = dicom_codes.finding(label)

    assert (code.scheme_designator, code.value) == (scheme, value)
