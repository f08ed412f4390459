"""Knows the names of Amazon's regions, and the domain that serves each."""

REGION = r"(?:[a-z]{2}|eusc)(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}"
"""Like `eu-west-1`, `us-gov-west-1`, or `eusc-de-east-1` of the European Sovereign Cloud."""

ARN = r"arn:aws(?:-cn|-us-gov|-eusc)?"
"""How the name of a resource begins, in each of Amazon's partitions."""

_DOMAINS = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}
_USUAL = "amazonaws.com"


def host(service: str, region: str) -> str:
    """Name the host of a service in a region.

    >>> host("sns", "eu-west-1"), host("email", "eusc-de-east-1")
    ('sns.eu-west-1.amazonaws.com', 'email.eusc-de-east-1.amazonaws.eu')
    """
    return f"{service}.{region}.{_DOMAINS.get(region.partition('-')[0], _USUAL)}"
