"""The report of a run: its result, comparisons, errors, training, data, and how to repeat it."""

import re

import pytest

from trainer.report import result, run_page
from trainer.show.pictures.tiles import Tile, TileGroup
from trainer.system.errors import UsageError
from trainer.training import run_files

PICTURES = (
    "train/samples",
    "train/augmented",
    "test/errors",
    "test/explanations/errors",
    "test/explanations/examples",
    "test/filters/conv2d",
    "test/activations/01_conv2d",
    "test/activations/02_max_pooling",
)
ERRORS = [
    TileGroup("false positives", [Tile("a_b\n0.9", (1, 2, 3, 4)), Tile("c", (5, 2, 3, 4))]),
    TileGroup("false negatives", []),
]
LAYER = {"layer": "conv1", "kind": "Conv2D", "output": [30, 30, 8], "parameters": 80, "flops": 1e6}
MODEL = {"name": "small", "input": [32, 32, 1], "trained": 80, "layers": [LAYER]}
UNDEFINED = {"value": None, "low": None, "high": None}


@pytest.fixture(scope="module")
def page(tmp_path_factory, finished_run, read_page):
    """The page of a finished run with all its pictures."""
    run = finished_run(tmp_path_factory.mktemp("run"))
    for seed, name in enumerate(PICTURES):
        run.add_picture(name, seed)
    run.add_picture("test/errors", groups=ERRORS)
    run.write_json("model.json", MODEL)
    run.add_picture("test/activations_whole/01_conv2d", seed=99)
    run.add_picture("test/activations_whole/02_max_pooling", PICTURES.index(PICTURES[-1]))
    return read_page(run_page.write(run.folder))


@pytest.fixture
def write(read_page):
    """Writes the page of a run, and reads it."""
    return lambda run, *given: read_page(run_page.write(run.folder, *given))


def test_the_result_has_every_operating_point_with_its_intervals(page):
    text = page.text

    assert "AUC 0.974 0.954–0.994 Average precision 0.961 0.941–0.981" in text
    assert "Probability 0.5 threshold 0.50 Accuracy 93.1 % 91.1–95.1 %" in text
    assert "Chosen on validation threshold 0.73 Accuracy 91.9 % 89.9–93.9 %" in text
    assert text.count("Sensitivity 88.2 %") == text.count("Specificity 85.2 %") == 2
    assert "Calibration error (ECE) 0.081 0.032 at temperature 1.50" in text


def test_the_page_opens_with_the_result_in_one_sentence_at_its_threshold(page):
    assert "Result At the threshold 0.73 (chosen on validation), about nine tenths of" in page.text
    assert "are found (172 of 195)" in page.text and "mistake (17 of 115). AUC" in page.text


def test_charts_are_files_too_beside_the_pictures_of_the_run(run, read_page):
    run.add_picture("test/PNEUMONIA/roc")
    drawn = (run.folder / "pictures/test/PNEUMONIA/roc.png").read_bytes()

    run_page.write(run.folder, out=run.folder / "elsewhere.html")
    assert not list(run.folder.rglob("*.svg"))
    run_page.write(run.folder)

    charts = {f"test/PNEUMONIA/{name}" for name in ("roc", "confusion", "scores", "calibration")}
    charts |= {f"curves/{name}" for name in ("accuracy", "loss", "average-precision")}
    for chart in charts:
        for kind in ("svg", "pdf", "png"):
            assert (run.folder / f"pictures/{chart}.{kind}").stat().st_size, chart
    assert (run.folder / "pictures/test/PNEUMONIA/roc.png").read_bytes() == drawn


def test_the_network_is_shown_layer_by_layer(page):
    assert "“small”, input 32 x 32 x 1: 1 layer with 80 parameters, all of them" in page.text
    assert "conv1 Conv2D 30 x 30 x 8 80" in page.text


def test_views_that_the_network_answers_by_are_named(run, write):
    run.write_json("model.json", MODEL)
    assert "for an image." in write(run).text
    run.change("config.json", model={"name": "article", "views": 6})
    assert "for a view; the answer is the mean of 6 views." in write(run).text


