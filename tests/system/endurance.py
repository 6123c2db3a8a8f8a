#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""endurance.py DIRECTORY: judges what witnesses (tests/apps/witness.c) have testified, of each queue in a folder of its own:

    send.ID, receive.ID   their lines; ID says in which order those of one kind came, and is in messages
    spans                 of a queue whose senders or receivers (first line, with the mediation) get and lose it: TIME MARK lines.
                          MARK is "giving", "given", "taking" or "taken"; between "taken" and "giving" they surely have nothing,
                          between "given" and "taking" everything

Each complaint is a line on standard output that begins with the queue, and what was seen one with "#". EIO is left to the log.
"""
import bisect
import os
import re
import sys

TOLD_MAX = 5  # complaints of one kind about one queue
NUDGE = 0  # whose messages wake up who is to end
LONG = 3000000  # microseconds in which whoever has lost a queue notices
ENDLESS = float("inf")

NOBODY = "", "call", [], [(0, ENDLESS)]  # is watched: who may all the time


class Witness:
    def __init__(self, path, number):
        self.id, self.calls, self.ended = number, [], False
        with open(path, encoding="ascii") as file:
            for line in file:
                words = line.split()
                if words == ["end"]:
                    self.ended = True
                elif len(words) == 7:
                    begin, end, call, sender, number, since, result = words
                    self.calls.append((int(begin), int(end), call, int(sender), int(number), int(since), result))

    def results(self, call, result):
        return [one for one in self.calls if one[2] == call and one[6] == result]


def witnesses(directory, call):
    numbers = sorted(int(name.split(".")[1]) for name in os.listdir(directory) if re.fullmatch(call + r"\.\d+", name))
    return [Witness(os.path.join(directory, f"{call}.{number}"), number) for number in numbers]


def spans(path):
    """Who is watched, under which mediation, and the spans without and with the queue."""
    with open(path, encoding="ascii") as file:
        who = file.readline().split()
        marks = [(int(time), mark) for time, mark in (line.split() for line in file)]
    ends = [time for time, _ in marks[1:]] + [ENDLESS]
    found = {"taken": [], "given": []}
    for (time, mark), end in zip(marks, ends):
        if mark in found:
            found[mark].append((time, end))
    return *who, found["taken"], found["given"]


def within(begin, end, ordered):
    at = bisect.bisect_right(ordered, (begin, ENDLESS)) - 1
    return at >= 0 and ordered[at][0] <= begin and end <= ordered[at][1]


class Queue:
    def __init__(self, directory):
        self.name, self.told = os.path.basename(directory), {}
        self.senders, self.receivers = witnesses(directory, "send"), witnesses(directory, "receive")
        path = os.path.join(directory, "spans")
        self.watched, self.mediation, self.without, self.with_ = spans(path) if os.path.exists(path) else NOBODY

    def complain(self, kind, text):
        self.told[kind] = self.told.get(kind, 0) + 1
        if self.told[kind] <= TOLD_MAX:
            print(f"{self.name}: {kind}: {text}")

    def judge_calls(self, call):
        """Each call alone: who may, must; who may not, must not; and what never happens."""
        for witness in self.senders if call == "send" else self.receivers:
            for begin, end, what, sender, number, since, result in witness.calls:
                text = f"{call}.{witness.id}: {what} {sender}.{number} from {begin} to {end}: {result}"
                # Whoever received what was sent later has received it later, which under open mediation it may.
                if what == "receive" and result == "0" and self.mediation == "call":
                    begin = max(begin, since)
                if result not in ("0", "ETIMEDOUT", "EACCES", "EIO"):
                    self.complain("an error that never happens", text)
                if result == "EACCES" and (call != self.watched or within(begin, end, self.with_)):
                    self.complain("wrongly refused", text)
                if result in ("0", "ETIMEDOUT") and call == self.watched and within(begin, end, self.without):
                    self.complain("wrongly allowed", text)

    def judge_sender(self, sender, received):
        """received: (receiver, number) in the order in which they came."""
        sent = {one[4] for one in sender.results("send", "0")}
        doubtful = {one[4] for one in sender.results("send", "EIO")}
        last = max(sent | doubtful, default=0)
        known = sent | doubtful | (set() if sender.ended else {last + 1})
        before, by = 0, None
        for receiver, number in received:
            if number <= before:
                self.complain("doubled or out of order", f"{sender.id}.{number} came to receive.{receiver.id} after {before}")
            elif number not in known:
                self.complain("not sent, and arrived", f"{sender.id}.{number} came to receive.{receiver.id}")
            self.judge_gap(sender, [one for one in range(before + 1, number) if one in sent], by, receiver)
            before, by = max(before, number), receiver
        self.judge_gap(sender, [one for one in range(before + 1, last + 1) if one in sent], by, None)

    def judge_gap(self, sender, missing, receiver, following):
        """A receiver that was killed may have taken one with it, and so may one whose answer was EIO."""
        if not missing:
            return
        first, last = (receiver or self.receivers[0]).id, (following or self.receivers[-1]).id
        between = [one for one in self.receivers if first <= one.id <= last]
        may_have = sum(not one.ended for one in between if one.id < last or not following) + sum(
            len(one.results("receive", "EIO")) for one in between
        )
        if len(missing) > may_have:
            self.complain("lost", f"{sender.id}.{missing} between receive.{first} and receive.{last}")

    def judge(self):
        self.judge_calls("send")
        self.judge_calls("receive")
        received = {sender.id: [] for sender in self.senders}
        for receiver in self.receivers:
            for one in receiver.results("receive", "0"):
                received.setdefault(one[3], []).append((receiver, one[4]))
        for sender in self.senders:
            self.judge_sender(sender, received.pop(sender.id))
        for sender in set(received) - {NUDGE}:
            self.complain("of nobody", f"messages of {sender}")
        self.tell()

    def count(self, *results):
        return sum(one[6] in results for witness in self.senders + self.receivers for one in witness.calls)

    def time_without(self):
        return sum(end - begin for begin, end in self.without)

    def tell(self):
        arrived = sum(len(one.results("receive", "0")) for one in self.receivers)
        if arrived == 0:
            self.complain("nothing", "no message has arrived")
        if self.time_without() > LONG and self.count("EACCES") == 0:
            self.complain("nothing", "nobody was refused")
        longest = max(
            (one[1] - one[0] for witness in self.senders + self.receivers for one in witness.calls if one[2] == "open"), default=0
        )
        print(
            f"# {self.name}: {arrived} messages of {len(self.senders)} senders to {len(self.receivers)} receivers, "
            f"{self.count('EACCES')} refused, {self.count('EIO')} in doubt, longest open {longest / 1e6:.1f} s"
        )


def main():
    for name in sorted(os.listdir(sys.argv[1])):
        Queue(os.path.join(sys.argv[1], name)).judge()


if __name__ == "__main__":
    main()
