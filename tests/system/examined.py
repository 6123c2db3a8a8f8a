# SPDX-License-Identifier: MIT
"""Peers that are examined: examined.py KIND [ARGUMENT].

What the daemon says to them is printed: "launch refused: TEXT", "launch accepted", "control refused:
TEXT", "control accepted"."""

import ctypes
import fcntl
import os
import platform
import signal
import socket
import struct
import sys
import threading
import time

import neighbour

libc = ctypes.CDLL(None, use_errno=True)
SECCOMP, EXIT = {"x86_64": (317, 60), "aarch64": (277, 93)}[platform.machine()]
F_SETLEASE = 1024


def confine():
    """What mq-run does, as far as it is looked at."""
    program = b"".join(struct.pack("HBBI", *one) for one in (
        (0x20, 0, 0, 4), (0x15, 0, 0, 1), (0x15, 0, 0, 2), (0x06, 0, 0, 0x7FFF0000)))
    filters = ctypes.create_string_buffer(program, len(program))
    described = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(filters)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.syscall(SECCOMP, 1, 0, described) == 0


def say_launch(connection):
    connection.settimeout(20)
    try:
        answer = connection.recv(65536)
    except ConnectionResetError:
        # Something was not read, which is told first.
        answer = connection.recv(65536)
    error, = struct.unpack_from("<i", answer, 8)
    text = answer[24:].split(b"\0")[0].decode()
    print("launch", f"refused: {text}" if error else "accepted", flush=True)


def say_hello(connection):
    """Who is refused already still hears why."""
    try:
        connection.sendall(neighbour.hello())
    except BrokenPipeError:
        pass


def ask_launch(connection):
    say_hello(connection)
    say_launch(connection)


def ask_control(connection, serial=1):
    connection.sendall(neighbour.message("Reload", serial=serial))
    say_control(connection)


def say_control(connection, greeting=0):
    """What comes after a greeting of about that size, which is one answer."""
    answer = neighbour.take(connection, limit=greeting + 1, patience=5.0)
    texts = [word for word in answer.split(b"\0") if b" " in word]
    refused = b"org.mqgate.Error" in answer
    print("control", f"refused: {texts[-1].decode()}" if refused else "accepted" if answer else "closed", flush=True)


def earlier(_):
    """Connects, and becomes confined then."""
    control, launch = neighbour.authenticated(), neighbour.launch()
    ask_control(control)
    confine()
    ask_control(control, serial=2)
    ask_launch(launch)


def describing(_):
    """Would send descriptors."""
    neighbour.quietly(lambda: neighbour.authenticated(descriptors=True))


def racing(count):
    """Becomes confined while it is examined, at one time or another, and says hello then."""
    for turn in range(int(count)):
        if os.fork() == 0:
            connection = neighbour.launch()
            end = time.monotonic() + turn % 80 / 10000
            while time.monotonic() < end:
                pass
            confine()
            ask_launch(connection)
            os._exit(0)
        os.wait()


def handed(_):
    """Is given the connections of somebody who is not confined."""
    control, launch = neighbour.authenticated(), neighbour.launch()
    if os.fork() == 0:
        confine()
        ask_control(control)
        ask_launch(launch)
        os._exit(0)
    os.wait()


def with_number(number, work):
    """A child that has it; root may choose."""
    child = 0
    while child != number:
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="utf-8") as file:
            file.write(str(number - 1))
        child = os.fork()
        if child == 0:
            if os.getpid() == number:
                work()
            os._exit(0)


def take_over(kind):
    """The successor, until it has become what it is."""
    if kind == "user":
        os.setresuid(65534, 65534, 65534)
    elif kind == "group":
        os.setresgid(65534, 65534, 65534)
    elif kind == "member":
        os.setgroups(os.getgroups() + [65534])
    elif kind == "confined":
        confine()


RELOAD = b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n" + neighbour.message("Reload")


def speak_and_end(channel, size):
    """A confined process that says everything at once; of its change, this much."""
    if os.fork() != 0:
        return os.wait()[0]
    confine()
    control, launch = neighbour.control(), neighbour.launch()
    control.sendall(RELOAD[:size])
    launch.sendall(neighbour.hello())
    launch.sendall(struct.pack("<II", 0x6D716731, 1))
    socket.send_fds(channel, [b"x"], [control.fileno(), launch.fileno()])
    os._exit(0)


def succeeded(argument):
    """A process has ended before it is accepted. Then its number and its connections are somebody else's."""
    daemon, kind = argument.split(",")
    ours, theirs = socket.socketpair()
    size = len(RELOAD) - (kind == "ending")

    def successor():
        ours.close()
        take_over(kind)
        os.write(descriptors[0], RELOAD[size:])
        theirs.sendall(b"x")
        theirs.recv(1)

    os.kill(int(daemon), signal.SIGSTOP)
    try:
        number = speak_and_end(theirs, size)
        descriptors = socket.recv_fds(ours, 1, 2)[1]
        if kind != "nobody":
            with_number(number, successor)
            ours.recv(1)
    finally:
        os.kill(int(daemon), signal.SIGCONT)
    say_control(socket.socket(fileno=descriptors[0]), greeting=60)
    say_launch(socket.socket(fileno=descriptors[1]))


def headless(_):
    """Its first thread is dead."""
    def other():
        while open("/proc/self/status", encoding="utf-8").read().find("State:\tZ") < 0:
            time.sleep(0.01)
        ask_launch(neighbour.launch())
        os._exit(0)
    threading.Thread(target=other).start()
    libc.syscall(EXIT, 0)


def executing(argument):
    """Executes itself again and again meanwhile."""
    left, descriptor = (int(number) for number in (argument or "20,-1").split(","))
    if descriptor < 0:
        connection = neighbour.launch()
        say_hello(connection)
    else:
        connection = socket.socket(fileno=descriptor)
    if left == 0:
        say_launch(connection)
        return
    os.set_inheritable(connection.fileno(), True)
    os.execv(sys.executable, [sys.executable, "-S", sys.argv[0], "executing", f"{left - 1},{connection.fileno()}"])


def held(count):
    """So many that the kernel holds in execve, by a lease on what they execute."""
    program = os.path.join(os.environ["TMPDIR"], f"program-{os.getpid()}")
    script = program + ".script"
    with open(program, "wb") as file:
        file.write(b"x")
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!{program}\n")
    os.chmod(program, 0o755)
    os.chmod(script, 0o755)
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    lease = os.open(program, os.O_RDWR)
    # Whoever executes it must find nobody who writes.
    os.close(lease)
    lease = os.open(program, os.O_RDONLY)
    fcntl.fcntl(lease, F_SETLEASE, fcntl.F_WRLCK)
    connections, children = [], []
    for _ in range(int(count)):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        child = os.fork()
        if child == 0:
            connection.connect(neighbour.RUN + "/launch")
            connection.sendall(neighbour.hello())
            os.execv(script, [script])
        connections.append(connection)
        children.append(child)
    time.sleep(0.1)
    print("held", flush=True)
    sys.stdin.readline()
    for connection in connections:
        say_launch(connection)
    for child in children:
        os.kill(child, signal.SIGKILL)
    fcntl.fcntl(lease, F_SETLEASE, fcntl.F_UNLCK)


KINDS = [earlier, describing, racing, handed, succeeded, headless, executing, held]

if __name__ == "__main__":
    {kind.__name__: kind for kind in KINDS}[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else None)
