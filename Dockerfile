# The training job as an image, for GPU, CPU or TPU, and the server (target serve), for CPU;
# scripts/build_image.sh builds them.
#
# They run on a read-only root: the job writes to --workdir, and both to the volume /tmp, their home.
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

# What both images are on.
FROM ${BASE_IMAGE} AS runtime
RUN useradd --uid 10001 --user-group --no-log-init --no-create-home --home-dir /tmp trainer
# The driver's libraries are mounted there on Google's clusters.
ENV PATH=/opt/trainer/bin:/opt/venv/bin:$PATH PYTHONPATH=/opt/trainer LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /opt/trainer
VOLUME /tmp
STOPSIGNAL SIGTERM

# Without what the server never imports.
FROM dependencies AS serve-dependencies
COPY requirements/serve.txt /src/serve.txt
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip="/opt/pip/bin/pip --python /opt/venv/bin/python" && \
    $pip install --no-deps --requirement /src/serve.txt && \
    $pip uninstall --yes faiss-cpu grpcio libclang pyarrow setuptools tensorboard \
      tensorboard-data-server

FROM runtime AS serve
COPY --from=serve-dependencies /opt/venv /opt/venv
COPY --from=package /opt/trainer /opt/trainer
ARG VERSION
ARG COMMIT
ENV TRAINER_COMMIT=$COMMIT
LABEL org.opencontainers.image.title="radiograph-serve" \
    org.opencontainers.image.description="Serves an exported classifier of radiographs" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version=$VERSION \
    org.opencontainers.image.revision=$COMMIT
USER 10001:10001
EXPOSE 8501
HEALTHCHECK --start-period=60s \
    CMD ["python", "-c", "import urllib.request as http; http.urlopen('http://127.0.0.1:8501/healthz')"]
ENTRYPOINT ["python", "-m", "trainer", "serve", "--host=0.0.0.0"]
CMD ["/export"]

FROM runtime
ARG ACCELERATOR=gpu
COPY --from=dependencies /opt/venv /opt/venv
# Where Vertex AI has TensorFlow look for the TPU's library.
RUN if [ "$ACCELERATOR" = tpu ]; then \
      ln -s /opt/venv/lib/python3*/site-packages/libtpu/libtpu.so /lib/libtpu.so; \
    fi
# Apart from the dependencies, so that a new version of the code is a small layer.
COPY --from=package /opt/trainer /opt/trainer
COPY configs configs
ARG VERSION
ARG COMMIT
ENV TRAINER_COMMIT=$COMMIT
LABEL org.opencontainers.image.title="radiograph-trainer" \
    org.opencontainers.image.description="Distributed TensorFlow training of radiograph classifiers" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version=$VERSION \
    org.opencontainers.image.revision=$COMMIT
USER 10001:10001
ENTRYPOINT ["python", "-m", "trainer.task"]
