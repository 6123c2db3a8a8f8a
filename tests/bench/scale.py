# SPDX-License-Identifier: MIT
"""The figures that grow: with packages, connections and sessions."""
import os
import resource
import time

from figures import shortest, spawner
from harness import Daemon, Failure, alternate, children, pss, ratios, session_processes

PLUGS = 10  # of each package of a large policy, each with one connection
MIB = 1024 * 1024
APP_PACKAGE = """\
name: app
plugs: {work: posix-mq, other: {interface: posix-mq, posix-mq: work}}
"""
PROVIDER_PACKAGE = """\
name: provider
slots:
  all: {interface: posix-mq, posix-mq: work, path-pattern: /bench-*, permissions: [read, write, create, delete]}
  more: {interface: posix-mq, posix-mq: work, path: /more, permissions: [read]}
"""


def packages(count):
    """An app and a provider, and so many packages with ten plugs and a slot each."""
    texts = {'app.yaml': APP_PACKAGE, 'provider.yaml': PROVIDER_PACKAGE}
    for i in range(count):
        plugs = ''.join(f'  p{j}: {{interface: posix-mq, posix-mq: id-{j}-{i}}}\n'
                        for j in range(PLUGS))
        texts[f'many-{i}.yaml'] = (
            f'name: many-{i}\npublisher: somebody\nplugs:\n{plugs}slots:\n'
            f'  s: {{interface: posix-mq, path: /many-{i}, permissions: [read]}}\n')
    return texts


