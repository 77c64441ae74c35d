"""Google's interfaces are asked again where that helps, and what they say becomes one sentence."""

import time

import pytest
from google.auth.credentials import AnonymousCredentials
from google.oauth2.credentials import Credentials

from tests.cloud.vertex_server import Vertex
from trainer.cloud.api import ATTEMPTS, AnswerLost, Api, ResourceNotFound
from trainer.system.errors import Unavailable, UsageError

JOBS = "v1/projects/project/locations/us-central1/customJobs"
BUSY = (503, {"message": "try again"}, {})


@pytest.fixture
def api(service: Vertex) -> Api:
    return Api("aiplatform", service.address, AnonymousCredentials(), first_wait=0.01)


def listed(api: Api) -> dict:
    return api.get(JOBS, filter="labels.app=x")


def test_what_fails_for_a_moment_is_asked_again(api: Api, service: Vertex):
    service.failures = [BUSY, "drop", (429, {"message": "Quota of requests per minute"}, {})]
    assert listed(api) == {"customJobs": []}
    assert len(service.asked) == 4


def test_a_server_is_given_the_time_that_it_asks_for(api: Api, service: Vertex):
    service.failures = [(429, {"message": "slower"}, {"Retry-After": "0.5"})]
    began = time.monotonic()
    listed(api)
    assert time.monotonic() - began >= 0.5


def test_what_keeps_failing_is_given_up_in_a_sentence(api: Api, service: Vertex):
    service.failures = [BUSY] * ATTEMPTS
    with pytest.raises(Unavailable, match=r"answers 503: try again, 5 times: give the same"):
        listed(api)
    assert len(service.asked) == ATTEMPTS


def test_nothing_that_answers_is_told_too(service: Vertex):
    service.close()
    api = Api("aiplatform", service.address, AnonymousCredentials(), first_wait=0.001)
    with pytest.raises(Unavailable, match="cannot be reached"):
        listed(api)


@pytest.mark.parametrize(
    ("failure", "said"),
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
def test_what_stays_wrong_is_told_at_once(api: Api, service: Vertex, failure: tuple, said: str):
    service.failures = [failure]
    with pytest.raises(UsageError) as refusal:
        listed(api)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
    assert len(service.asked) == 1


def test_what_is_not_there_is_told_apart(api: Api):
    with pytest.raises(ResourceNotFound, match="not found"):
        api.get(f"{JOBS}/1")


@pytest.mark.parametrize("failure", [BUSY, "drop"])
def test_what_may_have_been_taken_is_not_sent_twice(api: Api, service: Vertex, failure: object):
    service.failures = [failure]
    with pytest.raises(AnswerLost, match="may have been created or not"):
        api.post(JOBS, {"displayName": "x"}, repeatable=False)
    assert len(service.asked) == 1


def test_what_was_surely_not_taken_is_sent_again(api: Api, service: Vertex):
    service.failures = [(429, {"message": "too many requests per minute"}, {})]
    assert api.post(JOBS, {"displayName": "x"}, repeatable=False)["displayName"] == "x"


def test_credentials_are_sent_and_never_told(service: Vertex):
    api = Api("aiplatform", service.address, Credentials(token="ya29.secret"), first_wait=0.001)
    service.failures = [(403, {"message": "no"}, {})]
    with pytest.raises(UsageError) as refusal:
        listed(api)
    assert service.asked[0].headers["authorization"] == "Bearer ya29.secret"
    assert "secret" not in str(refusal.value)


def test_credentials_that_expired_end_in_a_sentence(service: Vertex):
    expired = Credentials(token=None, refresh_token="1//secret", token_uri=service.address,
                          client_id="i", client_secret="s")  # fmt: skip
    service.failures = [(400, {"message": "invalid_grant 1//secret"}, {})] * 9
    with pytest.raises(UsageError, match="gcloud auth application-default login") as refusal:
        listed(Api("aiplatform", service.address, expired, first_wait=0.001))
    assert "secret" not in str(refusal.value)


def test_gclouds_setting_of_an_endpoint_holds(service: Vertex, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", f"{service.address}/")
    api = Api("aiplatform", "https://us-central1-aiplatform.googleapis.com", AnonymousCredentials())
    assert listed(api) == {"customJobs": []}
