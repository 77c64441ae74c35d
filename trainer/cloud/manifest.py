"""An order as Kubernetes has it: an Indexed Job, with a Service where several workers train.

For Kubernetes 1.31 or newer. All pods of a job restart where one is lost: its peers end with the
code of WorkerLost, and are started again with it.
https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

import json
from typing import Any

from trainer.cloud import machines
from trainer.cloud.order import LABEL, Order
from trainer.distribute.local_workers import FINAL
from trainer.system.errors import UsageError

PORT = 2222  # of each worker
USER = 10001  # of the image
RESTARTS = 20  # of each worker, those aside that are the cluster's doing
GRACE_SECONDS = 60  # to save in
KEPT_SECONDS = 7 * 24 * 3600  # that a finished job is still shown
WORKDIR = f"{LABEL}/workdir"  # annotation
LEAST = {"cpu": "2", "memory": "8Gi"}
# As GKE labels its TPU nodes. Their driver locks memory, for which the limit is raised as root:
# https://cloud.google.com/kubernetes-engine/docs/how-to/tpus#privileged-mode
TPUS = {"tpu-v5e": "tpu-v5-lite-podslice", "tpu-v6e": "tpu-v6e-slice"}
LOCKED_KIB = 68719476736


def manifests(order: Order) -> list[dict[str, Any]]:
    """Returns the Job, and before it the Service by which several workers find each other.

    Raises:
      UsageError: if the service account is not one of the cluster.
    """
    return [*([_service()] if order.workers > 1 else []), _job(order)]


def _service() -> dict[str, Any]:
    """One for all jobs of the namespace: it gives their pods names, JOB-INDEX.SERVICE."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": LABEL, "labels": {"app": LABEL}},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"app": LABEL},
        },
    }


def _job(order: Order) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "completions": order.workers,
        "parallelism": order.workers,
        "completionMode": "Indexed",
        "backoffLimit": RESTARTS * order.workers,
        "activeDeadlineSeconds": round(order.timeout_hours * 3600),
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": "worker",
                        "operator": "In",
                        "values": sorted(FINAL),
                    },
                },
                # A node that was drained or taken back.
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
            ]
        },
        "template": {"metadata": {"labels": order.all_labels}, "spec": _pod(order)},
    }
    if order.workers > 1:
        # The chief alone writes: when it is done, so is the run.
        spec["successPolicy"] = {"rules": [{"succeededIndexes": "0"}]}
    metadata = {
        "name": order.identity,
        "labels": order.all_labels,
        "annotations": {WORKDIR: order.workdir},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _pod(order: Order) -> dict[str, Any]:
    user = 0 if order.machine.accelerator in TPUS else USER
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": user != 0,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(order)],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        **_nodes(order),
    }
    if order.workers > 1:
        spec["subdomain"] = LABEL
    if "@" in order.service_account:
        raise UsageError(
            f"--service_account={order.service_account} is Google's: on Kubernetes give the "
            "cluster's own, such as trainer, which Workload Identity lets be Google's."
        )
    if order.service_account:
        spec["serviceAccountName"] = order.service_account
    return spec


def _container(order: Order) -> dict[str, Any]:
    tpu = order.machine.accelerator in TPUS
    capabilities = {"drop": ["ALL"], **({"add": ["SYS_RESOURCE"]} if tpu else {})}
    arguments = [f"--config={order.config_file}", f"--workdir={order.workdir}"]
    container: dict[str, Any] = {
        "name": "worker",
        "image": order.image,
        "args": arguments,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": capabilities,
            "readOnlyRootFilesystem": True,
        },
        "resources": {"requests": LEAST},
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    }
    if variables := machines.environment(order.machine):
        container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    if order.machine.accelerator:
        kind = "google.com/tpu" if tpu else "nvidia.com/gpu"
        container["resources"] = {"requests": LEAST, "limits": {kind: order.machine.count}}
    before = [_tf_config(order)] if order.workers > 1 else []
    before += [f"ulimit -l {LOCKED_KIB}"] if tpu else []
    if before:
        script = "; ".join([*before, 'exec python -m trainer.task "$@"'])
        container["command"] = ["sh", "-c", script, "sh"]
    if order.workers > 1:
        container["ports"] = [{"containerPort": PORT}]
    return container


def _tf_config(order: Order) -> str:
    """Returns the line of the shell that tells a worker its place, by the index of its pod."""
    addresses = [f"{order.identity}-{index}.{LABEL}:{PORT}" for index in range(order.workers)]
    cluster = json.dumps({"worker": addresses})
    task = """{"type": "worker", "index": '"$JOB_COMPLETION_INDEX"'}"""
    return f"""export TF_CONFIG='{{"cluster": {cluster}, "task": {task}}}'"""


def _nodes(order: Order) -> dict[str, Any]:
    """Returns on which nodes the pods may be."""
    machine, selector = order.machine, {}
    tolerations = []
    spec: dict[str, Any] = {}
    if machine.type:
        selector["node.kubernetes.io/instance-type"] = machine.type
    if machine.accelerator in TPUS:
        selector["cloud.google.com/gke-tpu-accelerator"] = TPUS[machine.accelerator]
        selector["cloud.google.com/gke-tpu-topology"] = machine.topology
        tolerations.append(_tolerated("google.com/tpu"))
    elif machine.accelerator:
        tolerations.append(_tolerated("nvidia.com/gpu"))
        # GKE tells its GPUs apart by this label, which nodes of other clusters do not have.
        label = "cloud.google.com/gke-accelerator"
        either = [
            {"key": label, "operator": "In", "values": [machine.accelerator]},
            {"key": label, "operator": "DoesNotExist"},
        ]
        terms = [{"matchExpressions": [one]} for one in either]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        spec["affinity"] = {"nodeAffinity": required}
    if order.capacity == "spot":
        selector["cloud.google.com/gke-spot"] = "true"
        tolerations.append(_tolerated("cloud.google.com/gke-spot"))
    if selector:
        spec["nodeSelector"] = selector
    if tolerations:
        spec["tolerations"] = tolerations
    return spec


def _tolerated(key: str) -> dict[str, str]:
    return {"key": key, "operator": "Exists", "effect": "NoSchedule"}
