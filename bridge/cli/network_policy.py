"""What the chart's network policy must open for an installation: no I/O, so no host is looked up.

The chart opens the namespaces `airflow` and `postgresql` by itself. A policy knows namespaces and addresses, and no
host names: where a host outside the cluster has only a name, everything is opened on its port.
"""

import json
import re
from collections.abc import Mapping
from ipaddress import ip_network

_PORTS = {"http": 80, "https": 443, "postgresql": 5432}
_EVERYTHING = "{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}}"  # but the addresses of clouds' metadata


def network_policy(urls: Mapping[str, str], namespace: str) -> str:
    """Return `networkPolicy` of the chart's values, for ways (airflow, postgresql) by name; "" if none needs it.

    `namespace` is the release's own: a host without a dot is there.
    """
    ways = "".join(_way(name, url, namespace) for name, url in urls.items())
    if not ways:
        return ""
    hint = " For 0.0.0.0/0 better write the address." if "0.0.0.0/0" in ways else ""
    return f"networkPolicy: # where the pods may go.{hint}\n{ways}"


def _way(name: str, url: str, namespace: str) -> str:
    scheme, _, rest = url.partition("://")
    servers = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2].split(",")
    hosts = {re.sub(r":\d+$", "", server).strip("[]").rstrip(".") for server in servers} - {"", "localhost"}
    peers = sorted({_peer(host, namespace) for host in hosts})
    if not peers or peers == [_pods_of(name)]:
        return ""
    # In the cluster, a URL has the port of the Service, and a policy that of the pods, which the chart's own may be.
    is_far = any("ipBlock" in peer for peer in peers)
    ports = f", ports: {sorted({_port(server, scheme) for server in servers})}" if is_far else ""
    return f"  {name}: {{to: [{', '.join(peers)}]{ports}}}\n"


def _peer(host: str, namespace: str) -> str:
    """Return who a host is to a network policy."""
    inside = re.search(r"([^.]+)\.svc(?:\.|$)", host)
    if inside:
        return _pods_of(inside[1])
    if not set(host) & set(".:"):
        return _pods_of(namespace)
    try:
        return f'{{ipBlock: {{cidr: "{ip_network(host)}"}}}}'
    except ValueError:
        return _EVERYTHING


def _pods_of(namespace: str) -> str:
    return f"{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {json.dumps(namespace)}}}}}}}"


def _port(server: str, scheme: str) -> int:
    given = re.search(r":(\d+)$", server)
    return int(given[1]) if given else _PORTS.get(scheme, _PORTS["postgresql"])
