# SPDX-License-Identifier: MIT
"""The figures: each function measures one group and adds its rows."""
import errno
import os
import select
import shutil
import statistics
import subprocess
import time

from harness import Failure, alternate, ratios


RUNS = 5


def shortest(app, command):
    """Measures the shortest of some short runs: what other programs' turns on the processor add is
    none of the figure's. (What is rarely slow of itself is in the latencies.)"""
    return lambda: min(app.number(command) for _ in range(RUNS))


def pairs_of(app, count):
    return shortest(app, f'pairs {count}')


def pairs_in_way(mode, app, count):
    """The time of so many pairs; where they are fast it is taken of more."""
    more = 8 if mode in ('bare', 'filter', 'open') else 1
    measure = pairs_of(app, more * count)
    return lambda: measure() / more


def send(bench):
    """A message sent and received by the same program, in each way."""
    rounds, count = bench.size(31, 9), 400
    sides = bench.sides('bare', 'filter', 'open', 'empty', 'call')
    for size in bench.size((64, 1024, 8192), (64,)):
        for mode, app in sides.items():
            app.tell(f'use /bench-send-{mode}-{size} {size}')
            app.number(f'pairs {4 * count}')
        results = alternate(rounds, {m: pairs_in_way(m, app, count) for m, app in sides.items()})
        text = f'send + receive, {size} B'
        bench.row('send', f'{text}, call / empty supervisor', ratios(results, 'call', 'empty'),
                  reach=1.25 if size == 64 else None)
        if 'open' in sides:
            bench.row('send', f'{text}, open / bare', ratios(results, 'open', 'bare'),
                      reach=1.05 if size == 64 else None)
            bench.row('send', f'{text}, open / filter that allows all',
                      ratios(results, 'open', 'filter'))
        bench.row('send', f'{text}, call / bare', ratios(results, 'call', 'bare'))
        bench.row('send', f'{text}, empty supervisor / bare', ratios(results, 'empty', 'bare'))
        bench.unlink_queues()
    bench.end_apps()


def open_(bench):
    """A queue opened and closed."""
    rounds, count = bench.size(31, 9), 150
    sides = bench.sides('bare', 'opener', 'call')
    sides['call'].tell('use /bench-open 64')
    for app in sides.values():
        app.number(f'opens {count} /bench-open 0')
    results = alternate(rounds, {m: shortest(app, f'opens {count} /bench-open 0')
                                 for m, app in sides.items()})
    text = 'mq_open + close'
    bench.row('open', f'{text}, call / bare on-behalf opener', ratios(results, 'call', 'opener'),
              reach=1.8)
    bench.row('open', f'{text}, call / bare', ratios(results, 'call', 'bare'))
    bench.row('open', f'{text}, opener / bare', ratios(results, 'opener', 'bare'))
    bench.end_apps()


def launch(bench):
    """A command that does nothing, started."""
    daemon = bench.basic()
    rounds, count = bench.size(21, 7), bench.size(20, 10)
    commands = {'mq-run': [*daemon.run_prefix('bench:call'), 'true'], 'bare': ['true']}
    if os.access(bench.programs.mq_run_static, os.X_OK):
        commands['mq-run-static'] = [bench.programs.mq_run_static, *commands['mq-run'][1:]]
    if shutil.which('bwrap'):
        commands['bwrap'] = ['bwrap', '--dev-bind', '/', '/', 'true']
    else:
        bench.say('launch: bwrap is not installed, so there is nothing to compare with')
    for pause, how in ((10000, 'one at a time'), (0, 'back to back')):
        times = {name: [] for name in commands}
        results = alternate(rounds, {name: spawner(bench, daemon, count, pause, command, kept=times[name])
                                     for name, command in commands.items()})
        for name in commands.keys() & {'mq-run', 'mq-run-static'}:
            if 'bwrap' in commands:
                bench.row('launch', f'{name} … true, {how}, / bwrap --dev-bind / / true',
                          ratios(results, name, 'bwrap'), reach=1.0)
            bench.row('launch', f'{name} … true, {how}, / true', ratios(results, name, 'bare'))
        if pause:
            unit = statistics.median(times['bare'])
            bench.launches = {name: [sorted(taken)[int(share * (len(taken) - 1))] / unit for share in MARKS]
                              for name, taken in times.items()}


