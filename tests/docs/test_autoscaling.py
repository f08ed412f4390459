"""The examples for Kubernetes: in the shape that KEDA and Kubernetes take, with names that Tocsin has."""

import re
from typing import Any

import jsonschema
import pytest
import yaml

from tests.docs.repository import ROOT
from tocsin.app.settings import Settings
from tocsin.model import topics

FOLDER = ROOT / "examples" / "k8s"
_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}


def _object(required: str, **fields: Any) -> dict[str, Any]:
    """Describe an object that has these fields and no others."""
    return {
        "type": "object",
        "properties": fields,
        "required": required.split(),
        "additionalProperties": False,
    }


_RULES = _object(
    "",
    stabilizationWindowSeconds={"type": "integer", "minimum": 0, "maximum": 3600},
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    policies={
        "type": "array",
        "items": _object(
            "type value periodSeconds",
            type={"enum": ["Pods", "Percent"]},
            value={"type": "integer", "minimum": 1},
            periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
        ),
    },
)
_BEHAVIOR = _object("", scaleUp=_RULES, scaleDown=_RULES)
SCALED_OBJECT = _object(
    "apiVersion kind metadata spec",
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledObject"},
    metadata={"type": "object", "required": ["name"]},
    spec=_object(
        "scaleTargetRef triggers",
        scaleTargetRef=_object(
            "name", apiVersion=_TEXT, kind=_TEXT, name=_TEXT, envSourceContainerName=_TEXT
        ),
        minReplicaCount=_COUNT,
        maxReplicaCount=_COUNT,
        idleReplicaCount=_COUNT,
        pollingInterval=_COUNT,
        cooldownPeriod=_COUNT,
        advanced=_object(
            "",
            restoreToOriginalReplicaCount={"type": "boolean"},
            horizontalPodAutoscalerConfig=_object("", behavior=_BEHAVIOR),
        ),
        triggers={
            "type": "array",
            "minItems": 1,
            "items": _object(
                "type metadata",
                type=_TEXT,
                name=_TEXT,
                metricType={"enum": ["AverageValue", "Value", "Utilization"]},
                metadata={"type": "object", "additionalProperties": _TEXT},
                authenticationRef=_object("name", name=_TEXT, kind=_TEXT),
            ),
        },
    ),
)
KAFKA = {"bootstrapServers", "consumerGroup", "topic", "lagThreshold"}
PROMETHEUS = {"serverAddress", "query", "threshold"}


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def test_the_scaled_object_has_kedas_shape() -> None:
    jsonschema.validate(read("scaledobject.yaml"), SCALED_OBJECT)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec["triggers"][0]["metadata"].update(lagThreshold=2000),
        lambda spec: spec.update(maxReplicas=16),
        lambda spec: spec["triggers"][0].pop("type"),
        lambda spec: spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"].update(scaleOut={}),
    ],
)
def test_a_wrong_shape_is_noticed(spoil: Any) -> None:
    made = read("scaledobject.yaml")
    spoil(made["spec"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, SCALED_OBJECT)


def test_triggers_name_what_tocsin_has() -> None:
    kafka, prometheus = [trigger["metadata"] for trigger in read("scaledobject.yaml")["spec"]["triggers"]]
    prefix = Settings.model_fields["topic_prefix"].default
    assert kafka.keys() >= KAFKA
    assert kafka["consumerGroup"] == topics.shard_group(prefix)
    assert kafka["topic"] in [prefix + name for name in topics.MESSAGES]
    assert prometheus.keys() >= PROMETHEUS
    _known(prometheus["query"])


def _known(text: str) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"tocsin_\w+", text))
    assert named
    assert all(f"| `{name}` |" in page for name in named), named


def test_the_pods_are_elastic_and_as_many_as_there_are_partitions_at_most() -> None:
    deployment, hpa = read("deliver.yaml"), read("hpa.yaml")
    name, partitions = deployment["metadata"]["name"], Settings.model_fields["partitions"].default
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["run", "--flow", "deliver", "--elastic"]
    set_here = {each["name"] for each in container["env"]}
    assert set_here <= {f"TOCSIN_{field.upper()}" for field in Settings.model_fields}
    scaled = read("scaledobject.yaml")["spec"]
    assert scaled["scaleTargetRef"]["name"] == hpa["spec"]["scaleTargetRef"]["name"] == name
    assert scaled["maxReplicaCount"] == hpa["spec"]["maxReplicas"] == partitions
    jsonschema.validate(hpa["spec"]["behavior"], _BEHAVIOR)
    _known((FOLDER / "hpa.yaml").read_text().partition("sum(")[2].partition("{")[0])