def test_a_sheet_is_in_the_page_once_and_its_tiles_are_windows_on_it(page):
    assert "wrong side of the threshold 0.73" in page.text
    assert "false positives a_b 0.9 c false negatives No such error." in page.text
    ((name,),) = (re.findall(r'<image id="([^"]+)"', page.html),)
    assert re.findall(r'<svg viewBox="([\d ]+)" style', page.html) == ["1 2 3 4", "5 2 3 4"]
    assert page.html.count(f'<use href="#{name}"/>') == 1


def test_the_page_shows_training_data_and_reproduction(page):
    text = page.text

    assert "tiny_run" in text and "22 November 2026" in text
    assert "1 h 5 min for 3 epochs" in text and "91 images/s" in text
    assert "Waiting for input 2.0 %" in text
    assert "Images 4,684 4,684 4,684 Patients 3,287" in text
    assert "NORMAL 1,208 26 % 1,208 26 %" in text and "PNEUMONIA 3,476 74 %" in text
    assert "broken.jpeg truncated" in text
    assert "train.schedule.name cosine" in text and "tensorflow 2.21.0" in text
    assert "git checkout abc1234 python -m trainer.task --config=configs/tiny.py" in text
    assert "Synthetic radiographs" not in text


def test_the_page_is_self_contained_and_its_contents_lead_to_every_part(page):
    page.check()
    assert page.tags.count("img") == len(PICTURES)
    parts = ["result", "training", "images", "network", "errors", "explanations", "layers", "data"]
    parts += ["repeat"]
    assert [name for name in page.ids if name in parts] == parts
    assert [address[1:] for address in page.addresses if address[1:] in parts] == parts


def test_layers_come_in_order_of_data_flow_with_all_channels_folded_away(page):
    assert re.findall(r"All channels of conv2d|conv2d|max_pooling", page.text)[-3:] == [
        "conv2d",
        "All channels of conv2d",
        "max_pooling",  # whose most active channels are all
    ]


def test_the_result_is_compared_with_chance_and_published_figures(run, write):
    run.change("config.json", report={"references": "Kermany 2018 accuracy=0.928 auc=0.968"})

    text = write(run).text

    chance = "Always “PNEUMONIA” the commonest class of the test images 0.500 0.629 1.000 0.000"
    assert chance in text
    assert "Kermany 2018 published 0.968 0.928 – –" in text
    given = write(run, "new auc=0.8").text
    assert "new published 0.800" in given and "Kermany 2018 published" not in given
    with pytest.raises(UsageError, match="report.references: 'auc=2' must be"):
        run_page.write(run.folder, "x auc=2")


def audit(auc):
    interval = {"value": auc, "low": auc - 0.05, "high": min(1, auc + 0.05)}
    relation = {"label": "PNEUMONIA", "traces": "encoding seen in the pixels", "holds": ""}
    relation |= {"train": interval, "test": None, "transfer": None, "typical": {}}
    danger = {"severity": "danger", "about": "shortcuts", "title": "the encoding reveals it"}
    danger |= {"meaning": "It can be learnt.", "advice": ["Prepare with --uniform."]}
    fine = {"severity": "ok", "about": "damage", "title": "all files can be read"}
    return {
        "prepared": False,
        "verdict": {"severity": "danger", "sentence": "Do not trust this."},
        "findings": [danger, fine | {"meaning": "", "advice": []}],
        "shortcuts": {"relations": [relation], "too_few": []},
    }


@pytest.mark.parametrize(("auc", "as_good"), [(0.96, True), (0.9, False)])
def test_the_audit_is_shown_and_a_shortcut_as_good_as_the_network(run, write, auc, as_good):
    run.write_json("audit.json", audit(auc))

    text = write(run).text

    assert "✕ Danger Do not trust this." in text
    assert "✕ Danger The encoding reveals it It can be learnt. Prepare with --uniform" in text
    assert "✓ Fine All files can be read." in text
    assert f"Shortcut without a network encoding seen in the pixels {auc:.3f}" in text
    assert ("A shortcut performs as well as the network." in text) == as_good


