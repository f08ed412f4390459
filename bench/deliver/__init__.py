"""Sends a second: this build beside the build before, a plain worker on asyncio, and Celery with requests."""
