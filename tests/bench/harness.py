# SPDX-License-Identifier: MIT
"""What the benchmark's parts share: programs, private daemons, apps, rounds and rows."""
import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

DEADLINE = 120 * int(os.environ.get('TEST_PATIENCE', 1))  # seconds that anything may take
LAUNCHES_AT_ONCE = 16
MODES = ('bare', 'empty', 'opener', 'call', 'open')


class Failure(Exception):
    """Something did not work; nothing is said of times."""


class Programs:
    """Where the programs of a build directory are."""

    def __init__(self, build):
        self.build = build
        self.mqgated = os.path.join(build, 'daemon/manager/mqgated')
        self.session = os.path.join(build, 'daemon/session/mqgate-session')
        self.mq_run = os.path.join(build, 'launcher/mq-run')
        self.mq_run_static = os.path.join(build, 'launcher/mq-run-static')  # perhaps not built
        self.mqctl = os.path.join(build, 'mqctl/mqctl')
        self.load = os.path.join(build, 'tests/bench/bench-load')
        self.spawn = os.path.join(build, 'tests/bench/bench-spawn')
        self.yardstick = os.path.join(build, 'tests/bench/bench-yardstick')
        for program in (self.mqgated, self.session, self.mq_run, self.mqctl, self.load,
                        self.spawn, self.yardstick):
            if not os.access(program, os.X_OK):
                raise Failure(f'{program} is missing; build it: ninja -C {build}')

    def options(self):
        """What the figures depend on: "buildtype=debugoptimized, b_sanitize=none"."""
        try:
            with open(os.path.join(self.build, 'meson-info/intro-buildoptions.json'),
                      encoding='utf-8') as f:
                values = {o['name']: o['value'] for o in json.load(f)}
        except OSError:
            return 'unknown'
        return ', '.join(f'{name}={values.get(name)}' for name in ('buildtype', 'b_sanitize'))


def read_line(process, what, deadline=DEADLINE):
    """The next line that a program writes; a program that ends or is silent is a failure."""
    if not select.select([process.stdout], [], [], deadline)[0]:
        raise Failure(f'{what}: no answer within {deadline} s')
    line = process.stdout.readline().decode(errors='replace').strip()
    if not line or line.startswith('error'):
        raise Failure(f'{what}: {line or "ended without an answer"}')
    return line


