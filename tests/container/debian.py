"""A plain Debian to build on, and the network as this machine reaches it."""

import ast
import platform
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

from tests.container.engine import Engine

CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
# Of pip's settings those that say how to reach an index.
SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")


def suite_and_mirror() -> tuple[str, str] | None:
    """Returns this Debian's name and where apt has it from; nothing on another system."""
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME")
    asked = ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(SITE)"]
    if not shutil.which(asked[0]):
        return None
    told = subprocess.run(asked, capture_output=True, text=True, timeout=60).stdout
    targets = [line.split() for line in told.splitlines()]
    sites = [site for release, part, site in targets if (release, part) == (suite, "main")]
    return (suite, sites[0]) if sites else None


def build(engine: Engine, name: str, suite: str, mirror: str) -> None:
    """Makes an image of Debian with Python, which trusts whom this machine does."""
    container = engine.buildah("from", "scratch")
    root = Path(engine.buildah("mount", container))
    packages = "--include=python3,python3-venv,ca-certificates"
    bootstrap = ["debootstrap", "--variant=minbase", packages, suite, str(root), mirror]
    done = subprocess.run(bootstrap, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    for leftover in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / leftover)
    trusted = _pip_settings().get("cert") or ssl.get_default_verify_paths().cafile
    shutil.copyfile(trusted or f"/{CERTIFICATES}", root / CERTIFICATES)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    engine.buildah("config", "--env", f"PATH={path}", container)
    engine.buildah("umount", container)
    engine.buildah("commit", "--rm", container, name)


def write_pip_configuration(file: Path) -> None:
    """Writes how to reach this machine's indexes from that Debian."""
    lines = ["[global]", f"cert = /{CERTIFICATES}"]
    for name, value in _pip_settings().items():
        urls = [word for word in value.split() if not word.startswith("file:")]
        if name in SETTINGS and urls:
            lines.append(f"{name} = {' '.join(urls)}")
    file.touch(mode=0o600)  # a URL may have a password
    file.write_text("\n".join(lines) + "\n")


def _pip_settings() -> dict[str, str]:
    command = [sys.executable, "-m", "pip", "config", "list"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    settings = {}
    for line in told.splitlines():
        section_and_name, value = line.split("=", 1)
        section, name = section_and_name.rsplit(".", 1)
        if section == ":env:" or name not in settings:  # the environment comes before files
            settings[name] = ast.literal_eval(value)
    return settings
