"""What the chart's network policy must open for an installation: no I/O, so no host is looked up.

The chart opens the namespaces `airflow` and `postgresql` by itself. A policy knows namespaces and addresses, and no
host names: where a host outside the cluster has only a name, everything is opened on its port. `web.sales` may be a
Service in a namespace or a host in the internet, so both are opened.
"""

import json
import re
from collections.abc import Mapping
from ipaddress import ip_network

_PORTS = {"http": 80, "https": 443, "postgresql": 5432}
_POD_PORTS = {"airflow": 8080, "postgresql": 5432}  # as the chart has them
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
    peers = sorted(set().union(*(_peers(host, name, namespace) for host in hosts)))
    if not peers or peers == [_pods_of(name)]:
        return ""
    # In the cluster, a URL has the port of the Service, and a policy that of the pods, which the chart's own may be.
    is_near, is_far = (any(word in peer for peer in peers) for word in ("namespaceSelector", "ipBlock"))
    opened = {_port(server, scheme) for server in servers} | ({_POD_PORTS[name]} if is_near else set())
    ports = f", ports: {sorted(opened)}" if is_far else ""
    return f"  {name}: {{to: [{', '.join(peers)}]{ports}}}\n"


def _peers(host: str, way: str, namespace: str) -> set[str]:
    """Return who a host may be to a network policy."""
    inside = re.search(r"([^.]+)\.svc(?:\.|$)", host)
    if inside:
        return {_pods_of(inside[1])}
    if not set(host) & set(".:"):
        return {_pods_of(namespace)}
    try:
        return {f'{{ipBlock: {{cidr: "{ip_network(host)}"}}}}'}
    except ValueError:
        pass
    _, _, last = host.partition(".")
    if last == way:
        return {_pods_of(way)}
    return {_EVERYTHING} | (set() if "." in last else {_pods_of(last)})


def _pods_of(namespace: str) -> str:
    return f"{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {json.dumps(namespace)}}}}}}}"


def _port(server: str, scheme: str) -> int:
    given = re.search(r":(\d+)$", server)
    return int(given[1]) if given else _PORTS.get(scheme, _PORTS["postgresql"])