class App:
    """A running bench-load (see its title for the commands)."""

    def __init__(self, bench, prefix, environment=None, cpu=None):
        command = ['setpriv', '--pdeathsig', 'KILL', *prefix, bench.programs.load]
        if cpu is not None:
            command = ['taskset', '-c', str(cpu), *command]
        self.what = ' '.join(os.path.basename(word) for word in prefix) or 'bare'
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        bufsize=0, env=environment)
        self.pid = self.process.pid
        bench.apps.append(self)

    def say(self, command):
        try:
            self.process.stdin.write(command.encode() + b'\n')
        except BrokenPipeError:
            raise Failure(f'{self.what}: has ended before "{command}"') from None

    def hear(self, deadline=DEADLINE):
        return read_line(self.process, self.what, deadline)

    def tell(self, command):
        self.say(command)
        return self.hear()

    def number(self, command):
        return int(self.tell(command))

    def numbers(self, command):
        return [int(word) for word in self.tell(command).split()]

    def end(self):
        """By the end of its commands, or by force."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()


class Daemon:
    """A private mqgated with directories of its own.

    packages: file name → text; connections: text of connections.yaml."""

    def __init__(self, bench, packages, connections=None):
        self.bench = bench
        self.directory = tempfile.mkdtemp(dir=bench.directory)
        for name in ('packages', 'state', 'run'):
            os.mkdir(os.path.join(self.directory, name))
        for name, text in packages.items():
            self.write_package(name, text)
        if connections is not None:
            with open(os.path.join(self.directory, 'state/connections.yaml'), 'w',
                      encoding='utf-8') as f:
                f.write(connections)
        self.environment = dict(os.environ, MQGATE_RUNTIME_DIR=os.path.join(self.directory, 'run'))
        for name in ('NOTIFY_SOCKET', 'LISTEN_PID', 'LISTEN_FDS', 'JOURNAL_STREAM'):
            self.environment.pop(name, None)
        self.log = os.path.join(self.directory, 'log')
        self.idle = []
        bench.daemons.append(self)
        self.process = None
        self.start()

    def write_package(self, name, text):
        with open(os.path.join(self.directory, 'packages', name), 'w', encoding='utf-8') as f:
            f.write(text)

    def start(self):
        begin = time.monotonic()
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'TERM', self.bench.programs.mqgated,
                 '--config', os.path.join(self.directory, 'mqgated.yaml'),
                 '--runtime-dir', os.path.join(self.directory, 'run'),
                 '--state-dir', os.path.join(self.directory, 'state'),
                 '--packages', os.path.join(self.directory, 'packages'),
                 '--session-program', self.bench.programs.session],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)
        self.pid = self.process.pid
        while subprocess.run([self.bench.programs.mqctl, 'status'], env=self.environment,
                             capture_output=True, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > begin + DEADLINE:
                with open(self.log, encoding='utf-8', errors='replace') as log:
                    raise Failure('mqgated does not answer:\n' + log.read()[-2000:])
            time.sleep(0.002)
        self.started_in = time.monotonic() - begin

    def mqctl(self, *arguments):
        done = subprocess.run([self.bench.programs.mqctl, *arguments], env=self.environment,
                              capture_output=True, text=True, timeout=DEADLINE, check=False)
        if done.returncode != 0:
            raise Failure(f'mqctl {" ".join(arguments)}: {done.stderr.strip()}')
        return done.stdout

    def run_prefix(self, *plugs):
        prefix = [self.bench.programs.mq_run]
        for plug in plugs:
            prefix += ['--plug', plug]
        return [*prefix, '--']

    def app(self, *plugs, cpu=None):
        return App(self.bench, self.run_prefix(*plugs), self.environment, cpu)

    def session_processes(self):
        """pids of the session processes, and apart from them the spare ones."""
        serving, spare = [], []
        for pid in session_processes(self.pid):
            target = serving if 'seccomp notify' in links(pid) else spare
            target.append(pid)
        return serving, spare

    def idle_apps(self, count, plug, *commands):
        """So many more sessions, each of an app that has obeyed these and waits."""
        goal = self.session_count() + count
        pids = []
        while len(pids) < count:
            for _ in range(min(LAUNCHES_AT_ONCE, count - len(pids))):
                app = subprocess.Popen(
                    ['setpriv', '--pdeathsig', 'KILL', *self.run_prefix(plug),
                     self.bench.programs.load, *commands],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=self.environment)
                self.idle.append(app)
                pids.append(app.pid)
            self.wait_for_sessions(goal - count + len(pids))
        return pids

    def session_count(self):
        """What mqgated says, which takes no longer the more there are."""
        return int(dict(line.split(': ', 1) for line in self.mqctl('status').splitlines())['sessions'])

    def wait_for_sessions(self, count):
        """Until that many are served, of apps that all live."""
        end = time.monotonic() + DEADLINE
        while self.session_count() != count:
            if any(app.poll() is not None for app in self.idle):
                raise Failure('an app could not be launched, or has ended')
            if time.monotonic() > end:
                raise Failure(f'there are not {count} sessions')
            time.sleep(0.02)

    def end_idle_apps(self):
        for app in self.idle:
            app.kill()
        for app in self.idle:
            app.wait()
        self.idle = []

    def stop(self):
        self.end_idle_apps()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        return [int(word) for word in f.read().split()]


def session_processes(daemon):
    """They are children of its spawner."""
    return [pid for child in children(daemon) for pid in children(child)]


def links(pid):
    """The texts of a process's descriptors' links."""
    texts = []
    try:
        for fd in os.listdir(f'/proc/{pid}/fd'):
            texts.append(os.readlink(f'/proc/{pid}/fd/{fd}'))
    except OSError:
        pass
    return ' '.join(texts)


def pss(pids):
    """Proportional set size of these processes, in bytes."""
    total = 0
    for pid in pids:
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as f:
            for line in f:
                if line.startswith('Pss:'):
                    total += int(line.split()[1]) * 1024
    return total


class Row:
    """One line of the table: a value of each round, and what it should reach (at most)."""

    def __init__(self, group, text, values, reach=None, unit='×'):
        self.group, self.text, self.reach, self.unit = group, text, reach, unit
        self.rounds = len(values)
        self.minimum, self.maximum = min(values), max(values)
        self.median = statistics.median(values)

    def missed(self):
        return self.reach is not None and self.median > self.reach

    def as_object(self):
        row = {'group': self.group, 'figure': self.text, 'unit': self.unit, 'rounds': self.rounds,
               'min': self.minimum, 'median': self.median, 'max': self.maximum}
        if self.reach is not None:
            row |= {'reach': self.reach, 'missed': self.missed()}
        return row


def number(value):
    return f'{value:.2f}' if value < 100 else f'{value:.0f}'


def table(rows, file):
    width = max([len(row.text) for row in rows] + [6])
    print(f'{"Figure":{width}}  {"Min":>7} {"Median":>7} {"Max":>7}  Unit     Goal', file=file)
    group = None
    for row in rows:
        if row.group != group:
            print(f'[{row.group}]', file=file)
            group = row.group
        reach = '' if row.reach is None else f'≤ {row.reach:g}' + (
            '  MISSED' if row.missed() else '  reached')
        print(f'{row.text:{width}}  {number(row.minimum):>7} {number(row.median):>7} '
              f'{number(row.maximum):>7}  {row.unit:8} {reach}'.rstrip(), file=file)


def markdown(rows, file):
    """The figures that have a goal, for the documents."""
    print('| figure | median | least … most of the rounds | goal |\n|---|---|---|---|', file=file)
    for row in rows:
        if row.reach is not None:
            print(f'| {row.text} | {number(row.median)} {row.unit} | {number(row.minimum)} … '
                  f'{number(row.maximum)} | ≤ {row.reach:g}{", missed" if row.missed() else ""} |',
                  file=file)


class Bench:
    """One run: its options, and everything that it must end."""

    def __init__(self, programs, quick, say):
        self.programs, self.quick, self.say = programs, quick, say
        self.directory = tempfile.mkdtemp(prefix='mqgate-bench.')
        self.apps, self.daemons = [], []
        self.basic_daemon = None
        self.rows = []
        # For the plots.
        self.distributions, self.throughputs, self.launches, self.growth = {}, {}, {}, {}

    def size(self, whole, quick):
        return quick if self.quick else whole

    def row(self, *arguments, **options):
        self.rows.append(Row(*arguments, **options))

    def end_apps(self):
        for app in self.apps:
            app.end()
        self.apps = []
        self.unlink_queues()

    def unlink_queues(self):
        """What they take counts against a limit that all share."""
        for name in os.listdir('/dev/mqueue'):
            os.unlink(f'/dev/mqueue/{name}')

    def stop_daemons(self):
        for daemon in self.daemons:
            daemon.stop()
        self.daemons, self.basic_daemon = [], None

    def clean_up(self):
        self.end_apps()
        self.stop_daemons()
        shutil.rmtree(self.directory, ignore_errors=True)

    def basic(self):
        """A daemon with one connected plug for each mediation, on the queues /bench-*."""
        if not self.basic_daemon:
            self.basic_daemon = Daemon(self, {'bench.yaml': BASIC_PACKAGE})
            for plug in ('call', 'open', 'reader'):
                slot = 'readable' if plug == 'reader' else 'all'
                self.basic_daemon.mqctl('connect', f'bench:{plug}', f'bench:{slot}')
        return self.basic_daemon

    def has_open_mediation(self):
        """Whether sessions say so of themselves."""
        daemon = self.basic()
        app = daemon.app('bench:open')
        app.tell('attributes 0')
        rows = json.loads(daemon.mqctl('sessions', '--json'))
        app.end()
        self.apps.remove(app)
        return any(row['mediation'] == 'open' for row in rows if row['pid'] == app.pid)

    def tainted_app(self):
        """An app whose session has lost a queue."""
        daemon = self.basic()
        self.side('bare').tell('use /lost 64')
        for slot in ('all', 'lost'):
            daemon.mqctl('connect', 'bench:loser', f'bench:{slot}')
        app = daemon.app('bench:loser')
        app.tell('read-only /lost')
        daemon.mqctl('disconnect', 'bench:loser', 'bench:lost')
        return app

    def side(self, mode, cpu=None):
        """An app that runs in that way."""
        if mode == 'bare':
            return App(self, [], cpu=cpu)
        if mode in ('empty', 'opener', 'filter'):
            return App(self, [self.programs.yardstick, mode], cpu=cpu)
        return self.basic().app(f'bench:{mode}', cpu=cpu)

    def sides(self, *modes):
        return {mode: self.side(mode) for mode in modes if mode != 'open' or
                self.has_open_mediation()}


BASIC_PACKAGE = """\
name: bench
plugs:
  call: posix-mq
  open: {interface: posix-mq, posix-mq: call, mediation: open}
  reader: posix-mq
  loser: {interface: posix-mq, posix-mq: call}
