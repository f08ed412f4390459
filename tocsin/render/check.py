"""Finds at check time what would fail at send time: templates, parts, languages and samples of a catalog."""

import codecs
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, product
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from tocsin.catalog.attachments import attachments_of
from tocsin.catalog.compile import CompiledNotification, CompiledTenant
from tocsin.catalog.loader import load
from tocsin.errors import CatalogError, RenderError
from tocsin.model.channels import spec_of
from tocsin.model.locales import family, resolve
from tocsin.render.names import Samples, holds, name_problems, optional_fields, place
from tocsin.render.renderer import Renderer
from tocsin.render.sample_message import sample_message
from tocsin.render.sandbox import sandbox
from tocsin.render.sets import TemplateSets, read_sets
from tocsin.render.templates import LAST_LOCALE, find_parts, locales_of, written
from tocsin.render.uses import Use, by_template, odd_digests, uses_of

_SECRET = b"only for samples"


def check_templates(catalog: Path) -> list[str]:
    """List every mistake in the templates of a catalog folder, one a line, each with its file.

    Found are wrong syntax, unknown filters, variables and templates, fields of `data` that stand in no
    sample, parts missing for a channel in a language, and samples that do not render.
    `<name>/sample.json` holds the `data` of one event, or a list of them, that together show every field a
    template uses. `<name>/digest.json` holds those of digests. `sample_problems` looks at expressions.
    """
    try:
        tenants = load(catalog).tenants
        sets = read_sets(catalog, tenants)
    except CatalogError as error:
        return str(error).splitlines()
    shared, problems = _samples(catalog, sets, tenants, "")
    problems += [
        *chain.from_iterable(sets.faults.values()),
        *_shared_mistakes(sets, tenants, by_template(shared)),
    ]
    of = dict.fromkeys(tenants, shared)
    for name in tenants:
        if name in sets.apart:
            of[name], unread = _samples(catalog, sets, tenants, name)
            problems += unread
        problems += _own_mistakes(sets, tenants[name], by_template(of[name]))
    return sorted(set(problems)) or sorted(set(_unrendered(sets, tenants, of)))


def sound_templates(catalog: Path, tenants: Mapping[str, CompiledTenant]) -> TemplateSets:
    """Read the templates of a catalog, and refuse what cannot be rendered whatever the event.

    It is what a process asks before it puts a catalog in force: `check_templates` without the samples, which
    take seconds to render. The mistakes that are one tenant's alone are in `faults`.

    Args:
        catalog: the catalog's folder.
        tenants: name -> settings and notifications.

    Raises:
        CatalogError: every mistake, one a line, each with its file, if one is in a shared template or if
            every tenant has some.
    """
    sets = read_sets(catalog, tenants)
    mistakes = _shared_mistakes(sets, tenants, {})
    for name in tenants.keys() - sets.faults.keys() if not mistakes else ():
        if own := _own_mistakes(sets, tenants[name], {}):
            sets.faults[name] = sorted(set(own))
    if mistakes or tenants.keys() <= sets.faults.keys():
        raise CatalogError("\n".join(sorted({*mistakes, *chain.from_iterable(sets.faults.values())})))
    return sets


def _shared_mistakes(
    sets: TemplateSets, tenants: Mapping[str, CompiledTenant], samples: Mapping[str, Samples]
) -> list[str]:
    """List wrong syntax in shared templates; where there is none, wrong names."""
    templates = sets.shared
    used = {use.template for tenant in tenants.values() for use in _used(tenant)}
    return list(_syntax(templates, templates)) or [
        *name_problems(templates, samples),
        *_misnamed(templates, used),
    ]


def _own_mistakes(sets: TemplateSets, tenant: CompiledTenant, samples: Mapping[str, Samples]) -> list[str]:
    """List wrong syntax and names in a tenant's own templates; where there are none, missing parts."""
    templates, own = sets.of(tenant.name), sets.own.get(tenant.name, frozenset())
    folders = {name.split("/")[0] for name in own}
    mistakes = list(_syntax(templates, own))
    if own and not mistakes:
        added = own - sets.shared.keys()
        replaced = _without_parts(name_problems(templates, samples, own), own - added)
        mistakes = [*replaced, *_misnamed(dict.fromkeys(own, ""), folders)]
    place = f"tenants/{tenant.name}/"
    return [f"{place}{text}" for text in mistakes] or list(_missing_parts(sets, tenant))


def _without_parts(problems: list[str], replaced: Collection[str]) -> list[str]:
    """Leave out unknown parts that replace a shared file of that name: shared templates include them."""
    starts = tuple(f"{place(name)}: no part is called" for name in replaced)
    return [text for text in problems if not text.startswith(starts)]


def _used(tenant: CompiledTenant) -> set[Use]:
    return {use for each in tenant.notifications.values() for use in uses_of(each)}


