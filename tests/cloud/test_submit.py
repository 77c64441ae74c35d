"""One command sends a run to a cloud, or says in a sentence why not."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from etils import epath

from tests.cloud import programs
from tests.cloud.vertex_server import Vertex
from trainer.cloud import google_storage
from trainer.commands import program

ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def bucket(gcs) -> str:
    return gcs.bucket()


@pytest.fixture
def run(gcs, service: Vertex, tmp_path: Path) -> Run:
    """Runs a command of the package in a folder of its own."""

    def run_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        everything = {**gcs.environment, **service.environment, **environment}
        return programs.run(*arguments, environment=everything, folder=tmp_path)

    return run_command


@pytest.fixture
def submit(run: Run, bucket: str) -> Run:
    """Submits the article's recipe as gs://BUCKET/runs/first, with more or other flags."""

    def run_submit(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return run(
            "submit",
            f"--config={ROOT}/configs/article.py",
            f"--config.data.path=gs://{bucket}/data",
            f"--workdir=gs://{bucket}/runs/first",
            "--accelerator=nvidia-l4:2",
            "--image=127.0.0.1:1/trainer:1",
            *arguments,
            **environment,
        )

    return run_submit


def text(url: str) -> str | None:
    return google_storage.read_text(google_storage.client("project"), url)


def test_submit_sends_data_config_and_job(
    submit: Run, service: Vertex, bucket: str, phantoms: epath.Path
):
    done = submit(f"--data={phantoms}", "--config.seed=7", "--spot", "--workers=2", "--label=a=b")
    assert done.returncode == 0, done.stderr
    (job,) = service.posted()
    spec = job["jobSpec"]
    assert spec["scheduling"]["strategy"] == "SPOT"
    assert [pool["replicaCount"] for pool in spec["workerPoolSpecs"]] == ["1", "1"]
    assert job["labels"]["a"] == "b"
    (argument,) = spec["workerPoolSpecs"][0]["containerSpec"]["args"]
    config = json.loads(text(argument.removeprefix("--config=")))
    assert (config["seed"], config["data"]["path"]) == (7, f"gs://{bucket}/data")
    assert json.loads(text(f"gs://{bucket}/data/data_summary.json"))["synthetic"] is True
    assert "radiograph jobs cancel projects/project/locations/us-central1/" in done.stdout
    assert "console.cloud.google.com/agent-platform/" in done.stdout


def test_files_that_the_config_names_are_sent_and_named_as_the_job_finds_them(
    submit: Run, service: Vertex, bucket: str, phantoms: epath.Path, tmp_path: Path
):
    (tmp_path / "net.py").write_text("def network(shape, labels, model): ...\n")
    (tmp_path / "weights.keras").write_text("weights")
    flags = ["--config.model.name=net.py:network", "--config.model.weights=weights.keras"]
    done = submit(f"--data={phantoms}", *flags)
    assert done.returncode == 0, done.stderr
    inputs = f"gs://{bucket}/runs/first-inputs"
    sent = json.loads(text(f"gs://{bucket}/runs/first/submitted.json"))["model"]
    assert sent["name"] == f"{inputs}/model/net.py:network"
    assert sent["weights"] == f"{inputs}/weights/weights.keras"
    assert text(f"{inputs}/model/net.py").startswith("def network")
    # A run that began with another file is not continued, nor is the file that it began with lost.
    client = google_storage.client("project")
    google_storage.write_text(client, f"gs://{bucket}/runs/first/network.py", "def other(): ...")
    done = submit(*flags)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert len(service.posted()) == 1


def test_dry_run_sends_nothing_and_writes_the_job_file(
    submit: Run, service: Vertex, tmp_path: Path, phantoms: epath.Path, bucket: str
):
    done = submit(f"--data={phantoms}", "--dry_run")
    assert done.returncode == 0, done.stderr
    spec = yaml.safe_load((tmp_path / "first-job/vertex.yaml").read_text())
    assert spec["baseOutputDirectory"]["outputUriPrefix"] == f"gs://{bucket}/runs/first"
    assert "gcloud ai custom-jobs create --project=project --region=us-central1" in done.stdout
    copied = f"first-job/config.json gs://{bucket}/runs/first/submitted.json"
    uploaded = f"gcloud storage rsync --recursive {phantoms} gs://{bucket}/data\n"
    assert f"{uploaded}gcloud storage cp {copied}" in done.stdout
    assert json.loads((tmp_path / "first-job/config.json").read_text())["name"] == "article"
    assert not service.asked and text(f"gs://{bucket}/data/data_summary.json") is None


@pytest.mark.parametrize(
    ("flags", "file", "command"),
    [
        (
            ["--platform=kubernetes"],
            "first-job/kubernetes.yaml",
            "kubectl apply --filename=first-job/",
        ),
        (
            ["--platform=tpu_vm", "--accelerator=tpu-v5e:8", "--zone=us-central1-a", "--spot"],
            "first-job/tpu_vm.sh",
            "gcloud compute tpus queued-resources create first-",
        ),
    ],
)
def test_other_platforms_have_files_and_commands_of_their_own(
    submit: Run, tmp_path: Path, phantoms: epath.Path, flags: list[str], file: str, command: str
):
    done = submit(f"--data={phantoms}", "--dry_run", *flags)
    assert done.returncode == 0, done.stderr
    assert command in done.stdout and (tmp_path / file).exists()


@pytest.fixture
def judge(run: Run, bucket: str, tmp_path: Path) -> Run:
    """Submits another command than a training, with a finished run in the folder `run`."""
    for name in ("config", "data_summary", "evaluation/test", "tensorboard/events"):
        file = tmp_path / f"run/{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")

    def run_submit(command: str, *arguments: str) -> subprocess.CompletedProcess:
        own, words = program.split(arguments)
        place = f"--workdir=gs://{bucket}/judged/other"
        always = [place, "--accelerator=cpu", "--image=127.0.0.1:1/trainer:1"]
        return run("submit", f"--command={command}", *always, *own, "--", *words)

    return run_submit


