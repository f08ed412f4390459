"""Finds at check time what would fail at send time: templates, parts, languages and samples of a catalog."""

import codecs
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from tocsin.catalog.compile import CompiledNotification, CompiledTenant
from tocsin.catalog.loader import load
from tocsin.errors import CatalogError, RenderError
from tocsin.model.event import Origin
from tocsin.model.locales import family, resolve
from tocsin.model.message import Message
from tocsin.render.names import Samples, holds, name_problems, optional_fields, place
from tocsin.render.renderer import Renderer
from tocsin.render.sandbox import sandbox
from tocsin.render.templates import (
    LAST_LOCALE,
    REQUIRED_PARTS,
    find_parts,
    load_templates,
)

SAMPLE = "sample.json"
_SECRET = b"only for samples"


def check_templates(catalog: Path) -> list[str]:
    """List every mistake in the templates of a catalog folder, one a line, each with its file.

    Found are wrong syntax, unknown filters, variables and templates, fields of `data` that stand in no
    sample, parts missing for a channel in a language, and samples that do not render.
    `<name>/sample.json` holds the `data` of one event, or a list of them, that together show every field a
    template uses.
    """
    folder = catalog / "templates"
    try:
        tenants = load(catalog).tenants
        templates = load_templates(folder)
    except CatalogError as error:
        return str(error).splitlines()
    samples, unread = _samples(folder, _used(tenants))
    problems = _mistakes(templates, tenants, samples) + unread
    return sorted(set(problems)) or sorted(set(_unrendered(templates, tenants, samples)))


def sound_templates(folder: Path, tenants: Mapping[str, CompiledTenant]) -> dict[str, str]:
    """Read the templates of a catalog, and refuse what cannot be rendered whatever the event.

    It is what a process asks before it puts a catalog in force: `check_templates` without the samples, which
    take seconds to render.

    Args:
        folder: the catalog's `templates/`.
        tenants: name -> settings and notifications.

    Returns:
        As `tocsin.render.templates.load_templates`.

    Raises:
        CatalogError: every mistake, one a line, each with its file.
    """
    templates = load_templates(folder)
    if mistakes := _mistakes(templates, tenants, {}):
        raise CatalogError("\n".join(sorted(set(mistakes))))
    return templates


def _mistakes(
    templates: Mapping[str, str], tenants: Mapping[str, CompiledTenant], samples: Mapping[str, Samples]
) -> list[str]:
    """List wrong syntax; where there is none, wrong names and missing parts."""
    return list(_syntax(templates)) or [
        *name_problems(templates, samples),
        *_misnamed(templates, _used(tenants)),
        *_missing_parts(templates, tenants),
    ]


def _used(tenants: Mapping[str, CompiledTenant]) -> set[str]:
    return {each.message.template for tenant in tenants.values() for each in tenant.notifications.values()}


def _syntax(templates: Mapping[str, str]) -> Iterator[str]:
    environment = sandbox(templates)
    for name, source in templates.items():
        try:
            environment.compile(source, name, raw=True)
        except jinja2.TemplateSyntaxError as error:
            yield f"{place(name, error.lineno)}: {error.message}"


def _samples(folder: Path, used: set[str]) -> tuple[dict[str, Samples], list[str]]:
    samples: dict[str, Samples] = {}
    problems = []
    for name in sorted(used):
        file = folder / name / SAMPLE
        try:
            sample = msgspec.json.decode(file.read_bytes().removeprefix(codecs.BOM_UTF8))
            samples[name] = sample if isinstance(sample, list) else [sample]
        except FileNotFoundError:
            problems.append(f"templates/{name}/{SAMPLE}:1: missing, write the `data` of an event there")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problems.append(f"templates/{name}/{SAMPLE}:1: not JSON: {error}")
    return samples, problems


def _missing_parts(templates: Mapping[str, str], tenants: Mapping[str, CompiledTenant]) -> Iterator[str]:
    """Find languages that lack a part, where there is a folder for them or nothing else to fall back to."""
    for tenant, notification, channel in _channels(tenants):
        name = notification.message.template
        folders = _locales(templates, name)
        last = {tenant.spec.locale, LAST_LOCALE}
        complete = {tag for tag in folders | last if find_parts(templates, name, channel, tag)}
        wanted = folders if complete & last else folders | last
        for locale in wanted - complete:
            missing = _lacking(templates, name, channel, locale)
            yield f"templates/{name}/{locale}/:1: no {missing}, which {channel} needs"


def _misnamed(templates: Mapping[str, str], used: set[str]) -> Iterator[str]:
    for template in used:
        for locale in _locales(templates, template):
            right = resolve(locale)
            if locale not in family(locale):
                cure = f"rename it `{right}`" if right else "name it like de or de-AT"
                yield f"templates/{template}/{locale}/:1: not how a language is written, {cure}"


def _lacking(templates: Mapping[str, str], name: str, channel: str, locale: str) -> str:
    folders = [f"{name}/{tag}" for tag in family(locale)] + [name]
    parts = REQUIRED_PARTS[channel]
    return ", ".join([p for p in parts if not any(f"{folder}/{p}" in templates for folder in folders)])


def _locales(templates: Mapping[str, str], name: str) -> set[str]:
    paths = [path.split("/") for path in templates if path.startswith(f"{name}/")]
    return {steps[1] for steps in paths if len(steps) > 2}


def _channels(
    tenants: Mapping[str, CompiledTenant],
) -> Iterator[tuple[CompiledTenant, CompiledNotification, str]]:
    for tenant in tenants.values():
        for notification in tenant.notifications.values():
            for channel in notification.channels:
                yield tenant, notification, channel.name


def _unrendered(
    templates: Mapping[str, str], tenants: Mapping[str, CompiledTenant], samples: Mapping[str, Samples]
) -> Iterator[str]:
    renderer = Renderer(templates, {name: tenant.spec for name, tenant in tenants.items()}, _SECRET)
    optional = optional_fields(templates)
    for tenant, notification, channel in _channels(tenants):
        name = notification.message.template
        tried = _tried(samples[name], sorted(optional.get(name, ())))
        for locale, (what, sample) in product(sorted(_locales(templates, name)), tried):
            try:
                renderer.render(_message(tenant, notification, channel, locale, sample))
            except RenderError as error:
                yield f"templates/{name}/{SAMPLE}:1: {what}, {channel}, {locale}: {error}"


def _tried(samples: Samples, optional: list[tuple[str, ...]]) -> Iterator[tuple[str, Any]]:
    """Give each sample, and again with a null in each field that a template expects to be missing."""
    for number, sample in enumerate(samples):
        yield f"sample {number}", sample
        for path in optional:
            if holds(sample, path):
                yield f"sample {number} with `data.{'.'.join(path)}` null", _with_null(sample, path)


def _with_null(sample: Any, path: tuple[str, ...]) -> Any:
    if not path:
        return None
    if not isinstance(sample, dict):
        return sample  # a method of a text or list, which has no fields
    return {**sample, path[0]: _with_null(sample.get(path[0]), path[1:])}


def _message(
    tenant: CompiledTenant, notification: CompiledNotification, channel: str, locale: str, sample: Any
) -> Message:
    """Build a message as the gate would, with a sample for its data."""
    return msgspec.structs.replace(
        notification.message,
        message_id="0" * 32,
        notification_id="0" * 32,
        user="sample",
        channel=channel,
        data=msgspec.Raw(msgspec.json.encode(sample)),
        locale=locale,
        timezone=tenant.spec.timezone,
        event_id="sample",
        event_source="/sample",
        event_type="sample",
        origin=Origin("events", 0, 0),
    )
