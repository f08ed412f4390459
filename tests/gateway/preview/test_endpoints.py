"""`POST /v1/previews`: of the key's own tenant, and of no other."""

from tests.gateway.running import Running


async def test_previews_are_of_the_keys_tenant_alone(gateway: Running) -> None:
    asked = {"notification": "flight_cancelled", "channel": "sms"}
    answer = await gateway.client.post("/v1/previews", json=asked, headers=gateway.bearing())
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [(one["locale"], one["content"]["segments"]) for one in found["previews"]] == [
        ("de", 1),
        ("en", 1),
        ("es", 1),
    ]
    crossing = await gateway.client.post(
        "/v1/previews", json={**asked, "tenant": "default"}, headers=gateway.bearing("other")
    )
    assert crossing.status_code == 403
    other = await gateway.client.post("/v1/previews", json=asked, headers=gateway.bearing("other"))
    assert (other.status_code, "default" in other.text) == (404, False)
    unable = await gateway.client.post(
        "/v1/previews", json=asked, headers=gateway.bearing("default", "events:write")
    )
    assert unable.status_code == 403
    wrong = await gateway.client.post(
        "/v1/previews", json={"notification": "ada@example.org"}, headers=gateway.bearing()
    )
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "notification")
    assert "ada@example.org" not in wrong.text
