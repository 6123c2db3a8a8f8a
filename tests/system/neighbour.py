# SPDX-License-Identifier: MIT
"""What a neighbour may send to the daemon's sockets: neighbour.py KIND [ARGUMENT].

Everything that comes back is printed, so that a test sees what was revealed. The last line is
"finished", whatever the daemon made of it.
"""

import array
import functools
import os
import random
import select
import socket
import struct
import sys
import threading
import time

RUN = os.environ["MQGATE_RUNTIME_DIR"]
PATH, INTERFACE = "/org/mqgate", "org.mqgate.Manager1"
METHODS = {
    "Connect": "ssa{sv}", "Disconnect": "ssa{sv}", "Apply": "sa{sv}", "List": "s",
    "Explain": "sss", "Reload": "", "Status": "",
}
HELLO_SIZE = 16 + 192 * 32


def control(timeout=5.0):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    connection.connect(RUN + "/control")
    return connection


def launch():
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(5.0)
    connection.connect(RUN + "/launch")
    return connection


def show(what, data):
    print(what, repr(data), flush=True)


def take(connection, limit=1 << 20, patience=0.1):
    """What comes until nothing comes any more."""
    got = b""
    connection.settimeout(patience)
    try:
        while len(got) < limit:
            data = connection.recv(65536)
            if not data:
                break
            got += data
    except OSError:
        pass
    return got


# --- D-Bus, as far as it is needed to break it ----------------------------------------------------


def padded(data, to):
    return data + b"\0" * (-len(data) % to)


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def signature(text):
    return bytes([len(text)]) + text.encode() + b"\0"


def field(code, kind, value):
    return bytes([code]) + signature(kind) + value


def message(method, kind="", body=b"", path=PATH, interface=INTERFACE, serial=1, size=None):
    fields = b""
    for part in (
        field(1, "o", padded(b"", 4) + string(path)),
        field(2, "s", string(interface)),
        field(3, "s", string(method)),
        field(8, "g", signature(kind)),
    ):
        fields = padded(fields, 8) + part
    size = len(body) if size is None else size
    head = struct.pack("<cBBBIII", b"l", 1, 0, 1, size, serial, len(fields)) + fields
    return padded(head, 8) + body


def authenticated(uid=None, descriptors=False):
    connection = control()
    name = str(os.getuid() if uid is None else uid).encode().hex().encode()
    connection.sendall(b"\0AUTH EXTERNAL " + name + b"\r\n")
    show("auth", connection.recv(4096))
    if descriptors:
        connection.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        show("descriptors", connection.recv(4096))
    connection.sendall(b"BEGIN\r\n")
    return connection


def quietly(function):
    try:
        function()
    except OSError as error:
        show("error", error.strerror)


# --- the control bus ------------------------------------------------------------------------------


def garbage(_):
    source = random.Random(4711)
    for data in (
        b"", b"\0", b"\0AUTH", b"\0AUTH EXTERNAL", b"AUTH EXTERNAL 30\r\n", b"\0" * 70000,
        b"\0AUTH EXTERNAL " + b"3" * 70000, b"\0AUTH ANONYMOUS\r\n", b"\0BEGIN\r\n",
        b"\0AUTH KERBEROS_V4 00\r\nBEGIN\r\n", b"GET / HTTP/1.0\r\n\r\n",
        *(source.randbytes(source.randrange(1, 5000)) for _ in range(20)),
    ):
        def send():
            connection = control()
            connection.sendall(data)
            show("garbage", take(connection, 4096))
        quietly(send)


def forged(_):
    """As root, in words."""
    def send():
        connection = authenticated(uid=0)
        empty = struct.pack("<II", 0, 0)
        body = padded(string("some:queue"), 4) + padded(string("some:all"), 4) + empty
        connection.sendall(message("Connect", "ssa{sv}", body))
        show("answer", take(connection))
    quietly(send)


def bodies():
    source = random.Random(1234)
    yield "", b""
    yield "s", string("x")
    yield "s", string(b"\xff\xfe\x00")
    yield "s", struct.pack("<I", 0xFFFFFFFF) + b"x"
    yield "ss", padded(string("some:queue"), 4) + string("some:all")
    yield "ssa{sv}", padded(string("some:queue"), 4) + struct.pack("<I", 1 << 26)
    yield "a" * 32 + "y", struct.pack("<I", 4) + b"\0" * 60
    yield "(" * 40 + "y" + ")" * 40, b"\0"
    yield "v" , signature("v") * 60 + signature("y") + b"\0"
    yield "aa{sv}", struct.pack("<II", 1 << 30, 1 << 30)
    yield "h", struct.pack("<I", 7)
    yield "zz", b"\0" * 16
    yield "s", string("x" * (1 << 20))
    for _ in range(5):
        yield "sss", source.randbytes(source.randrange(1, 300))


