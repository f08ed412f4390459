"""`tocsin check` without servers: what a tenant names is there, and what is missing on purpose is a note."""

import json
import shutil
from pathlib import Path

import pytest

from flows.kept_catalog import KeptCatalog, kept_folder
from tocsin.catalog.content_files import content_version
from tocsin.cli.main import main
from tocsin.model.zones import ZONE_DATA

# Loading a client of ClickHouse asks the machine whether it speaks IPv6.
pytestmark = pytest.mark.loopback
ROOT = Path(__file__).parent.parent.parent
MAIL = """
accounts:
  inapp: {vendor: inapp}
  smtp: {vendor: smtp, host: 127.0.0.1, security: plain}
  sendgrid: {vendor: sendgrid, api_key: SG.x}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with the shipped catalog, and make it the one that the settings name."""
    shutil.copytree(ROOT / "examples" / "flights", tmp_path / "catalog")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOCSIN_SECRET", "0123456789abcdef")
    return tmp_path


def check(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["tocsin", "check", "--no-servers", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), "".join(capfd.readouterr())


def test_the_example_of_accounts_passes_and_says_which_channels_wait(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "examples" / "providers.example.yaml", place / "providers.yaml")
    code, said = check(monkeypatch, capfd)
    assert (code, said.count("✓")) == (0, 4), said
    assert [f"no account sends {channel}:" in said for channel in ("email", "push", "sms")] == [True] * 3
    assert "no account sends inapp" not in said
    assert f"outcomes name catalog {content_version(place / 'catalog')}: time zones of {ZONE_DATA}" in said
    code, said = check(monkeypatch, capfd, "--json")
    report = json.loads(said)
    assert (code, report["catalog"], report["catalog_version"]) == (0, [], content_version(place / "catalog"))
    assert [note.split(":")[0] for note in report["notes"]] == [
        f"no account sends {channel}" for channel in ("email", "push", "sms", "webpush")
    ]


def test_a_step_that_waits_for_what_nobody_reports_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "examples" / "providers.example.yaml", place / "providers.yaml")
    file = place / "catalog/notifications/flights.yaml"
    step = "  escalate: [{after: 10m, unless: delivered, channels: [sms]}]\n"
    text = file.read_text()
    at = text.index("flight_landed:\n") + len("flight_landed:\n")
    file.write_text(text[:at] + step + text[at:])
    line = text[:at].count("\n") + 1
    _, said = check(monkeypatch, capfd)
    assert f"! notifications/flights.yaml:{line}: `unless: delivered` waits for inapp, which never" in said


def test_a_tenant_s_typing_error_is_a_fault_with_its_place(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "providers.yaml").write_text(MAIL)
    tenant = place / "catalog/tenants/default.yaml"
    before, order, after = tenant.read_text().partition("email: [smtp, sendgrid]")
    tenant.write_text(before + order.replace("smtp", "smpt") + after)
    line = before.count("\n") + 1
    code, said = check(monkeypatch, capfd)
    assert code == 1
    assert "✗ accounts" in said
    assert f"tenants/default.yaml:{line}: no email account is called `smpt`, did you mean `smtp`?" in said


def test_a_catalog_with_mistakes_is_said_once(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "providers.yaml").write_text(MAIL)
    (place / "catalog/tenants/default.yaml").write_text("providers: {email: 7}\n")
    code, said = check(monkeypatch, capfd)
    assert code == 1
    assert "✗ catalog" in said
    assert "✓ accounts" in said
    assert "✗ templates\n    not checked yet: correct the catalog first\n" in said
    assert said.count("tenants/default.yaml") == 2  # a category and a type: two mistakes


def test_a_catalog_that_is_not_there_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "providers.yaml").write_text(MAIL)
    code, said = check(monkeypatch, capfd, "--catalog", "nowhere")
    assert code == 1
    assert said.count("TOCSIN_CATALOG") == said.count("nowhere") == 1
    assert "✓ settings" in said


def test_a_fault_that_nobody_foresaw_is_a_line_and_no_traceback(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "providers.yaml").write_text(MAIL)
    monkeypatch.setattr("tocsin.cli.check.check_templates", lambda _: [].pop())
    code, said = check(monkeypatch, capfd)
    assert (code, "IndexError" in said, "✓ accounts" in said) == (1, True, True)
    assert "Traceback" not in said


