"""TF_CONFIG tells which workers there are and which this one is."""

import json

import pytest

from trainer.distribute import cluster
from trainer.system.errors import UsageError


def named(monkeypatch: pytest.MonkeyPatch, content: object) -> cluster.Cluster | None:
    text = content if isinstance(content, str) else json.dumps(content)
    monkeypatch.setenv("TF_CONFIG", text)
    return cluster.from_environment()


def test_without_it_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster.from_environment() is None
    assert named(monkeypatch, {"environment": "cloud"}) is None


def test_the_first_worker_is_the_chief_where_none_is_named(monkeypatch: pytest.MonkeyPatch):
    workers = {"worker": ["a:1", "b:1"]}
    found = named(monkeypatch, {"cluster": workers, "task": {"type": "worker", "index": 1}})
    assert found == cluster.Cluster(("a:1", "b:1"), 1)


@pytest.mark.parametrize(("kind", "index", "number"), [("chief", 0, 0), ("worker", 0, 1)])
def test_vertex_ai_counts_chief_and_workers_apart(
    monkeypatch: pytest.MonkeyPatch, kind: str, index: int, number: int
):
    tf_config = {
        "cluster": {"chief": ["a:2222"], "worker": ["b:2222", "c:2222"]},
        "environment": "cloud",
        "job": {"worker_pool_specs": []},
        "task": {"type": kind, "index": index, "cloud": "x"},
    }
    assert named(monkeypatch, tf_config) == cluster.Cluster(("a:2222", "b:2222", "c:2222"), number)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{worker", "cannot be read"),
        ([1], "cannot be read"),
        *(
            (
                {"cluster": {"worker": listed}, "task": {"type": "worker", "index": 0}},
                "is not a list",
            )
            for listed in ("a:1,b:1", {"0": "a:1"}, ["a"], [""])
        ),
        ({"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}, "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ({"cluster": {"worker": ["a:1"]}}, "cannot be read"),
        (
            {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}},
            "task is worker 1, but its cluster has 0 chief and 1 workers",
        ),
        (
            {
                "cluster": {"worker": ["a:1"], "ps": ["b:1"]},
                "task": {"type": "ps", "index": 0},
            },
            "task is ps 0",
        ),
    ],
)
def test_what_names_no_worker_is_refused(
    monkeypatch: pytest.MonkeyPatch, content: object, message: str
):
    with pytest.raises(UsageError, match=message):
        named(monkeypatch, content)
