"""A source becomes a data set that is split by patient, complete or not there at all."""

import contextlib
import csv
import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from absl import flags
from etils import epath
from ml_collections import ConfigDict
from PIL import Image

from tests.data.sources.test_dicom_folder import dicom_file, fill
from tests.forks import Forks
from tests.memory_sources import Failing
from trainer.commands import prepare
from trainer.data import data_split, dataset, pipeline, prepared_data, sources, summary_file
from trainer.data import examples as stored
from trainer.data.audit import audit
from trainer.data.audit.prepared import open_source
from trainer.data.prepare import build_folder, data_summary, preparation
from trainer.data.sources import dicom_folder
from trainer.data.synthetic import phantom
from trainer.system import file_lock
from trainer.system.errors import CannotWrite, UsageError
from trainer.training.run_checks import check_data

ROOT = Path(__file__).parents[3]
DAMAGED = "test/SICK/person99_virus_1.jpeg"
COPY = "test/NORMAL/IM-99-1.jpeg"  # of ORIGINAL
ORIGINAL = "train/SICK/person3_virus_1.jpeg"


def picture(seed: int) -> bytes:
    """A JPEG that no other seed gives."""
    values = np.random.default_rng(seed).integers(0, 255, (8, 8), np.uint8)
    file = io.BytesIO()
    image = Image.fromarray(values).resize((40, 30), Image.Resampling.BICUBIC)
    image.save(file, "JPEG")
    return file.getvalue()


def archive(path: Path, extra: dict[str, bytes] | None = None) -> sources.Source:
    """120 files of 120 patients, 100 of them in train/, and some more."""
    with zipfile.ZipFile(path, "w") as opened:
        for patient in range(60):
            folder = "train" if patient < 50 else "test"
            opened.writestr(f"{folder}/NORMAL/IM-{patient}-1.jpeg", picture(patient))
            opened.writestr(f"{folder}/SICK/person{patient}_virus_1.jpeg", picture(100 + patient))
        for name, content in (extra or {}).items():
            opened.writestr(name, content)
    return sources.open_source(str(path))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> sources.Source:
    """A sound archive."""
    return archive(tmp_path_factory.mktemp("sound") / "set.zip")


@pytest.fixture(scope="module")
def imperfect(tmp_path_factory: pytest.TempPathFactory) -> sources.Source:
    """An archive with a damaged file, and a copy in the test split under another label."""
    extra = {DAMAGED: b"no picture", COPY: picture(103)}
    return archive(tmp_path_factory.mktemp("imperfect") / "set.zip", extra)


def examples(out: Path, split: str) -> dict[str, tuple[bytes, bytes]]:
    """Returns the patient and the stored file of each example by its name."""
    decoders = {"image": tfds.decode.SkipDecoding()}
    found = tfds.data_source("radiographs", data_dir=out, split=split, decoders=decoders)
    return {e["name"].decode(): (e["patient"], e["image"]) for e in found}


def test_a_finished_data_set_is_neither_prepared_again_nor_overwritten(phantoms: epath.Path):
    written = {file: file.stat().mtime for file in summary_file.directory(phantoms).iterdir()}
    source, summary = sources.open_source("phantom:120"), summary_file.read(phantoms)
    assert preparation.prepare(source, phantoms, max_side=128) == summary
    for settings in ({"max_side": 64}, {"max_side": 128, "uniform": True}):
        with pytest.raises(UsageError, match="already holds a data set made from phantom:120"):
            preparation.prepare(source, phantoms, **settings)
    assert {f: f.stat().mtime for f in summary_file.directory(phantoms).iterdir()} == written


def test_tfds_opens_what_was_prepared(phantoms: epath.Path):
    summary = summary_file.read(phantoms)
    loaded = tfds.data_source("radiographs", data_dir=phantoms, split="test")
    labels = [int(example["labels"][0]) for example in loaded]
    counts = summary["splits"]["test"]["per_label"]["PNEUMONIA"]
    assert [labels.count(0), labels.count(1)] == [counts["negative"], counts["positive"]]
    example = loaded[0]
    assert example["image"].dtype == np.uint8 and max(example["image"].shape) == 128
    assert example["patient"].decode() == sources.patient_from_name(example["name"].decode())
    shards = dataset.shards(summary_file.directory(phantoms))
    assert shards == summary["shards"]
    assert sum("array_record" in shard["file"] for shard in shards) == 3