def calls(_):
    """Each method with each body; also at other objects, and of a length that is a lie."""
    for method, right in METHODS.items():
        kept = []
        for kind, body in bodies():
            if kind == right:
                body += b"\0"
            for options in ({}, {"path": "/", "interface": "a.b"}, {"size": 1 << 27}):
                def send():
                    connection = authenticated()
                    # What is too long is not read.
                    connection.settimeout(0.1)
                    kept.append(connection)
                    connection.sendall(message(method, kind, body, **options))
                quietly(send)
        for connection in kept:
            show(method, take(connection, patience=0.002))
            connection.close()


def half(_):
    """Many connections, each of which stops in the middle of a message."""
    kept = []
    whole = message("List", "s", string("sessions"))
    for i in range(40):
        connection = authenticated()
        connection.sendall(whole[: 1 + i * (len(whole) - 2) // 40])
        kept.append(connection)
    print("half", flush=True)
    time.sleep(1)


def pending(_):
    """Many calls, and no answer is ever read."""
    kept = []
    for _ in range(8):
        connection = authenticated()
        connection.settimeout(0.2)
        try:
            for serial in range(1, 5000):
                connection.sendall(message("List", "s", string("connections"), serial=serial))
        except OSError as error:
            show("pending", str(error))
        kept.append(connection)
    print("half", flush=True)
    time.sleep(1)


def some_descriptors():
    """Sockets of its own, files of /proc, memory, pipes."""
    pair = socket.socketpair()
    mine = [os.open("/proc/self/" + name, os.O_RDONLY) for name in ("status", "mem", "maps", "ns/user")]
    kept = [pair[0], pair[1]]
    return kept, [pair[0].fileno(), pair[1].fileno(), os.memfd_create("m"), *os.pipe(), *mine]


def send_descriptors(connection, data, count):
    kept, descriptors = some_descriptors()
    many = array.array("i", (descriptors * 64)[:count])
    connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, many)])
    for descriptor in descriptors[2:]:
        os.close(descriptor)
    return kept


def descriptors(_):
    """With every message, of either socket, thousands in all."""
    for allowed in (False, True):
        def control_once():
            connection = authenticated(descriptors=allowed)
            for serial in range(1, 9):
                send_descriptors(connection, message("Status", serial=serial), 253)
            show("descriptors", take(connection, 1000)[:100])
        for _ in range(4):
            quietly(control_once)

    def launch_once(data):
        connection = launch()
        for _ in range(8):
            send_descriptors(connection, data, 253)
        show("launch", take(connection)[:200])
    for data in (b"x", b"\0" * HELLO_SIZE, hello()):
        for _ in range(4):
            quietly(lambda: launch_once(data))


def apply(path):
    """A list as mqctl 0.1.0 sends it, and one that is too long for that."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for document in (text, text + "#" * 70000):
        connection = authenticated()
        body = padded(padded(string(document), 4) + struct.pack("<I", 0), 8)
        connection.sendall(message("Apply", "sa{sv}", body))
        show("answer", take(connection))


def listen(seconds):
    """Whatever the daemon tells those who only listen."""
    connection = authenticated()
    print("listening", flush=True)
    end = time.time() + float(seconds)
    while time.time() < end:
        data = take(connection)
        if data:
            show("told", data)


# --- the launcher socket --------------------------------------------------------------------------


def hello(text=b"some:queue", kind=1):
    return struct.pack("<IIII", 0x6D716731, 1, 1, 0) + padded(
        struct.pack("<I188s", kind, text), 192).ljust(192 * 32, b"\0")


def launches(_):
    """Hellos that are right but for what they ask, and what does not come after them."""
    for data in (
        hello(), hello(b"no:such"), hello(b"some"), hello(b"../../etc"), hello(b"some:queue\n\x1b[2J"),
        hello(b"some.app", 3), hello(b"some:all", 2), hello(b"\xff" * 187), hello()[:-1], b"", b"x" * 65000,
    ):
        def send():
            connection = launch()
            connection.sendall(data)
            show("launch", take(connection)[:300])
            connection.sendall(struct.pack("<II", 0x6D716731, 1))
            show("handover", take(connection)[:300])
        quietly(send)


class Nine:
    """The descriptor that the test has made."""

    @staticmethod
    def fileno():
        return 9


def hand_over(plug):
    """Descriptor 9, again and again, until no launch is begun any more."""
    for count in range(100):
        connection = launch()
        connection.settimeout(10)
        connection.sendall(hello(plug.encode()))
        answer = connection.recv(65536)
        if b"too many launches" in answer:
            print("handed over", count, flush=True)
            break
        send_descriptor(connection, struct.pack("<II", 0x6D716731, 1), Nine)
        connection.recv(65536)
        connection.close()
    sys.stdin.read()


def nine(_):
    """Descriptor 9 with every message on the control bus, whose sender does not wait."""
    def once():
        connection = authenticated(descriptors=True)
        send_descriptor(connection, message("Status"), Nine)
        show("nine", take(connection, 1000, patience=1)[:100])
    for _ in range(4):
        quietly(once)


def flood(seconds):
    """Connections to both sockets, as fast as they can be made, each left at another point."""
    end = time.time() + float(seconds)
    count = 0
    kept = []
    print("half", flush=True)
    while time.time() < end:
        count += 1
        try:
            connection = launch() if count % 2 else control(0.2)
            if count % 3:
                connection.sendall(hello()[: HELLO_SIZE if count % 4 == 1 else count % HELLO_SIZE])
            kept.append(connection)
        except OSError:
            pass
        if len(kept) > 200:
            for connection in kept:
                connection.close()
            kept = []
    show("connections", count)


# --- sieges ---------------------------------------------------------------------------------------


def silent():
    return control()


def line():
    connection = control()
    connection.sendall(b"\0AUTH EXTERNAL 30")
    return connection


def part():
    """Of a message."""
    connection = authenticated()
    connection.sendall(message("List", "s", string("sessions"))[:-1])
    return connection


def long():
    """A message that would be long, of which much is sent."""
    connection = authenticated()
    connection.settimeout(0.01)
    connection.sendall(message("List", "s", b"", size=120000000))
    try:
        for _ in range(16):
            connection.sendall(b"x" * 65536)
    except TimeoutError:
        pass
    return connection


def lingering():
    """A connection whose last close takes twenty seconds."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one = socket.create_connection(listening.getsockname())
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    other, _ = listening.accept()
    listening.close()
    one.setblocking(False)
    try:
        while one.send(b"x" * 65536):
            pass
    except BlockingIOError:
        pass
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 20))
    return one, other


