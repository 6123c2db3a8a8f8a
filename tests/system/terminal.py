#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""terminal.py PATIENCE [WORD…]: works at a shell in a terminal, as a person does, with the WORDs before
each command, and prints what the terminal shows, without what differs from one run to the next. Of
the same programs it is the same with and without mq-run before them."""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

PATIENCE = float(sys.argv[1])
BEFORE = " ".join(sys.argv[2:])
APP = """trap 'echo resized $(stty size)' WINCH
trap 'echo continued' CONT
trap 'echo hung up; exit 9' HUP
echo ready
while :; do sleep 0.05; done"""


class Terminal:
    def __init__(self):
        self.shown = self.new = ""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.environ.update(PS1="> ", R=BEFORE, APP=APP, TERM="dumb")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
        self.pid = pid

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 4096).decode(errors="replace")
        except OSError:
            return False
        self.new += data.replace("\r", "")
        return True

    def until(self, pattern):
        end = time.monotonic() + 10 * PATIENCE
        while not re.search(pattern, self.new, re.M):
            if time.monotonic() > end or not self.read(0.2) and time.monotonic() > end:
                self.shown += self.new
                self.end(f"\nnot shown in time: {pattern}")
        found = re.search(pattern, self.new, re.M)
        self.shown += self.new[: found.end()]
        self.new = self.new[found.end() :]

    def skip(self):
        """What comes in no certain order."""
        end = time.monotonic() + 0.5 * PATIENCE
        while time.monotonic() < end:
            self.read(0.1)
        self.new = ""

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def do(self, command):
        self.type(command + "\n")

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self, message=""):
        text = self.shown + message
        text = re.sub(r"^(\[\d\][+-]?) \d+$", r"\1 PID", text, flags=re.M)
        print(text)
        sys.exit(1 if message else 0)


def main():
    t = Terminal()
    t.until("> ")
    # ^C, ^\
    t.do("$R bash -c \"$APP\"")
    t.until("^ready")
    t.type("\x03")
    t.until("> ")
    t.do("echo status $?")
    t.until(r"^status \d+\n> ")
    t.do("$R sleep 100")
    time.sleep(0.3 * PATIENCE)
    t.type("\x1c")
    t.until("> ")
    t.do("echo status $?")
    t.until(r"^status \d+\n> ")
    # ^Z, fg, bg, resize
    t.resize(30, 90)
    t.do("$R bash -c \"$APP\"")
    t.until("^ready")
    t.resize(40, 100)
    t.until("^resized 40 100")
    t.type("\x1a")
    t.until(r"Stopped[^\n]*\n> ")
    t.do("jobs")
    t.until(r"Stopped[^\n]*\n> ")
    t.do("fg")
    t.until("^continued")
    t.type("\x1a")
    t.until(r"Stopped[^\n]*\n> ")
    t.do("bg")
    t.skip()
    t.do("jobs")
    t.until(r"Running[^\n]*\n> ")
    t.do("kill -TERM %1; wait %1; echo status $?")
    t.until(r"^status \d+\n> ")
    # Reading from the background, and again from the foreground
    t.do("$R cat &")
    time.sleep(0.5 * PATIENCE)
    t.do("")
    t.skip()
    t.do("jobs")
    t.until(r"Stopped[^\n]*\n> ")
    t.do("fg")
    t.until("cat\n")
    t.do("typed")
    t.until("typed\ntyped\n")
    t.type("\x04")
    t.until("> ")
    # In a pipeline, also one whose other end reads the terminal
    t.do("$R bash -c 'echo first; sleep 0.2; echo second' | cat; echo status ${PIPESTATUS[*]}")
    t.until(r"^status [\d ]+\n> ")
    t.do("$R bash -c \"$APP\" | bash -c 'read -r l; echo got $l; read -r l </dev/tty; echo terminal: $l; kill -INT 0'")
    t.until("got ready\n")
    t.do("words")
    t.until("terminal: words\n(.|\n)*> ")
    # A shell of its own, which suspends itself
    t.do("$R bash --norc --noprofile --noediting -i")
    t.until("> ")
    t.do("PS1='inner> '")
    t.until("^inner> ")
    t.do("sleep 100")
    time.sleep(0.3 * PATIENCE)
    t.type("\x1a")
    t.until(r"Stopped[^\n]*\ninner> ")
    t.do("suspend")
    t.until(r"Stopped[^\n]*\n> ")
    t.do("fg")
    t.until(r"-i\n(.|\n)*inner> ")
    t.do("kill -KILL %1; sleep 0.5; echo still here")
    t.until("^still here\n(.|\n)*inner> ")
    t.do("")
    t.until("inner> ")
    t.do("exit 5")
    t.until("^> ")
    t.do("echo status $?")
    t.until(r"^status \d+\n> ")
    # The end of the terminal
    t.do("$R bash -c \"$APP\"")
    t.until("^ready")
    os.close(t.fd)
    os.waitpid(t.pid, 0)
    t.end()


main()
