"""The output of jobs in Cloud Logging."""

from collections.abc import Mapping

from google.auth.credentials import Credentials

from trainer.cloud.api import Api

PAGE = 1000  # entries


class Logs:
    """The log of a project.

    Args:
      credentials: of the user.
      project: its id.
      first_wait: seconds before the first retry.
    """

    def __init__(self, credentials: Credentials, project: str, *, first_wait: float = 1):
        self._project = project
        self._api = Api(
            "logging", "https://logging.googleapis.com", credentials, first_wait=first_wait
        )

    def lines(self, query: str, after: str) -> list[tuple[str, str]]:
        """Returns (time, line) of the entries after the time `after`, in order, a page at most.

        Args:
          query: which entries, in the query language of Cloud Logging.
          after: a time from an earlier result; "" for all.
        """
        request = {
            "resourceNames": [f"projects/{self._project}"],
            "filter": query + (f' AND timestamp>"{after}"' if after else ""),
            "orderBy": "timestamp asc",
            "pageSize": PAGE,
        }
        entries = self._api.post("v2/entries:list", request).get("entries", [])
        return [(entry.get("timestamp", ""), _line(entry)) for entry in entries]


def _line(entry: Mapping) -> str:
    payload = entry.get("jsonPayload", {})
    text = entry.get("textPayload") or payload.get("message") or ""
    return str(text).rstrip()