def test_damaged_files_are_listed_and_copies_kept_together(imperfect, tmp_path: Path):
    with contextlib.redirect_stderr(io.StringIO()) as terminal:
        summary = preparation.prepare(imperfect, epath.Path(tmp_path))
    reason = "text, not an image"
    assert summary["skipped"] == [{"split": "test", "name": DAMAGED, "reason": reason}]
    assert summary["moved"] == [{"name": ORIGINAL, "from": "train", "to": "test"}]
    assert summary["conflicts"] == [{"names": [COPY, ORIGINAL], "labels": [[0], [1]]}]
    counts = summary["splits"]["test"]["per_label"]["SICK"]
    assert counts == {"positive": 11, "negative": 11, "unknown": 0}
    assert {ORIGINAL, COPY} <= examples(tmp_path, "test").keys()
    assert f"skipped {DAMAGED}: {reason}" in terminal.getvalue()
    assert "identical files have different labels" in terminal.getvalue()
    assert re.search(f" 1  {reason}, for example {DAMAGED}", data_summary.describe(summary))


def test_strict_ends_at_the_first_file_that_cannot_be_used(imperfect, tmp_path: Path):
    with pytest.raises(
        UsageError, match="person99_virus_1.jpeg cannot be used: text, not an image"
    ):
        preparation.prepare(imperfect, epath.Path(tmp_path / "out"), strict=True)
    assert not (tmp_path / "out").exists()


def test_too_many_files_that_cannot_be_used_end_with_a_table(tmp_path: Path):
    bad = {f"train/SICK/person{n}_virus_1.jpeg": b"" for n in range(70, 73)}
    bad |= {"train/SICK/person80_virus_1.jpeg": b"no picture"}
    with pytest.raises(UsageError) as refusal:
        preparation.prepare(archive(tmp_path / "set.zip", bad), epath.Path(tmp_path / "out"))
    sentence, *table = str(refusal.value).splitlines()
    assert "4 of 124 files (3.2%) cannot be used, more than --max_skipped=0.01" in sentence
    assert [line.split()[0] for line in table] == ["3", "1"]
    assert "empty file, for example train/SICK/person70_virus_1.jpeg" in table[0]
    assert not (tmp_path / "out").exists()


def test_what_is_left_out_by_choice_is_no_damage(tmp_path: Path):
    rows = [
        f"p{n}/study1/view{n % 2}.jpg,{('Frontal', 'Lateral')[n % 2]},{n // 2 % 2}"
        for n in range(80)
    ]
    table = tmp_path / "train.csv"
    table.write_text("\n".join(["Path,Frontal/Lateral,Pneumonia", *rows]))
    for n in range(80):
        (tmp_path / f"p{n}/study1").mkdir(parents=True)
        (tmp_path / f"p{n}/study1/view{n % 2}.jpg").write_bytes(picture(n))
    source = sources.open_source(str(table))
    summary = preparation.prepare(source, epath.Path(tmp_path / "out"), max_skipped=0.0)
    assert summary["skipped"] == [] and len(summary["left_out"]) == 40
    assert "40 left out by choice" in data_summary.describe(summary)


def test_one_class_is_refused_before_an_image_is_read(tmp_path: Path):
    unreadable = Failing([("1.png", b"", 1, "a", "train"), ("2.png", b"", 0, "b", "test")])
    with pytest.raises(UsageError, match="outside of the test split is positive"):
        preparation.prepare(unreadable, epath.Path(tmp_path / "out"), strict=True)


def test_what_is_left_out_and_copied_is_stored_and_told(tmp_path: Path):
    masks = {f"set/masks/{n}.png": b"mask" for n in range(3)}
    copies = {f"again/{ORIGINAL}": picture(103), "test/SICK/person77_virus_2.jpeg": picture(300)}
    source = archive(tmp_path / "set.zip", {**masks, **copies, COPY: picture(300)})
    summary = preparation.prepare(source, epath.Path(tmp_path / "out"), workers=1)
    reading, described = summary["reading"], data_summary.describe(summary)
    assert reading["classes"]["SICK"] == {"files": 61, "example": "test/SICK/person50_virus_1.jpeg"}
    assert reading["finding"] == "SICK" and reading["splits"]["train"]["files"] == 100
    assert sorted(group["files"] for group in reading["left_out"].values()) == [1, 3]
    assert "4 files were left out by how the source is read" in described
    assert summary["copies"] == 1 and "1 images are identical to another" in described


