#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A container runtime that says what it likes, to mqgated's socket of runtimes.

    hostile-runtime.py SOCKET say TEXT [PIECES]     TEXT with the descriptor of a file, in so many pieces
    hostile-runtime.py SOCKET hand-over TEXT [PID]  TEXT with the listener of a filter under which a child of it opens
                                                    /jobs; @PID@ in TEXT is that child. Prints its errno. The filter is
                                                    one of its own, or that of process PID, and the child then in a
                                                    container, as far as mqgated looks
    hostile-runtime.py SOCKET hang COUNT            so many connections that say half of something
    hostile-runtime.py SOCKET flood COUNT           so many that send what they can, and descriptors
"""
import array
import ctypes
import os
import platform
import socket
import struct
import sys
import time

path, what = sys.argv[1:3]
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
MQ_OPEN = {'x86_64': 240, 'aarch64': 180}[platform.machine()]
SECCOMP = {'x86_64': 317, 'aarch64': 277}[platform.machine()]
NEW_LISTENER, WAIT_KILLABLE = 8, 32
SEIZE, INTERRUPT, GET_FILTER, DETACH = 0x4206, 0x4207, 0x420c, 17


def connect():
    runtime = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    runtime.connect(path)
    return runtime


def send(runtime, data, *fds):
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
    runtime.sendmsg([data], ancillary)


def own_filter():
    """It hands over mq_open, and nothing else."""
    instructions = [(0x20, 0, 0, 0), (0x15, 0, 1, MQ_OPEN), (0x06, 0, 0, 0x7fc00000), (0x06, 0, 0, 0x7fff0000)]
    return b''.join(struct.pack('HBBI', *i) for i in instructions)


def filter_of(pid):
    libc.ptrace(SEIZE, pid, None, None)
    libc.ptrace(INTERRUPT, pid, None, None)
    os.waitpid(pid, 0x40000000)
    count = libc.ptrace(GET_FILTER, pid, None, None)
    assert count > 0, os.strerror(ctypes.get_errno())
    program = ctypes.create_string_buffer(8 * count)
    libc.ptrace(GET_FILTER, pid, None, program)
    libc.ptrace(DETACH, pid, None, None)
    return program.raw


def install_listener(program):
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack('HxxxxxxQ', len(program) // 8, ctypes.addressof(buffer))
    libc.prctl(38, 1, 0, 0, 0)
    return libc.syscall(SECCOMP, 1, NEW_LISTENER | WAIT_KILLABLE, ctypes.create_string_buffer(fprog))


def become_contained():
    """But for no_new_privs; the PID namespace is there already."""
    libc.mount(None, b'/', None, 0x44000, None)
    while libc.umount2(b'/dev/mqueue', 2) == 0:
        pass
    libc.prctl(24, 21, 0, 0, 0)
    header = struct.pack('II', 0x20080522, 0)
    sets = ctypes.create_string_buffer(24)
    libc.capget(header, sets)
    low = [word & ~(1 << 21) for word in struct.unpack('III', sets.raw[:12])]
    assert libc.capset(header, struct.pack('III', *low) + sets.raw[12:]) == 0


def open_queue():
    if libc.syscall(MQ_OPEN, b'jobs', os.O_RDWR, 0, 0) >= 0:
        return 0
    return ctypes.get_errno()


def hand_over(text, program, contained):
    ours, theirs = socket.socketpair()
    if contained:
        assert libc.unshare(0x20020000) == 0
    child = os.fork()
    if child == 0:
        if contained:
            become_contained()
        listener = install_listener(program)
        send(theirs, b'x', listener)
        os.close(listener)
        theirs.recv(1)
        print('errno', open_queue(), flush=True)
        os._exit(0)
    theirs.close()
    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    listener = array.array('i', ancillary[0][2])[0]
    runtime = connect()
    send(runtime, text.replace('@PID@', str(child)).encode(), listener)
    os.close(listener)
    runtime.shutdown(socket.SHUT_WR)
    ours.send(b'x')
    os.waitpid(child, 0)


def say(text, pieces):
    runtime = connect()
    size = len(text) // pieces + 1
    file = os.open('/dev/null', os.O_RDONLY)
    for i in range(0, len(text), size):
        send(runtime, text[i:i + size], *([file] if i == 0 else []))
        time.sleep(0.01)
    runtime.shutdown(socket.SHUT_WR)
    runtime.recv(1)


def hang(count):
    runtimes = [connect() for _ in range(count)]
    for runtime in runtimes:
        runtime.send(b'{"fds": ["seccompFd"')
    print('hanging', flush=True)
    sys.stdin.read()


def flood(count):
    file = os.open('/dev/null', os.O_RDONLY)
    for _ in range(count):
        runtime = connect()
        runtime.setblocking(False)
        try:
            while True:
                send(runtime, b'[' * 4096, *[file] * 8)
        except OSError:
            pass
    print('flooded', flush=True)


if what == 'say':
    say(sys.argv[3].encode(), int(sys.argv[4]) if len(sys.argv) > 4 else 1)
elif what == 'hand-over':
    contained = len(sys.argv) > 4
    hand_over(sys.argv[3], filter_of(int(sys.argv[4])) if contained else own_filter(), contained)
elif what == 'hang':
    hang(int(sys.argv[3]))
else:
    flood(int(sys.argv[3]))