slots:
  all: {interface: posix-mq, posix-mq: call, path-pattern: /bench-*, permissions: [read, write, create, delete]}
  readable: {interface: posix-mq, posix-mq: reader, path-pattern: /bench-*, permissions: [read]}
  lost: {interface: posix-mq, posix-mq: call, path: /lost, permissions: [read]}
"""


def alternate(rounds, measures):
    """measures: name → function that measures once. All of them in each round, one after the other,
    every other round in reverse. Returns name → list."""
    results = {name: [] for name in measures}
    for i in range(rounds):
        for name in reversed(measures) if i % 2 == 1 else measures:
            results[name].append(measures[name]())
    return results


def ratios(results, above, below):
    return [a / b for a, b in zip(results[above], results[below])]


def enter_private_namespaces(script):
    """Starts the whole again with message queues, and limits on them, of its own."""
    if os.environ.get('MQGATE_BENCH_PRIVATE') == '1':
        os.makedirs('/dev/mqueue', exist_ok=True)
        subprocess.run(['umount', '-l', '/dev/mqueue'], capture_output=True, check=False)
        subprocess.run(['mount', '-t', 'mqueue', 'none', '/dev/mqueue'], check=True)
        for name, value in (('queues_max', 10000), ('msg_max', 100), ('msgsize_max', 65536)):
            with open(f'/proc/sys/fs/mqueue/{name}', 'w', encoding='ascii') as f:
                f.write(str(value))
        return
    os.environ['MQGATE_BENCH_PRIVATE'] = '1'
    os.execvp('unshare', ['unshare', '--ipc', '--mount', '--propagation', 'private',
                          sys.executable, script, *sys.argv[1:]])


def end_on_signals():
    for number_ in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number_, lambda *_: sys.exit(1))
