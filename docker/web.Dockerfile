# The site: pages, API and sockets. No torch: networks are fitted by the worker image.
FROM python:3.12-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 PYTHONPATH=/app PIP_NO_CACHE_DIR=1
WORKDIR /app

COPY requirements/base.txt requirements/base.txt
RUN pip install --requirement requirements/base.txt \
    && useradd --uid 10001 --no-create-home --home-dir /nonexistent nasdip \
    && install --directory --owner nasdip --group nasdip --mode 0700 /data

COPY manage.py ./
COPY nasdip_engine nasdip_engine
COPY webapp webapp
COPY templates templates
COPY static static

USER 10001
ENV NASDIP_DATA=/data DJANGO_SETTINGS_MODULE=webapp.config.settings
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-m", "webapp.operations.health_check", "web"]
CMD ["python", "-m", "uvicorn", "webapp.config.asgi:application", "--host", "0.0.0.0", "--port", "8000", \
     "--lifespan", "off", "--no-access-log", "--app-dir", "/app", "--timeout-graceful-shutdown", "5", \
     "--ws-max-size", "65536"]
