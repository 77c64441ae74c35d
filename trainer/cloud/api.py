"""Google's REST APIs with the user's credentials: retries, and errors as one sentence."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import google.auth.exceptions
import requests
from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession

from trainer.system.errors import Unavailable, UsageError

ATTEMPTS = 5
LONGEST_WAIT = 60.0  # seconds of a Retry-After header
TIMEOUT = 60.0
PAGE_SIZE = 100
TRANSIENT_CODES = (429, 500, 502, 503, 504)


class ResourceNotFound(UsageError):
    """The resource does not exist."""


class AnswerLost(Unavailable):
    """The service may have carried out a request although no answer came."""


class Api:
    """A client of one API, such as aiplatform.

    Args:
      name: of the service; gcloud's own setting of another endpoint applies here too.
      address: of the service, unless that setting names another.
      credentials: of the user; they are sent to the service and shown nowhere.
      first_wait: seconds before the first retry, doubled each time.
    """

    def __init__(
        self, name: str, address: str, credentials: Credentials, *, first_wait: float = 1.0
    ):
        setting = f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name.upper()}"
        self.name, self._first_wait = name, first_wait
        self.address = (os.environ.get(setting) or address).rstrip("/")
        self._session = AuthorizedSession(credentials)

    def get(self, path: str, **parameters: str | int) -> dict:
        """Returns what is at `path`."""
        return self._request("GET", path, parameters)

    def list_all(self, path: str, field: str, **parameters: str) -> Iterator[dict]:
        """Yields the items that all pages at `path` have in `field`."""
        token: dict[str, str] | None = {}
        while token is not None:
            page = self.get(path, pageSize=PAGE_SIZE, **parameters, **token)
            yield from page.get(field, [])
            following = page.get("nextPageToken")
            token = {"pageToken": following} if following else None

    def delete(self, path: str, **parameters: str) -> dict:
        """Deletes what is at `path`."""
        return self._request("DELETE", path, parameters)

    def post(self, path: str, body: Mapping, *, repeatable: bool = True, **parameters: str) -> dict:
        """Sends `body` and returns the answer.

        Args:
          path: of the resource.
          body: JSON.
          repeatable: whether the request may be sent twice; if not, it is retried only where the
            service has surely not carried it out.
          parameters: of the address.

        Raises:
          AnswerLost: if it is not repeatable, and may have been carried out.
        """
        return self._request("POST", path, parameters, body=body, repeatable=repeatable)

    def _request(
        self,
        method: str,
        path: str,
        parameters: Mapping,
        *,
        body: Mapping | None = None,
        repeatable: bool = True,
    ) -> dict:
        url = f"{self.address}/{path}"
        for attempt in range(1, ATTEMPTS + 1):
            wait = self._first_wait * 2 ** (attempt - 1)
            try:
                answer = self._session.request(
                    method, url, params=parameters, json=body, timeout=TIMEOUT
                )
            except google.auth.exceptions.GoogleAuthError as error:
                raise UsageError(
                    f"the Google Cloud credentials are no longer valid ({type(error).__name__}): "
                    "renew them with gcloud auth application-default login."
                ) from error
            except requests.RequestException as error:
                problem = f"{self.address} cannot be reached ({type(error).__name__})"
                perhaps_done = not isinstance(error, requests.ConnectTimeout)
            else:
                if answer.ok:
                    return answer.json() if answer.content else {}
                problem = _problem(answer)
                if answer.status_code not in TRANSIENT_CODES or _is_quota_exceeded(answer):
                    raise _usage_error(self.name, answer, problem)
                perhaps_done = answer.status_code >= 500
                wait = max(wait, _retry_after(answer))
            if perhaps_done and not repeatable:
                raise AnswerLost(
                    f"{problem}, so that the job may have been created or not: look with python -m "
                    "radiograph jobs list before you submit it again."
                )
            if attempt < ATTEMPTS:
                time.sleep(wait)
        raise Unavailable(f"{problem}, {ATTEMPTS} times: give the same command again later.")


def _problem(answer: requests.Response) -> str:
    """Returns the service's message, in one line."""
    try:
        error = answer.json()["error"]
        message = " ".join(str(error["message"]).split())
    except (ValueError, KeyError, TypeError):
        message = answer.reason or "no reason given"
    host = urlsplit(answer.url).netloc
    return f"{host} answers {answer.status_code}: {message[:600]}"


def _details(answer: requests.Response) -> list[Mapping[str, Any]]:
    try:
        return list(answer.json()["error"].get("details", []))
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _is_quota_exceeded(answer: requests.Response) -> bool:
    """Returns whether a quota of the project is used up, other than one by the minute."""
    text = answer.text.lower()
    return answer.status_code == 429 and "quota" in text and "per minute" not in text


def _retry_after(answer: requests.Response) -> float:
    try:
        return min(float(answer.headers.get("Retry-After", 0)), LONGEST_WAIT)
    except ValueError:
        return 0.0


def _usage_error(name: str, answer: requests.Response, problem: str) -> UsageError:
    problem = problem.rstrip(".")
    reasons = [detail.get("reason") for detail in _details(answer)]
    if _is_quota_exceeded(answer):
        return UsageError(
            f"{problem}. The project's quota does not allow it: ask for more at "
            "https://console.cloud.google.com/iam-admin/quotas, or for another accelerator, "
            "--region or --spot, which has a quota of its own."
        )
    if "SERVICE_DISABLED" in reasons:
        return UsageError(f"{problem}. Enable it: gcloud services enable {name}.googleapis.com.")
    if answer.status_code in (401, 403):
        return UsageError(f"{problem}. docs/cloud.md lists the roles that your account needs.")
    if answer.status_code == 404:
        return ResourceNotFound(f"{problem}.")
    return UsageError(f"{problem}.")
