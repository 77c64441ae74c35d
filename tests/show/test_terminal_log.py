"""The terminal says what a run begins with."""

import io
from types import SimpleNamespace

import pytest

from trainer.show.terminal_log import TerminalLog
from trainer.system.terminal import LiveLine


def begin(*, image_size: int = 512, step: int = 0) -> str:
    """Returns what is shown at the start of a run of 20 steps."""
    config = SimpleNamespace(
        name="a", train=SimpleNamespace(batch_size=8), data=SimpleNamespace(image_size=image_size)
    )
    run = SimpleNamespace(
        config=config,
        data=SimpleNamespace(summary={"max_side": 512}),
        state=SimpleNamespace(skipped_steps=0, model=SimpleNamespace(count_params=lambda: 10)),
        replicas="one CPU",
        total_steps=20,
        is_done=lambda progress: progress.step >= 20,
        pixels=SimpleNamespace(description="pixels"),
    )
    shown = io.StringIO()
    TerminalLog(LiveLine(shown)).begin(run, SimpleNamespace(step=step), {})
    return shown.getvalue()


@pytest.mark.parametrize(("image_size", "lines"), [(513, 1), (512, 0)])
def test_images_that_are_enlarged_are_told_of_once(image_size: int, lines: int):
    sentence = "data.image_size=513 enlarges images of at most 512 pixels: prepare with --max_side"
    assert begin(image_size=image_size).count(sentence) == lines


@pytest.mark.parametrize(
    ("step", "words"),
    [(0, "8 images\n"), (7, "going on at step 7\n"), (20, "all done before: only evaluated\n")],
)
def test_it_says_whether_a_run_begins_goes_on_or_is_finished(step: int, words: str):
    assert words in begin(step=step)
