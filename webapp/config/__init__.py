"""How the site is put together: environment, settings, URLs, ASGI."""