def spawner(bench, daemon, count, pause, *commands, kept=None):
    """Measures the median time of each of these commands, run in turn; of one, just that. Of one all times
    may be kept."""
    words = [bench.programs.spawn, str(count), str(pause)]
    for command in commands:
        words += [*command, '---']

    def measure():
        done = subprocess.run(words[:-1], env=daemon.environment, capture_output=True, text=True,
                              timeout=120, check=False)
        if done.returncode != 0:
            raise Failure(done.stderr.strip())
        if kept is not None:
            kept.extend(int(word) for word in done.stdout.split())
        medians = [statistics.median(int(word) for word in line.split())
                   for line in done.stdout.splitlines()]
        return medians if len(medians) > 1 else medians[0]
    return measure


# Of all calls, the shares that bench-load tells times for.
MARKS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995,
         0.998, 0.999, 0.9995, 1)
SHARES = {name: MARKS.index(mark) for name, mark in
          {'p50': 0.5, 'p99': 0.99, 'p99.9': 0.999}.items()}


def latency(bench):
    """How long single calls take: the distribution."""
    rounds, count = bench.size(9, 3), bench.size(10000, 3000)
    sides = bench.sides('bare', 'open', 'empty', 'call')
    for mode, app in sides.items():
        app.tell(f'use /bench-latency-{mode} 64')
        app.tell(f'pairs {count // 4}')
    results = alternate(rounds, {m: lambda app=app: app.numbers(f'latencies {count}')
                                 for m, app in sides.items()})
    unit = [times[SHARES['p50']] for times in results['bare']]
    bench.distributions = {mode: [statistics.median(times[i] / u for times, u in zip(lists, unit))
                                  for i in range(len(MARKS))] for mode, lists in results.items()}
    for share, i in SHARES.items():
        at = {mode: [times[i] for times in lists] for mode, lists in results.items()}
        bench.row('latency', f'{share} of a call, call / empty supervisor',
                  ratios(at, 'call', 'empty'))
        if 'open' in sides:
            bench.row('latency', f'{share} of a call, open / bare', ratios(at, 'open', 'bare'))
        bench.row('latency', f'{share} of a call, call / bare', ratios(at, 'call', 'bare'))
    bench.end_apps()


def other(bench):
    """Calls that are refused, or made in the app's place."""
    rounds, count = bench.size(21, 7), 300
    call, opener, reader = bench.side('call'), bench.side('call'), bench.side('reader')
    tainted, threaded = bench.tainted_app(), bench.tainted_app()
    call.tell('use /bench-other 64')
    opener.tell('use /bench-opened 64')
    opener.number('opens 1000 /bench-opened 0')
    reader.tell('read-only /bench-other')
    tainted.tell('use /bench-tainted 64')
    threaded.tell('use /bench-threaded 64')
    threaded.tell('thread')
    results = alternate(rounds, {
        'pair': pairs_of(call, count),
        'tainted': pairs_of(tainted, count),
        'threaded': pairs_of(threaded, count),
        'opened': pairs_of(opener, count),
        'open': shortest(opener, f'opens {count} /bench-other 0'),
        'denied open': shortest(opener, f'opens {count} /other {errno.EACCES}'),
        'denied send': shortest(reader, f'sends {2 * count} {errno.EACCES}'),
        'attributes': shortest(call, f'attributes {2 * count}'),
        'registrations': shortest(call, f'registrations {count}'),
    })
    bench.row('other', 'mq_open denied / mq_open granted + close',
              ratios(results, 'denied open', 'open'))
    bench.row('other', 'mq_send denied / mq_send or mq_receive granted',
              ratios(results, 'denied send', 'pair'), reach=1.5)
    bench.row('other', 'mq_notify / mq_getattr', ratios(results, 'registrations', 'attributes'), reach=2)
    bench.row('other', 'send + receive after 1,000 opens / before',
              ratios(results, 'opened', 'pair'))
    bench.row('other', 'send + receive, tainted session / ordinary one',
              ratios(results, 'tainted', 'pair'))
    bench.row('other', 'the same, with a second thread / ordinary one',
              ratios(results, 'threaded', 'pair'))
    bench.end_apps()


