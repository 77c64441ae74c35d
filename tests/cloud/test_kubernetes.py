"""The manifest of an order is valid for Kubernetes and kubectl, and its pods find each other."""

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
from trainer.distribute import cluster as worker_cluster
from trainer.system.errors import FINAL, RESUMABLE, UsageError

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
    "a prediction": on_cluster("tpu-v5e:8", command=("predict", "gs://b/it's", "--by=a: b")),
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


def documents(order: Order) -> list[dict]:
    return list(yaml.safe_load_all(kubernetes.file(order)))


def pod(order: Order) -> dict:
    return documents(order)[-1]["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", ORDERS)
def test_manifest_is_valid(name: str):
    for document in documents(ORDERS[name]):
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)


def test_unknown_field_would_be_found():
    *_, wrong = documents(on_cluster())
    wrong["spec"]["backofLimit"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("text", ['it\'s "a": b', "a\nb: c", "{{ x }} # y", "- &z", "é\u2028🙂\t"])
def test_any_text_is_quoted(text: str):
    order = on_cluster(workdir=f"gs://bucket/runs/{text}", image=text, labels={text: text})
    (job,) = documents(order)
    (container,) = pod(order)["containers"]
    assert container["image"] == text and job["metadata"]["labels"][text] == text
    assert container["args"][1] == f"--workdir={order.workdir}"
    assert job["metadata"]["annotations"]["radiograph-trainer/workdir"] == order.workdir


@pytest.mark.parametrize("index", [0, 2])
def test_pod_finds_its_place_among_the_workers(
    index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    order = on_cluster(workers=3)
    (container,) = pod(order)["containers"]
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$TF_CONFIG" "$@"\n')
    program.chmod(0o755)
    tf_config, *arguments = subprocess.run(
        container["command"] + container["args"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "JOB_COMPLETION_INDEX": str(index)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    monkeypatch.setenv("TF_CONFIG", tf_config)
    cluster = worker_cluster.from_environment()
    service, job = documents(order)
    template = job["spec"]["template"]
    assert cluster.worker == index
    assert cluster.addresses == tuple(
        f"{NAME}-{n}.{service['metadata']['name']}:2222" for n in range(3)
    )
    assert arguments == [
        *("-m", "trainer.task"),
        *(f"--config={order.config_file}", f"--workdir={order.workdir}"),
    ]
    assert template["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 3


def test_long_name_is_still_the_name_of_a_pod():
    order = on_cluster(workers=64, workdir=f"gs://bucket/runs/{'long' * 30}")
    assert len(f"{order.identity}-63") <= 63


def test_single_worker_needs_no_service_and_runs_the_images_own_command():
    (job,) = documents(on_cluster())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert "command" not in container and "successPolicy" not in job["spec"]


def test_lasting_errors_end_the_job_and_lost_workers_or_nodes_do_not():
    ignored, fatal = documents(ORDERS["Spot"])[-1]["spec"]["podFailurePolicy"]["rules"]
    assert fatal["action"] == "FailJob"
    assert fatal["onExitCodes"]["operator"] == "NotIn"
    restarted = set(fatal["onExitCodes"]["values"])
    assert {*RESUMABLE, 137} <= restarted and not {0, 1, *FINAL} & restarted
    assert ignored["action"] == "Ignore"
    assert ignored["onPodConditions"][0]["type"] == "DisruptionTarget"
    limits = [documents(on_cluster(workers=n))[-1]["spec"]["backoffLimit"] for n in (1, 4)]
    assert limits == [20, 80]


def test_container_is_an_ordinary_user_that_writes_only_to_scratch():
    spec = pod(ORDERS["GPUs"])
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["volumeMounts"] == [{"name": "scratch", "mountPath": "/tmp"}]
    assert spec["automountServiceAccountToken"] is False


def test_nodes_are_chosen_by_gpu_machine_type_and_spot():
    (container,) = pod(ORDERS["GPUs"])["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 2}
    affinity = pod(ORDERS["GPUs"])["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    gke, others = [term["matchExpressions"][0] for term in terms]
    assert (gke["operator"], gke["values"]) == ("In", ["nvidia-l4"])
    assert others["operator"] == "DoesNotExist"
    selector = pod(ORDERS["a machine type"])["nodeSelector"]
    assert selector == {"node.kubernetes.io/instance-type": "g2-standard-24"}
    assert "nodeSelector" not in pod(ORDERS["a CPU"]) and "affinity" not in pod(ORDERS["a CPU"])
    spot = pod(ORDERS["Spot"])
    assert spot["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
    assert "cloud.google.com/gke-spot" in [each["key"] for each in spot["tolerations"]]


def test_tpu_is_that_of_a_node_of_gke_and_its_driver_may_lock_memory():
    spec = pod(ORDERS["a TPU"])
    (container,) = spec["containers"]
    assert spec["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "2x4",
    }
    assert container["resources"]["limits"] == {"google.com/tpu": 8}
    assert container["command"][2].startswith("ulimit -l 68719476736\nexec python -m trainer.task")
    assert container["securityContext"]["capabilities"]["add"] == ["SYS_RESOURCE"]


def test_service_account_must_be_one_of_the_cluster():
    with pytest.raises(UsageError, match="on Kubernetes give the cluster's own, such as trainer"):
        documents(on_cluster(service_account="trainer@project.iam.gserviceaccount.com"))


def test_job_is_applied_once_and_has_the_states_of_the_cluster(cluster: Cluster):
    order, platform = on_cluster(workers=2), kubernetes.Kubernetes()
    job = platform.submit(order)
    assert platform.submit(order) == job
    assert (job.name, job.title, job.state) == (NAME, "first-try", cloud_job.WAITING)
    assert job.workdir == order.workdir
    assert [each["kind"] for each in cluster.created] == ["Service", "Job"]
    failed = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "code 2"}
    statuses = {
        cloud_job.RUNNING: {"active": 2, "ready": 2},
        cloud_job.WAITING: {"active": 2, "ready": 0},
        cloud_job.SUCCEEDED: {"conditions": [{"type": "Complete", "status": "True"}]},
        cloud_job.FAILED: {"conditions": [failed]},
    }
    for state, status in statuses.items():
        cluster.objects["jobs", NAME]["status"] = status
        shown = platform.resume(order, job)
        assert shown.state == state
    assert shown.error == "PodFailurePolicy: code 2"


def test_jobs_are_listed_and_cancelled(cluster: Cluster):
    platform = kubernetes.Kubernetes()
    platform.submit(on_cluster())
    second = on_cluster(workdir="gs://bucket/runs/second", command=("predict", "gs://bucket/run"))
    assert platform.submit(second).command == "predict"
    cluster.objects["jobs", "others"] = {"metadata": {"name": "others"}}
    assert [job.title for job in platform.jobs()] == ["second", "first-try"]
    platform.cancel("second")
    with pytest.raises(UsageError, match="the cluster has no job 'second' of this program"):
        platform.cancel("second")


def test_log_is_that_of_all_pods_and_continues_after_a_time(cluster: Cluster):
    platform = kubernetes.Kubernetes()
    platform.submit(on_cluster(workers=2))
    for index in range(2):
        name = f"{NAME}-{index}-xyz"
        labels = {"batch.kubernetes.io/job-name": NAME}
        cluster.objects["pods", name] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels, "namespace": "default"},
            "spec": {"containers": [{"name": "worker"}]},
        }
        times = [f"2026-11-25T10:00:0{n}.{index}00000000Z" for n in (1, 2)]
        cluster.logs[name] = [f"{time} worker {index} at {time[17:19]}" for time in times]
    lines = platform.log(NAME, "")
    assert [line for _, line in lines] == [
        f"worker {index} at 0{n}" for n in (1, 2) for index in range(2)
    ]
    assert platform.log(NAME, lines[1][0]) == lines[2:]


def test_failure_of_kubectl_is_one_sentence(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cluster.refusal = "exceeded quota: gpus"
    with pytest.raises(UsageError, match="kubectl apply failed: .*exceeded quota: gpus"):
        kubernetes.Kubernetes().submit(on_cluster())
    (tmp_path / "config").write_text("")
    with pytest.raises(UsageError) as refused:
        kubernetes.Kubernetes().jobs()
    assert "\n" not in str(refused.value) and "current-context" in str(refused.value)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="kubectl is not on this machine's PATH: install it"):
        kubernetes.Kubernetes().jobs()


def test_printed_command_submits_the_same_job(cluster: Cluster, tmp_path: Path):
    order = on_cluster(workers=2)
    file = tmp_path / f"job.{kubernetes.SUFFIX}"
    file.write_text(kubernetes.file(order))
    command = kubernetes.command(order, str(file))
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert cluster.objects["jobs", NAME]["spec"] == documents(order)[-1]["spec"]
