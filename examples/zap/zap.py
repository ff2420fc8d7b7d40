"""The part of a ZAP handler (ZeroMQ RFC 27) that is the same for every list: requests in, verdicts out."""
import signal
import sys
from dataclasses import dataclass

import zmq
from zmq.utils import z85

VERSION = b"1.0"
FRAMES_BEFORE_CREDENTIALS = 6
CREDENTIALS = {b"NULL": 0, b"PLAIN": 2, b"CURVE": 1}
CURVE_KEY_OCTETS = 32
FRAME_OCTETS_MAX = 1024


class ListUnreadable(Exception):
    """The list cannot be asked now; the client may try again later."""


@dataclass
class Request:
    """What the gateway asks. `curve_key` is Z85; `user` and `password` are PLAIN's."""
    request_id: bytes
    domain: str
    address: str
    mechanism: str
    curve_key: str = ""
    user: str = ""
    password: str = ""


def text(octets):
    if len(octets) > FRAME_OCTETS_MAX:
        raise ValueError("a frame is too long")
    return octets.decode("utf-8")


def parse(frames):
    """The request in these frames. ValueError: it is none (RFC 27, «Request»)."""
    if len(frames) < FRAMES_BEFORE_CREDENTIALS or frames[0] != VERSION:
        raise ValueError("not a ZAP 1.0 request")
    _, request_id, domain, address, _identity, mechanism, *credentials = frames
    if CREDENTIALS.get(mechanism) != len(credentials):
        raise ValueError("an unknown mechanism, or another number of credentials")
    request = Request(request_id, text(domain), text(address), text(mechanism))
    if mechanism == b"CURVE":
        if len(credentials[0]) != CURVE_KEY_OCTETS:
            raise ValueError("a CURVE key has 32 octets")
        request.curve_key = z85.encode(credentials[0]).decode()
    if mechanism == b"PLAIN":
        request.user, request.password = (text(one) for one in credentials)
    return request


def verdict(request, authorize):
    """(status code, status text, user id) of the answer."""
    try:
        user = authorize(request)
    except ListUnreadable as error:
        print(f"zap: {error}", file=sys.stderr, flush=True)
        return b"500", b"the list cannot be read", b""
    if user is None:
        return b"400", b"not in the list", b""
    return b"200", b"OK", user.encode()


def serve(endpoint, authorize):
    """Answers until SIGTERM or SIGINT. `authorize` gives the user's name, or None, or raises ListUnreadable."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    context = zmq.Context.instance()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    socket.bind(endpoint)
    print(f"zap: answers on {endpoint}", file=sys.stderr, flush=True)
    try:
        while True:
            peer, empty, *frames = socket.recv_multipart()
            try:
                if empty:
                    raise ValueError("no empty frame before it")
                request = parse(frames)
            except ValueError as error:
                print(f"zap: {error}", file=sys.stderr, flush=True)
                continue
            socket.send_multipart([peer, b"", VERSION, request.request_id, *verdict(request, authorize), b""])
    except KeyboardInterrupt:
        pass
    finally:
        context.destroy(linger=0)
