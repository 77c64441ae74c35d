"""Opens the files of a folder, of an archive, or of a folder of archives."""

from etils import epath

from trainer.data.sources import tar_archives
from trainer.data.sources.archive import Archives, only_archives
from trainer.data.sources.files import Files
from trainer.data.sources.folder import Folder
from trainer.data.sources.tar_archives import TarArchives


def open_files(path: epath.Path) -> Files:
    """Returns the files of a folder, of a .zip or .tar, or of a folder that holds only these.

    Raises:
      UsageError: if it is an archive that cannot be read.
    """
    if not path.is_dir():
        if path.name.lower().endswith(tar_archives.SUFFIXES):
            return TarArchives(str(path), [path])
        return Archives(str(path), [path])
    if archives := only_archives(path):
        return Archives(str(path), archives)
    if archives := tar_archives.only_tars(path):
        return TarArchives(str(path), archives)
    return Folder(path)
