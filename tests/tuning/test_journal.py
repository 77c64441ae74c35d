"""The journal keeps whole lines, on a disk and in a bucket."""

import pytest
from etils import epath

from trainer.tuning import journal
from trainer.tuning.journal import Journal


@pytest.mark.parametrize("in_bucket", [False, True])
def test_what_is_noted_is_read_from_a_number_on(tmp_path, monkeypatch, in_bucket):
    monkeypatch.setattr(journal.gcs, "is_gcs", lambda name: in_bucket)
    notes = Journal(epath.Path(tmp_path) / "j.jsonl")

    assert list(notes.read_logs(0)) == []
    notes.append_logs([{"n": 0}, {"n": 1}])
    notes.append_logs([{"n": 2}])

    assert list(notes.read_logs(1)) == [{"n": 1}, {"n": 2}]


def test_a_line_that_a_killed_process_left_is_cut_off(tmp_path):
    file = epath.Path(tmp_path) / "j.jsonl"
    notes = Journal(file)
    notes.append_logs([{"n": 0}])
    file.write_text(file.read_text() + '{"n"')

    assert list(notes.read_logs(0)) == [{"n": 0}]
    notes.append_logs([{"n": 1}])
    assert list(notes.read_logs(0)) == [{"n": 0}, {"n": 1}]
