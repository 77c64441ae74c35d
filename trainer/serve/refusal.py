"""Why a request gets no answer, as its client is told."""

from http import HTTPStatus


class Refusal(Exception):
    """Ends a request with {"error": sentence}.

    Args:
      status: of HTTP.
      sentence: what is wrong, and what is allowed.
      retry_after: seconds after which the same request may be answered; 0 where that never helps.
    """

    def __init__(self, status: HTTPStatus, sentence: str, *, retry_after: int = 0):
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Returns the headers that go with the answer."""
        found = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        if self.status == HTTPStatus.UNAUTHORIZED:
            found["WWW-Authenticate"] = "Bearer"
        return found


def invalid(sentence: str) -> Refusal:
    """Returns the refusal of a request that is wrong in itself: INVALID_ARGUMENT, 400."""
    return Refusal(HTTPStatus.BAD_REQUEST, sentence)


def not_found(sentence: str) -> Refusal:
    """Returns the refusal of what is not there: NOT_FOUND, 404."""
    return Refusal(HTTPStatus.NOT_FOUND, sentence)
