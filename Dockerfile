# The bridge as an image. Build it with `make image`, or with any builder:
#
#   docker build --build-arg BASE=docker.io/library/python:3.11-slim-bookworm@sha256:... -t planasonix-bridge .
#
# BASE has no default: a tag can change under you, so name a digest that you looked at
# (`docker buildx imagetools inspect python:3.11-slim-bookworm`). An image of Debian 12 with Python 3.11 or newer, its venv
# module and ca-certificates will do. An own package index or CA: give pip's configuration as the build secret `pip`.
#
# What is shipped is one layer of what deploy/image/slim.sh leaves of it, and one for the empty folder /data.
ARG BASE
FROM ${BASE} AS build
# `extras` puts what notifications and OpenID Connect need into the image: 34 MB.
ARG LOCK=runtime
ARG SOURCE_DATE_EPOCH=0
WORKDIR /src
# The locks first: while they stay the same, so does the layer that takes a minute to make.
COPY requirements/build.txt requirements/${LOCK}.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    python3 -m venv /tools \
    && /tools/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/build.txt \
    && python3 -m venv --without-pip /opt/bridge \
    && /tools/bin/pip --python /opt/bridge/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \
        --only-binary :all: --require-hashes -r requirements/${LOCK}.txt
COPY pyproject.toml README.md LICENSE ./
COPY bridge bridge
RUN /tools/bin/pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation -w /wheel . \
    && /tools/bin/pip --python /opt/bridge/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \
        --no-deps --no-index /wheel/*.whl \
    && install -d -m 0700 -o 10001 -g 10001 /data

FROM ${BASE} AS slim
COPY --from=build /opt/bridge /opt/bridge
COPY deploy/image/slim.sh scripts/sbom.py /src/
RUN sh /src/slim.sh

FROM scratch
ARG BASE
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="planasonix-bridge" \
      org.opencontainers.image.description="Receives signed Planasonix webhooks and starts exactly the Airflow DAG runs that a mapping asks for." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}"
# All of it is the point: whatever slim.sh took out is in no layer.
# hadolint ignore=DL3067
COPY --from=slim / /
COPY --from=build --chown=10001:10001 /data /data
# TMPDIR: SQLite spills large sorts to a file, and /data is the only place that can be written.
ENV PATH=/opt/bridge/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/data \
    BRIDGE_DATABASE_URL=sqlite:////data/bridge.db \
    BRIDGE_CONFIG=/etc/bridge/config/bridge.yaml \
    BRIDGE_MAPPING=/etc/bridge/mapping/mapping.yaml
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["/opt/bridge/bin/python", "-c", "import http.client, os, sys; link = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('BRIDGE_PORT', '8080')), timeout=4); link.request('GET', '/livez'); sys.exit(link.getresponse().status != 200)"]
ENTRYPOINT ["planasonix-bridge"]
CMD ["serve"]
