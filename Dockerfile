# The training job as an image, for GPU, CPU or TPU; scripts/build_image.sh builds it.
#
# It runs on a read-only root: it writes to --workdir, and to the volume /tmp, which is its home.
ARG BASE_IMAGE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS dependencies
ARG ACCELERATOR=gpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# pip has an environment of its own, so that the other one can go without.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
COPY requirements/${ACCELERATOR}.txt /src/requirements.txt
# One dependency has no wheel, and is built with the pinned setuptools. The secret is pip's
# configuration, where a private index needs one. TensorFlow's headers are 290 MB for compilers.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip="/opt/pip/bin/pip --python /opt/venv/bin/python install --no-deps" && \
    $pip --constraint /src/requirements.txt setuptools && \
    $pip --no-build-isolation --use-pep517 --requirement /src/requirements.txt && \
    rm -r /opt/venv/lib/python3*/site-packages/tensorflow/include

FROM dependencies AS package
WORKDIR /src
COPY setup.py pyproject.toml LICENSE ./
COPY trainer trainer
COPY configs configs
RUN /opt/pip/bin/pip --python /opt/venv/bin/python install --no-deps --no-build-isolation \
    --target /opt/trainer .

FROM ${BASE_IMAGE}
ARG ACCELERATOR=gpu
COPY --from=dependencies /opt/venv /opt/venv
# The link is where Vertex AI has TensorFlow look for the TPU's library.
RUN useradd --uid 10001 --user-group --no-log-init --no-create-home --home-dir /tmp trainer && \
    if [ "$ACCELERATOR" = tpu ]; then \
      ln -s /opt/venv/lib/python3*/site-packages/libtpu/libtpu.so /lib/libtpu.so; \
    fi
# Apart from the dependencies, so that a new version of the code is a small layer.
COPY --from=package /opt/trainer /opt/trainer
WORKDIR /opt/trainer
COPY configs configs
# The driver's libraries are mounted there on Google's clusters.
ENV PATH=/opt/trainer/bin:/opt/venv/bin:$PATH PYTHONPATH=/opt/trainer LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
ARG VERSION
ARG COMMIT
ENV TRAINER_COMMIT=$COMMIT
LABEL org.opencontainers.image.title="radiograph-trainer" \
    org.opencontainers.image.description="Distributed TensorFlow training of radiograph classifiers" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version=$VERSION \
    org.opencontainers.image.revision=$COMMIT
VOLUME /tmp
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "trainer.task"]
