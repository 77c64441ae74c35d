"""No byte of a data set, or of a run on it, tells who its DICOM source was of."""

from pathlib import Path
from types import SimpleNamespace

from etils import epath
from ml_collections import ConfigDict

from tests.data.sources.test_dicom_folder import dicom_file
from trainer.data import examples, sources
from trainer.data.prepare import preparation
from trainer.data.prepared_data import open_data
from trainer.report import model_card, run_page
from trainer.show import dashboards
from trainer.show.pictures import sheet
from trainer.show.summaries import Figure, Summaries
from trainer.training.run_folder import run_folder

IDENTIFIERS = (b"SMITH", b"JOHN", b"1950", b"MRN", b"ROE", b"1.2.840.99")


def test_identifiers_are_in_no_file(tmp_path: Path, finished_run, tiny: ConfigDict):
    folder, out = tmp_path / "SMITH^JOHN_1950", epath.Path(tmp_path / "out")
    for n in range(24):
        split, label = ("train", "test")[n // 2 % 4 == 3], ("NORMAL", "PNEUMONIA")[n % 2]
        file = folder / split / label / f"ROE_{n}.dcm"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(dicom_file(f"MRN-{n // 2}", f"1.2.840.99.{n}"))
    (folder / "train/NORMAL/ROE_x.dcm").write_bytes(dicom_file("MRN-x")[:300])
    preparation.prepare(sources.open_source(str(folder)), out, max_skipped=0.5)
    data = open_data(str(out))
    run = finished_run(tmp_path / "run")
    names, patients = examples.identities(data.splits["test"])
    images = zip(names, patients, strict=True)
    rows = [f"{name},{patient},{k % 2},0.5" for k, (name, patient) in enumerate(images)]
    run.write("evaluation/test.csv", "\n".join(["name,patient,label,score", *rows]))
    run.change("evaluation/test.json", images=len(rows))
    workdir = epath.Path(tmp_path / "begun")
    with run_folder(workdir, tiny, data, replicas=SimpleNamespace(devices=["CPU:0"])):
        for name in ("config.json", "data_summary.json"):
            run.write(name, (workdir / name).read_text())
    summaries = Summaries(workdir / "tensorboard", workdir / "pictures")
    summaries.text("data", dashboards.data_text(data.summary))
    pixels, shown, labels = examples.first_of_each_group(
        data.splits["train"], tiny.data, 4, wanted=examples.groups(data.splits["train"])
    )
    drawn = Figure("samples", "picture", *sheet.sample_sheet(pixels, shown, labels))
    summaries.figures("train", 0, [drawn])
    summaries.flush()
    run_page.write(run.folder)
    model_card.write(run.folder)  # the card and the metadata of an export begin as these
    files = [file for file in tmp_path.rglob("*") if file.is_file() and folder not in file.parents]
    assert {file.suffix for file in files} >= {".json", ".csv", ".html", ".png", ".v2"}
    for file in files:
        content = file.read_bytes()
        assert not any(word in content for word in IDENTIFIERS), file
