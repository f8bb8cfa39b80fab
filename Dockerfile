# CUDA: docker build -t dsfactory .
# CPU, or another CUDA: add --build-arg TORCH_INDEX=URL, the index that PyTorch's own page of installation names for it.
# Run:  docker run --rm --read-only --tmpfs /tmp -v dsfactory-cache:/cache -v "$PWD:/data" dsfactory run --classes dog,bird
FROM python:3.11-slim AS build
ARG TORCH_INDEX
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/dsfactory && /opt/dsfactory/bin/pip install --no-cache-dir --constraint constraints.txt \
    ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY prompts prompts
COPY dsfactory dsfactory
RUN /opt/dsfactory/bin/pip install --no-cache-dir --constraint constraints.txt '.[filter,s3]'

FROM python:3.11-slim
COPY --from=build /opt/dsfactory /opt/dsfactory
RUN useradd --create-home --uid 1000 dsfactory && install -d -o dsfactory /cache /data
ENV PATH=/opt/dsfactory/bin:$PATH HF_HOME=/cache/huggingface MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=passive
USER dsfactory
WORKDIR /data
VOLUME ["/cache", "/data"]
HEALTHCHECK --interval=5m --timeout=1m CMD ["dsfactory", "doctor"]
ENTRYPOINT ["dsfactory"]
CMD ["--help"]
