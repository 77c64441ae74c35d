"""Finished runs are evaluated on other data, and never on what they learnt from unsaid."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from etils import epath
from scipy.special import logit

from tests.memory_sources import Files
from trainer.data import sources
from trainer.data.audit.prepared import PreparedSource
from trainer.data.decode import radiograph
from trainer.data.prepare import preparation
from trainer.data.prepare.ingest import DecodeOptions
from trainer.data.synthetic import phantom
from trainer.judge import evaluation, judged_data, learnt_images, overlap, stress
from trainer.judge.alterations import ALTERATIONS
from trainer.judge.ensemble import Ensemble
from trainer.judge.evaluation import Options
from trainer.judge.stress import FIGURES
from trainer.metrics import evaluation_files
from trainer.show.pictures.canvas import png
from trainer.system.errors import UsageError
from trainer.training.run_files import OF_NETWORK, RunFiles

ONE = Options(strategy="one_device")
MAPPED = replace(ONE, map_labels="SICK=PNEUMONIA,WELL=NORMAL")


class Hospital(Files):
    """Whose table has a column of sexes."""

    def records(self):
        records = super().records()
        return [replace(r, columns=("F" if n % 2 else "M",)) for n, r in enumerate(records)]


def rows(count):
    """Phantoms of other patients: (name, content, label, patient, split)."""
    for number, (name, content) in enumerate(phantom.archive(count, seed=1)):
        split = ("train", "val", "test")[number % 3]
        sick = int("PNEUMONIA" in name)
        yield f"{number}.jpeg", content, sick, f"other-{number}-{split}", split


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A prepared data set of other patients, with other names for the labels."""
    out = epath.Path(tmp_path_factory.mktemp("data") / "hospital")
    preparation.prepare(Hospital(list(rows(24)), columns=("sex",)), out, max_side=128)
    return out


@pytest.fixture(scope="module")
def sharing(tmp_path_factory, phantoms):
    """Another one, with a patient of `phantoms` and a brightened image of another."""
    source = PreparedSource(phantoms)
    learnt = [r for r in source.records() if r.split == "train" and r.labels == (1,)]
    one, other = learnt[0], next(r for r in learnt if r.patient != learnt[0].patient)
    pixels = radiograph.decode(source.read(other), 128)[..., 0].astype(int)
    brighter = png(np.repeat((pixels * 0.9 + 20).clip(0, 255).astype(np.uint8)[..., None], 3, 2))
    more = [
        ("theirs.jpeg", next(rows(1))[1], 0, one.patient, "test"),
        ("copy.png", brighter, 1, "other-copy", "test"),
    ]
    out = epath.Path(tmp_path_factory.mktemp("data") / "sharing")
    preparation.prepare(Files([*list(rows(24))[1:], *more]), out, max_side=128)
    return out


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the run, to be changed."""
    copied = epath.Path(tmp_path / "run")
    shutil.copytree(finished, copied, ignore=shutil.ignore_patterns("tensorboard", "pictures"))
    return copied


@pytest.fixture(scope="module")
def network(finished):
    return Ensemble.load([finished])


def move_data(run):
    """Lets the run's data set be where it is not."""
    config = json.loads((run / "config.json").read_text())
    config["data"]["path"] = "/nowhere/data"
    (run / "config.json").write_text(json.dumps(config))


def read(folder, name):
    return json.loads((folder / f"evaluation/{name}.json").read_text())


def test_evaluation_of_the_runs_own_test_repeats_its_own(finished, phantoms, tmp_path):
    evaluation.evaluate([finished], phantoms, replace(ONE, name="again"), out=tmp_path)

    ours, own = read(epath.Path(tmp_path), "again"), read(finished, "test")
    assert (tmp_path / "evaluation/again.csv").read_text() == (
        finished / "evaluation/test.csv"
    ).read_text()
    (label,), (own_label,) = ours["labels"].values(), own["labels"].values()
    assert label["calibration"] == own_label["calibration"]
    assert (ours["auc"], ours["loss"]) == (own["auc"], own["loss"])
    for point, own_point in zip(
        label["operating_points"], own_label["operating_points"], strict=True
    ):
        assert point.items() >= own_point.items()
    assert ours["own_test"]["auc"] == own["auc"]


