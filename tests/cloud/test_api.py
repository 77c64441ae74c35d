"""Requests to Google's APIs are retried where that helps, and errors are one sentence."""

import time

import pytest
from google.auth.credentials import AnonymousCredentials
from google.oauth2.credentials import Credentials

from tests.cloud.vertex_server import Vertex
from trainer.cloud.api import ATTEMPTS, AnswerLost, Api, ResourceNotFound
from trainer.system.errors import Unavailable, UsageError

JOBS = "v1/projects/project/locations/us-central1/customJobs"
BUSY = (503, {"message": "try again"}, {})
PER_MINUTE = (429, {"message": "Quota of requests per minute"}, {})


@pytest.fixture
def api(service: Vertex) -> Api:
    return Api("aiplatform", service.address, AnonymousCredentials(), first_wait=0.001)


def get_jobs(api: Api) -> dict:
    return api.get(JOBS, filter="labels.app=x")


def test_temporary_failures_are_retried_after_the_time_that_the_server_asks_for(
    api: Api, service: Vertex
):
    service.failures = [BUSY, "drop", (*PER_MINUTE[:2], {"Retry-After": "0.3"})]
    began = time.monotonic()
    assert get_jobs(api) == {"customJobs": []}
    assert len(service.asked) == 4
    assert time.monotonic() - began >= 0.3


def test_lasting_failure_is_unavailable(api: Api, service: Vertex):
    service.failures = [BUSY] * ATTEMPTS
    with pytest.raises(Unavailable, match=r"answers 503: try again, 5 times: give the same"):
        get_jobs(api)
    assert len(service.asked) == ATTEMPTS
    closed = Api("aiplatform", "http://127.0.0.1:9", AnonymousCredentials(), first_wait=0.001)
    with pytest.raises(Unavailable, match="cannot be reached"):
        get_jobs(closed)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ((403, {"message": "Permission denied on it."}, {}), "403: Permission denied on it. docs/"),
        (
            (403, {"message": "off", "details": [{"reason": "SERVICE_DISABLED"}]}, {}),
            "Enable it: gcloud services enable aiplatform.googleapis.com.",
        ),
        ((400, {"message": "bad\nvalue"}, {}), "400: bad value."),
        ((429, {"message": "quota metrics exceed quota limits: l4_gpus"}, {}), "ask for more at"),
    ],
)
def test_lasting_refusal_is_a_usage_error_at_once(
    api: Api, service: Vertex, failure: tuple, sentence: str
):
    service.failures = [failure]
    with pytest.raises(UsageError) as refusal:
        get_jobs(api)
    assert sentence in str(refusal.value) and "\n" not in str(refusal.value)
    assert len(service.asked) == 1


def test_missing_resource_has_an_error_of_its_own(api: Api):
    with pytest.raises(ResourceNotFound):
        api.get(f"{JOBS}/1")


@pytest.mark.parametrize("failure", [BUSY, "drop"])
def test_request_that_may_have_been_carried_out_is_not_repeated(
    api: Api, service: Vertex, failure: object
):
    service.failures = [PER_MINUTE, failure]  # the first was surely not carried out
    with pytest.raises(AnswerLost):
        api.post(JOBS, {"displayName": "x"}, repeatable=False)
    assert len(service.asked) == 2


@pytest.mark.parametrize("valid", [True, False])
def test_credentials_are_sent_and_never_shown(service: Vertex, valid: bool):
    credentials = Credentials(
        token="ya29.secret" if valid else None,
        refresh_token="1//secret",
        token_uri=service.address,
        client_id="i",
        client_secret="secret",
    )
    answer = (403, {"message": "no"}, {}) if valid else (400, {"message": "1//secret"}, {})
    service.failures = [answer] * 9
    api = Api("aiplatform", service.address, credentials, first_wait=0.001)
    with pytest.raises(UsageError, match="roles" if valid else "login") as refusal:
        get_jobs(api)
    assert "secret" not in str(refusal.value)
    if valid:
        assert service.asked[0].headers["authorization"] == "Bearer ya29.secret"


def test_endpoint_may_be_set_as_for_gcloud(service: Vertex, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", f"{service.address}/")
    api = Api("aiplatform", "https://us-central1-aiplatform.googleapis.com", AnonymousCredentials())
    assert get_jobs(api) == {"customJobs": []}
