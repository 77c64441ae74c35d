"""A source becomes a data set that is split by patient, whole or not there at all."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from absl import flags
from etils import epath
from PIL import Image

from trainer.commands import prepare
from trainer.data import dataset, sources
from trainer.data.prepare import build_folder, data_summary, preparation
from trainer.system import file_lock
from trainer.system.errors import UsageError

ROOT = Path(__file__).parents[3]
READ_SUMMARY = """
import json, sys
from trainer.data import dataset
print(json.dumps(dataset.read_summary(sys.argv[1])))
"""


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """A JPEG that no other seed gives."""
    values = np.random.default_rng(seed).integers(0, 255, (8, 8), np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG")
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


def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "trainer", "prepare", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def last_line(done: subprocess.CompletedProcess) -> str:
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def examples(out: Path, split: str) -> dict[str, tuple]:
    found = tfds.data_source("radiographs", data_dir=out, split=split)
    return {
        example["name"].decode(): (
            example["patient"],
            tuple(example["labels"]),
            example["image"].tobytes(),
        )
        for example in found
    }


def test_a_finished_data_set_is_not_prepared_again(phantoms: epath.Path):
    shard = next(dataset.directory(phantoms).glob("*train*"))
    written = shard.stat().mtime
    source = sources.open_source("phantom:120")
    assert preparation.prepare(source, phantoms, max_side=128) == dataset.read_summary(phantoms)
    assert shard.stat().mtime == written


@pytest.mark.parametrize("asked", [{"max_side": 64}, {"max_side": 128, "uniform": True}])
def test_a_data_set_that_was_prepared_in_another_way_is_not_overwritten(
    phantoms: epath.Path, asked: dict
):
    with pytest.raises(UsageError, match="already holds a data set made from phantom:120"):
        preparation.prepare(sources.open_source("phantom:120"), phantoms, **asked)


def test_tfds_opens_what_was_prepared(phantoms: epath.Path):
    summary = dataset.read_summary(phantoms)
    loaded = tfds.data_source("radiographs", data_dir=phantoms, split="test")
    labels = [int(example["labels"][0]) for example in loaded]
    counts = summary["splits"]["test"]["per_label"]["PNEUMONIA"]
    assert [labels.count(0), labels.count(1)] == [counts["negative"], counts["positive"]]
    example = loaded[0]
    assert example["image"].dtype == np.uint8 and max(example["image"].shape) == 128
    assert example["patient"].decode() == sources.patient_of(example["name"].decode())


def test_the_checksums_are_those_of_the_shards(phantoms: epath.Path):
    shards = dataset.read_summary(phantoms)["shards"]
    assert dataset.shards(dataset.directory(phantoms)) == shards
    assert sum("array_record" in shard["file"] for shard in shards) == 3


def test_what_cannot_be_decoded_is_listed_and_left_out(tmp_path: Path, capfd):
    source = archive(tmp_path / "set.zip", {"test/SICK/person99_virus_1.jpeg": b"no picture"})
    summary = preparation.prepare(source, epath.Path(tmp_path / "out"))
    counts = summary["splits"]["test"]["per_label"]["SICK"]
    assert counts == {"positive": 10, "negative": 10, "unknown": 0}
    name, reason = "test/SICK/person99_virus_1.jpeg", "text, not an image"
    assert summary["skipped"] == [{"split": "test", "name": name, "reason": reason}]
    assert f"skipped {name}: {reason}" in capfd.readouterr().err
    assert re.search(f"1 +{reason}, as {name}", data_summary.describe(summary).replace("  ", " "))


def test_strict_ends_at_the_first_file_that_cannot_be_used(tmp_path: Path):
    source = archive(tmp_path / "set.zip", {"test/SICK/person99_virus_1.jpeg": b"no picture"})
    with pytest.raises(
        UsageError, match="person99_virus_1.jpeg cannot be used: text, not an image"
    ):
        preparation.prepare(source, epath.Path(tmp_path / "out"), strict=True)
    assert not (tmp_path / "out").exists()


def test_too_many_files_that_cannot_be_used_end_with_a_table(tmp_path: Path):
    bad = {f"train/SICK/person{n}_virus_1.jpeg": b"" for n in range(70, 73)}
    bad |= {"train/SICK/person80_virus_1.jpeg": b"no picture"}
    source = archive(tmp_path / "set.zip", bad)
    with pytest.raises(UsageError) as refusal:
        preparation.prepare(source, epath.Path(tmp_path / "out"))
    sentence, *table = str(refusal.value).splitlines()
    assert "4 of 124 files (3.2%) cannot be used, more than --max_skipped=0.01" in sentence
    assert [line.split()[0] for line in table] == ["3", "1"]
    assert "empty file, as train/SICK/person70_virus_1.jpeg" in table[0]
    assert not (tmp_path / "out").exists()
    summary = preparation.prepare(source, epath.Path(tmp_path / "out"), max_skipped=0.04)
    assert len(summary["skipped"]) == 4


def test_identical_files_are_moved_together_and_told(tmp_path: Path, capfd):
    twin = {"test/NORMAL/IM-99-1.jpeg": picture(103)}  # that of person3_virus in train
    summary = preparation.prepare(archive(tmp_path / "set.zip", twin), epath.Path(tmp_path / "out"))
    moved = "train/SICK/person3_virus_1.jpeg"
    assert summary["moved"] == [{"name": moved, "from": "train", "to": "test"}]
    assert summary["conflicts"] == [
        {"names": ["test/NORMAL/IM-99-1.jpeg", moved], "labels": [[0], [1]]}
    ]
    assert "identical files have different labels" in capfd.readouterr().err
    assert {moved, "test/NORMAL/IM-99-1.jpeg"} <= examples(tmp_path / "out", "test").keys()


def test_where_nothing_tells_the_patient_near_duplicates_stay_together(tmp_path: Path, capfd):
    drawn = sources.open_source("phantom:60")
    for n, record in enumerate(drawn.records()):
        for quality in (40, 80):
            file = tmp_path / "set" / f"class{n % 2}" / f"{n}-{quality}.jpeg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.open(io.BytesIO(drawn.read(record))).save(file, quality=quality)
    out = tmp_path / "out"
    summary = preparation.prepare(sources.open_source(str(tmp_path / "set")), epath.Path(out))
    warnings = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 1 and "nothing tells the patient of 120 images" in warnings[0]
    for split in dataset.SPLITS:
        stored = examples(out, split)
        patients = {patient for patient, *_ in stored.values()}
        assert summary["splits"][split]["patients"] == len(patients) <= len(stored) / 2
        assert {name.replace("-40", "-80") for name in stored} <= stored.keys()


def test_what_identifies_is_stored_under_salted_hashes(tmp_path: Path, capfd):
    names = {}
    for salt in ("one", "two"):
        bad = {"test/SICK/person99_virus_1.jpeg": b"no picture", "test/SICK/a_1.jpeg": picture(103)}
        source = archive(tmp_path / "set.zip", {**bad, "test/SICK/IM-999-1.jpeg": picture(300)})
        source.identifying = True
        out = tmp_path / salt
        summary = preparation.prepare(source, epath.Path(out), salt=salt)
        told = json.dumps([summary["skipped"], summary["moved"], summary["conflicts"]])
        assert summary["skipped"] and summary["moved"]
        assert "person" not in told and "IM-" not in told and salt not in json.dumps(summary)
        stored = examples(out, "train") | examples(out, "test")
        assert not [n for n in stored if "IM-" in n or "person" in n or "SICK" in n]
        assert not [p for p, *_ in stored.values() if b"IM-" in p or b"person" in p]
        names[salt] = set(stored)
        assert "skipped test/SICK/person99_virus_1.jpeg" in capfd.readouterr().err
    assert not names["one"] & names["two"]


def test_uniform_images_are_all_encoded_alike(tmp_path: Path):
    png = io.BytesIO()
    Image.open(io.BytesIO(picture(500))).save(png, "PNG")
    source = archive(tmp_path / "set.zip", {"train/SICK/person70_virus_1.png": png.getvalue()})
    preparation.prepare(source, epath.Path(tmp_path / "out"), uniform=True)
    formats = set()
    for split in dataset.SPLITS:
        loaded = tfds.data_source(
            "radiographs",
            data_dir=tmp_path / "out",
            split=split,
            decoders={"image": tfds.decode.SkipDecoding()},
        )
        formats |= {Image.open(io.BytesIO(example["image"])).format for example in loaded}
    assert len(formats) == 1


def test_the_flags_are_defined_by_the_program_alone():
    assert "source" not in flags.FLAGS and "out" not in flags.FLAGS
    values = flags.FlagValues()
    prepare.define_flags(values)
    values(["prepare", "--source=a", "--out=b", "--label_columns=x,y", "--uncertain=positive"])
    assert values.label_columns == ["x", "y"] and values.max_skipped == 0.01


@pytest.mark.slow
def test_the_program_prepares_and_prints_a_table(tmp_path: Path):
    done = run("--source=phantom:40", f"--out={tmp_path}/out", "--workers=1")
    assert done.returncode == 0, done.stderr
    summary = dataset.read_summary(tmp_path / "out")
    train = summary["splits"]["train"]["per_label"]["PNEUMONIA"]
    assert f"{train['positive']} / {train['negative']} / 0" in done.stdout
    assert "prepared: " in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--source=nowhere.zip"], "nowhere.zip does not exist"),
        (["--source=phantom:40", "--max_side=9"], "max_side"),
        ([], "--source"),
    ],
)
def test_a_users_mistake_gets_a_sentence(tmp_path: Path, arguments: list[str], sentence: str):
    done = run(f"--out={tmp_path}/out", *arguments)
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_place_that_cannot_be_written_gets_a_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    done = run("--source=phantom:40", f"--out={tmp_path}/file/out")
    assert done.returncode == 74 and "file/out cannot be written: Not a dir" in last_line(done)


@pytest.mark.slow
def test_a_script_that_prepares_is_not_run_again_by_the_processes_that_decode(tmp_path: Path):
    code = (
        "from etils import epath; from trainer.data.prepare import preparation; "
        "from trainer.data import sources; print('begun');"
        "preparation.prepare(sources.open_source('phantom:40'), epath.Path({out!r}))"
    )
    script = tmp_path / "script.py"
    script.write_text(code.format(out=str(tmp_path / "a")))
    for command, given in (([script], ""), (["-"], code.format(out=str(tmp_path / "b")))):
        done = subprocess.run(
            [sys.executable, *command],
            input=given,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 and done.stdout == "begun\n", done.stderr


def test_two_at_once_do_not_write_to_one_place(tmp_path: Path):
    with (
        file_lock.held(epath.Path(tmp_path)),
        pytest.raises(UsageError, match="in use by another job"),
    ):
        preparation.prepare(sources.open_source("phantom:40"), epath.Path(tmp_path))
    assert list(tmp_path.iterdir()) == [tmp_path / ".radiograph-trainer.lock"]


def _locked(out: Path) -> bool:
    lock = out / ".radiograph-trainer.lock"
    return lock.exists() and lock.stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_it_and_leaves_nothing(tmp_path: Path, number: signal.Signals):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "trainer", "prepare", "--source=phantom:900", f"--out={out}"]
    job = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not _locked(out) and time.monotonic() < deadline:  # nothing is in the folder before
        time.sleep(0.01)
    job.send_signal(number)
    sent = time.monotonic()
    _, errors = job.communicate(timeout=60)
    assert time.monotonic() - sent < 10
    assert job.returncode == 128 + number and "Traceback" not in errors
    assert errors.splitlines()[-1] == f"stopped: by {number.name}; nothing was written."
    assert not out.exists()


@pytest.mark.slow
def test_killed_it_leaves_nothing_that_looks_finished(tmp_path: Path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "trainer", "prepare", "--source=phantom:900", f"--out={out}"]
    job = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.rglob("*incomplete*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert list(out.rglob("*incomplete*")), "it was to be killed half way"
    assert dataset.read_summary(out) is None
    assert not dataset.directory(out).exists()
    summary = preparation.prepare(sources.open_source("phantom:120"), epath.Path(out))
    assert sum(split["images"] for split in summary["splits"].values()) == 120
    assert not list(out.rglob("*incomplete*"))


@pytest.mark.slow
def test_the_real_originals_are_prepared(shared_data: Path, tmp_path: Path):
    source = sources.open_source(str(shared_data / "chest_xray_originals.zip"))
    summary = preparation.prepare(source, epath.Path(tmp_path / "out"))
    assert sum(split["images"] for split in summary["splits"].values()) == 160
    for split in summary["splits"].values():
        assert min(split["per_label"]["PNEUMONIA"][value] for value in ("positive", "negative"))


@pytest.mark.slow
def test_a_bucket_is_prepared_to(bucket, phantoms: epath.Path):
    out = "gs://bucket/prepared"
    arguments = ["--source=phantom:120", f"--out={out}", "--max_side=128"]
    done = bucket.run("-m", "trainer", "prepare", *arguments)
    assert done.returncode == 0, done.stderr
    done = bucket.run("-c", READ_SUMMARY, out)
    written, expected = json.loads(done.stdout), dataset.read_summary(phantoms)
    files = [[shard["file"] for shard in s.pop("shards")] for s in (written, expected)]
    assert files[0] == files[1] and written == expected


@pytest.mark.slow
def test_a_bucket_is_prepared_from(bucket, tmp_path: Path):
    preparation.prepare(archive(tmp_path / "set.zip"), epath.Path(tmp_path / "of_file"))
    put = "from etils import epath; import sys; epath.Path(sys.argv[1]).copy(sys.argv[2])"
    assert bucket.run("-c", put, str(tmp_path / "set.zip"), "gs://bucket/set.zip").returncode == 0
    out = tmp_path / "of_bucket"
    done = bucket.run("-m", "trainer", "prepare", "--source=gs://bucket/set.zip", f"--out={out}")
    assert done.returncode == 0, done.stderr
    for split in dataset.SPLITS:
        assert examples(out, split) == examples(tmp_path / "of_file", split)


@pytest.mark.slow
def test_a_bucket_that_may_not_be_written_gets_a_sentence(bucket):
    bucket.fail(read_only=1)
    done = bucket.run("-m", "trainer", "prepare", "--source=phantom:40", "--out=gs://bucket/out")
    assert done.returncode == 74
    assert "gs://bucket/out cannot be written" in last_line(done)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


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
def test_place_with_other_files_is_refused_and_left_as_it_was(tmp_path: Path, file: str):
    out = tmp_path / "out"
    (out / file).parent.mkdir(parents=True)
    source = archive(out / file) if file.endswith(".zip") else sources.open_source("phantom:40")
    (out / file).touch()
    before = snapshot(out)
    with pytest.raises(UsageError):
        preparation.prepare(source, epath.Path(out))
    assert snapshot(out).items() >= before.items()
    assert set(snapshot(out)) - set(before) <= {".radiograph-trainer.lock"}


def test_place_that_only_an_audit_was_written_to_is_prepared(tmp_path: Path):
    (tmp_path / "audit.json").write_text("{}")
    preparation.prepare(sources.open_source("phantom:40"), epath.Path(tmp_path))
    names = {path.name for path in tmp_path.iterdir()} - {".radiograph-trainer.lock"}
    assert names == {"audit.json", "radiographs", dataset.SUMMARY}


@pytest.mark.parametrize("step", ["publish", "write_summary"])
def test_user_file_beside_an_interrupted_preparation_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    """The marker stays as after SIGKILL: whatever the clean-up would do is left out."""
    where = {"publish": build_folder.BuildFolder, "write_summary": dataset}[step]
    with monkeypatch.context() as patched:
        patched.setattr(where, step, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patched.setattr(build_folder, "_remove", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            preparation.prepare(sources.open_source("phantom:40"), epath.Path(tmp_path))
    assert (tmp_path / build_folder.MARKER).exists()
    notes = dataset.directory(tmp_path) / "notes.txt"
    notes.parent.mkdir(parents=True, exist_ok=True)
    notes.write_text("mine")
    with pytest.raises(UsageError):
        preparation.prepare(sources.open_source("phantom:40"), epath.Path(tmp_path))
    assert notes.read_text() == "mine"
    notes.unlink()
    if step == "publish":  # that had not made these
        notes.parent.rmdir()
        notes.parent.parent.rmdir()
    preparation.prepare(sources.open_source("phantom:40"), epath.Path(tmp_path))
    names = {path.name for path in tmp_path.iterdir()} - {".radiograph-trainer.lock"}
    assert names == {"radiographs", dataset.SUMMARY}


def test_marker_that_names_files_elsewhere_removes_none_of_them(tmp_path: Path):
    out, other = tmp_path / "out", tmp_path / "notes.txt"
    out.mkdir()
    other.write_text("mine")
    marker = {
        "building": "../notes.txt",
        "files": ["../notes.txt", str(other), "a/../../notes.txt"],
    }
    (out / build_folder.MARKER).write_text(json.dumps(marker))
    preparation.prepare(sources.open_source("phantom:40"), epath.Path(out))
    assert other.read_text() == "mine"
