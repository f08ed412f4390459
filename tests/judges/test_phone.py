"""Adapters of SMS and WhatsApp against the providers' contracts: Prism validates requests, moto sends."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.judges.servers import SPECS, folder, installed, prism_of
from tests.judges.test_mail import adapter
from tests.providers.samples import NOW_S, PHONE, message, outgoing
from tests.providers.test_adapters import SID
from tocsin.errors import DeliveryError, RecipientGone
from tocsin.model.content import SmsContent, WhatsAppContent
from tocsin.model.message import Target
from tocsin.render.sms import analyse

pytestmark = pytest.mark.judges

Judge = Callable[[str], str]
HOOKS = {"status_callback": "https://hooks.example/reports"}
SENDER = "+15005550006"


def soon(channel: str) -> Any:
    """Build a message that expires, so that its life is in the request."""
    return msgspec.structs.replace(
        outgoing(channel), message=message(channel, expires_ms=int(NOW_S * 1000) + 90_000)
    )


def sms(text: str, encoding: str = "GSM-7", sender: str = SENDER) -> SmsContent:
    return SmsContent(text, analyse(text).segments, encoding, sender)


ANSWERS: dict[str, tuple[str, object]] = {
    "twilio": ("201", {"sid": "SM" + "a" * 32, "status": "queued"}),
    "vonage": ("200", {"message-count": "1", "messages": [{"status": "0", "message-id": "0A1"}]}),
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Give the URL of a Prism that judges requests by a contract, and answers as the provider would.

    Left to itself, Prism makes up answers, and answers 500 if they break the contract's patterns. It also
    leaves out the path of the contract's server.
    """
    urls: dict[str, str] = {}
    with contextlib.ExitStack() as running:

        def start(name: str) -> str:
            if name not in urls:
                spec = tmp_path_factory.mktemp(name) / "spec.json"
                spec.write_text(json.dumps(_for_requests(name)))
                urls[name] = running.enter_context(prism_of(spec))
            return urls[name]

        yield start


def _for_requests(name: str) -> dict[str, Any]:
    given = Path(os.environ.get("TOCSIN_PROVIDER_SPECS") or SPECS) / f"{name}.json"
    contract: dict[str, Any] = json.loads((given if given.exists() else SPECS / f"{name}.json").read_text())
    base = urlsplit(contract["servers"][0]["url"]).path
    contract["paths"] = {f"{base}{path}": item for path, item in contract["paths"].items()}
    status, example = ANSWERS[name]
    answer = {"description": "taken", "content": {"application/json": {"example": example}}}
    for item in contract["paths"].values():
        item["post"]["responses"] = {status: answer}
        item["post"].pop("callbacks", None)
    return contract


async def test_twilios_requests_keep_the_contract(judge: Judge) -> None:
    texts = adapter("twilio", judge("twilio"), smart_encoded=True, **HOOKS)
    chats = adapter("twilio-whatsapp", judge("twilio"), **HOOKS)
    service, template = "MG" + "b" * 32, "HX" + "d" * 32
    for each in (outgoing("sms", sms("Grüße & 100 % + 1", "GSM-7")), soon("sms")):
        assert (await texts.send(each)).code == "201"
    await texts.send(outgoing("sms", sms("Gate B12", sender=service)))
    for content in (WhatsAppContent("Gate B12", SENDER), WhatsAppContent("", SENDER, template, {"1": "B12"})):
        assert (await chats.send(outgoing("whatsapp", content))).code == "201"
    for provider in (texts, chats):
        await provider.close()


async def test_vonages_requests_keep_the_contract(judge: Judge) -> None:
    more = {"entity_id": "1101456324675322134", "content_id": "1107457532145798767"}
    plain = adapter("vonage", judge("vonage"), **HOOKS, **more)
    signed = adapter("vonage", judge("vonage"), signature_secret="s", signature_method="md5hash")
    texts = (sms("Grüße & = 1"), sms("→", "UCS-2", "Fly"))
    for provider in (plain, signed):
        for each in (*[outgoing("sms", text) for text in texts], soon("sms")):
            assert (await provider.send(each)).code == "0"
        await provider.close()


@pytest.mark.parametrize(
    ("name", "path", "form"),
    [
        ("twilio", f"/2010-04-01/Accounts/{SID}/Messages.json", {"Body": "no number"}),
        ("twilio", f"/2010-04-01/Accounts/{SID}/Messages.json", {"To": PHONE, "ValidityPeriod": "long"}),
        ("vonage", "/sms/json", {"api_key": "abcd1234", "from": "Fly", "to": "+1"}),
        ("vonage", "/sms/json", {"api_key": "abcd1234", "from": "Fly", "to": "14155552671", "type": "morse"}),
    ],
)
def test_the_judge_refuses_what_breaks_the_contract(
    judge: Judge, name: str, path: str, form: dict[str, str]
) -> None:
    answer = httpx2.post(f"{judge(name)}{path}", data=form, auth=(SID, "t"))
    assert answer.status_code in (400, 422), answer.text


async def test_moto_sends_an_sms_of_sns(moto: str) -> None:
    provider = adapter("sns", moto, sender="Flights", max_price=0.25, region="eu-west-1")
    receipt = await provider.send(outgoing("sms", sms("Grüße & <Gate> 12", sender="")))
    assert "eu-west-1" in await provider.verify()
    wrong = msgspec.structs.replace(outgoing("sms"), message=message("sms", target=Target("+1not-a-number")))
    with pytest.raises(DeliveryError) as caught:
        await provider.send(wrong)
    assert (type(caught.value), caught.value.code) == (RecipientGone, "InvalidParameter")
    await provider.close()
    (sent,) = httpx2.get(f"{moto}/moto-api/data.json").json()["sns"]["SMS"]
    assert sent == {
        "message": "Grüße & <Gate> 12",
        "message_id": receipt.provider_message_id,
        "phone_number": PHONE,
    }


CALCULATOR = "sms-segments-calculator@1.3.0"
COUNT = """
const { SegmentedMessage } = require("sms-segments-calculator");
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const found = texts.map((text) => new SegmentedMessage(text));
console.log(JSON.stringify(found.map((one) => [one.encodingName, one.segmentsCount])));
"""


@pytest.fixture(scope="module")
def counted() -> Callable[[list[str]], list[list[Any]]]:
    """Give Twilio's own calculator of segments."""
    home = folder("segments")
    wanted = home / "node_modules/sms-segments-calculator/package.json"
    installed(
        wanted,
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), CALCULATOR],
    )

    def count(texts: list[str]) -> list[list[Any]]:
        command = [shutil.which("node") or "node", "-e", COUNT]
        words = json.dumps(texts)
        ended = subprocess.run(command, input=words, capture_output=True, text=True, check=True, cwd=home)
        found: list[list[Any]] = json.loads(ended.stdout)
        return found

    return count


LETTERS = st.sampled_from([*"abc €{[^\n", "ç", "Ç", "Ж", "’", "😀", "👍🏽", "é", "e\u0301"])


@settings(max_examples=4, deadline=None)
@given(st.lists(st.lists(LETTERS, max_size=340).map("".join), min_size=60, max_size=60))
def test_segments_are_counted_as_twilio_counts_them(
    counted: Callable[[list[str]], list[list[Any]]], texts: list[str]
) -> None:
    texts = [text.strip() or "x" for text in texts]
    ours = [[analyse(text).encoding, analyse(text).segments] for text in texts]
    assert ours == counted(texts)