def test_without_patients_near_duplicates_stay_together(tmp_path: Path, capfd):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as opened:
        for n, (_, drawn) in enumerate(phantom.archive(40)):
            for quality in (40, 80):
                file = io.BytesIO()
                Image.open(io.BytesIO(drawn)).save(file, "JPEG", quality=quality)
                opened.writestr(f"{('no', 'ill')[n % 2]}/{n}-{quality}.jpeg", file.getvalue())
    out = tmp_path / "out"
    summary = preparation.prepare(sources.open_source(f"{tmp_path}/set.zip"), epath.Path(out))
    warnings = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 1 and "the patient of 80 images is not known" in warnings[0]
    for split in summary_file.SPLITS:
        stored = examples(out, split)
        patients = {patient for patient, _ in stored.values()}
        assert summary["splits"][split]["patients"] == len(patients) <= len(stored) / 2
        assert {name.replace("-40", "-80") for name in stored} <= stored.keys()


def test_identifying_names_are_stored_under_salted_hashes(
    tmp_path: Path, capfd, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dicom_folder, "OTHER_SUFFIXES", ())  # these JPEGs count as DICOM
    extra = {DAMAGED: b"no picture", "test/SICK/a_1.jpeg": picture(103), COPY: picture(300)}
    source = archive(tmp_path / "SMITH^JOHN_1950.zip", extra)
    source.identifying = True
    names = tmp_path / "names.csv"
    out = epath.Path(tmp_path / "out")
    summary = preparation.prepare(source, out, salt="a salt", names_file=str(names))
    assert names.stat().st_mode & 0o777 == 0o600
    rows = {row["name"]: row for row in csv.DictReader(names.open())}
    assert len(rows) == 123 and ORIGINAL in {row["file"] for row in rows.values()}
    listed = json.dumps([summary["skipped"], summary["moved"], summary["conflicts"]])
    assert summary["skipped"] and summary["moved"]
    assert "person" not in listed and "IM-" not in listed and "a salt" not in json.dumps(summary)
    stored = [
        example for s in summary_file.SPLITS for example in examples(tmp_path / "out", s).items()
    ]
    assert len(stored) == 122
    for name, (patient, _) in stored:
        assert rows[name]["patient"] == patient.decode()
        assert name.startswith("dicom-") and patient.startswith(b"patient-")
    assert f"skipped {DAMAGED}" in capfd.readouterr().err
    for file in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert not any(word in content for word in (b"SMITH", b"1950", b"person", b"IM-")), file


def test_kept_columns_lie_beside_the_shards_in_their_order_and_change_no_shard(tmp_path: Path):
    rows = [f"{n}.jpeg,{n % 2},p{n},{'MF'[n % 2]},{n}" for n in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["file,mass,patient,sex,age", *rows]))
    for n in range(30):
        (tmp_path / f"{n}.jpeg").write_bytes(picture(n))
    options = sources.Options(path_column="file", label_columns=("mass",))

    def prepare(name: str, *keep: str) -> dict:
        asked = dataclasses.replace(options, keep_columns=keep)
        source = sources.open_source(str(tmp_path / "t.csv"), asked)
        return preparation.prepare(source, epath.Path(tmp_path / name), workers=1)

    plain, kept = prepare("plain"), prepare("kept", "sex", "age=years")
    assert kept["columns"] == ["sex", "years"] and "columns" not in plain
    assert kept["dataset_fingerprint"] == plain["dataset_fingerprint"]
    found = 0
    for split in summary_file.SPLITS:
        opened = data_split.open_split(tmp_path / "kept", split)
        columns, (names, _) = stored.columns(opened), stored.identities(opened)
        assert columns["years"].tolist() == [name.removesuffix(".jpeg") for name in names]
        assert columns["sex"].tolist() == ["MF"[int(age) % 2] for age in columns["years"]]
        found += len(names)
        assert stored.columns(data_split.open_split(tmp_path / "plain", split)) == {}
    assert found == 30
    audited = open_source(str(tmp_path / "kept"), sources.Options())
    assert audited.columns == ("sex", "years")
    assert all(r.columns[1] == r.name.removesuffix(".jpeg") for r in audited.records())
    assert prepare("kept", "sex", "age=years").items() >= kept.items()
    with pytest.raises(UsageError, match="already holds"):
        prepare("kept", "sex")