def test_an_evaluation_is_sent_with_its_run_and_data(
    judge: Run, service: Vertex, bucket: str, phantoms: epath.Path
):
    google_storage.write_text(google_storage.client("p"), f"gs://{bucket}/runs/2/config.json", "")
    line = [f"--data={phantoms}", f"--against=gs://{bucket}/runs/2/", "--by=sex,age", "--stress"]
    done = judge("evaluate", "--", "run", *line)
    assert done.returncode == 0, done.stderr
    (job,) = service.posted()
    (pool,) = job["jobSpec"]["workerPoolSpecs"]
    assert pool["containerSpec"]["command"] == ["python", "-m", "trainer"]
    command, sent, *flags = pool["containerSpec"]["args"]
    assert (command, sent) == ("evaluate", f"gs://{bucket}/judged/other-inputs/run")
    assert {*flags} == {
        f"--data=gs://{bucket}/data/{phantoms.name}",
        f"--against=gs://{bucket}/runs/2",
        f"--out=gs://{bucket}/judged/other",
        "--by=sex,age",
        "--stress",
    }
    assert text(f"{sent}/evaluation/test.json") == "{}"
    assert text(f"{sent}/tensorboard/events.json") is None
    assert text(f"gs://{bucket}/data/{phantoms.name}/data_summary.json")
    assert "jobs fetch" in done.stdout and "tensorboard.sh" not in done.stdout


PREDICTION = [
    *("predict", "gs://BUCKET/judged/other-inputs/run", "gs://BUCKET/judged/other-inputs/a b.png"),
    *("gs://BUCKET/judged/other-inputs/a b-1.png", "--out=gs://BUCKET/judged/other/p.jsonl"),
    *("--resume", "--allow_refused", "--threshold=0.4"),
]