def send_descriptor(connection, data, one):
    rights = array.array("i", [one.fileno()])
    connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


@functools.cache
def descriptors_pass():
    """Before Linux 6.16."""
    connection = control()
    try:
        send_descriptor(connection, b"\0", connection)
    except PermissionError:
        return False
    return True


def with_descriptor(connection, data):
    if not descriptors_pass():
        connection.sendall(data)
        return connection
    one, other = lingering()
    KEPT.append(other)
    try:
        send_descriptor(connection, data, one)
    finally:
        # Whoever closes it last waits.
        threading.Thread(target=one.close, daemon=True).start()
    return connection


def descriptor():
    """One on its way, with half a message."""
    return with_descriptor(authenticated(), message("Status")[:20])


LISTS = b"".join(message("List", "s", string("plugs"), serial=serial) for serial in range(1, 1001))


def unread():
    """A list asked for a thousand times, and none is read."""
    connection = authenticated()
    connection.sendall(LISTS)
    return connection


def lists():
    """A list asked for a thousand times, and then again."""
    return unread()


def unsaid():
    return launch()


def short():
    """Not a hello, with a descriptor."""
    return with_descriptor(launch(), b"x")


def greeted():
    """A hello, and then nothing."""
    connection = launch()
    connection.sendall(hello())
    connection.recv(65536)
    return connection


def lingers(_):
    """Descriptors that linger, wherever they may lie; some where the connection is closed at once."""
    def behind(connection, data):
        connection.sendall(data)
        return connection
    whole = message("Status")
    for close in (False, True):
        for connection, data in (
            (control(), b"\0"), (control(), b"\0AUTH EXTERNAL\r\n"), (authenticated(), whole[:1]),
            (authenticated(), whole), (behind(authenticated(), whole * 9), whole),
            (behind(authenticated(), whole[:20]), whole[20:-1]),
            (launch(), b"x"), (launch(), hello()), (behind(launch(), hello()), b"x"),
            (behind(launch(), b""), b"x"),
        ):
            def send():
                KEPT.append(with_descriptor(connection, data))
                if data == whole[20:-1]:
                    time.sleep(0.01)
                    connection.sendall(whole[-1:])
                if close:
                    connection.close()
            quietly(send)
    for _ in range(30):
        quietly(reset)
    print("half", descriptors_pass(), flush=True)
    sys.stdin.read()


def reset():
    """A launcher that is gone with its refusal unread, as soon as it is there."""
    connection = with_descriptor(launch(), b"x")
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        try:
            connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            break
        except BlockingIOError:
            pass
    connection.close()


KEPT = []
STATES = [silent, line, part, long, descriptor, unread, lists, unsaid, short, greeted]


def besiege(name):
    """64 connections in that state: who is let go comes again, until standard input ends."""
    state = {one.__name__: one for one in STATES}[name]
    places = select.poll()
    held = {}
    places.register(0, select.POLLIN)
    while True:
        for _ in range(64 - len(held)):
            try:
                connection = state()
            except OSError:
                continue
            held[connection.fileno()] = connection
            places.register(connection, select.POLLIN if state == lists else select.POLLRDHUP)
        print("half", len(held), flush=True)
        for descriptor, events in places.poll(200):
            if descriptor == 0:
                return
            if state == lists and not events & select.POLLHUP:
                again(held[descriptor])
                continue
            places.unregister(descriptor)
            held.pop(descriptor).close()
        time.sleep(0.1)


def again(connection):
    try:
        connection.recv(1 << 20, socket.MSG_DONTWAIT)
        connection.send(LISTS, socket.MSG_DONTWAIT)
    except OSError:
        pass


KINDS = [besiege, lingers, apply, hand_over, nine, garbage, forged, calls, half, pending, descriptors, listen, launches, flood]

if __name__ == "__main__":
    {kind.__name__: kind for kind in KINDS}[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else None)
    print("finished")