def test_a_set_that_is_all_test_holds_every_image_there_and_is_not_trained_on(
    source, tmp_path: Path, tiny: ConfigDict
):
    out = epath.Path(tmp_path)
    summary = preparation.prepare(source, out, all_test=True, max_side=32, workers=1)
    assert [summary["splits"][split]["images"] for split in summary_file.SPLITS] == [0, 0, 120]
    assert summary["all_test"] and summary["moved"] == [] and summary["labels"] == ["SICK"]
    assert "for evaluation, not for training" in data_summary.describe(summary)
    data = prepared_data.open_data(str(out))
    assert [len(stored.identities(data.splits[s])[0]) for s in summary_file.SPLITS] == [0, 0, 120]
    with pytest.raises(UsageError, match="was prepared with --all_test and has no image to train"):
        check_data(tiny, summary)
    with pytest.raises(UsageError, match="already holds"):
        preparation.prepare(source, out, max_side=32)


def test_dicom_files_without_classes_are_an_unlabelled_set(tmp_path: Path, tiny: ConfigDict):
    files = {f"p{n}/study/{n}.dcm": dicom_file(f"P{n}", f"1.{n}") for n in range(3)}
    found = sources.open_source(fill(tmp_path / "set", {**files, "DICOMDIR": b"an index"}))
    out = epath.Path(tmp_path / "out")
    summary = preparation.prepare(found, out, salt="s", workers=1)
    assert (summary["labels"], summary["classes"]) == ([], [])
    assert summary["splits"]["test"] == {"images": 3, "patients": 3, "per_label": {}}
    assert "Unlabelled: for prediction" in data_summary.describe(summary)
    data = prepared_data.open_data(str(out))
    examples = list(stored.read_metadata(data.splits["test"]))
    assert len(examples) == 3 and all(example.labels.shape == (0,) for example in examples)
    images = pipeline.read_images(data.splits["test"], [0, 2], 16, fit_mode="squash")
    assert images.shape == (2, 16, 16, 1)
    assert audit.audit(open_source(str(out), sources.Options()))[0]["labels"] == []
    with pytest.raises(UsageError, match="was prepared without labels and has no image to train"):
        check_data(tiny, summary)


def test_uniform_images_are_all_encoded_alike(tmp_path: Path):
    png = io.BytesIO()
    Image.open(io.BytesIO(picture(500))).save(png, "PNG")
    source = archive(tmp_path / "set.zip", {"train/SICK/person70_virus_1.png": png.getvalue()})
    preparation.prepare(source, epath.Path(tmp_path / "out"), uniform=True)
    files = [
        image for s in summary_file.SPLITS for _, image in examples(tmp_path / "out", s).values()
    ]
    opened = [Image.open(io.BytesIO(file)) for file in files]
    assert len(files) == 121
    assert len({(image.format, str(image.quantization)) for image in opened}) == 1


def test_the_flags_are_defined_by_the_program_alone():
    assert "source" not in flags.FLAGS and "out" not in flags.FLAGS
    values = flags.FlagValues()
    prepare.define_flags(values)
    values(["prepare", "--source=a", "--out=b", "--label_columns=x,y", "--uncertain=positive"])
    assert values.label_columns == ["x", "y"] and values.max_skipped == 0.01


