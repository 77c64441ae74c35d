"""DICOM headers give the patient and the reason for a refusal."""

import io
import shutil
from pathlib import Path

import numpy as np
from etils import epath
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from tests.memory_sources import DeadlyFolder
from trainer.data import sources
from trainer.data.sources import Options, dicom_folder
from trainer.data.sources.image_record import ImageRecord
from trainer.data.sources.pseudonym import all_pseudonymous, pseudonymous


def dicom_file(
    patient: str = "MRN 7",
    uid: str = "1.2.3",
    modality: str = "DX",
    view: str = "PA",
    padding: int = 0,
    sex: str = "",
    age: str = "",
    maker: str = "",
) -> bytes:
    """A radiograph of 32x32 pixels; `padding` bytes of a private element lie before them."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid
    image = Dataset()
    image.file_meta = meta
    image.PatientID, image.SOPInstanceUID = patient, uid
    image.Modality, image.ViewPosition = modality, view
    image.PatientSex, image.PatientAge, image.Manufacturer = sex, age, maker
    if padding:
        image.add_new((0x0009, 0x0010), "LO", "SOMEONE")
        image.add_new((0x0009, 0x1001), "OB", bytes(padding))
    image.Rows = image.Columns = 32
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 7, 0, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = np.arange(1024).astype(np.uint8).tobytes()
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()


def fill(folder: Path, content: dict[str, bytes]) -> str:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return str(folder)


def test_class_folders_of_dicom_files(tmp_path: Path):
    name = fill(
        tmp_path,
        {
            "NORMAL/IM-0001-0001.dcm": dicom_file("MRN 7"),
            "SICK/IM-0001-0001.dcm": dicom_file("MRN 8"),
            "SICK/IM-0001-0002.dcm": dicom_file("MRN 8", view="LL"),
            "SICK/ct.dcm": dicom_file("MRN 8", modality="CT"),
            "SICK/damaged.dcm": b"nothing of the kind",
        },
    )
    source = sources.open_source(name)
    assert source.identifying
    records = {r.place: r for r in source.records()}
    assert [r.patient for r in records.values()] == ["MRN 7", "MRN 8", "MRN 8", "MRN 8", ""]
    assert "lateral view" in records["SICK/IM-0001-0002.dcm"].refused
    assert "modality CT" in records["SICK/ct.dcm"].refused
    assert sum(record.left_out for record in records.values()) == 2
    assert not records["SICK/damaged.dcm"].refused  # decoding it will give the reason
    assert source.read(records["NORMAL/IM-0001-0001.dcm"]) == dicom_file("MRN 7")
    any_view = sources.open_source(name, Options(any_view=True))
    assert sum(bool(r.refused) for r in any_view.records()) == 1
    assert any_view.fingerprint != source.fingerprint


def test_one_dicom_file_takes_no_other_files_patient_or_name(tmp_path: Path):
    content = {
        "NORMAL/00000013_005.png": b"x",
        "SICK/stray.dcm": dicom_file("MRN 7"),
        "SICK/IM-0115-0001.jpeg": b"y",
        "SICK/nobody.dcm": dicom_file("ANONYMOUS"),
        "SICK/damaged.dcm": b"z",
    }
    source = sources.open_source(fill(tmp_path, content))
    records = {r.place or r.name: r for r in source.records()}
    assert [records[name].patient for name in content] == ["13", "MRN 7", "IM-115", "", ""]
    stored = all_pseudonymous([records[name] for name in content], "salt")
    assert [r.name.startswith("dicom-") for r in stored] == [False, True, False, True, True]
    assert stored[0].patient == "13" and "MRN" not in stored[1].patient


def test_files_without_a_suffix_are_recognised_by_their_content(tmp_path: Path):
    name = fill(tmp_path / "a", {"NORMAL/1": dicom_file("A"), "SICK/1.2.3.4": dicom_file("B")})
    source = sources.open_source(name)
    assert source.identifying and [r.patient for r in source.records()] == ["A", "B"]
    name = fill(tmp_path / "b", {"NORMAL/1.png": b"x", "SICK/2.png": b"y"})
    assert not sources.open_source(name).identifying


def test_a_table_of_dicom_files_named_by_file_and_by_uid(tmp_path: Path):
    fill(tmp_path, {"x/a.dcm": dicom_file("A", "1.2.3"), "x/b.dcm": dicom_file("B", "1.2.4")})
    (tmp_path / "by_file.csv").write_text("file,edema\na.dcm,1\nb,0\n")
    (tmp_path / "by_uid.csv").write_text("file,edema\n1.2.3,1\n1.2.4,0\n1.2.5,0\n")
    options = Options(path_column="file", label_columns=("edema",))
    by_file = sources.open_source(str(tmp_path / "by_file.csv"), options)
    by_uid = sources.open_source(str(tmp_path / "by_uid.csv"), options)
    assert by_file.identifying and by_uid.identifying
    assert [r.patient for r in by_file.records()] == ["A", "B"]
    assert [(r.place, r.patient, r.refused) for r in by_uid.records()] == [
        ("x/a.dcm", "A", ""),
        ("x/b.dcm", "B", ""),
        ("1.2.5", "", "the image does not exist"),
    ]


def test_a_patient_column_goes_before_the_header(tmp_path: Path):
    fill(tmp_path, {"a.dcm": dicom_file("A"), "b.dcm": dicom_file("B")})
    (tmp_path / "t.csv").write_text("file,edema,who\na,1,p1\nb,0,\n")
    options = Options(path_column="file", label_columns=("edema",), patient_column="who")
    records = sources.open_source(str(tmp_path / "t.csv"), options).records()
    assert [r.patient for r in records] == ["p1", "B"]


def test_rsna_needs_no_flags(tmp_path: Path):
    keys = ("0004cfab-14fd", "00313ee0-9eaa")
    fill(tmp_path, {f"stage_2_train_images/{key}.dcm": dicom_file(key) for key in keys})
    (tmp_path / "stage_2_train_labels.csv").write_text(
        "patientId,x,y,width,height,Target\n"
        f"{keys[0]},,,,,0\n{keys[1]},264,152,213,379,1\n{keys[1]},562,152,256,453,1\n"
    )
    source = sources.open_source(str(tmp_path / "stage_2_train_labels.csv"))
    assert source.classes == ("no Target", "Target")
    assert [(r.name, r.labels, r.patient) for r in source.records()] == [
        (keys[0], (0,), keys[0]),
        (keys[1], (1,), keys[1]),
    ]


def test_a_header_that_ends_its_reader_costs_that_file_alone(tmp_path: Path):
    fill(tmp_path, {"good.dcm": dicom_file("A"), "deadly.dcm": dicom_file("B")})
    records = [ImageRecord(name, (0,), place=name) for name in ("deadly.dcm", "good.dcm")]
    files = DeadlyFolder(epath.Path(tmp_path))
    deadly, good = dicom_folder.with_headers(records, files, any_view=False)
    assert good.patient == "A" and not good.refused
    assert "ended its process" in deadly.refused
    assert dicom_folder.by_sop_uid(files, ["deadly.dcm", "good.dcm"]) == {"1.2.3": "good.dcm"}


def test_a_long_header_is_read_to_its_end(tmp_path: Path):
    long = dicom_file("B", padding=dicom_folder.HEADER_BYTES)
    name = fill(tmp_path, {"NORMAL/1.dcm": dicom_file("A"), "SICK/2.dcm": long})
    assert [r.patient for r in sources.open_source(name).records()] == ["A", "B"]


def test_no_identity_is_left_in_a_pseudonymous_record(tmp_path: Path):
    name = fill(
        tmp_path, {"NORMAL/Doe_1.dcm": dicom_file("Doe"), "SICK/Roe.dcm": dicom_file("Roe")}
    )
    source = sources.open_source(name)
    records = [pseudonymous(record, "salt") for record in source.records()]
    for record in records:
        assert not {"Doe", "Roe"} & {*record.name.split("_"), *record.patient.split("-")}
    assert source.read(records[0]) == dicom_file("Doe")


def test_real_dicom_files(shared_data: Path, tmp_path: Path):
    for number, file in enumerate(sorted((shared_data / "dicom").glob("*.dcm"))):
        folder = tmp_path / ("NORMAL" if number < 2 else "SICK")
        folder.mkdir(exist_ok=True)
        shutil.copy(file, folder)
    records = sources.open_source(str(tmp_path)).records()
    assert [r.patient for r in records][:4] == ["1", "1", "61", "2"]
    assert len({r.patient for r in records}) == 4
    assert [r.refused[:11] for r in records] == ["", "", "", "modality CT", "", ""]
