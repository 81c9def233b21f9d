# syntax=docker/dockerfile:1
FROM python:3.13-slim AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 10001 orderflow

# MiniStack of the version that the rehearsal uses.
FROM base AS ministack
COPY requirements-ministack.lock .
RUN pip install --require-hashes --no-deps --only-binary :all: -r requirements-ministack.lock
USER orderflow
WORKDIR /home/orderflow
ENV IOT_MTLS_ENABLED=0 SFTP_ENABLED=0
EXPOSE 4566
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4566/_ministack/health', timeout=2)"]
CMD ["ministack"]

# The platform on one machine. It runs from a clone, so the image contains the clone.
FROM base AS platform
WORKDIR /orderflow
COPY requirements.lock .
RUN pip install --require-hashes --no-deps --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md template.yaml ./
COPY infra infra
COPY services services
COPY workflows workflows
COPY events_schema events_schema
COPY docs/operating.md docs/operating.md
RUN pip install --no-index --no-deps --no-build-isolation -e . \
  && install -d -o orderflow /data
# A published port lets others ask, so tokens are mandatory: a file of user 10001 with mode 0400.
ENV ORDERS_DATA=/data ORDERS_HOST=0.0.0.0 ORDERS_PORT=8080 ORDERS_TOKEN_FILE=/run/secrets/tokens
USER orderflow
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
CMD ["orders", "serve"]
