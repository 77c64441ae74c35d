"""Brings the points of a run to a tracker, in a thread of its own."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from trainer.show.tracker import Description, Point, Tracker

MOST = 10_000  # points that wait; then the oldest are dropped
AT_ONCE = 500  # points in a call

Work = Callable[[], None]


class Delivery:
    """Points of a run on their way to a tracker, in order.

    Points that are `add`ed wait until they are `release`d, then the thread sends them. What a
    failed call has not brought is sent with what is released next. None of these calls waits for
    the tracker.

    Args:
      tracker: all of its methods are called in the thread alone.
      run: for its `begin`.
    """

    def __init__(self, tracker: Tracker, run: Description):
        self._tracker, self._run = tracker, run
        self._changed = threading.Condition()
        self._points = deque[Point]()  # not yet there
        self._first = self._released = run.first  # number of the first of them, end of the released
        self._last_work: Work | None = None
        self._awake, self._done = True, False
        self._news: list[str] = []
        self._failed = self._full = False
        self._thread = threading.Thread(target=self._send_all, name=tracker.name, daemon=True)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def add(self, points: Sequence[Point]) -> int:
        """Adds points that wait; returns the number of the point that would come next."""
        with self._changed:
            self._points.extend(points)
            if (surplus := len(self._points) - MOST) > 0:
                for _ in range(surplus):
                    self._points.popleft()
                self._first += surplus
                if not self._full:
                    self._news.append(f"{self._tracker.name}: its oldest points are dropped")
                self._full = True
            return self._first + len(self._points)

    def release(self, end: int) -> None:
        """Has the points sent whose number is below `end`."""
        with self._changed:
            self._released, self._awake = max(self._released, end), True
            self._changed.notify()

    def waiting(self) -> tuple[int, list[Point]]:
        """Returns all points that are not there yet, and the number of the first."""
        with self._changed:
            return self._first, list(self._points)

    def take_news(self) -> list[str]:
        """Returns what is to be said about the tracker since the last call."""
        with self._changed:
            news, self._news = self._news, []
            return news

    def end(self, work: Work, seconds: float) -> bool:
        """Has the last work done after all that is released; returns whether it was, in time."""
        with self._changed:
            self._last_work, self._awake = work, True
            self._changed.notify()
        self._thread.join(seconds)
        return self._done

    def _send_all(self) -> None:
        begun, last_work = False, None
        while last_work is None:
            with self._changed:
                self._changed.wait_for(lambda: self._awake)
                self._awake, last_work = False, self._last_work
            try:
                if not begun:
                    where = self._tracker.begin(self._run)
                    begun = True
                    self._say(f"{self._tracker.name}: {where}")
                self._send_released()
                if last_work:
                    last_work()
                    self._done = True
            except Exception as error:  # of whatever kind a library or a server comes up with
                if not self._failed:
                    reason = (str(error) or repr(error)).splitlines()[0].rstrip(".")
                    self._say(f"{self._tracker.name} fails ({reason}): the run goes on without")
                self._failed = True

    def _send_released(self) -> None:
        while True:
            with self._changed:
                first, count = self._first, min(self._released - self._first, AT_ONCE)
                points = list(islice(self._points, max(count, 0)))
            if not points:
                return
            self._tracker.log(first, points)
            with self._changed:
                for _ in range(first + len(points) - self._first):  # some may have been dropped
                    self._points.popleft()
                self._first = max(self._first, first + len(points))

    def _say(self, sentence: str) -> None:
        with self._changed:
            self._news.append(sentence)
