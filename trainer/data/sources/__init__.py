"""Where radiographs come from: archives, folders, tables, arrays, downloads, phantoms.

A source lists records and reads bytes; it decodes no pixels and needs no TensorFlow.
"""

from dataclasses import fields

from etils import epath

from trainer.data.sources import files, public_sets
from trainer.data.sources.image_record import ImageRecord, Source
from trainer.data.sources.options import Options
from trainer.data.sources.patients import patient_from_name
from trainer.system import cache, gcs
from trainer.system.errors import UsageError
from trainer.system.printable import printable

__all__ = ["ImageRecord", "Options", "Source", "open_source", "patient_from_name"]

TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
OTHER_TABLES = (".xlsx", ".xls", ".ods", ".json", ".jsonl", ".parquet", ".feather", ".txt")
TABLE_OPTIONS = (
    *("image_root", "encoding", "path_column", "label_columns", "patient_column", "split_column"),
    *("join", "separator", "view_column", "modality_column", "reader_column", "readers"),
    "uncertain",
)
FOLDER_OPTIONS = ("class_level", "class_from", "exclude", "unlabelled")
LABEL_OPTIONS = ("positive", "map_labels")
_AS_NPZ = (
    'write its images [N, H, W] uint8 and labels [N, 1] with numpy.savez("set.npz", '
    "train_images=images, train_labels=labels) and give --source=set.npz"
)
# How the images of such files get in.
OTHER_FILES = {
    (".npy",): _AS_NPZ,
    (".h5", ".hdf5", ".mat", ".pt", ".pth", ".pkl", ".pickle"): _AS_NPZ,
    (".nii", ".nii.gz", ".mha", ".nrrd"): (
        "write each image of it as PNG, with nibabel or SimpleITK, and give their folder or a table"
    ),
    (".tfrecord", ".tfrecords", ".tfrec"): (
        "write the image of each record to a file, with tensorflow.data.TFRecordDataset, and give "
        "their class folders or a table"
    ),
}
ALLOWED = "a .zip, a folder, a .csv table, an .npz of arrays, phantom:N, or one of " + ", ".join(
    public_sets.PUBLIC
)


def open_source(name: str, options: Options = Options()) -> Source:  # noqa: B008 (it is frozen)
    """Returns the source that `--source=name` means; each kind is imported when it is asked for.

    Raises:
      UsageError: if there is no such source, it cannot be read, the options do not fit it, or the
        name of a label holds a control character.
    """
    source = _opened(name, options)
    for label in (*source.labels, *source.classes):
        if printable(label) != label:
            raise UsageError(
                f"--source={name} has a label {printable(label)!r}, which holds a character that "
                "cannot be shown: rename it."
            )
    return source


def _opened(name: str, options: Options) -> Source:
    kind, _, rest = name.partition(":")
    is_table = name.lower().endswith(TABLES)
    if name.lower().endswith(OTHER_TABLES):
        raise UsageError(
            f"--source={name} is not a table that is read: save it as CSV, with a header line and "
            "a row for each image."
        )
    for endings, way in OTHER_FILES.items():
        if name.lower().endswith(endings):
            raise UsageError(f"--source={name} is not read: {way}.")
    _check_options(name, options, is_table)
    if kind == "phantom":
        if not rest.isdecimal() or int(rest) < 20:
            raise UsageError(f"--source={name}: give phantom:N with N of at least 20 images.")
        from trainer.data.sources.layout import ClassFolders
        from trainer.data.sources.phantoms import PhantomFiles

        return ClassFolders(name, PhantomFiles(int(rest)), options, synthetic=True)
    if name in public_sets.PUBLIC:
        path = epath.Path(public_sets.fetch(public_sets.PUBLIC[name], cache.folder()))
    else:
        path = epath.Path(rest if kind == "medmnist" else name)
    try:
        with gcs.translate_errors(name + options.image_root):
            if not path.exists():
                raise UsageError(f"--source={name} does not exist: give {ALLOWED}.")
            if _is_arrays(name):
                from trainer.data.sources.medmnist import MedMnist

                return MedMnist(name, path)
            if is_table:
                from trainer.data.sources.label_table import Table

                return Table(path, options)
            from trainer.data.sources import open_files
            from trainer.data.sources.layout import ClassFolders

            return ClassFolders(name, open_files.open_files(path), options)
    except OSError as mistake:
        raise UsageError(f"--source={name} cannot be read: {files.one_line(mistake)}.") from None


def _is_arrays(name: str) -> bool:
    return name.startswith("medmnist:") or name.lower().endswith(".npz")


def _check_options(name: str, options: Options, is_table: bool) -> None:
    defaults = {field.name: field.default for field in fields(Options)}
    given = [flag for flag in TABLE_OPTIONS if getattr(options, flag) != defaults[flag]]
    if options.no_patients():
        given.remove("patient_column")  # nor do the names of other sources tell them
    if given and not is_table:
        raise UsageError(
            f"--{given[0]} is for tables, and --source={name} is not one: leave it out."
        )
    folders = [flag for flag in FOLDER_OPTIONS if getattr(options, flag) != defaults[flag]]
    if folders and (is_table or _is_arrays(name)):
        raise UsageError(
            f"--{folders[0]} is for class folders, and --source={name} has none: leave it out."
        )
    if options.keep_columns and _is_arrays(name):
        raise UsageError(
            f"--keep_columns is for tables and DICOM files, and --source={name} has neither: leave "
            "it out."
        )
    names = [flag for flag in LABEL_OPTIONS if getattr(options, flag) != defaults[flag]]
    if names and name.startswith("medmnist:"):
        raise UsageError(f"--{names[0]} is not for MedMNIST, whose labels are fixed: leave it out.")
    if options.class_level and options.class_from:
        raise UsageError("--class_level and --class_from both define the class: give one.")
    classes = [name for name in (*FOLDER_OPTIONS[:2], *LABEL_OPTIONS) if getattr(options, name)]
    if options.unlabelled and classes:
        raise UsageError(f"--unlabelled and --{classes[0]} contradict each other: give one.")
    if options.patient_column and options.patient_regex:
        raise UsageError("--patient_column and --patient_regex both define the patient: give one.")
    if options.uncertain not in ("ignore", "positive", "negative"):
        raise UsageError(f"--uncertain={options.uncertain}: give ignore, positive or negative.")
