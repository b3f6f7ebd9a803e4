"""Django's settings; every choice of a site comes from `environment.py`."""

from __future__ import annotations

from pathlib import Path

from webapp.config.broker import channel_host
from webapp.config.environment import Environment, database_settings, secret_key

ENVIRONMENT = Environment.read()
BASE_DIR = Path(__file__).resolve().parent.parent.parent

DATA_DIR = ENVIRONMENT.data
SECRET_KEY = secret_key(ENVIRONMENT)
DEBUG = ENVIRONMENT.debug
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENVIRONMENT.trusted_origins)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "ninja",
    "allauth",
    "allauth.account",
    "webapp.accounts",
    "webapp.pictures",
    "webapp.restorations",
    "webapp.architectures",
]
# Rooms without rows of their own, listed where they bring management commands.
if (BASE_DIR / "webapp" / "operations" / "management").is_dir():
    INSTALLED_APPS.append("webapp.operations")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "webapp.config.security.ContentSecurityPolicy",
    "webapp.config.static_files.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "webapp.api.head.HeadAsGet",
]

ROOT_URLCONF = "webapp.config.urls"
ASGI_APPLICATION = "webapp.config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": database_settings(ENVIRONMENT.database_url, ENVIRONMENT.slots)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- who signs in -----------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
ACCOUNT_ADAPTER = "webapp.accounts.sign_up.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_PREVENT_ENUMERATION = False  # user names are chosen in the open; there is no address to give away
SIGN_UP_OPEN = ENVIRONMENT.sign_up_open
LOGIN_URL = "account_login"

# --- transport --------------------------------------------------------------------------------------------
FORCE_SCRIPT_NAME = ENVIRONMENT.path_prefix or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{ENVIRONMENT.path_prefix}/"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = f"{ENVIRONMENT.path_prefix}/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENVIRONMENT.secure
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.secure else None
# Of how many proxies X-Forwarded-For is believed: guesses at passwords are counted by the visitor's address.
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if ENVIRONMENT.secure else 0
SECURE_HSTS_SECONDS = 31_536_000 if ENVIRONMENT.secure else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- uploads ----------------------------------------------------------------------------------------------
UNFINISHED_JOBS = 20  # of one user at a time; the API refuses more
PICTURE_WAIT_SECONDS = 60  # that an upload waits for its turn; then the site says that it is busy
PICTURES_WAITING_PER_USER = 2
PICTURE_BYTES_PER_USER = 4_000_000_000  # stored uploads of one user, with what was made of them
LEAST_FREE_BYTES = 1_000_000_000  # on the disk of the data folder; below it nothing is taken in
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024  # strokes travel as JSON; files are counted apart
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
DATA_UPLOAD_MAX_NUMBER_FILES = 5
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- static files: served by the web process itself; names are stable, the browser revalidates -----------
STATIC_URL = f"{ENVIRONMENT.path_prefix}/static/"
# What the middleware compares with: Django has taken the prefix off by then.
WHITENOISE_STATIC_PREFIX = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 0
WHITENOISE_ALLOW_ALL_ORIGINS = False

# --- messages between processes ---------------------------------------------------------------------------
REDIS_URL = ENVIRONMENT.redis_url
# This layer outlives a restart of Redis; without Redis the sockets read the rows every few seconds.
CHANNEL_LAYERS = (
    {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [channel_host(REDIS_URL)], "prefix": "nasdip"},
        }
    }
    if REDIS_URL
    else {}
)

# --- language, time, log -----------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "django.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}