def test_other_data_is_judged_whole_and_the_runs_own_files_stay(copy, hospital):
    before = {file.name: file.read_bytes() for file in (copy / "evaluation").iterdir()}

    page = evaluation.evaluate([copy], hospital, MAPPED)

    assert page == copy / "evaluation/hospital.html"
    after = {file.name: file.read_bytes() for file in (copy / "evaluation").iterdir()}
    assert after.items() > before.items()
    content = read(copy, "hospital")
    assert content["images"] == 24 and content["splits"] == ["train", "validation", "test"]
    assert content["labels"]["PNEUMONIA"]["positive"] > 0 and not content["overlap"]["patients"]
    assert content["sets"]["coverage"] == 0.9
    assert list(content["sets"]["reached"]) == ["NORMAL", "PNEUMONIA"]
    assert all(0 <= share <= 1 for share in content["sets"]["reached"].values())
    shares, (label,) = content["prior"]["labels"]["PNEUMONIA"], content["labels"].values()
    read_back = evaluation_files.read_predictions(copy, "hospital").scores
    logits, positive = read_back.logits[:, 0], read_back.labels[:, 0] > 0.5
    by_name = {point["name"]: point for point in label["operating_points"]}
    assert list(by_name) == ["probability 0.5", "chosen on validation"]
    carried, odds = by_name["chosen on validation"], logit([shares["estimated"], shares["assumed"]])
    moved = label["calibration"]["temperature"] * (odds[0] - odds[1])
    assert shares["logit"] == pytest.approx(carried["logit"] - moved)
    found, cleared = (logits >= shares["logit"])[positive], (logits < shares["logit"])[~positive]
    assert shares["sensitivity"]["value"] == pytest.approx(found.mean())
    assert shares["specificity"]["value"] == pytest.approx(cleared.mean())
    shown = page.read_text()
    assert "corrected for the prior" in shown and "expectation maximisation" in shown
    assert content["sets"]["too_few"] == ["NORMAL", "PNEUMONIA"] and content["sets"]["needed"] == 9
    assert "too few images to calibrate NORMAL, PNEUMONIA (it takes 9)" in shown
    assert "24 images of 24 patients" in shown and "own test" in shown
    assert "Not a medical device" in shown and shown.count("<script") == 1
    assert "### hospital: 24 images" in (copy / "model_card.md").read_text()
    names = [record.name for record in PreparedSource(hospital).records()]
    assert evaluation_files.read_predictions(copy, "hospital").images == names


def test_patients_and_copies_that_were_learnt_from_are_refused(finished, sharing, tmp_path):
    with pytest.raises(UsageError, match=r"1 of the 25 patients and 1 of the 25 images"):
        evaluation.evaluate([finished], sharing, MAPPED, out=tmp_path)
    assert not (tmp_path / "evaluation").exists()


def test_allowed_overlap_is_said_beside_the_figures(finished, sharing, tmp_path):
    options = replace(MAPPED, allow_overlap=True, split="test")
    page = evaluation.evaluate([finished], sharing, options, out=tmp_path)

    found = read(epath.Path(tmp_path), "sharing")["overlap"]
    assert (found["patients"], found["images"], found["checked"]) == (1, 1, True)
    assert found["sentence"] in page.read_text().split("Not a medical device")[0]


def test_train_split_of_the_runs_own_data_is_refused(network, phantoms):
    data = judged_data.open_judged(phantoms, network, split="train")
    found = overlap.find(data, network)
    assert found.images == len(data.names) and found.patients == len(set(data.patients))
    assert not overlap.find(judged_data.open_judged(phantoms, network), network)


@pytest.mark.parametrize("gone", ["data", "fingerprints"])
def test_overlap_is_known_by_what_the_run_keeps_or_by_its_data(copy, sharing, gone):
    if gone == "data":
        move_data(copy)
    else:
        (copy / learnt_images.FILE).unlink()  # as an older run
    network = Ensemble.load([copy])
    data = judged_data.open_judged(sharing, network, map_labels=MAPPED.map_labels)

    found = overlap.find(data, network)

    assert (found.patients, found.images, found.unchecked) == (1, 1, ())
    (copy / learnt_images.FILE).write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"fingerprints\.npz cannot be read .*: delete it"):
        overlap.find(data, network)


def test_overlap_is_unknown_where_neither_is_there(copy, hospital):
    move_data(copy)
    (copy / learnt_images.FILE).unlink()
    network = Ensemble.load([copy])

    data = judged_data.open_judged(hospital, network, map_labels=MAPPED.map_labels)
    found = overlap.find(data, network)

    assert not found and not found.content()["checked"]
    assert "is not known: its data set /nowhere/data is not there" in found.sentence


def test_runs_are_compared_by_group_with_one_another_and_together(
    finished, copy, hospital, tmp_path
):
    options = replace(MAPPED, by=["sex"], flip=True)
    page = evaluation.evaluate([finished], hospital, options, against=[copy], out=tmp_path)

    content, shown = read(epath.Path(tmp_path), "hospital"), page.read_text()
    (groups,) = content["groups"]["sex"].values()
    assert [group["name"] for group in groups["groups"]] == ["F", "M"]
    assert sum(group["images"] for group in groups["groups"]) == content["images"]
    (against,) = content["against"]["labels"].values()
    assert against["figures"]["auc"]["value"] == 0 and against["delong"]["p"] == 1
    assert "By sex" in shown and f"Against {copy}" in shown and "mirror image" in shown

    page = evaluation.evaluate([finished, copy], hospital, MAPPED, out=tmp_path)

    content, shown = read(epath.Path(tmp_path), "hospital"), page.read_text()
    auc = content["members"]["auc"]
    assert auc["each"] == [content["auc"]["value"]] * 2 and auc["sd"] == 0
    assert "Each run" in shown and "Against" not in shown


