"""Decides which IP addresses an untrusted URL may lead to: public ones, except those of a cloud's own services."""

from __future__ import annotations

import ipaddress

_UNICAST = ipaddress.IPv6Network("2000::/3")
"""Everything that IANA has assigned as global unicast. Other addresses are local, forms of IPv4, or reserved:
site-local fec0::/10, unique local fc00::/7 (metadata at fd00:ec2::254 on AWS and fd20:ce::254 on Google's cloud),
IPv4-compatible ::/96 and -translated ::ffff:0:0:0/96, the local NAT64 prefix 64:ff9b:1::/48, segment routing
5f00::/16."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_REFUSED_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # IETF protocols, Teredo (2001::/32) among them: its addresses hold two of IPv4
            "2001:db8::/32",
            "3fff::/20",  # documentation
        ),
    )
)
_REFUSED_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "168.63.129.16/32",  # Azure's own services, in the middle of public space
            "169.254.0.0/16",  # link-local; 169.254.169.254 is the metadata service of most clouds
            "100.64.0.0/10",  # shared; 100.100.100.200 is Alibaba's metadata service
            "192.0.0.0/24",  # IETF protocols; 192.0.0.192 is Oracle's metadata service
            "192.88.99.0/24",  # 6to4 relays
        ),
    )
)
_ISATAP = {0x5EFE, 0x02005EFE}  # the upper half of an interface's id: an address of IPv4 follows


def is_public(address: str) -> bool:
    """Whether the pipeline may connect to an address. IPv4 inside IPv6 (mapped, 6to4, NAT64, ISATAP) is judged as IPv4.

    >>> is_public("93.184.216.34"), is_public("::ffff:10.0.0.1"), is_public("fec0::1")
    (True, False, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and not any(ip in network for network in _REFUSED_4)
    inside = ip.ipv4_mapped or ip.sixtofour
    if ip in _NAT64 or int(ip) >> 32 & 0xFFFFFFFF in _ISATAP:
        inside = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if inside is not None:
        return is_public(str(inside))
    return ip in _UNICAST and ip.is_global and not any(ip in network for network in _REFUSED_6)
