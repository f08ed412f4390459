"""FCM's requests against Google's contract of `messages:send`: Prism refuses a field that is not there."""

from collections.abc import Callable

import httpx2
import msgspec
import pytest

from tests.providers.samples import outgoing
from tests.providers.scripted_http import ScriptedHttp
from tests.providers.sending import built
from tests.providers.test_adapters import CASES, TOKEN
from tocsin.model.content import PushContent
from tocsin.model.message import Target

pytestmark = pytest.mark.judges

CONTENTS = [
    PushContent("Gate", "B12", data={"flight": "UA 1"}),
    PushContent("Gate", "B12", collapse_key="UA 1", urgent=True, url="https://skylark.example/t", ttl_s=60),
]


@pytest.mark.parametrize("platform", ["android", "ios"])
@pytest.mark.parametrize("content", CONTENTS, ids=["plain", "full"])
async def test_fcms_requests_keep_the_contract(
    prism: Callable[[str], str], platform: str, content: PushContent
) -> None:
    async with ScriptedHttp(TOKEN) as google:
        settings = {**CASES["fcm"].account, "base_url": prism("fcm"), "token_url": f"{google.url}/token"}
        settings["channel_id"] = "gates"
        provider = built(settings)
        target = Target("token-of-a-device", platform=platform)
        receipt = await provider.send(outgoing("push", content, target=target))
        await provider.close()
    assert receipt.provider_message_id == "projects/demo-1/messages/0:1"


@pytest.mark.parametrize("wrong", [{"tokn": "x"}, {"token": "x", "android": {"ttl": 60}}, {"data": {"a": 1}}])
def test_the_judge_refuses_what_is_not_in_it(prism: Callable[[str], str], wrong: dict[str, object]) -> None:
    body = msgspec.json.encode({"message": wrong})
    headers = {"authorization": "Bearer t", "content-type": "application/json"}
    url = f"{prism('fcm')}/v1/projects/demo-1/messages:send"
    assert httpx2.post(url, content=body, headers=headers).status_code == 422
