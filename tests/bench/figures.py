# SPDX-License-Identifier: MIT
"""The figures: each function measures one group and adds its rows."""
import errno
import os
import shutil
import subprocess

from harness import Failure, alternate, ratios


def pairs_of(app, count):
    return lambda: app.number(f'pairs {count}')


def send(bench):
    """A message sent and received by the same program, in each way."""
    rounds, count = bench.size(21, 7), bench.size(4000, 2000)
    sides = bench.sides('bare', 'empty', 'call', 'open')
    for size in bench.size((64, 1024, 8192), (64,)):
        for mode, app in sides.items():
            app.tell(f'use /bench-send-{mode}-{size} {size}')
            app.number(f'pairs {count // 4}')
        results = alternate(rounds, {m: pairs_of(app, count) for m, app in sides.items()})
        text = f'send + receive, {size} B'
        bench.row('send', f'{text}, call / empty supervisor', ratios(results, 'call', 'empty'),
                  reach=1.25 if size == 64 else None)
        if 'open' in sides:
            bench.row('send', f'{text}, open / bare', ratios(results, 'open', 'bare'),
                      reach=1.05 if size == 64 else None)
        bench.row('send', f'{text}, call / bare', ratios(results, 'call', 'bare'))
        bench.row('send', f'{text}, empty supervisor / bare', ratios(results, 'empty', 'bare'))
    bench.end_apps()


def open_(bench):
    """A queue opened and closed."""
    rounds, count = bench.size(21, 7), bench.size(1500, 700)
    sides = bench.sides('bare', 'opener', 'call')
    sides['call'].tell('use /bench-open 64')
    results = alternate(rounds, {m: lambda app=app: app.number(f'opens {count} /bench-open 0')
                                 for m, app in sides.items()})
    text = 'mq_open + close'
    bench.row('open', f'{text}, call / bare on-behalf opener', ratios(results, 'call', 'opener'),
              reach=1.5)
    bench.row('open', f'{text}, call / bare', ratios(results, 'call', 'bare'))
    bench.row('open', f'{text}, opener / bare', ratios(results, 'opener', 'bare'))
    bench.end_apps()


def launch(bench):
    """A command that does nothing, started."""
    daemon = bench.basic()
    rounds, count = bench.size(15, 6), bench.size(30, 12)
    commands = {'mq-run': [*daemon.run_prefix('bench:call'), 'true'], 'bare': ['true']}
    if shutil.which('bwrap'):
        commands['bwrap'] = ['bwrap', '--dev-bind', '/', '/', 'true']
    else:
        bench.say('launch: bwrap is not installed, so there is nothing to compare with')
    for pause, text in ((10000, 'mq-run … true, one at a time'), (0, 'mq-run … true, back to back')):
        results = alternate(rounds, {name: spawner(bench, daemon, count, pause, command)
                                     for name, command in commands.items()})
        if 'bwrap' in commands:
            bench.row('launch', f'{text}, / bwrap --dev-bind / / true',
                      ratios(results, 'mq-run', 'bwrap'), reach=1.0)
        bench.row('launch', f'{text}, / true', ratios(results, 'mq-run', 'bare'))


def spawner(bench, daemon, count, pause, *commands):
    """Measures the median time of the first of these commands, run in turn."""
    words = [bench.programs.spawn, str(count), str(pause)]
    for command in commands:
        words += [*command, '---']

    def measure():
        done = subprocess.run(words[:-1], env=daemon.environment, capture_output=True, text=True,
                              timeout=120, check=False)
        if done.returncode != 0:
            raise Failure(done.stderr.strip())
        times = sorted(int(word) for word in done.stdout.splitlines()[0].split())
        return times[len(times) // 2]
    return measure


GROUPS = {
    'send': send,
    'open': open_,
    'launch': launch,
}
