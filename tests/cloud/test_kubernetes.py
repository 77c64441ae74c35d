"""An order becomes what Kubernetes' schema and kubectl take, and its pods find each other."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.cloud.cluster import Cluster
from tests.cloud.orders import order
from trainer.cloud import cloud_job, kubernetes, machines
from trainer.cloud.order import Order
from trainer.distribute import cluster as workers_of
from trainer.distribute.local_workers import FINAL
from trainer.system.errors import UsageError, WorkerLost

VERSIONS = ["1.31", "1.32", "1.33", "1.34", kubernetes_validate.latest_version()]
NAME = "first-try-abcd1234"


def on_cluster(
    accelerator: str = "nvidia-l4:2", machine_type: str = "", **changed: object
) -> Order:
    machine = machines.choose(accelerator, machine_type, "kubernetes")
    return order(**{"platform": "kubernetes", "region": "", "machine": machine, **changed})


ORDERS = {
    "GPUs": on_cluster(),
    "four workers": on_cluster(workers=4),
    "a machine type": on_cluster(machine_type="g2-standard-24"),
    "a CPU": on_cluster("cpu", workers=2),
    "a TPU": on_cluster("tpu-v5e:8"),
    "Spot": on_cluster(capacity="spot", workers=2),
    "an account and labels": on_cluster(service_account="trainer", labels={"team": "x-ray"}),
}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl")
    cluster = Cluster()
    (tmp_path / "config").write_text(cluster.config)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))  # for kubectl's cache
    yield cluster
    cluster.close()


def documents(of: Order) -> list[dict]:
    return list(yaml.safe_load_all(kubernetes.file(of)))


def pod(of: Order) -> dict:
    return documents(of)[-1]["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", ORDERS)
def test_kubernetes_takes_every_order(name: str):
    for document in documents(ORDERS[name]):
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("text", ['it\'s "a": b', "a\nb: c", "{{ x }} # y", "- &z", "é\u2028🙂\t"])
def test_any_text_reaches_kubernetes_as_it_is(text: str):
    of = on_cluster(workdir=f"gs://bucket/runs/{text}", image=text, labels={text: text})
    (job,) = documents(of)
    (container,) = pod(of)["containers"]
    assert container["image"] == text and job["metadata"]["labels"][text] == text
    assert container["args"][1] == f"--workdir={of.workdir}"
    assert job["metadata"]["annotations"]["radiograph-trainer/workdir"] == of.workdir


def test_what_kubernetes_does_not_know_is_found():
    *_, wrong = documents(on_cluster())
    wrong["spec"]["backofLimit"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("index", [0, 2])
def test_each_pod_finds_its_place_and_the_others(
    index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    of = on_cluster(workers=3)
    (container,) = pod(of)["containers"]
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$TF_CONFIG" "$@"\n')
    program.chmod(0o755)
    tf_config, *arguments = subprocess.run(
        container["command"] + container["args"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "JOB_COMPLETION_INDEX": str(index)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    monkeypatch.setenv("TF_CONFIG", tf_config)
    found = workers_of.from_environment()
    service = documents(of)[0]["metadata"]["name"]
    assert found.worker == index
    assert found.addresses == tuple(f"{NAME}-{n}.{service}:2222" for n in range(3))
    assert arguments == [
        *("-m", "trainer.task"),
        *(f"--config={of.config_file}", f"--workdir={of.workdir}"),
    ]


def test_pods_of_several_workers_have_the_names_that_they_are_looked_for_under():
    service, made = documents(on_cluster(workers=3))
    template = made["spec"]["template"]
    assert template["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert made["spec"]["completionMode"] == "Indexed"
    assert made["spec"]["completions"] == made["spec"]["parallelism"] == 3


def test_a_long_name_still_names_a_pod():
    of = on_cluster(workers=64, workdir=f"gs://bucket/runs/{'long' * 30}")
    assert len(f"{of.identity}-63") <= 63


def test_one_worker_needs_no_service_and_runs_what_the_image_does():
    (made,) = documents(on_cluster())
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert "command" not in container and "successPolicy" not in made["spec"]


def test_a_mistake_ends_the_job_and_a_lost_peer_or_node_does_not():
    fatal, ignored = documents(ORDERS["Spot"])[-1]["spec"]["podFailurePolicy"]["rules"]
    assert fatal["action"] == "FailJob"
    assert fatal["onExitCodes"]["values"] == sorted(FINAL)
    assert not {WorkerLost.exit_code, 130, 137, 143} & set(fatal["onExitCodes"]["values"])
    assert ignored["action"] == "Ignore"
    assert ignored["onPodConditions"][0]["type"] == "DisruptionTarget"


def test_all_workers_may_be_lost_as_often_as_one():
    limits = [documents(on_cluster(workers=n))[-1]["spec"]["backoffLimit"] for n in (1, 4)]
    assert limits == [20, 80]


def test_the_job_writes_to_its_scratch_alone_as_an_ordinary_user():
    spec = pod(ORDERS["GPUs"])
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["volumeMounts"] == [{"name": "scratch", "mountPath": "/tmp"}]
    assert spec["automountServiceAccountToken"] is False


def test_a_gpu_is_that_of_gke_or_any_where_the_nodes_do_not_tell():
    (container,) = pod(ORDERS["GPUs"])["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 2}
    affinity = pod(ORDERS["GPUs"])["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    either = [term["matchExpressions"][0] for term in terms]
    assert [one["operator"] for one in either] == ["In", "DoesNotExist"]
    assert either[0]["values"] == ["nvidia-l4"]
    selector = pod(ORDERS["a machine type"])["nodeSelector"]
    assert selector == {"node.kubernetes.io/instance-type": "g2-standard-24"}
    assert "nodeSelector" not in pod(ORDERS["a CPU"]) and "affinity" not in pod(ORDERS["a CPU"])


def test_a_tpu_is_that_of_a_node_of_gke_and_its_driver_may_lock_memory():
    spec = pod(ORDERS["a TPU"])
    (container,) = spec["containers"]
    assert spec["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "2x4",
    }
    assert container["resources"]["limits"] == {"google.com/tpu": 8}
    assert container["command"][2].startswith("ulimit -l 68719476736\nexec python -m trainer.task")
    assert container["securityContext"]["capabilities"]["add"] == ["SYS_RESOURCE"]


def test_spot_nodes_are_chosen_and_their_taint_is_tolerated():
    spec = pod(ORDERS["Spot"])
    assert spec["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
    assert "cloud.google.com/gke-spot" in [each["key"] for each in spec["tolerations"]]


def test_an_account_of_google_is_refused_where_the_clusters_own_is_meant():
    with pytest.raises(UsageError, match="on Kubernetes give the cluster's own, such as trainer"):
        documents(on_cluster(service_account="trainer@project.iam.gserviceaccount.com"))


def test_a_job_is_applied_once_and_watched_to_its_end(cluster: Cluster):
    of = on_cluster(workers=2)
    there = kubernetes.Kubernetes()
    made = there.submit(of)
    assert there.submit(of) == made
    assert (made.name, made.title, made.state) == (NAME, "first-try", cloud_job.WAITING)
    assert made.workdir == of.workdir
    assert [each["kind"] for each in cluster.created] == ["Service", "Job"]
    states = {
        cloud_job.RUNNING: {"active": 2, "ready": 2},
        cloud_job.WAITING: {"active": 2, "ready": 0},
        cloud_job.SUCCEEDED: {"conditions": [{"type": "Complete", "status": "True"}]},
    }
    for state, status in states.items():
        cluster.objects["jobs", NAME]["status"] = status
        assert there.show(NAME).state == there.resume(of, made).state == state


def test_a_failed_job_says_why(cluster: Cluster):
    there = kubernetes.Kubernetes()
    there.submit(on_cluster())
    failed = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "code 2"}
    cluster.objects["jobs", NAME]["status"] = {"conditions": [failed]}
    shown = there.show("first-try")
    assert (shown.state, shown.error) == (cloud_job.FAILED, "PodFailurePolicy: code 2")


def test_jobs_are_listed_and_one_is_cancelled(cluster: Cluster):
    there = kubernetes.Kubernetes()
    there.submit(on_cluster())
    there.submit(on_cluster(workdir="gs://bucket/runs/second"))
    cluster.objects["jobs", "anothers"] = {"metadata": {"name": "anothers"}}
    assert [of.title for of in there.jobs()] == ["second", "first-try"]
    there.cancel("second")
    assert [of.title for of in there.jobs()] == ["first-try"]
    with pytest.raises(UsageError, match="the cluster has no job 'second' of this program"):
        there.cancel("second")


def test_the_log_is_that_of_all_pods_and_goes_on_where_it_was_read(cluster: Cluster):
    there = kubernetes.Kubernetes()
    there.submit(on_cluster(workers=2))
    for index in range(2):
        name = f"{NAME}-{index}-xyz"
        metadata = {"name": name, "labels": {"batch.kubernetes.io/job-name": NAME}}
        cluster.objects["pods", name] = {
            **{"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "namespace": "default"}},
            "spec": {"containers": [{"name": "worker"}]},
        }
        times = [f"2026-11-25T10:00:0{n}.{index}00000000Z" for n in (1, 2)]
        cluster.logs[name] = [f"{time} worker {index} at {time[17:19]}" for time in times]
    lines = there.log(NAME, "")
    assert [line for _, line in lines] == [
        f"worker {index} at 0{n}" for n in (1, 2) for index in range(2)
    ]
    assert there.log(NAME, lines[1][0]) == lines[2:]
    assert there.log(NAME, lines[-1][0]) == []


def test_what_the_cluster_refuses_is_told_of_in_one_sentence(cluster: Cluster):
    cluster.refusal = "exceeded quota: gpus"
    with pytest.raises(UsageError, match="kubectl apply failed: .*exceeded quota: gpus"):
        kubernetes.Kubernetes().submit(on_cluster())


def test_a_cluster_that_is_not_there_is_told_of_in_one_sentence(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "config").write_text("")
    with pytest.raises(UsageError) as refused:
        kubernetes.Kubernetes().jobs()
    assert "\n" not in str(refused.value) and "current-context" in str(refused.value)


def test_without_kubectl_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="kubectl is not on this machine's PATH: install it"):
        kubernetes.Kubernetes().jobs()


def test_the_command_is_what_a_user_would_type(cluster: Cluster, tmp_path: Path):
    of = on_cluster(workers=2)
    file = tmp_path / f"job.{kubernetes.SUFFIX}"
    file.write_text(kubernetes.file(of))
    subprocess.run(kubernetes.command(of, str(file)), check=True, capture_output=True)
    assert cluster.objects["jobs", NAME]["spec"] == documents(of)[-1]["spec"]
