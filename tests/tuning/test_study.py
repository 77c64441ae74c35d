"""A sweep goes on whatever its processes left of the journal."""

from pathlib import Path

import pytest
from etils import epath

from trainer.tuning.search_space import choice, uniform
from trainer.tuning.study import FILE, Study

SWEEP = {"model.dropout": uniform(0.0, 0.5), "train.batch_size": choice(16, 32)}
OWN = {"model.dropout": 0.2, "train.batch_size": 32}


def study(folder: Path) -> Study:
    return Study(epath.Path(folder), SWEEP, own=OWN, seed=0, begun={"config": {}})


def train(trials: Study) -> tuple[int, dict]:
    """Returns number and values of the next trial, which ends."""
    with trials.claimed(9) as trial:
        assert trial
        trial.end(0.7, 1, pruned=False)
    return trial.number, trial.values


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The journal of two trials that have ended and one that has begun."""
    folder = tmp_path_factory.mktemp("sweep")
    trials = study(folder)
    assert train(trials) == (1, OWN) and train(trials)[0] == 2
    with trials.claimed(9):
        pass
    return (folder / FILE).read_text().splitlines(keepends=True)


@pytest.mark.parametrize("left", [1, 2, 3, 4])
def test_a_trial_killed_while_its_values_were_chosen_gets_values(notes, tmp_path: Path, left: int):
    begun = max(number for number, note in enumerate(notes) if '"op_code": 4' in note)
    (tmp_path / FILE).write_text("".join(notes[: begun + left]))
    number, values = train(study(tmp_path))
    assert number == 3 and values.keys() == SWEEP.keys()
    assert all(SWEEP[path].contains(value) for path, value in values.items())


def test_a_note_that_optuna_does_not_know_is_a_damaged_journal(notes, tmp_path: Path, capsys):
    (tmp_path / FILE).write_text('{"op_code": 99, "worker_id": "x"}\n' + "".join(notes))
    assert study(tmp_path).rows() == []
    assert "was damaged" in capsys.readouterr().err
    assert (tmp_path / "journal.damaged.jsonl").exists()