@pytest.mark.slow
def test_the_program_prepares_and_prints_a_table(forks: Forks, tmp_path: Path):
    command = ("-m", "trainer", "prepare", "--source=phantom:40", f"--out={tmp_path}/out")
    done = forks.run(*command, "--workers=1")
    assert done.returncode == 0, done.stderr
    summary = summary_file.read(tmp_path / "out")
    train = summary["splits"]["train"]["per_label"]["PNEUMONIA"]
    assert f"{train['positive']} / {train['negative']} / 0" in done.stdout
    assert f"prepared: {tmp_path}/out\naudit: " in done.stdout
    assert done.stdout.endswith(f"--config.data.path={tmp_path}/out --workdir=RUN\n")
    assert json.loads((tmp_path / "out/audit.json").read_text())["source"] == "phantom:40"
    assert (tmp_path / "out/audit.html").exists()
    again = forks.run(*command)
    assert again.returncode == 0 and "audit: " not in again.stdout


def test_a_users_mistake_gets_a_sentence(forks: Forks, tmp_path: Path):
    flags = (f"--out={tmp_path}/out", "--source=nowhere.zip")
    done = forks.run("-m", "trainer", "prepare", *flags)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "nowhere.zip does not exist" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_an_error(source, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match="file/out cannot be written: Not a dir"):
        preparation.prepare(source, epath.Path(tmp_path / "file" / "out"))


@pytest.mark.slow
@pytest.mark.parametrize("given_as", ["file", "standard input"])
def test_the_users_script_is_not_run_again_by_the_decoding_processes(tmp_path: Path, given_as: str):
    code = (
        "from etils import epath; from trainer.data.prepare import preparation; "
        "from trainer.data import sources; print('begun');"
        f"preparation.prepare(sources.open_source('phantom:40'), epath.Path('{tmp_path}/out'))"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script if given_as == "file" else "-"],
        input=code,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stdout == "begun\n", done.stderr


def test_two_preparations_do_not_write_to_one_place(source, tmp_path: Path):
    with (
        file_lock.held(epath.Path(tmp_path)),
        pytest.raises(UsageError, match="in use by another job"),
    ):
        preparation.prepare(source, epath.Path(tmp_path))
    assert list(tmp_path.iterdir()) == [tmp_path / file_lock.FILE]