def test_an_unlabelled_set_and_a_folder_of_runs_are_refused_with_what_to_do(network, tmp_path):
    for number, (_, content) in enumerate(phantom.archive(3, seed=2)):
        (tmp_path / "source" / f"{number}.jpeg").parent.mkdir(exist_ok=True)
        (tmp_path / "source" / f"{number}.jpeg").write_bytes(content)
    source = sources.open_source(f"{tmp_path}/source", sources.Options(unlabelled=True))
    preparation.prepare(source, epath.Path(tmp_path / "data"), max_side=128)
    with pytest.raises(UsageError, match="is unlabelled, .* give its files to radiograph predict"):
        judged_data.open_judged(tmp_path / "data", network)
    for number in range(1, 6):
        (tmp_path / f"RUNS/fold-{number}").mkdir(parents=True)
        (tmp_path / f"RUNS/fold-{number}/config.json").touch()
    with pytest.raises(UsageError, match="it holds the runs fold-1, fold-2, fold-3 and 2 more: "):
        RunFiles(tmp_path / "RUNS", OF_NETWORK)


def test_columns_that_were_not_kept_and_edges_that_fall_are_refused(network, hospital):
    data = judged_data.open_judged(hospital, network, map_labels=MAPPED.map_labels)
    with pytest.raises(UsageError, match="--by=age is no column of .* keeps sex: .*--keep_columns"):
        evaluation.grouped(data, ["age"])
    with pytest.raises(UsageError, match="rising numbers"):
        evaluation.grouped(data, ["sex:40:18"])


def test_several_runs_need_a_folder(finished, copy, hospital):
    with pytest.raises(UsageError, match="give --out=FOLDER"):
        evaluation.evaluate([finished, copy], hospital, MAPPED)


def test_labels_of_other_names_are_refused_with_the_flag(network, hospital):
    with pytest.raises(UsageError, match="give --map_labels=SICK=PNEUMONIA"):
        judged_data.open_judged(hospital, network)


def test_healthy_class_alone_tells_the_finding_too(network, hospital):
    data = judged_data.open_judged(hospital, network, map_labels="WELL=NORMAL,SICK=")
    mapped = judged_data.open_judged(hospital, network, map_labels=MAPPED.map_labels)
    np.testing.assert_array_equal(data.values, mapped.values)


@pytest.mark.parametrize("option", ["max_side", "uniform"])
def test_data_decoded_otherwise_is_refused(network, hospital, option):
    decoding = replace(DecodeOptions(128), **{option: 64 if option == "max_side" else True})
    other = replace(network, members=(replace(network.members[0], decoding=decoding),))
    with pytest.raises(UsageError, match=f"prepared with {option}=.* data with {option}="):
        judged_data.open_judged(hospital, other)


@pytest.mark.parametrize("name", ["validation", "test", "a/b"])
def test_names_of_the_runs_own_evaluations_are_refused(finished, hospital, name):
    with pytest.raises(UsageError, match="--name"):
        evaluation.evaluate([finished], hospital, replace(MAPPED, name=name))


def test_one_split_is_judged_where_it_is_named(network, hospital):
    data = judged_data.open_judged(hospital, network, split="test", map_labels=MAPPED.map_labels)
    assert all(patient.endswith("-test") for patient in data.patients) and data.names
    with pytest.raises(UsageError, match="--split=extra is no split"):
        judged_data.open_judged(hospital, network, split="extra")


def test_altered_images_are_judged_beside_those_as_they_are(
    copy, hospital, monkeypatch: pytest.MonkeyPatch
):
    (jpeg,) = (kind for kind in ALTERATIONS if "JPEG" in kind.name)
    few = partial(stress.stress, alterations=[jpeg._replace(strengths=(1,))])
    monkeypatch.setattr(stress, "stress", few)

    page = evaluation.evaluate([copy], hospital, replace(MAPPED, stress=True))

    content = read(copy, "hospital")
    assert content["stress"]["unchanged"]["auc"] == content["auc"]
    (row,) = content["stress"]["altered"]
    assert row["name"] == "re-encoded as JPEG of quality 1" and row["encoding"]
    changes = [
        row[name]["value"] - content["stress"]["unchanged"][name]["value"] for name in FIGURES
    ]
    assert changes == pytest.approx([row["change"][name]["value"] for name in FIGURES])
    assert content["stress"]["sentence"] in page.read_text() and row["name"] in page.read_text()
