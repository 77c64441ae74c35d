"""scripts/build_image.sh builds with what is there; stubs stand in for the builders."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cloud import discovery

ROOT = Path(__file__).parents[2]
BUILDERS = ("docker", "podman", "buildah")
REGISTRY = "europe-west4-docker.pkg.dev/project/radiographs/trainer"

# Notes how it was called, and does as the files beside it say. As gcloud it has a project, and
# keeps the configuration that it is given.
STUB = """#!/usr/bin/env bash
here=${0%/*} name=${0##*/}
case $name-$1 in
  gcloud-config) cat "$here/project" ;;
  *-info) [[ ! -e $here/$name.off ]] ;;
  *)
    echo "noise of $name"
    printf '%s\\n' "$@" >"$here/$1"
    echo "$name $1" >>"$here/calls"
    for argument; do
      [[ $argument != --config=* ]] || cp "${argument#--config=}" "$here/config.yaml"
    done
    [[ ! -e $here/$1.fails ]]
    ;;
esac
"""


class Checkout:
    """A repository with the script, and a PATH with stubs."""

    def __init__(self, folder: Path):
        self.root, self.bin = folder / "a checkout", folder / "bin"
        (self.root / "scripts").mkdir(parents=True)
        (self.root / "trainer").mkdir()
        shutil.copy(ROOT / "scripts/build_image.sh", self.root / "scripts")
        (self.root / "trainer/__init__.py").write_text('"""Doc."""\n\n__version__ = "1.2.3"\n')
        self.bin.mkdir()
        for tool in ["bash", "cat", "cp", "dirname", "git", "mktemp", "realpath", "rm", "sed"]:
            (self.bin / tool).symlink_to(shutil.which(tool))

    def add(self, *builders: str) -> None:
        for builder in builders:
            (self.bin / builder).write_text(STUB)
            (self.bin / builder).chmod(0o755)
        (self.bin / "project").write_text("project\n")

    def tell(self, *files: str) -> None:
        for file in files:
            (self.bin / file).touch()

    def commit(self) -> str:
        """Makes the checkout a repository; returns its commit."""
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "Begin"]):
            subprocess.run(["git", *command], cwd=self.root, check=True)
        told = ["git", "rev-parse", "HEAD"]
        return subprocess.run(told, cwd=self.root, capture_output=True, text=True).stdout.strip()

    def build(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", str(self.root / "scripts/build_image.sh"), *arguments],
            # Nothing of the repository around the folder for tests.
            env={
                "PATH": str(self.bin),
                "GIT_CEILING_DIRECTORIES": str(self.root.parent),
                **environment,
            },
            cwd=self.root.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def given(self, call: str = "build") -> list[str]:
        return (self.bin / call).read_text().splitlines()

    @property
    def calls(self) -> list[str]:
        return self.given("calls") if (self.bin / "calls").exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_builder_that_works_builds(checkout: Checkout):
    checkout.add(*BUILDERS)
    checkout.tell("docker.off")
    done = checkout.build()
    assert done.returncode == 0, done.stderr
    assert checkout.calls == ["podman build"]
    assert done.stdout == "radiograph-trainer:1.2.3-gpu\n"  # for $(scripts/build_image.sh)
    assert done.stderr == "noise of podman\n"


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_server_is_a_target_of_its_own(checkout: Checkout, builder: str):
    checkout.add(builder)
    done = checkout.build("--serve")
    assert done.stdout == "radiograph-serve:1.2.3-cpu\n", done.stderr
    given = checkout.given()
    assert given[given.index("--target") + 1] == "serve" and "ACCELERATOR=cpu" in given
    checkout.build(ACCELERATOR="cpu")  # whose layers the server's image shares, in one format
    for words in (given, checkout.given()):
        assert ("--format" in words) == (builder != "docker")  # whose only one has health checks


def test_the_builder_can_be_chosen(checkout: Checkout):
    checkout.add(*BUILDERS)
    assert checkout.build(BUILDER="buildah").returncode == 0
    assert checkout.calls == ["buildah build"]


def test_the_builder_is_told_the_accelerator_the_version_and_the_commit(checkout: Checkout):
    checkout.add("docker")
    commit = checkout.commit()
    checkout.build(ACCELERATOR="tpu", BASE_IMAGE="registry.example.org/python:3.12")
    assert [word for word in checkout.given() if word != "--build-arg"] == [
        *("build", "--tag", "radiograph-trainer:1.2.3-tpu"),
        *("ACCELERATOR=tpu", "VERSION=1.2.3", f"COMMIT={commit}"),
        *("BASE_IMAGE=registry.example.org/python:3.12", "."),
    ]


def test_the_commit_says_where_more_is_built_and_is_empty_outside_a_repository(
    checkout: Checkout,
):
    checkout.add("docker")
    done = checkout.build()
    assert done.returncode == 0 and "COMMIT=" in checkout.given()
    assert "fatal" not in done.stderr
    commit = checkout.commit()
    (checkout.root / "trainer/new.py").touch()
    checkout.build()
    assert f"COMMIT={commit}-dirty" in checkout.given()


def test_the_configuration_of_pip_is_a_secret_of_the_build(checkout: Checkout):
    checkout.add("docker")
    file = checkout.root.parent / "my pip.conf"
    file.touch()
    checkout.build(PIP_CONFIG_FILE=file.name)
    assert f"id=pip.conf,src={file}" in checkout.given()
    checkout.build(PIP_CONFIG_FILE="/dev/null")  # as for pip, that is none
    assert "--secret" not in checkout.given()


@pytest.mark.parametrize(
    ("asked", "image"),
    [
        (REGISTRY, f"{REGISTRY}:1.2.3-gpu"),
        (f"{REGISTRY}:mine", f"{REGISTRY}:mine"),
        ("localhost:5000/trainer", "localhost:5000/trainer:1.2.3-gpu"),
    ],
)
def test_a_pushed_image_has_a_tag(checkout: Checkout, asked: str, image: str):
    checkout.add("podman")
    done = checkout.build("--push", asked)
    assert done.stdout == f"{image}\n"
    assert checkout.calls == ["podman build", "podman push"]
    assert checkout.given("push") == ["push", image]


def test_cloud_build_builds_where_nothing_else_can(checkout: Checkout):
    checkout.add("docker", "gcloud")
    checkout.tell("docker.off")
    commit = checkout.commit()
    done = checkout.build("--push", REGISTRY, ACCELERATOR="cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{REGISTRY}:1.2.3-cpu\n"
    assert checkout.calls == ["gcloud builds"]
    submitted = checkout.given("builds")
    assert submitted[:2] == ["builds", "submit"] and submitted[-1] == "."
    assert "--ignore-file=.dockerignore" in submitted
    config = yaml.safe_load((checkout.bin / "config.yaml").read_text())
    assert discovery.errors(config, "cloudbuild", "v1", "Build") == []
    assert config["images"] == [f"{REGISTRY}:1.2.3-cpu"]
    (step,) = config["steps"]
    assert step["args"][0] == "build" and step["args"][-1] == "."
    assert {"ACCELERATOR=cpu", "VERSION=1.2.3", f"COMMIT={commit}"} < set(step["args"])
    (file,) = [word for word in submitted if word.startswith("--config=")]
    assert not Path(file.removeprefix("--config=")).exists()


@pytest.mark.parametrize(
    ("builder", "failing", "arguments", "says"),
    [
        ("podman", "build", [], "podman could not build radiograph-trainer:1.2.3-gpu"),
        ("docker", "push", ["--push", "a/b:c"], "docker built a/b:c and could not push it"),
        ("gcloud", "builds", ["--push", "a/b:c"], "gcloud could not build a/b:c"),
    ],
)
def test_a_failure_prints_no_name(
    checkout: Checkout, builder: str, failing: str, arguments: list[str], says: str
):
    checkout.add(builder)
    checkout.tell(f"{failing}.fails")
    done = checkout.build(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert checkout.calls[-1] == f"{builder} {failing}"
    assert done.stderr.splitlines()[-1].startswith(f"build_image: {says}")


@pytest.mark.parametrize(
    ("environment", "arguments", "says"),
    [
        ({"ACCELERATOR": "npu"}, [], "ACCELERATOR is 'npu', but must be cpu, gpu or tpu."),
        ({"ACCELERATOR": "gpu"}, ["--serve"], "but --serve builds for cpu alone."),
        ({"BUILDER": "kaniko"}, [], "must be docker, podman, buildah or gcloud."),
        ({"BUILDER": "podman"}, [], "'podman info' fails"),
        ({"BUILDER": "gcloud"}, [], "add --push."),
        ({"BUILDER": "gcloud"}, ["--push", "a/b"], "gcloud config set project PROJECT."),
        ({}, ["--push", "a/b"], "found no docker, podman or buildah that works"),
        ({}, ["--push"], "--push needs to know where to"),
        ({}, ["--push", "trainer:1"], "--push needs to know where to"),
        ({}, ["--puhs"], "unknown option '--puhs'"),
        ({}, ["one", "two"], "'two' is an image too many"),
        ({"BUILDER": "docker"}, ["a'b"], "is no image's name"),
        ({"BASE_IMAGE": "python 3.12"}, [], "'python 3.12' is no image's name"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    checkout: Checkout, environment: dict, arguments: list[str], says: str
):
    checkout.add("docker", "gcloud")
    if "no image's name" not in says:
        checkout.tell("docker.off")
    (checkout.bin / "project").write_text("")
    done = checkout.build(*arguments, **environment)
    assert (done.returncode, done.stdout, checkout.calls) == (1, "", [])
    assert done.stderr.startswith("build_image: ") and done.stderr.count("\n") == 1
    assert says in done.stderr


def test_cloud_build_gets_no_configuration_of_pip(checkout: Checkout):
    checkout.add("gcloud")
    file = checkout.root.parent / "pip.conf"
    file.touch()
    done = checkout.build("--push", "a/b", PIP_CONFIG_FILE=str(file))
    assert (done.returncode, checkout.calls) == (1, [])
    assert "gcloud does not take PIP_CONFIG_FILE" in done.stderr


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="needs gcloud")
def test_gclouds_uploads_follow_what_docker_ignores(tmp_path: Path):
    shutil.copy(ROOT / ".dockerignore", tmp_path / ".gcloudignore")
    kept = [
        "Dockerfile",
        "configs/demo.py",
        "requirements/gpu.txt",
        "trainer/data/prepare/preparation.py",
    ]
    for file in [*kept, ".venv/x", "tests/x", "trainer/data/__pycache__/x.pyc", "key.json"]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    listing = ["gcloud", "meta", "list-files-for-upload", str(tmp_path)]
    settings = {**os.environ, "CLOUDSDK_CONFIG": str(tmp_path / "settings")}
    done = subprocess.run(listing, env=settings, capture_output=True, text=True, timeout=100)
    assert sorted(done.stdout.split()) == kept, done.stderr
