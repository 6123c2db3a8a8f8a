# SPDX-License-Identifier: MIT
"""Counts the system calls that mqgate makes: for each kind of notification, and for a launch."""
import collections
import os
import re
import select
import shutil
import subprocess
import time

from harness import Failure, children

LAUNCHES = 10
LINE = re.compile(r'^(?:\d+ +)?(?:<\.\.\. )?([a-z_0-9]+)')
RECEIVED = re.compile(r'NOTIF_RECV, \{.*?nr=__NR_(\w+),.*?args=\[\w+, (\w+)')
ATTACH_TRIES = 5
ATTACH_DEADLINE = 10 * int(os.environ.get("TEST_PATIENCE", "1"))


class Strace:
    """Follows processes that run already; and those that they start. One of them may end before it is
    followed: then they are asked for once more."""

    def __init__(self, bench, find_pids):
        self.file = os.path.join(bench.directory, 'strace')
        for _ in range(ATTACH_TRIES):
            said = self.attach(find_pids())
            if not said:
                break
            self.process.kill()
            self.process.communicate()
        if said:
            raise Failure(f'strace cannot attach: {said}')
        time.sleep(0.1)

    def attach(self, pids):
        """What is said but for "attached"; None: all are followed."""
        command = ['setpriv', '--pdeathsig', 'KILL', 'strace', '-f', '-s', '8', '-o', self.file]
        for pid in pids:
            command += ['-p', str(pid)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, bufsize=0)
        for _ in pids:
            if not select.select([self.process.stderr], [], [], ATTACH_DEADLINE)[0]:
                return 'nothing in time'
            said = self.process.stderr.readline()
            if b'attached' not in said:
                return said.decode(errors='replace').strip() or 'it has ended'
        return None

    def end(self):
        """Its lines."""
        time.sleep(0.3)
        self.process.terminate()
        self.process.communicate(timeout=ATTACH_DEADLINE)
        with open(self.file, encoding='utf-8', errors='replace') as f:
            return f.read().splitlines()


def name_of(line):
    """The system call of a line; None for signals, exits and second halves."""
    if '<... ' in line or '+++' in line or '---' in line:
        return None
    match = LINE.match(line)
    return match.group(1) if match else None


def by_notification(lines):
    """(call, its second argument) and the counted system calls, for each notification but the last;
    the poll that follows one counts with it, as the one before it has been counted before."""
    current = None
    for line in lines:
        received = RECEIVED.search(line)
        if received:
            if current:
                yield current
            current = (received.groups(), collections.Counter())
        name = name_of(line)
        if current and name:
            current[1][name] += 1


def average(counters):
    """The mean number, and what it consists of: "12: openat 3, close 3, …"."""
    total = sum(counters, collections.Counter())
    parts = [f'{name} {tidy(n / len(counters))}' for name, n in
             sorted(total.items(), key=lambda item: (-item[1], item[0]))]
    return tidy(sum(total.values()) / len(counters)), ', '.join(parts)


def tidy(mean):
    return f'{mean:.1f}'.removesuffix('.0')


def follow_session(bench, app, commands):
    serving = bench.basic().session_processes()[0]
    strace = Strace(bench, lambda: serving[-1:])
    for command in commands:
        app.tell(command)
    return list(by_notification(strace.end()))


def notifications(bench):
    daemon = bench.basic()
    app = daemon.app('bench:call')
    app.tell('use /bench-calls 64')
    app.tell('pairs 1')
    rows = []

    def add(text, segments, call, argument=None):
        chosen = [counter for (name, second), counter in segments if name == call and
                  (argument is None or (int(second, 0) == 0) == argument)]
        if not chosen:
            raise Failure(f'{text}: no notification seen')
        rows.append((text, *average(chosen)))

    segments = follow_session(bench, app, ['pairs 20', 'attributes 10', 'registrations 10'])
    add('mq_timedsend', segments, 'mq_timedsend')
    add('mq_timedreceive', segments, 'mq_timedreceive')
    add('mq_getsetattr', segments, 'mq_getsetattr')
    add('mq_notify', segments, 'mq_notify', False)
    add('mq_notify with NULL', segments, 'mq_notify', True)
    add('mq_open', follow_session(bench, app, ['opens 10 /bench-calls 0']), 'mq_open')
    segments = follow_session(bench, app, ['creations 10 /bench-calls-new'])
    add('mq_open that creates', segments, 'mq_open')
    add('mq_unlink', segments, 'mq_unlink')
    add('mq_open, denied', follow_session(bench, app, ['opens 10 /other 13']), 'mq_open')
    bench.end_apps()
    app = bench.tainted_app()
    app.tell('use /bench-calls 64')
    for who in ('tainted session', 'the same, with a second thread'):
        app.tell('pairs 1')
        segments = follow_session(bench, app, ['pairs 20'])
        add(f'mq_timedsend, {who}', segments, 'mq_timedsend')
        add(f'mq_timedreceive, {who}', segments, 'mq_timedreceive')
        app.tell('thread')
    bench.end_apps()
    return rows


def launches(bench):
    daemon = bench.basic()
    rows = []
    spawner = children(daemon.pid)
    strace = Strace(bench, lambda: [daemon.pid, *children(daemon.pid), *daemon.session_processes()[1]])
    for _ in range(LAUNCHES):
        subprocess.run([*daemon.run_prefix('bench:call'), '/bin/true'], env=daemon.environment,
                       check=True, timeout=ATTACH_DEADLINE)
        time.sleep(0.1)
    counters = {text: collections.Counter() for text in
                ('mqgated', 'its spawner', 'a session process, from its start to its end')}
    whose = dict(zip(map(str, (daemon.pid, *spawner)), counters.values()))
    for line in strace.end():
        name = name_of(line)
        if name:
            whose.get(line.split()[0], list(counters.values())[-1])[name] += 1
    for text, counter in counters.items():
        each = collections.Counter({name: n / LAUNCHES for name, n in counter.items()})
        rows.append((text, *average([each])))
    return rows


def show(title, rows):
    width = max(len(text) for text, _, _ in rows)
    print(title)
    for text, number, parts in rows:
        print(f'{text:{width}}  {number:>5}  {parts}')


def count(bench):
    if not shutil.which('strace'):
        raise Failure('strace is not installed')
    show('System calls of the session process for each notification', notifications(bench))
    show('System calls for each launch', launches(bench))