def test_without_audit_pictures_and_commit_the_page_is_shorter(run, write):
    run.change("config.json", data={"path": "my data"})
    run.change("data_summary.json", synthetic=True)
    run.change("environment.json", git_commit=None)
    run.write_json("history.json", run.read("history.json")[:1])

    page = write(run)

    assert "radiograph audit '--source=my data'" in page.text
    assert f"--out={run.folder}/audit.html" in page.text
    assert "img" not in page.tags and "#layers" not in page.addresses
    assert "#explanations" not in page.addresses
    assert "Synthetic radiographs (phantoms), not patients" in page.text
    assert "1 epoch." in page.text and "21 min 40 s" in page.text
    assert "not recorded" in page.text and "git checkout" not in page.text


def test_every_start_is_listed_and_of_an_older_run_the_first(run, write):
    assert "2026-11-22 10:00:00 UTC 0 – 1 2.21.0" in write(run).text
    starts = [
        {**run.read("environment.json"), "host": "node-1", "device_kind": "NVIDIA L4", "step": step}
        for step in (0, 1200)
    ]
    run.change("environment.json", starts=starts)
    assert "UTC 1,200 node-1 1 x NVIDIA L4 2.21.0" in write(run).text


def test_each_of_several_labels_has_its_row_and_its_charts(run, write, monkeypatch):
    run.use_labels(["Edema", "Effusion", "Hernia"])

    page = write(run)

    page.check()
    assert "AUC, mean over the labels 0.974" in page.text
    assert "Effusion 11 of 126 known 0.974 0.954–0.994 0.961 0.941–0.981 0.882" in page.text
    assert "Hernia 40 40 % Hernia, unknown 10 10 %" in page.text
    history, each_label, all_labels = 5, 2, 1
    assert page.tags.count("svg") == history + each_label + all_labels + 3 * 5
    monkeypatch.setattr(result, "LABELS_CHARTED", 2)
    page = write(run)
    assert "Charts are drawn for the first 2 of 3 labels" in page.text
    assert "Hernia 12 of 127 known" in page.text


def test_a_label_without_a_test_image_has_no_chart(run, write):
    run.use_labels(["Edema", "Effusion"])
    rows = [f"image{i},patient{i},{i % 2},0.{i},,0.5" for i in range(10)]
    head = "name,patient,label Edema,score Edema,label Effusion,score Effusion"
    run.write("evaluation/test.csv", "\n".join([head, *rows]))
    run.change("evaluation/test.json", images=len(rows))

    assert "This label is known for no test image." in write(run).text


def test_pictures_without_room_are_named(run, monkeypatch):
    for seed, name in enumerate(PICTURES):
        run.add_picture(name, seed, side=200)
    monkeypatch.setattr(run_page, "MOST_BYTES", 300_000)

    html = run_page.write(run.folder).read_text()

    assert "<code>pictures/test/activations/02_max_pooling.png</code>" in html
    assert html.count("<img") < len(PICTURES)


def test_text_of_the_run_cannot_become_markup(run, write):
    run.change("config.json", name="<script>alert(1)</script>")

    page = write(run, "<script>x</script> auc=0.5")

    assert page.tags.count("script") == 1 and "<script>alert(1)</script>" in page.text


def test_undefined_metrics_are_shown_as_undefined(run, write):
    areas = {"auc": UNDEFINED, "average_precision": UNDEFINED}
    one_class = run.read("evaluation/test.json") | areas
    (label,) = one_class["labels"].values()
    label |= areas | {"negative": 0}
    label["calibration"]["before"]["ece"] = label["calibration"]["after"]["ece"] = None
    label["operating_points"][0] |= {"specificity": UNDEFINED, "confusion": [[0, 0], [23, 172]]}
    run.write_json("evaluation/test.json", one_class)
    rows = [f"image{i},patient{i},1,{0.1 * i}" for i in range(10)]
    run.write("evaluation/test.csv", "\n".join(["name,patient,label,score", *rows]))
    run.change("evaluation/test.json", images=len(rows))
    history = run.read("history.json")
    history[0]["validation"]["auc"] = None
    run.write_json("history.json", history)

    text = write(run).text

    assert "AUC undefined" in text and "Specificity undefined" in text
    assert "None" not in text and "nan" not in text


