"""Which networks `model.name` may name: this project's, those of Keras, and one's own functions."""

from importlib.util import find_spec
from typing import NamedTuple

from etils import epath

from trainer.system import own_function
from trainer.system.errors import UsageError

OURS = ("article", "resnet")
# Constructors of keras.applications by lower-case name, with the smallest side that they take.
APPLICATIONS: dict[str, int] = {
    **dict.fromkeys(map("convnext{}".format, ("tiny", "small", "base", "large", "xlarge")), 32),
    **dict.fromkeys(map("densenet{}".format, (121, 169, 201)), 32),
    **dict.fromkeys(map("efficientnetb{}".format, range(8)), 32),
    **dict.fromkeys(map("efficientnetv2{}".format, ("b0", "b1", "b2", "b3", "s", "m", "l")), 32),
    **{"inceptionresnetv2": 75, "inceptionv3": 75, "xception": 71},
    **dict.fromkeys(map("mobilenet{}".format, ("", "v2", "v3large", "v3small")), 32),
    **dict.fromkeys(("nasnetlarge", "nasnetmobile"), 32),
    **dict.fromkeys(map("resnet{}".format, (50, 101, 152, "50v2", "101v2", "152v2")), 32),
    **dict.fromkeys(("vgg16", "vgg19"), 32),
}
SOURCE = "network.py"  # the copy of a file with one's own network, in the folder of a run


class OwnNetwork(NamedTuple):
    """One's own network: the function that builds it, in a module or a file (.py)."""

    source: str
    function: str

    @property
    def is_file(self) -> bool:
        """Whether the source is a file, not a module."""
        return self.source.endswith(".py")


def own(name: str) -> OwnNetwork | None:
    """Returns the function that a name in the form of `own_function.FORM` is of, else None."""
    source, _, function = name.rpartition(":")
    return OwnNetwork(source, function) if own_function.is_name(name) else None


def is_name(name: str) -> bool:
    """Returns whether a network may have this name, be there one or not."""
    return name in OURS or name in APPLICATIONS or own_function.is_name(name)


def check(name: str, workdir: epath.Path | None = None) -> None:
    """Raises a UsageError if one's own network is not there, without running its file.

    Args:
      name: as in `model.name`.
      workdir: of the run, which may hold a copy of the file from its beginning.
    """
    network = own(name)
    if network and network.is_file:
        file, copy = epath.Path(network.source), workdir and workdir / SOURCE
        if copy and copy.exists():
            own_function.check_unchanged(file, copy)
        else:
            read(network, file)
    elif network:
        try:
            found = find_spec(network.source)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise UsageError(
                f"model.name={name}: there is no module {network.source} to import: install its "
                f"package, add its folder to PYTHONPATH, or give {own_function.FORM}."
            )


def read(network: OwnNetwork, file: epath.Path) -> str:
    """Returns the content of a file that defines the network's function.

    Raises:
      UsageError: the file is not there, is not Python, or does not define the function.
    """
    return own_function.read(f"{network.source}:{network.function}", "model.name", file)
