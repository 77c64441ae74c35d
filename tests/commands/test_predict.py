"""radiograph predict: rows to a file or to stdout, the exit code, and what is refused at once."""

import csv
import sys

import pytest

from tests.data.decode.test_dicom import file_of, ramp
from trainer.commands import predict
from trainer.data.synthetic import phantom
from trainer.system.errors import UsageError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of three radiographs and a damaged file."""
    folder = tmp_path_factory.mktemp("files")
    for number, (_, jpeg) in zip(range(3), phantom.archive(3), strict=False):
        (folder / f"{number}.jpeg").write_bytes(jpeg)
    (folder / "damaged.jpeg").write_bytes(b"\xff\xd8\xff")
    return folder


def rows(text):
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.slow
def test_each_file_has_a_row_and_damaged_ones_end_in_exit_code_1(forks, finished, files, tmp_path):
    out = tmp_path / "p.csv"
    command = ["-m", "trainer", "predict", finished, files, "--workers=1"]

    to_stdout, to_file = forks.run(*command), forks.run(*command, f"--out={out}")

    assert (to_stdout.returncode, to_file.returncode) == (1, 1)
    assert "1 of 4 files have no prediction: their rows say why" in to_stdout.stderr
    assert f"{out} says why" in to_file.stderr and to_file.stdout == ""
    assert rows(to_stdout.stdout) == rows(out.read_text())
    found = {
        row["path"].removeprefix(f"{files}/"): row["refused"] for row in rows(to_stdout.stdout)
    }
    assert found == {"0.jpeg": "", "1.jpeg": "", "2.jpeg": "", "damaged.jpeg": "damaged"}


@pytest.mark.slow
def test_dicom_files_have_results_in_a_bucket_or_are_refused(bucket, finished, files, tmp_path):
    pytest.importorskip("highdicom")
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4"}
    for name, said in ("plain", {}), ("named", {"BurnedInAnnotation": "YES"}):
        (tmp_path / f"{name}.dcm").write_bytes(file_of(ramp(12), **uids, **said))
    paths = [f"{tmp_path}/plain.dcm", f"{tmp_path}/named.dcm", f"{files}/0.jpeg"]
    command = ["-m", "trainer", "predict", str(finished), *paths, "--workers=1"]
    command += [f"--out={tmp_path}/p.csv", "--dicom_out=gs://bucket/results"]

    bucket.fail(read_only=1)
    stopped = bucket.run(*command)
    bucket.fail()
    done = bucket.run(*command, "--resume")

    assert stopped.returncode == 2 and "read-only bucket" in stopped.stderr
    assert "Traceback" not in stopped.stderr and done.returncode == 1
    found = rows((tmp_path / "p.csv").read_text())
    assert [row["refused"] for row in found] == ["", "left out", ""]
    assert "--allow_burned_in writes it" in found[1]["reason"]
    assert "no DICOM files, so without DICOM results: 1" in done.stderr
    assert "without BurnedInAnnotation, so that names may be burnt in: 1" in done.stderr
    bucket.fetch("results/", tmp_path / "results")
    written = [file.name for file in tmp_path.glob("results/**/*.dcm")]
    assert sorted(written) == ["plain.dcm.capture.dcm", "plain.dcm.report.dcm"]


def test_what_cannot_be_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", iter(()))
    flag_values = predict.flags.FlagValues()
    predict.define_flags(flag_values)
    monkeypatch.setattr(predict.flags, "FLAGS", flag_values)

    def refusal(*arguments):
        positional = flag_values(["predict", "RUN", "FILE", *arguments])
        with pytest.raises(UsageError) as refused:
            predict.main(positional)
        flag_values.unparse_flags()
        return str(refused.value)

    assert "must end in .csv or .jsonl or .parquet" in refusal(f"--out={tmp_path}/p.txt")
    assert "does not exist; make it first" in refusal(f"--out={tmp_path}/no/p.csv")
    (tmp_path / "p.csv").write_text("of another run")
    assert "is there already" in refusal(f"--out={tmp_path}/p.csv")
    assert "is there already" in refusal(f"--out={tmp_path}/p.csv", "--resume")
    assert "--resume goes on with a file" in refusal("--resume")
    assert "--allow_burned_in is for DICOM results" in refusal("--allow_burned_in")
    monkeypatch.setattr(predict, "find_spec", lambda name: None)
    assert "pip install 'radiograph-trainer[dicom]'" in refusal("--dicom_out=DIR")
    assert "--coverage=90 is no share" in refusal("--coverage=90")
    assert "give it as in --coverage=0.9." in refusal("--coverage=90")
    assert "there is no run at RUN" in refusal()


def test_several_runs_are_named_in_one_argument(tmp_path):
    (tmp_path / "a,b").mkdir()

    assert predict.run_names("RUN1,RUN2") == ["RUN1", "RUN2"]
    assert predict.run_names(f"{tmp_path}/a,b") == [f"{tmp_path}/a,b"]
