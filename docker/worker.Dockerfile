# A worker: takes leases from the database and fits networks. Without a GPU by default; build with
#   --build-arg TORCH_INDEX=ADDRESS
# to take torch from another index than the default one, such as PyTorch's CPU-only index (a quarter of the size).
FROM python:3.12-slim-bookworm
ARG TORCH_INDEX=

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 PYTHONPATH=/app PIP_NO_CACHE_DIR=1
WORKDIR /app

COPY requirements/base.txt requirements/torch.txt requirements/
RUN if [ -n "$TORCH_INDEX" ]; then \
        grep -E '^torch(vision)?==' requirements/torch.txt > requirements/torch-only.txt \
        && pip install --no-deps --index-url "$TORCH_INDEX" --requirement requirements/torch-only.txt; \
    fi \
    && pip install --requirement requirements/base.txt --requirement requirements/torch.txt \
    && useradd --uid 10001 --no-create-home --home-dir /nonexistent nasdip \
    && install --directory --owner nasdip --group nasdip --mode 0700 /data

COPY manage.py ./
COPY nasdip_engine nasdip_engine
COPY webapp webapp
COPY gpu_worker gpu_worker

USER 10001
ENV NASDIP_DATA=/data DJANGO_SETTINGS_MODULE=webapp.config.settings
VOLUME /data
HEALTHCHECK --interval=20s --timeout=10s --start-period=90s --retries=4 \
    CMD ["python", "-m", "webapp.operations.health_check", "worker"]
CMD ["python", "-m", "gpu_worker"]