def policy(bench, connections):
    """A daemon with so many connections."""
    count = max(1, connections // PLUGS)
    lines = [f'- {{plug: many-{i}:p{j}, slot: many-{(i * 7 + j) % count}:s, state: manual}}\n'
             for i in range(count) for j in range(PLUGS)]
    daemon = Daemon(bench, packages(count), 'version: 1\nconnections:\n' + ''.join(lines))
    shown = dict(line.split(': ', 1) for line in daemon.mqctl('status').splitlines())
    if shown['connections'] != str(connections):
        raise Failure(f'{shown["connections"]} connections, not {connections}')
    daemon.mqctl('connect', 'app:work', 'provider:all')
    return daemon


def calls_in_a_large_policy(bench):
    """What others have been granted does not slow a session."""
    rounds, count = bench.size(21, 7), 300
    apps = {n: policy(bench, n).app('app:work') for n in (10, 100000)}
    for n, app in apps.items():
        app.tell(f'use /bench-policy-{n} 64')
        app.number(f'pairs {count}')
    for text, command in (('send + receive', 'pairs {} '), ('mq_open + close', 'opens {} {} 0')):
        results = alternate(rounds, {
            n: shortest(app, command.format(count, f'/bench-policy-{n}'))
            for n, app in apps.items()})
        bench.row('policy', f'{text}, 100,000 connections / 10', ratios(results, 100000, 10),
                  reach=1.1)
    bench.end_apps()
    bench.stop_daemons()


def calls_with_variables(bench):
    """Names that depend on who asks cost those who have them little."""
    rounds, count, many = bench.size(21, 7), 300, 1024
    patterns = ', '.join(f'"/bench-{i}-{{uid}}"' for i in range(many))
    permissions = 'permissions: [read, write, create, delete]'
    daemon = Daemon(bench, {'names.yaml': (
        f'name: names\nplugs:\n  one: posix-mq\n  many: posix-mq\nslots:\n'
        f'  plain: {{interface: posix-mq, posix-mq: one, path: /bench-plain, {permissions}}}\n'
        f'  numbered: {{interface: posix-mq, posix-mq: many, path-pattern: [{patterns}], '
        f'{permissions}}}\n')})
    daemon.mqctl('connect', 'names:one', 'names:plain')
    daemon.mqctl('connect', 'names:many', 'names:numbered')
    queues = {'one': '/bench-plain', 'many': f'/bench-{many - 1}-{os.getuid()}'}
    apps = {plug: daemon.app(f'names:{plug}') for plug in queues}
    for plug, app in apps.items():
        app.tell(f'use {queues[plug]} 64')
        app.number(f'pairs {count}')
    for text, command in (('send + receive', 'pairs {}'), ('mq_open + close', 'opens {} {} 0')):
        results = alternate(rounds, {
            plug: shortest(app, command.format(count, queues[plug])) for plug, app in apps.items()})
        bench.row('names', f'{text}, {many:,} grants with variables / a plain one',
                  ratios(results, 'many', 'one'), reach=1.2 if 'open' in text else 1.05)
    bench.end_apps()
    bench.stop_daemons()


def sessions(count):
    return f'{count:,} session{"s" if count > 1 else ""}'


def changes(bench, daemon, plug, slot, count, rounds):
    """Milliseconds that mqctl connect and mqctl disconnect take, in each round."""
    connect = [bench.programs.mqctl, 'connect', plug, slot]
    disconnect = [bench.programs.mqctl, 'disconnect', plug, slot]
    results = {'connect': [], 'disconnect': []}
    for _ in range(rounds):
        both = spawner(bench, daemon, count, 0, connect, disconnect)
        for verb, taken in zip(('connect', 'disconnect'), both()):
            results[verb].append(taken / 1e6)
    return results


def grew(bench, what, n, times):
    """For the plot."""
    bench.growth.setdefault(what, []).append((n, min(times)))


def connect(bench):
    """Changes, and how they grow with connections and with the sessions concerned."""
    rounds, count = bench.size(7, 3), bench.size(20, 7)
    least = {}
    for n in bench.size((10, 1000, 10000, 199000), (10, 1000, 10000)):
        daemon = policy(bench, n)
        results = changes(bench, daemon, 'app:other', 'provider:all', count, rounds)
        for verb, times in results.items():
            bench.row('connect', f'mqctl {verb}, {n:,} connections', times, unit='ms',
                      reach=50 if n == 10000 and verb == 'connect' else None)
            least.setdefault(verb, times)
            if n != 10:
                bench.row('connect', f'mqctl {verb}, {n:,} connections / 10',
                          [a / b for a, b in zip(times, least[verb])], reach=n / 10)
        grew(bench, 'connect', n, results['connect'])
        daemon.stop()
    daemon = policy(bench, 10)
    least = {}
    for n in bench.size((1, 100, 1000), (1, 100)):
        daemon.idle_apps(n - len(daemon.idle), 'app:work', 'use /bench-idle 64', 'pairs 1')
        results = changes(bench, daemon, 'app:work', 'provider:more', max(3, count // 4), rounds)
        for verb, times in results.items():
            bench.row('connect', f'mqctl {verb}, {sessions(n)}', times, unit='ms')
            least.setdefault(verb, times)
            if n != 1:
                bench.row('connect', f'mqctl {verb}, {sessions(n)} / 1',
                          [a / b for a, b in zip(times, least[verb])])
    bench.stop_daemons()


def reload(bench):
    """Packages read anew, one of which has changed, while a session makes calls."""
    count, least = bench.size(400, 150) * 1000000, None
    for n in bench.size((10, 100, 1000, 5000, 19900), (10, 1000)):
        texts = packages(1)
        daemon = policy(bench, n * PLUGS)
        app = daemon.app('app:work')
        app.tell('use /bench-reload 64')
        quiet = app.number(f'until 0 {time.monotonic_ns() + count}') / count
        times = []
        for i in range(bench.size(3, 2)):
            daemon.write_package('many-0.yaml', texts['many-0.yaml'].replace('somebody', f'somebody-{i}'))
            app.say(f'until 0 {time.monotonic_ns() + count}')
            begin = time.monotonic()
            daemon.mqctl('reload')
            times.append((time.monotonic() - begin) * 1000)
            busy = int(app.hear()) / count
        bench.row('reload', f'mqctl reload, {n:,} packages', times, unit='ms')
        least = least or times
        if least is not times:
            bench.row('reload', f'mqctl reload, {n:,} packages / 10', [a / b for a, b in zip(times, least)],
                      reach=n / 10)
        bench.row('reload', f'send + receive meanwhile, {n:,} packages / before', [quiet / busy],
                  reach=1.5)
        grew(bench, 'reload', n, times)
        bench.end_apps()
        daemon.stop()
    bench.stop_daemons()


def many_sessions(bench):
    """Sixteen launches at a time until so many sessions run, and their ends."""
    daemon = policy(bench, 10)
    least = {}
    room = (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000) // 8
    for n in bench.size((16, 128, 1024, 2048, 8192), (16, 128)):
        if n > room:
            bench.say(f'sessions: not {n:,}, since the hard limit of open files allows mqgated {room:,}')
            continue
        begin = time.monotonic()
        daemon.idle_apps(n, 'app:work', 'use /bench-idle 64')
        began = time.monotonic()
        daemon.end_idle_apps()
        daemon.wait_for_sessions(0)
        ended = time.monotonic()
        for what, taken in (('started', began - begin), ('ended', ended - began)):
            bench.row('sessions', f'{n:,} sessions {what}, 16 at once', [taken * 1000], unit='ms')
            least.setdefault(what, taken)
            if n != 16:
                bench.row('sessions', f'{n:,} sessions {what} / 16', [taken / least[what]], reach=n / 16)
        grew(bench, 'sessions', n, [(ended - begin) * 1000])
    bench.stop_daemons()


def switches(pids):
    """How often these processes have begun to wait."""
    count = 0
    for pid in pids:
        with open(f'/proc/{pid}/status', encoding='utf-8') as f:
            count += sum(int(line.split()[1]) for line in f if line.startswith('voluntary_ctxt_switches'))
    return count


def idle(bench):
    """How often they wake up for apps that do nothing, and for apps that wait in mq_receive."""
    daemon = policy(bench, 10)
    seconds = bench.size(60, 3)
    daemon.idle_apps(50, 'app:work', 'use /bench-idle 64', 'pairs 1')
    daemon.idle_apps(50, 'app:work', 'use /bench-waiting 64', 'block 2')
    time.sleep(1)
    groups = {'of 50 idle and 50 waiting sessions': session_processes(daemon.pid),
              'of mqgated, meanwhile': [daemon.pid, *children(daemon.pid)]}
    before = {text: switches(pids) for text, pids in groups.items()}
    time.sleep(seconds)
    for text, pids in groups.items():
        bench.row('idle', f'wake-ups {text}, in {seconds} s', [switches(pids) - before[text]], unit='',
                  reach=None if 'mqgated' in text else 0)
    bench.stop_daemons()


def start(bench):
    """From executing mqgated until it answers, and the memory that it then has."""
    times, memory = {10: [], 10000: []}, {10: [], 10000: []}
    for n in times:
        daemon = Daemon(bench, packages(n))
        for _ in range(bench.size(5, 2)):
            daemon.stop()
            daemon.start()
            times[n].append(daemon.started_in * 1000)
            memory[n].append(pss([daemon.pid]) / MIB)
        bench.row('start', f'start with {n:,} packages', times[n], unit='ms')
        bench.row('start', f'memory of mqgated with {n:,} packages', memory[n], unit='MiB')
        daemon.stop()
    bench.row('start', 'start with 10,000 packages / 10', ratios(times, 10000, 10))
    bench.row('start', 'memory of mqgated, 10,000 packages / 10', ratios(memory, 10000, 10))


def memory(bench):
    """Of the manager and all session processes, for sessions that have made calls and now wait."""
    daemon = policy(bench, 10)
    totals = {}
    for n in (10, 100, 1000):
        daemon.idle_apps(n - len(daemon.idle), 'app:work', 'use /bench-idle 64', 'pairs 1')
        time.sleep(0.3)
        totals[n] = [pss([daemon.pid, *children(daemon.pid), *session_processes(daemon.pid)]) / MIB
                     for _ in range(bench.size(3, 2))]
        bench.row('memory', f'memory (PSS) of everything, {n:,} idle sessions', totals[n],
                  unit='MiB', reach=128 if n == 1000 else None)
    bench.row('memory', 'each further session',
              [(a - b) * 1024 / 990 for a, b in zip(totals[1000], totals[10])], unit='KiB')
    bench.stop_daemons()


def wait_until(condition, text, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(text)
        time.sleep(0.01)


PROCESSES = 4  # of each session, waiting in mq_receive


def revoke(bench):
    """A queue taken back from many sessions, whose processes all wait for messages."""
    daemon = policy(bench, 10)
    least = None
    for n in bench.size((1, 50, 500), (1, 50)):
        times = []
        for _ in range(bench.size(3, 2)):
            pids = daemon.idle_apps(n, 'app:work', 'use /bench-revoke 64',
                                    f'block {PROCESSES}')
            wait_until(lambda pids=pids: all(len(children(p)) == PROCESSES for p in pids),
                       'revoke: the processes do not start')
            time.sleep(0.2)
            begin = time.monotonic()
            daemon.mqctl('disconnect', 'app:work', 'provider:all')
            times.append((time.monotonic() - begin) * 1000)
            wait_until(lambda pids=pids: not any(children(p) for p in pids),
                       'revoke: processes go on waiting', 5)
            daemon.end_idle_apps()
            daemon.wait_for_sessions(0)
            daemon.mqctl('connect', 'app:work', 'provider:all')
        text = f'mqctl disconnect, {sessions(n)} × {PROCESSES}'
        bench.row('revoke', f'{text} waiting', times, unit='ms')
        least = least or times
        if least is not times:
            bench.row('revoke', f'{text} waiting / 1 session',
                      [a / b for a, b in zip(times, least)])
    bench.stop_daemons()


GROUPS = {
    'policy': calls_in_a_large_policy,
    'names': calls_with_variables,
    'connect': connect,
    'reload': reload,
    'sessions': many_sessions,
    'idle': idle,
    'start': start,
    'memory': memory,
    'revoke': revoke,
}
