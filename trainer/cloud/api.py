"""Google's REST interfaces, as the user: asked again where that helps, told of in one sentence."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import google.auth.exceptions
import requests
from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession

from trainer.system.errors import Unavailable, UsageError

ATTEMPTS = 5
LONGEST_WAIT = 60.0  # seconds that a server may ask for
TIMEOUT = 60.0
PAGE = 100  # things that are listed at a time
PASSING = (429, 500, 502, 503, 504)


class NotThere(UsageError):
    """What was asked for does not exist."""


class Unanswered(Unavailable):
    """A request may have been taken although no answer came."""


class Api:
    """One of the interfaces, such as aiplatform.

    Args:
      name: of the service; gcloud's own setting for another endpoint of it holds here too.
      address: of the service, unless that setting names another.
      credentials: of the user; they are sent to the service and shown nowhere.
      first_wait: seconds before something is asked again, doubled each time.
    """

    def __init__(self, name: str, address: str, credentials: Credentials, first_wait: float = 1.0):
        setting = f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name.upper()}"
        self.name, self._first_wait = name, first_wait
        self.address = (os.environ.get(setting) or address).rstrip("/")
        self._session = AuthorizedSession(credentials)

    def get(self, path: str, **parameters: str | int) -> dict:
        """Returns what is at `path`."""
        return self._ask("GET", path, parameters)

    def pages(self, path: str, of: str, **parameters: str) -> Iterator[dict]:
        """Yields everything that is listed at `path`, page by page, under the name `of`."""
        token = {}
        while token is not None:
            page = self.get(path, pageSize=PAGE, **parameters, **token)
            yield from page.get(of, [])
            following = page.get("nextPageToken")
            token = {"pageToken": following} if following else None

    def delete(self, path: str, **parameters: str) -> dict:
        """Deletes what is at `path`."""
        return self._ask("DELETE", path, parameters)

    def post(self, path: str, body: Mapping, repeatable: bool = True, **parameters: str) -> dict:
        """Sends `body`.

        Args:
          path: where to.
          body: what is asked.
          repeatable: whether to ask twice does no harm; if not, it is asked again only where the
            service says that it took nothing.
          parameters: of the address.

        Raises:
          Unanswered: if it is not repeatable, and not known whether the service took it.
        """
        return self._ask("POST", path, parameters, body, repeatable)

    def _ask(
        self,
        method: str,
        path: str,
        parameters: Mapping,
        body: Mapping | None = None,
        repeatable: bool = True,
    ) -> dict:
        where = f"{self.address}/{path}"
        for attempt in range(1, ATTEMPTS + 1):
            wait = self._first_wait * 2 ** (attempt - 1)
            try:
                answer = self._session.request(
                    method, where, params=parameters, json=body, timeout=TIMEOUT
                )
            except google.auth.exceptions.GoogleAuthError as error:
                raise UsageError(
                    f"Google takes the credentials no more ({type(error).__name__}): renew them "
                    "with gcloud auth application-default login."
                ) from error
            except requests.RequestException as error:
                problem = f"{self.address} cannot be reached ({type(error).__name__})"
                passing, taken = True, not isinstance(error, requests.ConnectTimeout)
            else:
                if answer.ok:
                    return answer.json() if answer.content else {}
                problem = _problem(answer)
                passing = answer.status_code in PASSING and not _of_quota(answer)
                taken = answer.status_code >= 500
                wait = max(wait, _asked_wait(answer))
                if not passing:
                    raise _refusal(self.name, answer, problem)
            if taken and not repeatable:
                raise Unanswered(
                    f"{problem}, and whether the job was taken is not known: look with python -m "
                    "trainer jobs list before you submit it again."
                )
            if attempt < ATTEMPTS:
                time.sleep(wait)
        raise Unavailable(f"{problem}, {ATTEMPTS} times: give the same command again later.")


def _problem(answer: requests.Response) -> str:
    """Returns what the service says, in one line."""
    try:
        error = answer.json()["error"]
        said = " ".join(str(error["message"]).split())
    except (ValueError, KeyError, TypeError):
        said = answer.reason or "no reason given"
    return (
        f"{requests.utils.urlparse(answer.url).netloc} answers {answer.status_code}: {said[:600]}"
    )


def _details(answer: requests.Response) -> list[Mapping[str, Any]]:
    try:
        return list(answer.json()["error"].get("details", []))
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _of_quota(answer: requests.Response) -> bool:
    """Whether the project may not have so much, which waiting a minute does not change."""
    said = answer.text.lower()
    return answer.status_code == 429 and "quota" in said and "per minute" not in said


def _asked_wait(answer: requests.Response) -> float:
    try:
        return min(float(answer.headers.get("Retry-After", 0)), LONGEST_WAIT)
    except ValueError:
        return 0.0


def _refusal(name: str, answer: requests.Response, problem: str) -> UsageError:
    said = problem.rstrip(".")
    reasons = [detail.get("reason") for detail in _details(answer)]
    if _of_quota(answer):
        return UsageError(
            f"{said}. The project's quota does not allow it: ask for more at "
            "https://console.cloud.google.com/iam-admin/quotas, or for another accelerator, "
            "--region or --spot, which has a quota of its own."
        )
    if "SERVICE_DISABLED" in reasons:
        return UsageError(f"{said}. Enable it: gcloud services enable {name}.googleapis.com.")
    if answer.status_code in (401, 403):
        return UsageError(f"{said}. docs/cloud.md lists the roles that your account needs.")
    if answer.status_code == 404:
        return NotThere(f"{said}.")
    return UsageError(f"{said}.")