def started(out: Path, ready: Callable[[], bool]) -> subprocess.Popen:
    """Starts a long preparation in a process of its own, and waits until it is `ready`."""
    job = subprocess.Popen(
        [sys.executable, "-m", "trainer", "prepare"]
        + ["--noaudit", "--source=phantom:400", f"--out={out}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 100
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.01)
    return job


@pytest.mark.slow
def test_a_stop_signal_ends_it_and_leaves_nothing(tmp_path: Path):
    out = tmp_path / "out"
    lock = out / file_lock.FILE
    job = started(out, lambda: lock.exists() and lock.stat().st_size > 0)
    job.terminate()
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 128 + signal.SIGTERM and "Traceback" not in errors
    assert errors.splitlines()[-1] == "stopped: by SIGTERM; nothing was written."
    assert not out.exists()


@pytest.mark.slow
def test_killed_it_leaves_nothing_that_looks_finished(source, tmp_path: Path):
    out = tmp_path / "out"
    job = started(out, lambda: bool(list(out.rglob("*incomplete*"))))
    job.kill()
    job.communicate()
    assert list(out.rglob("*incomplete*")), "it was to be killed half way"
    assert summary_file.read(out) is None
    assert not summary_file.directory(out).exists()
    summary = preparation.prepare(source, epath.Path(out))
    assert sum(split["images"] for split in summary["splits"].values()) == 120
    assert not list(out.rglob("*incomplete*"))


@pytest.mark.slow
def test_the_real_originals_are_prepared(shared_data: Path, tmp_path: Path):
    source = sources.open_source(str(shared_data / "chest_xray_originals.zip"))
    summary = preparation.prepare(source, epath.Path(tmp_path / "out"))
    assert sum(split["images"] for split in summary["splits"].values()) == 160
    for split in summary["splits"].values():
        assert min(split["per_label"]["PNEUMONIA"][value] for value in ("positive", "negative"))


TO_AND_FROM_A_BUCKET = """
import json, sys
from etils import epath
from trainer.data import sources, summary_file
from trainer.data.prepare import preparation

phantoms = epath.Path("gs://bucket/phantoms")
preparation.prepare(sources.open_source("phantom:120"), phantoms, max_side=128)
epath.Path(sys.argv[1]).copy("gs://bucket/set.zip")
from_bucket = sources.open_source("gs://bucket/set.zip")
preparation.prepare(from_bucket, epath.Path(sys.argv[2]))
print(json.dumps(summary_file.read(phantoms)))
"""


@pytest.mark.slow
def test_a_bucket_is_prepared_to_and_from(bucket, phantoms: epath.Path, source, tmp_path: Path):
    done = bucket.run("-c", TO_AND_FROM_A_BUCKET, source.name, str(tmp_path / "from_bucket"))
    assert done.returncode == 0, done.stderr
    written, expected = json.loads(done.stdout), summary_file.read(phantoms)
    files = [[shard["file"] for shard in s.pop("shards")] for s in (written, expected)]
    assert files[0] == files[1] and written == expected
    preparation.prepare(source, epath.Path(tmp_path / "from_file"))
    for split in summary_file.SPLITS:
        from_bucket, from_file = (
            examples(tmp_path / f"from_{n}", split) for n in ("bucket", "file")
        )
        assert from_bucket == from_file


@pytest.mark.slow
def test_a_bucket_that_may_not_be_written_gets_a_sentence(bucket):
    bucket.fail(read_only=1)
    done = bucket.run(
        "-m", "trainer", "prepare", "--noaudit", "--source=phantom:40", "--out=gs://bucket/out"
    )
    assert done.returncode == 74 and "Traceback" not in done.stderr
    assert "gs://bucket/out cannot be written" in done.stderr.splitlines()[-1]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {file_lock.FILE}


@pytest.mark.parametrize(
    "file",
    [
        "downloads/chest_xray.zip",
        "beam/found-1",
        "radiographs/2.0.0.incompleteABC/notes.txt",
        "radiographs/2.0.0/notes.txt",
        ".building-0123456789abcdef/notes.txt",
        "notes.txt",
    ],
)
def test_place_with_other_files_is_refused_and_left_as_it_was(source, tmp_path: Path, file: str):
    out = tmp_path / "out"
    (out / file).parent.mkdir(parents=True)
    if file.endswith(".zip"):
        source = archive(out / file)
    (out / file).touch()
    before = snapshot(out)
    with pytest.raises(UsageError):
        preparation.prepare(source, epath.Path(out))
    assert snapshot(out).items() >= before.items()
    assert set(snapshot(out)) - set(before) <= {file_lock.FILE}


@pytest.mark.parametrize("step", ["publish", "write"])
def test_user_file_beside_an_interrupted_preparation_survives(
    source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    """The marker stays as after SIGKILL: the clean-up is left out."""
    owner = {"publish": build_folder.BuildFolder, "write": summary_file}[step]
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patched.setattr(build_folder, "_remove", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            preparation.prepare(source, epath.Path(tmp_path))
    assert (tmp_path / build_folder.MARKER).exists()
    notes = summary_file.directory(tmp_path) / "notes.txt"
    notes.parent.mkdir(parents=True, exist_ok=True)
    notes.write_text("mine")
    with pytest.raises(UsageError):
        preparation.prepare(source, epath.Path(tmp_path))
    assert notes.read_text() == "mine"
    notes.unlink()
    if step == "publish":  # which had not made these folders
        notes.parent.rmdir()
        notes.parent.parent.rmdir()
    preparation.prepare(source, epath.Path(tmp_path))
    assert names(tmp_path) == {"radiographs", summary_file.SUMMARY}


def test_marker_that_names_files_elsewhere_removes_none_of_them(source, tmp_path: Path):
    """An audit, which a user may have written there before, stays too."""
    out, other = tmp_path / "out", tmp_path / "notes.txt"
    out.mkdir()
    other.write_text("mine")
    (out / "audit.json").write_text("{}")
    elsewhere = ["../notes.txt", str(other), "a/../../notes.txt"]
    marker = {"building": "../notes.txt", "files": elsewhere}
    (out / build_folder.MARKER).write_text(json.dumps(marker))
    preparation.prepare(source, epath.Path(out))
    assert other.read_text() == "mine"
    assert names(out) == {"audit.json", "radiographs", summary_file.SUMMARY}