def test_a_broken_tenant_s_note_says_with_which_catalog_a_process_starts(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "providers.yaml").write_text(MAIL)
    shutil.copy(place / "catalog/tenants/default.yaml", place / "catalog/tenants/acme.yaml")
    version = content_version(place / "catalog")
    kept = KeptCatalog(kept_folder(place / ".tocsin/state", "gate-0"))
    kept.keep(place / "catalog", {"default": version, "acme": version})
    (place / "catalog/tenants/acme.yaml").write_text("categories: 7\n")
    code, said = check(monkeypatch, capfd)
    assert code == 1
    assert f"! tenant acme: processes here keep its last good catalog {version.split('-')[0]}, also" in said
    shutil.rmtree(place / ".tocsin")
    notes = json.loads(check(monkeypatch, capfd, "--json")[1])["notes"]
    assert len(notes) == 1
    assert notes[0].startswith(
        "tenant acme: no process here has kept an older catalog: one that starts makes"
    )


CHOICES = """
accounts:
  inapp: {vendor: inapp}
  smtp: {vendor: smtp, host: 127.0.0.1, security: plain, weight: 3}
  sendgrid: {vendor: sendgrid, api_key: SG.x, weight: 1, only: {tenants: [default]}}
"""


def test_conditions_and_weights_are_explained_with_their_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "providers.yaml").write_text(CHOICES)
    code, said = check(monkeypatch, capfd)
    assert code == 0, said
    assert "providers.yaml:4: email goes by smtp 75 % and sendgrid 25 % (only tenants default)" in said


@pytest.mark.parametrize(
    ("only", "told"),
    [
        (
            "tenants: [defualt]",
            "yaml:5: accounts.sendgrid.only.tenants: the catalog has no `defualt`; did you mean `default`?",
        ),
        ("categories: [codes]", "accounts.sendgrid.only.categories: the catalog has no `codes`"),
        ("countries: ['+44']", "accounts.sendgrid.only.countries: does not fit the addresses of email"),
    ],
)
def test_a_condition_that_nothing_fits_is_a_mistake(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], only: str, told: str
) -> None:
    (place / "providers.yaml").write_text(CHOICES.replace("tenants: [default]", only))
    code, said = check(monkeypatch, capfd)
    assert code == 1
    assert told in said


def test_a_channel_that_has_conditions_on_every_account_is_noted(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    only = "weight: 3, only: {priorities: [critical]}"
    (place / "providers.yaml").write_text(CHOICES.replace("weight: 3", only))
    code, said = check(monkeypatch, capfd)
    assert (code, "every account of email has `only`" in said) == (0, True), said


@pytest.mark.parametrize(
    ("accounts", "told"),
    [
        ("  smtp: {vendor: smtp, host: h}\n", "has no effect with fewer than two accounts"),
        (CHOICES.partition("inapp}\n")[2], "smtp reports no deliveries: what they send is sent by no other"),
    ],
)
def test_failover_that_has_no_effect_is_noted(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], accounts: str, told: str
) -> None:
    (place / "providers.yaml").write_text(f"accounts:\n  inapp: {{vendor: inapp}}\n{accounts}")
    tenant = place / "catalog/tenants/default.yaml"
    named = tenant.read_text()
    if "sendgrid" not in accounts:
        named = named.replace("[smtp, sendgrid]", "[smtp]")
    text = f"{named}failover_after: {{email: 2m}}\n"
    tenant.write_text(text)
    code, said = check(monkeypatch, capfd)
    line = text.splitlines().index("failover_after: {email: 2m}") + 1
    assert code == 0, said
    assert f"tenants/default.yaml:{line}: failover_after.email: {told}" in said


def test_a_condition_on_a_field_that_no_sample_has_is_a_fault_of_the_catalog(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "providers.yaml").write_text(MAIL)
    file = place / "catalog/notifications/flights.yaml"
    text = file.read_text()
    file.write_text(text.replace("data.delay_minutes >= 60", "data.delay_minuts >= 60"))
    line = text[: text.index("data.delay_minutes >= 60")].count("\n") + 1
    code, said = check(monkeypatch, capfd)
    assert code == 1
    told = "`when` reads `data.delay_minuts`, which no sample has, write `data.delay_minutes` or add it to"
    assert f"notifications/flights.yaml:{line}: {told} templates/flight_delayed/sample.json" in said
