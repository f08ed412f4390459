"""Broadcasts over HTTP: to a segment, to everyone of a tenant, or to a list of user ids that is uploaded."""

from tocsin.gateway.broadcasts import control, creation, progress, upload

ENDPOINTS = (*creation.ENDPOINTS, *upload.ENDPOINTS, *control.ENDPOINTS, *progress.ENDPOINTS)
