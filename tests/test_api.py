"""What `import trainer` gives does what the commands do, in any thread."""

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from etils import epath
from ml_collections import ConfigDict

import trainer
from trainer import api
from trainer.data.synthetic import phantom
from trainer.system.errors import UsageError

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("no_charts")]


@pytest.fixture(scope="module")
def trained(
    new_tiny: Callable[[], ConfigDict], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict, set]:
    """A run of a thread, what it returned, and the handlers of SIGTERM that it ran under."""
    config, workdir, returned = new_tiny(), tmp_path_factory.mktemp("api") / "run", list[dict]()
    config.model.stages, config.train.epochs, config.summaries.times = 1, 1, 0
    config.augment = trainer.default_config().augment  # which takes long to compile
    thread = threading.Thread(
        target=lambda: returned.append(trainer.train_and_evaluate(config, workdir, quiet=True))
    )
    thread.start()
    handlers = set()
    while thread.is_alive():
        handlers.add(signal.getsignal(signal.SIGTERM))
        thread.join(0.1)
    return workdir, returned[0], handlers


def test_names_are_loaded_when_they_are_used_and_no_others_are_there():
    assert {*trainer.__all__} <= {*dir(trainer)}
    assert all(getattr(trainer, name) is getattr(api, name) for name in trainer.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        trainer.fit  # noqa: B018


def test_a_config_is_of_a_recipe_or_has_every_default():
    config = trainer.default_config()
    config.train.epochs = 3
    assert trainer.default_config("article").model.name == "article"
    with pytest.raises(UsageError, match="neither a file nor a recipe"):
        trainer.default_config("nothing")


@pytest.mark.slow
def test_a_run_of_a_thread_is_a_commands_and_leaves_signals_to_the_caller(
    trained: tuple[Path, dict, set], tiny: ConfigDict
):
    workdir, returned, handlers = trained
    assert handlers == {signal.getsignal(signal.SIGTERM)}
    assert returned == json.loads((workdir / "evaluation/test.json").read_text())
    with pytest.raises(UsageError, match="this work directory was begun with"):
        trainer.train_and_evaluate(tiny, workdir)


def test_a_source_is_prepared_with_its_options(tmp_path: Path):
    summary = trainer.prepare("phantom:40", tmp_path / "data", max_side=64)
    assert summary["max_side"] == 64 and (tmp_path / "data/data_summary.json").exists()
    with pytest.raises(UsageError, match="is for tables"):
        trainer.prepare("phantom:40", tmp_path / "x", source_options={"patient_column": "id"})


@pytest.mark.slow
def test_a_trained_network_predicts_explains_and_is_judged(
    trained: tuple[Path, dict, set], phantoms: epath.Path, tmp_path: Path
):
    workdir, returned, _ = trained
    network = trainer.load(workdir)
    _, jpeg = next(iter(phantom.archive(1)))
    (tmp_path / "0.jpeg").write_bytes(jpeg)
    (tmp_path / "1.jpeg").write_bytes(jpeg[:100])

    whole, damaged = network.predict(tmp_path, workers=1)
    ((page, (label,)),) = network.explain(tmp_path / "0.jpeg", out=tmp_path).pages.items()
    judged = network.evaluate(phantoms, out=tmp_path, split="test", strategy="one_device")

    assert network.labels == [label.label] == ["PNEUMONIA"] and page.exists()
    assert whole["probability PNEUMONIA"] == pytest.approx(label.probability, abs=1e-5)
    assert damaged["decision"] is None and damaged["reason"]
    assert judged["auc"]["value"] == pytest.approx(returned["auc"]["value"], abs=1e-6)


def test_what_is_no_run_is_refused(tmp_path: Path):
    for runs in ((tmp_path / "none",), ([tmp_path / "none", tmp_path],)):
        with pytest.raises(UsageError, match="there is no run at"):
            trainer.load(*runs)