def pingpong(bench):
    """Two programs, each confined by itself, that answer one another."""
    rounds, count = bench.size(15, 5), 300
    couples = {mode: (bench.side(mode), bench.side(mode)) for mode in ('bare', 'empty', 'call')}

    def play(mode):
        one, two = couples[mode]
        names = (f'/bench-ping-{mode}', f'/bench-pong-{mode}')
        two.say(f'pong {count} {names[0]} {names[1]}')
        time = one.number(f'ping {count} {names[0]} {names[1]}')
        two.hear()
        return time
    for mode, (one, two) in couples.items():
        one.tell(f'use /bench-ping-{mode} 64')
        two.tell(f'use /bench-pong-{mode} 64')
        play(mode)
    results = alternate(rounds, {mode: lambda mode=mode: min(play(mode) for _ in range(RUNS))
                                 for mode in couples})
    text = 'a message there and one back'
    bench.row('pingpong', f'{text}, call / empty supervisors', ratios(results, 'call', 'empty'))
    bench.row('pingpong', f'{text}, call / bare', ratios(results, 'call', 'bare'))
    bench.end_apps()


def throughput(bench):
    """Many programs at once, each with a session and a queue of its own."""
    rounds, duration = bench.size(7, 3), bench.size(400, 150) * 1000000
    modes = [m for m in ('bare', 'open', 'empty', 'call')
             if m != 'open' or bench.has_open_mediation()]
    apps = {mode: [] for mode in modes}

    def together(mode, count):
        start = time.monotonic_ns() + 20000000
        for app in apps[mode][:count]:
            app.say(f'until {start} {duration}')
        return sum(int(app.hear()) for app in apps[mode][:count])
    unit = None
    for count in bench.size((1, 2, 4, 8, 16, 32, 64), (1, 2, 8, 64)):
        for mode in modes:
            while len(apps[mode]) < count:
                apps[mode].append(bench.side(mode))
                apps[mode][-1].tell(f'use /bench-many-{mode}-{len(apps[mode])} 64')
        results = alternate(rounds, {mode: lambda m=mode, n=count: together(m, n)
                                     for mode in modes})
        unit = unit or statistics.median(results['bare'])
        for mode in modes:
            bench.throughputs.setdefault(mode, []).append(
                (count, statistics.median(results[mode]) / unit))
        if count not in (1, 2, 8, 64):
            continue
        text = f'time per message, {count} session{"s" if count > 1 else ""} at once'
        bench.row('throughput', f'{text}, call / empty supervisors',
                  ratios(results, 'empty', 'call'))
        if 'open' in modes:
            bench.row('throughput', f'{text}, open / bare', ratios(results, 'bare', 'open'))
        bench.row('throughput', f'{text}, call / bare', ratios(results, 'bare', 'call'))
    bench.end_apps()


def flood(bench):
    """One session's calls while another, on another processor, makes as many as it can."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        bench.say('flood: needs two processors')
        return
    rounds, count = bench.size(15, 5), bench.size(4000, 1500)
    daemon = bench.basic()
    quiet = bench.side('call', cpu=processors[0])
    quiet.tell('use /bench-quiet 64')
    first = set(daemon.session_processes()[0])
    noisy = bench.side('call', cpu=processors[-1])
    noisy.tell('use /bench-noisy 64')
    for pid in daemon.session_processes()[0]:
        os.sched_setaffinity(pid, [processors[0] if pid in first else processors[-1]])

    def flooded():
        noisy.say(f'until 0 {time.monotonic_ns() + length}')
        time.sleep(0.02)
        taken = quiet.number(f'pairs {count}')
        if select.select([noisy.process.stdout], [], [], 0)[0]:
            raise Failure('flood: it was over too early')
        noisy.hear()
        return taken
    quiet.number(f'pairs {count}')
    length = 100 * 10**6 + 6 * quiet.number(f'pairs {count}')
    results = alternate(rounds, {
        'alone': lambda: quiet.number(f'pairs {count}'), 'flooded': flooded})
    bench.row('flood', 'send + receive while another session floods / alone',
              ratios(results, 'flooded', 'alone'), reach=1.5)
    bench.end_apps()


GROUPS = {
    'send': send,
    'open': open_,
    'launch': launch,
    'latency': latency,
    'other': other,
    'pingpong': pingpong,
    'throughput': throughput,
    'flood': flood,
}
