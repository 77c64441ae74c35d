"""`radiograph cache` lists and removes files of decoded pixels, and nothing else."""

from pathlib import Path

import pytest
from etils import epath

from trainer.commands import cache
from trainer.system.errors import UsageError

NAME = f"{16 * 'a'}-train-180-squash.pixels"


def test_files_are_listed_and_removed_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "radiograph-trainer/pixels"
    folder.mkdir(parents=True)
    for name in (NAME, "mine.pixels"):
        (folder / name).write_bytes(bytes(2**20))
    cache.main(["cache", "list"])
    head, _, row = capsys.readouterr().out.splitlines()
    assert head == f"{folder}: 0.00 GiB in 1 files" and row.startswith(NAME)
    cache.main(["cache", "clear"])
    assert [file.name for file in folder.iterdir()] == ["mine.pixels"]
    assert "1 files removed" in capsys.readouterr().out


def test_a_data_set_has_files_of_its_own(phantoms: epath.Path, capsys: pytest.CaptureFixture):
    cache.main(["cache", "list", str(phantoms)])
    assert str(phantoms / "pixels") in capsys.readouterr().out


@pytest.mark.parametrize("given", [[], ["remove"], ["DATA"]])
def test_a_line_without_a_verb_is_refused(given: list[str]):
    with pytest.raises(UsageError, match="give list or clear"):
        cache.parse_flags(["cache", *given])


def test_a_folder_without_a_data_set_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="holds no prepared data set"):
        cache.main(["cache", "list", str(tmp_path)])