def test_time_of_all_sessions_sums_to_the_wall_time_and_the_peak_is_named(run, write):
    steps = {"step_milliseconds_median": 41.2, "step_milliseconds_p95": 55.5, "input_wait": 0.1}
    sessions = [
        {"seconds": {"start": 2.5, "compilation": 7.5}},
        {"seconds": {"start": 2.0, "training": 80.0, "pictures": 8.0}, **steps},
    ]
    speed = {"sessions": sessions, "device": "CPU", "replicas": 1, "memory_gib": {"host": 1.5}}
    speed |= {"flops_a_step": 2.12e10, "peak_flops": 1.2e11, "mfu": 0.25}
    run.write_json("speed.json", speed)
    text = write(run).text
    assert "Training 80.0 s, 80.0 %" in text and "Start, up to the first step 4.5 s, 4.5 %" in text
    assert "Together 100.0 s of wall time, in 2 sessions" in text
    assert "41.2 ms in the median loop of training, 55.5 ms in the 95th percentile" in text
    assert "25.0 %: 21.2 GFLOP a step, of 0.12 TFLOP/s that a matrix product reached on it" in text
    run.write_json("speed.json", speed | {"device": "GPU", "peak_flops": None, "mfu": None})
    assert "unknown device" in write(run).text


def test_weights_within_an_epoch_are_named_by_their_step(run, write):
    measured = run.read("history.json")[0]["validation"]
    step = run.read("evaluation/test.json")["step"]
    row = {"step": step, "epochs": 1.5, "reason": "steps", "images": 9, "validation": measured}
    start = row | {"step": 0, "epochs": 0.0, "reason": "start"}
    run.write_json("evaluations.json", [start, row])
    text = write(run).text
    assert f"Step {step:,}, within epoch" in text and "kept epoch: 1.5" in text


def test_what_choosing_on_test_claims_is_shown_as_a_warning_where_it_was_measured(run, write):
    history = run.read("history.json")
    assert "would have claimed" not in write(run).text
    history[0]["test"] = history[0]["validation"] | {"auc": 0.987, "accuracy": 0.912}
    run.write_json("history.json", history)
    text = write(run).text
    assert "would have claimed: epoch 1 with an AUC of 0.987 and an accuracy of 91.2 %" in text


def test_an_older_report_is_replaced_and_nothing_else_is_left(run):
    run.write("report.html", "old")
    before = sorted(run.folder.iterdir())

    written = run_page.write(str(run.folder))

    assert written.read_text().startswith("<!doctype html>")
    assert sorted(run.folder.iterdir()) == before


def test_a_missing_file_is_named_with_the_command_that_finishes_the_run(run, tmp_path):
    with pytest.raises(UsageError, match="there is no run at .*nowhere"):
        run_page.write(tmp_path / "nowhere")
    for file in run_files.FILES:
        content = (run.folder / file).read_text()
        (run.folder / file).unlink()
        with pytest.raises(UsageError, match=f"lacks {re.escape(file)}: train it"):
            run_page.write(run.folder)
        run.write(file, content)
    run.write_json("history.json", [])
    with pytest.raises(UsageError, match="no epoch yet: .*--config=configs/tiny.py"):
        run_page.write(run.folder)
    assert not (run.folder / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [("history.json", "[{"), ("audit.json", "{"), ("evaluation/test.csv", "name,score\na,0.5\n")],
)
def test_a_damaged_file_is_named(run, file, content):
    run.write(file, content)

    with pytest.raises(UsageError, match=f"{file} cannot be read"):
        run_page.write(run.folder)
