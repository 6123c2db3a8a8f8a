# SPDX-License-Identifier: MIT
"""Draws what was measured as SVG: no library, one function for each picture."""
import math
import os

from figures import MARKS

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 80, 190, 48, 64
# Colour, dashes and marker of each way; they can be told apart without colours, too.
STYLES = {
    'bare': ('#1b7837', '', 'circle', 'bare, unconfined'),
    'open': ('#2166ac', '8 3', 'square', 'mediation: open'),
    'empty': ('#777777', '3 3', 'diamond', 'empty supervisor'),
    'call': ('#b2182b', '', 'triangle', 'mediation: call'),
    'bwrap': ('#777777', '3 3', 'diamond', 'bwrap'),
    'mq-run': ('#b2182b', '', 'triangle', 'mq-run'),
    'mq-run-static': ('#2166ac', '8 3', 'square', 'mq-run-static'),
    'connect': ('#1b7837', '', 'circle', 'mqctl connect'),
    'reload': ('#2166ac', '8 3', 'square', 'mqctl reload'),
    'sessions': ('#b2182b', '', 'triangle', 'sessions'),
}


class Plot:
    """A picture with axes; x and y turn values into points."""

    def __init__(self, title, x_label, y_label, x, y):
        self.x, self.y = x, y
        middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
            f'<title>{title}</title>',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            self.text(middle, 26, title, size=16),
            self.text(middle, HEIGHT - 16, x_label),
            self.text(20, TOP + (HEIGHT - TOP - BOTTOM) / 2, y_label, turned=True)]
        self.legend_y = TOP + 12

    @staticmethod
    def text(x, y, text, anchor='middle', size=13, turned=False):
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ''
        return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                f'fill="#222222"{turn}>{text}</text>')

    @staticmethod
    def line(x1, y1, x2, y2, colour):
        return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                f'stroke="{colour}"/>')

    def grid_x(self, value, text):
        x = self.x(value)
        self.parts += [self.line(x, TOP, x, HEIGHT - BOTTOM, '#dddddd'),
                       self.text(x, HEIGHT - BOTTOM + 18, text)]

    def grid_y(self, value, text):
        y = self.y(value)
        self.parts += [self.line(LEFT, y, WIDTH - RIGHT, y, '#dddddd'),
                       self.text(LEFT - 8, y + 4, text, anchor='end')]

    def marker(self, shape, x, y, colour):
        if shape == 'circle':
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
        corners = {'square': ((-4, -4), (4, -4), (4, 4), (-4, 4)),
                   'diamond': ((0, -5), (5, 0), (0, 5), (-5, 0)),
                   'triangle': ((0, -5), (5, 4), (-5, 4))}[shape]
        points = ' '.join(f'{x + dx:.1f},{y + dy:.1f}' for dx, dy in corners)
        return f'<polygon points="{points}" fill="{colour}"/>'

    def series(self, mode, values):
        colour, dashes, shape, name = STYLES[mode]
        dash = f' stroke-dasharray="{dashes}"' if dashes else ''
        points = [(self.x(a), self.y(b)) for a, b in values]
        path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in points)
        style = f'fill="none" stroke="{colour}" stroke-width="2"{dash}'
        self.parts.append(f'<polyline points="{path}" {style}/>')
        self.parts += [self.marker(shape, x, y, colour) for x, y in points]
        x, y = WIDTH - RIGHT + 16, self.legend_y
        self.parts += [f'<polyline points="{x},{y} {x + 34},{y}" {style}/>',
                       self.marker(shape, x + 17, y, colour),
                       self.text(x + 42, y + 4, name, anchor='start')]
        self.legend_y += 24

    def write(self, file):
        self.parts += [self.line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, '#222222'),
                       self.line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, '#222222'),
                       '</svg>']
        with open(file, 'w', encoding='utf-8') as f:
            f.write('\n'.join(self.parts) + '\n')


def scale(low, high, begin, end, warp):
    """From low…high, warped, to begin…end."""
    first, last = warp(low), warp(high)
    return lambda value: begin + (warp(value) - first) / (last - first) * (end - begin)


def steps(low, high):
    """1, 2, 5, 10, … from below low to above high."""
    decade = 10 ** math.floor(math.log10(low))
    values = []
    while not values or values[-1] < high:
        values += [n * decade for n in (1, 2, 5)]
        decade *= 10
    while len(values) > 2 and values[1] <= low:
        values.pop(0)
    while values[-2] >= high:
        values.pop()
    return values


def in_order(data):
    return [mode for mode in STYLES if mode in data]


def throughput(data, file):
    values = [v for series in data.values() for _, v in series]
    marks = steps(min(values), max(values))
    counts = [n for n, _ in next(iter(data.values()))]
    plot = Plot('Messages in a given time, many sessions at once', 'sessions',
                'times that of one program, unconfined',
                scale(counts[0], counts[-1], LEFT + 10, WIDTH - RIGHT - 10, math.log2),
                scale(marks[0], marks[-1], HEIGHT - BOTTOM, TOP, math.log10))
    for n in counts:
        plot.grid_x(n, str(n))
    for mark in marks:
        plot.grid_y(mark, f'{mark:g}')
    for mode in in_order(data):
        plot.series(mode, data[mode])
    plot.write(file)


def shares(title, unit, data, file):
    """By their share, the rare slow ones drawn apart."""
    shown = [i for i, mark in enumerate(MARKS) if 0.1 <= mark < 1]
    values = [series[i] for series in data.values() for i in shown]
    marks = steps(min(values), max(values))
    plot = Plot(title, 'share that takes at most so long', unit,
                scale(MARKS[shown[0]], MARKS[shown[-1]], LEFT + 10, WIDTH - RIGHT - 10,
                      lambda share: -math.log10(1 - share)),
                scale(marks[0], marks[-1], HEIGHT - BOTTOM, TOP, math.log10))
    for share in (0.5, 0.8, 0.9, 0.95, 0.99, 0.999):
        plot.grid_x(share, f'{100 * share:g} %')
    for mark in marks:
        plot.grid_y(mark, f'{mark:g}')
    for mode in in_order(data):
        plot.series(mode, [(MARKS[i], data[mode][i]) for i in shown])
    plot.write(file)


def growth(data, file):
    """How long for how many."""
    counts = [n for series in data.values() for n, _ in series]
    values = [v for series in data.values() for _, v in series]
    across, up = steps(min(counts), max(counts)), steps(min(values), max(values))
    plot = Plot('Time over number', 'connections, packages, sessions', 'milliseconds',
                scale(across[0], across[-1], LEFT + 10, WIDTH - RIGHT - 10, math.log10),
                scale(up[0], up[-1], HEIGHT - BOTTOM, TOP, math.log10))
    for n in across[::3]:
        plot.grid_x(n, f'{n:,g}')
    for value in up[::3]:
        plot.grid_y(value, f'{value:g}')
    for what in in_order(data):
        plot.series(what, data[what])
    plot.write(file)


def draw(bench, directory):
    os.makedirs(directory, exist_ok=True)

    def place(name):
        return os.path.join(directory, f'performance-{name}.svg')
    if bench.throughputs:
        throughput(bench.throughputs, place('throughput'))
    if bench.distributions:
        shares('Time of mq_send and mq_receive', 'times the median unconfined', bench.distributions, place('latency'))
    if bench.launches:
        shares('Time of a launch of "true"', 'times the median of "true"', bench.launches, place('launch'))
    if bench.growth:
        growth(bench.growth, place('scale'))
