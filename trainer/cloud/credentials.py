"""The user's credentials for Google Cloud: found where gcloud leaves them, never shown."""

import os

import google.auth
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError

from trainer.system.errors import UsageError

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class NoCredentials(UsageError):
    """There are no credentials, or no valid ones."""


def find() -> tuple[Credentials, str | None]:
    """Returns the credentials and their project, if one is known.

    Where gcloud is set to use no credentials, this uses none either, as servers in tests need none.

    Raises:
      NoCredentials: if there are none.
    """
    project = os.environ.get("CLOUDSDK_CORE_PROJECT")
    if os.environ.get("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "").lower() in ("1", "true"):
        return AnonymousCredentials(), project
    try:
        credentials, default_project = google.auth.default(scopes=SCOPES)
    except DefaultCredentialsError as error:
        raise NoCredentials(
            "there are no Google Cloud credentials on this machine: run gcloud auth "
            "application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a key file."
        ) from error
    return credentials, project or default_project
