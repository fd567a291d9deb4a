"""Adds to `_socket` what CPython's C code leaves out on WASI: the functions that ask about hosts and services, and options.

A WASI program has no network and nobody to ask for names. So these know numeric addresses, "localhost" and this host's own name;
whatever else is asked for is not known, with the exception that programs expect when a name is not known.

What programs look for before they use it stays absent: AF_UNIX, SO_REUSEPORT, socketpair. So do the methods of sockets. (A host can give a
program sockets that it made; `socket.socket(fileno=…)` takes one up.)
"""

import _socket
from _socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM, IPPROTO_TCP, IPPROTO_UDP, gaierror, herror

_LOOPBACK = {AF_INET: "127.0.0.1", AF_INET6: "::1"}
_UNSPECIFIED = {AF_INET: "0.0.0.0", AF_INET6: "::"}
_KINDS = ((SOCK_STREAM, IPPROTO_TCP), (SOCK_DGRAM, IPPROTO_UDP))

# As Linux numbers them; there is no socket whose options they could set.
_OPTIONS = {
    "SO_REUSEADDR": 2, "SO_ERROR": 4, "SO_BROADCAST": 6, "SO_SNDBUF": 7, "SO_RCVBUF": 8, "SO_KEEPALIVE": 9, "SO_LINGER": 13,
    "SOL_SOCKET": 1, "IPV6_V6ONLY": 26,
}


def _text(name):
    return name.decode("idna") if isinstance(name, (bytes, bytearray)) else name


def _is_address(family, host):
    try:
        _socket.inet_pton(family, host)
    except (OSError, ValueError):
        return False
    return True


def _not_known(host):
    return gaierror(_socket.EAI_NONAME, f"{host}: a WASI program can't look up names")


def _addresses(host, flags):
    """(family, address) of a host."""
    if host is None or host == "":
        return list((_UNSPECIFIED if flags & _socket.AI_PASSIVE else _LOOPBACK).items())
    if host == "localhost" or host == _socket.gethostname():
        return list(_LOOPBACK.items())
    return [(family, host) for family in (AF_INET, AF_INET6) if _is_address(family, host)]


def _port(service):
    service = _text(service)
    try:
        return int(service or 0)
    except ValueError:
        raise gaierror(_socket.EAI_SERVICE, f"{service}: a WASI program can't look up services") from None


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    """getaddrinfo(host, port [, family, type, proto, flags]) -> list of (family, type, proto, canonname, sockaddr)"""
    host, number = _text(host), _port(port)
    found = [
        (its_family, its_type, its_proto, "", (address, number) if its_family == AF_INET else (address, number, 0, 0))
        for its_family, address in _addresses(host, flags) if family in (0, its_family)
        for its_type, its_proto in _KINDS if type in (0, its_type) and proto in (0, its_proto)
    ]
    if not found:
        raise _not_known(host)
    return found


def getnameinfo(sockaddr, flags):
    """getnameinfo(sockaddr, flags) -> (host, port)"""
    host, port = sockaddr[:2]
    if flags & _socket.NI_NAMEREQD or not (_is_address(AF_INET, host) or _is_address(AF_INET6, host)):
        raise _not_known(host)
    return host, str(port)


def gethostbyname(host):
    """gethostbyname(host) -> address"""
    if not host:
        return _UNSPECIFIED[AF_INET]
    return getaddrinfo(host, 0, AF_INET, SOCK_STREAM)[0][4][0]


def gethostbyname_ex(host):
    """gethostbyname_ex(host) -> (name, aliaslist, addresslist)"""
    return host, [], [gethostbyname(host)]


def gethostbyaddr(host):
    """gethostbyaddr(host) -> (name, aliaslist, addresslist)"""
    address = gethostbyname(host)
    if address == _LOOPBACK[AF_INET]:
        return "localhost", [], [address]
    raise herror(1, f"{host}: a WASI program can't look up addresses")


def getservbyname(name, proto=None):
    """getservbyname(servicename[, protocolname]) -> integer"""
    raise OSError("service/proto not found")


def getservbyport(port, proto=None):
    """getservbyport(port[, protocolname]) -> string"""
    raise OSError("port/proto not found")


def getprotobyname(name):
    """getprotobyname(name) -> integer"""
    number = getattr(_socket, "IPPROTO_" + name.upper(), None)
    if number is None:
        raise OSError("protocol not found")
    return number


_FUNCTIONS = (
    getaddrinfo, getnameinfo, gethostbyname, gethostbyname_ex, gethostbyaddr, getservbyname, getservbyport, getprotobyname,
)

for _name, _value in _OPTIONS.items():
    if not hasattr(_socket, _name):
        setattr(_socket, _name, _value)
# Before 3.11 the C module has such functions, and they know nobody.
for _function in _FUNCTIONS:
    setattr(_socket, _function.__name__, _function)
