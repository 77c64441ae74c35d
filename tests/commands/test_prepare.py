"""The command refuses what cannot be before it reads an image."""

from pathlib import Path

import pytest
from absl import flags
from etils import epath

from trainer.commands import audit, prepare, source_flags
from trainer.data import sources, summary_file
from trainer.data.prepare import preparation
from trainer.system.errors import UsageError


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    given = flags.FlagValues()
    prepare.define_flags(given)
    given(["prepare", *arguments])
    monkeypatch.setattr(flags, "FLAGS", given)
    prepare.main([])


@pytest.mark.parametrize("out", ["", "/sick", "/new/folder", "/../set/new"])
def test_out_inside_of_the_source_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
):
    for name in ("sick/1.png", "normal/2.png"):
        (tmp_path / "set" / name).parent.mkdir(parents=True)
        (tmp_path / "set" / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "set")
    before = sorted(tmp_path.rglob("*"))
    for source in ("set", "link"):
        place = f"--out={tmp_path}/set{out}"
        with pytest.raises(UsageError, match="--out=.* lies in --source="):
            run(monkeypatch, f"--source={tmp_path}/{source}", place)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("summary", "folds", "command"),
    [
        ({"labels": [], "all_test": True}, False, "predict RUN SOURCE"),
        ({"labels": []}, False, "train --config=pretrain --config.data.path=OUT --workdir=RUN"),
        ({"labels": ["sick"], "all_test": True}, False, "evaluate RUN --data=OUT"),
        ({"labels": ["sick"]}, False, "train --config=resnet --config.data.path=OUT --workdir=RUN"),
        (
            {"labels": ["sick"]},
            True,
            "seeds --folds --config=resnet --config.data.path=OUT --workdir=RUNS",
        ),
    ],
)
def test_the_next_command_is_that_for_what_was_prepared(
    summary: dict[str, object], folds: bool, command: str
):
    out = epath.Path("OUT")
    assert prepare.next_command(summary, "SOURCE", out, folds=folds) == f"radiograph {command}"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "there.csv").touch()
    with pytest.raises(UsageError, match="--out=.*there.csv is a file: name a folder"):
        run(monkeypatch, "--source=phantom:20", f"--out={tmp_path}/there.csv")


@pytest.mark.parametrize("file", ["data/names.csv", "there.csv", "nowhere/names.csv"])
def test_a_file_of_names_in_the_data_set_or_in_place_of_another_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
):
    (tmp_path / "there.csv").touch()
    names, out = f"--names_file={tmp_path}/{file}", f"--out={tmp_path}/data"
    with pytest.raises(UsageError, match="--names_file=.* must be a new file"):
        run(monkeypatch, "--source=phantom:20", out, names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.csv"]


def test_how_a_source_is_read_is_printed_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    def work(source: sources.Source, out: Path, **settings: object) -> dict:
        raise UsageError("begun")

    for name in ("normal/1.png", "sick/2.png", "sick/masks/2.png"):
        (tmp_path / "set" / name).parent.mkdir(parents=True)
        (tmp_path / "set" / name).touch()
    monkeypatch.setattr(preparation, "prepare", work)
    with pytest.raises(UsageError, match="begun"):
        run(monkeypatch, f"--source={tmp_path}/set", f"--out={tmp_path}/out")
    printed = capfd.readouterr().err
    assert f"read {tmp_path}/set: the class is folder 1 of a path (--class_level=1)" in printed
    assert "sick = 1, the finding" in printed and "(folders masks)" in printed


@pytest.mark.parametrize("flag", ["patient_column", "label_columns", "class_from"])
def test_an_empty_name_is_refused_and_not_taken_for_none(flag: str):
    given = flags.FlagValues()
    source_flags.define(given)
    given(["x", f"--{flag}="])
    with pytest.raises(UsageError, match=f"--{flag}= is empty"):
        source_flags.options(given)


def test_folds_are_data_sets_of_their_own_with_one_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    def work(source: sources.Source, out: epath.Path, **settings: object) -> dict:
        out.mkdir(parents=True)
        summary = {"source": "x", "labels": ["SICK"], "shards": [], "splits": {}}
        summary_file.write(out, summary | {"fold": settings["fold"]})
        return summary

    def audited(source: sources.Source, page: epath.Path, **options: object) -> dict:
        page.write_text("page")
        page.with_suffix(".json").write_text("{}")
        return {"verdict": {"sentence": "fine"}}

    monkeypatch.setattr(preparation, "prepare", work)
    monkeypatch.setattr(audit, "write", audited)
    out = tmp_path / "out"
    run(monkeypatch, "--source=phantom:20", f"--out={out}", "--folds=3")
    folds = [summary_file.read(out / f"fold-{n}")["fold"] for n in (1, 2, 3)]
    assert folds == [[1, 3], [2, 3], [3, 3]]
    assert all((out / f"fold-{n}" / "audit.json").read_text() == "{}" for n in (1, 2, 3))
    assert f"seeds --folds --config=resnet --config.data.path={out} " in capfd.readouterr().out
    for flag, sentence in (("--all_test", "do not go together"), ("--folds=1", "nothing to train")):
        with pytest.raises(UsageError, match=sentence):
            run(monkeypatch, "--source=phantom:20", f"--out={tmp_path}/no", "--folds=3", flag)


def test_every_way_to_say_what_the_classes_are_is_a_flag():
    given = flags.FlagValues()
    source_flags.define(given)
    given(["x", "--class_level=-1", "--class_from=a", "--exclude=b,c", "--positive=d"])
    options = source_flags.options(given)
    assert (options.class_level, options.class_from) == (-1, "a")
    assert (options.exclude, options.positive, options.map_labels) == (("b", "c"), "d", "")