@pytest.mark.parametrize(
    ("platform", "file"),
    [
        (["--platform=vertex"], "vertex.yaml"),
        (["--platform=kubernetes"], "kubernetes.yaml"),
        (
            ["--platform=tpu_vm", "--accelerator=tpu-v5e:1", "--zone=us-central1-a"],
            "tpu_vm.sh",
        ),
    ],
)
def test_each_platform_runs_a_prediction(
    judge: Run, bucket: str, tmp_path: Path, platform: list[str], file: str
):
    (tmp_path / "other").mkdir()
    for image in ("a b.png", "other/a b.png"):
        (tmp_path / image).write_bytes(b"")
    line = ["run", "a b.png", "other/a b.png", "--out=x/p.jsonl", "--threshold=0.4"]
    done = judge("predict", *platform, "--dry_run", "--", *line)
    assert done.returncode == 0, done.stderr
    job = (tmp_path / "other-job" / file).read_text()
    expected = [word.replace("BUCKET", bucket) for word in PREDICTION]
    if file == "tpu_vm.sh":
        (started,) = re.findall(r"--entrypoint=python .*\\\n(.*) &\n", job)
        found = shlex.split(started)[2:]
        assert "of which predict uses the CPUs alone" in done.stdout
    elif file == "kubernetes.yaml":
        (container,) = yaml.safe_load(job)["spec"]["template"]["spec"]["containers"]
        assert 'exec python -m trainer "$@"' in container["command"][2]
        found = container["args"]
    else:
        (pool,) = yaml.safe_load(job)["workerPoolSpecs"]
        found = pool["containerSpec"]["args"]
    assert found[:4] == expected[:4] and {*found} == {*expected}
    assert f"gcloud storage rsync --recursive {tmp_path}/run {expected[1]}\n" in done.stdout
    assert f"gcloud storage cp '{tmp_path}/a b.png' '{expected[2]}'\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["evaluate", "--", "run"], "--data is missing"),
        (["evaluate", "--", "run", "--data=gs://b/d", "--tresh=1"], "--tresh is no flag"),
        (["evaluate", "--", "nothing", "--data=gs://b/d"], "there is no run at"),
        (
            ["evaluate", "--workers=2", "--", "run", "--data=gs://b/d"],
            "--workers is for a training",
        ),
        (["predict", "--", "run"], "PATH is missing"),
        (["predict", "--", "run", "-"], "standard input"),
        (["predict", "--", "run", "run", "--out=p.txt"], "--out=p.txt must end in .csv"),
        (["predict", "--", "run", "no.png"], "there is no no.png"),
        (["predict", "--", "run", "t.csv"], "as --image_root"),
        (["train", "--", "run"], "unexpected argument 'run'"),
    ],
)
def test_mistake_in_the_line_of_another_command_ends_in_one_sentence(
    judge: Run, service: Vertex, arguments: list[str], reason: str
):
    done = judge(*arguments)
    assert done.returncode == 2 and not service.asked
    assert reason in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_only_a_dry_run_needs_no_credentials(submit: Run, service: Vertex, tmp_path: Path):
    anonymous = {
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "false",
        "STORAGE_EMULATOR_HOST": "",
        "NO_GCE_CHECK": "true",
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path),
    }
    flags = ["--region=us-central1", "--project=p"]
    done = submit("--dry_run", *flags, **anonymous)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("not checked: there are no credentials") == 4
    assert (tmp_path / "first-job/vertex.yaml").exists()
    refused = submit(*flags, **anonymous)
    assert refused.returncode == 2 and not service.asked
    assert "GOOGLE_APPLICATION_CREDENTIALS" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--machine_type=g2-standart-24"], "g2-standard-24"),
        (["--accelerator=tpu-v6e:8"], "--platform=tpu_vm"),
        (["--accelerator=tpu-v5e:8", "--workers=2"], "--workers"),
        (["--config.train.epoch=3"], "train.epochs"),
        (["--config.data.path=data"], "data.path='data'"),
        (["--workdir=runs/first"], "gs://BUCKET/PATH"),
        (["--label=Team=x"], "--label=Team=x"),
        (["--spot", "--flex_start_hours=2"], "--flex_start_hours"),
        (["--tensorboard=12"], "--service_account"),
        (["--platform=tpu_vm", "--accelerator=tpu-v5e:8"], "--zone"),
        (["--platform=kubernetes", "--trials=3"], "--trials"),
        (["--trials=3"], "sweep()"),
        (["--config.model.name=missing.py:network"], "missing.py"),
        (["--config.model.weights=missing.keras"], "missing.keras"),
        ([f"--config.model.weights={__file__}"], "test_submit.py is no file of weights"),
        ([f"--config.loss.name={__file__}:loss"], "test_submit.py does not define it, but"),
    ],
)
def test_mistake_ends_in_one_sentence_and_nothing_is_sent(
    submit: Run, service: Vertex, flags: list[str], reason: str
):
    done = submit(*flags)
    assert done.returncode == 2
    assert reason in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not service.asked


