"""Requests to this machine itself go to no proxy, which would see keys and find nobody there."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.request import getproxies_environment

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine: localhost, 127.0.0.0/8, ::1, 0.0.0.0."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address: IPv4Address | IPv6Address = ip_address(name)
    except ValueError:
        address = _short_address(name)
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _short_address(name: str) -> IPv4Address:
    """`127.1` and other spellings that connections take; a public address for any other name."""
    try:
        return IPv4Address(socket.inet_aton(name))
    except OSError:
        return IPv4Address("255.255.255.255")


def spare_loopback() -> None:
    """Say the same to the libraries of this process and of those that it starts.

    The Hub's client and those of object stores read `NO_PROXY`, which is set only beside a proxy.
    """
    proxies = getproxies_environment()
    names = [name.strip() for name in proxies.pop("no", "").split(",") if name.strip()]
    if proxies and "*" not in names:
        spared = ",".join(dict.fromkeys((*names, *LOOPBACK)))
        os.environ.update(no_proxy=spared, NO_PROXY=spared)
