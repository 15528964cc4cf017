# Headrace's server, worker and command line, with every extra: PostgreSQL, Temporal, NATS, Kafka, OpenTelemetry.
# No secret is in it: authentication and the addresses of services are settings of the container.
#
#   docker build -t headrace .
#   docker run -p 127.0.0.1:8484:8484 -v headrace:/data --read-only --tmpfs /tmp --cap-drop ALL \
#     -e HEADRACE_AUTH=local -e HEADRACE_STACK_URL=... headrace
#   docker run --rm -v headrace:/data headrace clients create billing
#
# /data holds the journal, clients and signing keys: one server at a time, on a disk that keeps locks and fsync (no
# network share). With HEADRACE_DATABASE_URL the journal is in PostgreSQL. HEADRACE_ISSUER=https://.../api/auth is the
# address that callers use (docs/authentication.md). Compose files, systemd units and a Helm chart: deploy/README.md.
#
# The base is pinned to one build of its tag. A newer one brings Debian's security fixes; look its digest up and name it:
#
#   docker buildx imagetools inspect python:3.11-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg PYTHON=python:3.11-slim-bookworm@sha256:... -t headrace .

ARG PYTHON=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${PYTHON} AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
RUN python -m venv --without-pip /opt/headrace
COPY requirements/run.txt requirements/run.txt
RUN pip --python /opt/headrace install --require-hashes --only-binary :all: -r requirements/run.txt
COPY LICENSE README.md pyproject.toml ./
COPY packages/client packages/client
COPY src src
RUN pip --python /opt/headrace install --no-deps --no-build-isolation --no-index ./packages/client . \
  && pip --python /opt/headrace check

FROM ${PYTHON}
ARG PYTHON
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Headrace" \
      org.opencontainers.image.description="Money-movement workflows, compatible with the Formance Orchestration API" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/headrace/headrace" \
      org.opencontainers.image.documentation="https://github.com/headrace/headrace/tree/main/docs" \
      org.opencontainers.image.base.name="docker.io/library/${PYTHON}"
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin headrace \
  && install -d -o headrace -g headrace -m 0700 /data
COPY --from=build /opt/headrace /opt/headrace
ENV PATH=/opt/headrace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HEADRACE_HOST=0.0.0.0 \
    HEADRACE_PORT=8484 \
    HEADRACE_DATA=/data \
    HEADRACE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8484
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as http; http.urlopen(f'http://127.0.0.1:{os.environ[\"HEADRACE_PORT\"]}/readyz', timeout=6)"]
ENTRYPOINT ["headrace"]
CMD ["serve"]