def test_failed_checks_are_listed_and_nothing_is_sent(submit: Run, service: Vertex):
    done = submit("--config.train.batch_size=33")
    assert done.returncode == 2
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert [line.split()[1] for line in wrong] == ["batch", "data"]
    assert "2 of the checks above failed" in done.stderr and done.stderr.count("\n") == 1
    assert not service.asked


def test_exhausted_quota_ends_in_one_sentence(submit: Run, service: Vertex, phantoms: epath.Path):
    message = "The following quota metrics exceed quota limits: custom_model_training_nvidia_l4"
    service.failures = [(429, {"message": message}, {})]
    done = submit(f"--data={phantoms}")
    assert done.returncode == 2
    assert "quota does not allow it" in done.stderr and done.stderr.count("\n") == 1
    assert not service.jobs


def test_jobs_lists_shows_and_cancels(run: Run, submit: Run, service: Vertex, phantoms: epath.Path):
    service.states = ["JOB_STATE_RUNNING"]
    assert submit(f"--data={phantoms}").returncode == 0
    (name,) = service.jobs
    listed = run("jobs", "list", "--region=us-central1")
    assert name in listed.stdout and "running" in listed.stdout, listed.stderr
    shown = run("jobs", "show", name)
    assert "scripts/tensorboard.sh gs://" in shown.stdout, shown.stderr
    assert run("jobs", "cancel", "first", "--region=us-central1").returncode == 0
    assert any(asked.path.endswith(":cancel") for asked in service.asked)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "list, show JOB, cancel JOB, fetch JOB DIR"),
        (["cancel"], "list, show JOB, cancel JOB, fetch JOB DIR"),
        (["fetch", "gs://no-such-bucket/runs/first", "here"], "no-such-bucket"),
        (["list", "--platform=tpu_vm"], "--zone=us-central1-a"),
        (["show", "nothing", "--region=us-central1"], "'nothing'"),
    ],
)
def test_mistake_of_jobs_ends_in_one_sentence(run: Run, arguments: list[str], reason: str):
    done = run("jobs", *arguments)
    assert done.returncode == 2
    assert reason in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_jobs_fetches_a_run(run: Run, bucket: str, tmp_path: Path):
    workdir, client = f"gs://{bucket}/runs/first", google_storage.client("project")
    google_storage.write_text(client, f"{workdir}/report.html", "a report")
    google_storage.write_text(client, f"{workdir}/tensorboard/test/events", "events")
    done = run("jobs", "fetch", workdir, "here/first")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here/first/report.html").read_text() == "a report"
    assert "scripts/tensorboard.sh here/first" in done.stdout


def test_submit_and_jobs_do_not_import_tensorflow():
    code = (
        "import sys; from absl import flags; from trainer.commands import submit\n"
        "for name in list(flags.FLAGS): delattr(flags.FLAGS, name)\n"
        "from trainer.commands import jobs; sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