def _syntax(templates: Mapping[str, str], among: Iterable[str]) -> Iterator[str]:
    environment = sandbox(templates)
    for name in set(written(templates)).intersection(among):
        try:
            environment.compile(templates[name], name, raw=True)
        except jinja2.TemplateSyntaxError as error:
            yield f"{place(name, error.lineno)}: {error.message}"


def _samples(
    catalog: Path, sets: TemplateSets, tenants: Mapping[str, CompiledTenant], tenant: str
) -> tuple[dict[Use, Samples], list[str]]:
    """Read the samples of one tenant with templates of its own, or of all the others (an empty name)."""
    samples: dict[Use, Samples] = {}
    problems = []
    chosen = [tenants[tenant]] if tenant else [one for one in tenants.values() if one.name not in sets.apart]
    for use in sorted({use for one in chosen for use in _used(one)}):
        folder = sets.home(tenant, use.template)
        own = catalog / folder / use.sample
        file, where = (own, folder) if own.exists() else (catalog / "templates" / use.sample, "templates")
        try:
            sample = msgspec.json.decode(file.read_bytes().removeprefix(codecs.BOM_UTF8))
            samples[use] = sample if isinstance(sample, list) else [sample]
        except FileNotFoundError:
            problems.append(f"{folder}/{use.sample}:1: missing, write {use.content} there")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problems.append(f"{where}/{use.sample}:1: not JSON: {error}")
        problems += [f"{where}/{use.sample}:1: {text}" for text in odd_digests(use, samples.get(use, []))]
    return samples, problems


def _missing_parts(sets: TemplateSets, tenant: CompiledTenant) -> Iterator[str]:
    """Find languages that lack a part, where there is a folder for them or nothing else to fall back to."""
    templates = sets.of(tenant.name)
    for _, channel, (name, _) in _written(tenant):
        folders = locales_of(templates, name)
        last = {tenant.spec.locale, LAST_LOCALE}
        complete = {tag for tag in folders | last if find_parts(templates, name, channel, tag)}
        wanted = folders if complete & last else folders | last
        for locale in wanted - complete:
            needs = f"{channel} needs {_lacking(templates, name, channel, locale)}"
            yield f"{sets.home(tenant.name, name)}/{name}/{locale}/:1: {needs}"


def _misnamed(templates: Mapping[str, str], used: set[str]) -> Iterator[str]:
    for template in used:
        for locale in locales_of(templates, template):
            right = resolve(locale)
            if locale not in family(locale):
                cure = f"rename it `{right}`" if right else "name it like de or de-AT"
                yield f"templates/{template}/{locale}/:1: not how a language is written, {cure}"


def _lacking(templates: Mapping[str, str], name: str, channel: str, locale: str) -> str:
    """Name the files that are missing, and the cure."""
    folders = [f"{name}/{tag}" for tag in family(locale)] + [name]
    parts = spec_of(channel).parts
    *others, last = [f"{p}.j2" for p in parts if not any(f"{folder}/{p}" in templates for folder in folders)]
    return f"{', '.join(others)} and {last}, add them" if others else f"{last}, add it"


def _written(tenant: CompiledTenant) -> Iterator[tuple[CompiledNotification, str, Use]]:
    """List each way in which a notification is written on each of its channels."""
    for notification in tenant.notifications.values():
        for channel, use in product(notification.all_channels, uses_of(notification)):
            yield notification, channel.name, use


def _unrendered(
    sets: TemplateSets,
    tenants: Mapping[str, CompiledTenant],
    samples: Mapping[str, Mapping[Use, Samples]],
) -> Iterator[str]:
    specs = {name: tenant.spec for name, tenant in tenants.items()}
    renderer = Renderer(sets.shared, specs, _SECRET, sets.apart, attachments_of(tenants))
    optional = {name: optional_fields(sets.of(name)) for name in sets.apart}
    shared = optional_fields(sets.shared)
    for tenant in tenants.values():
        fields = optional.get(tenant.name, shared)
        for notification, channel, use in _written(tenant):
            of = samples[tenant.name][use]
            yield from _failing(sets, renderer, tenant, notification, channel, use, of, fields)


def _failing(
    sets: TemplateSets,
    renderer: Renderer,
    tenant: CompiledTenant,
    notification: CompiledNotification,
    channel: str,
    use: Use,
    samples: Samples,
    optional: Mapping[str, set[tuple[str, ...]]],
) -> Iterator[str]:
    name = use.template
    tried = _tried(samples, sorted(optional.get(name, ())))
    home = sets.home(tenant.name, name)
    for locale, (what, sample) in product(sorted(locales_of(sets.of(tenant.name), name)), tried):
        try:
            renderer.render(sample_message(tenant, notification, channel, locale, sample, use))
        except RenderError as error:
            yield f"{home}/{use.sample}:1: {what}, {channel}, {locale}: {error}"


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
