"""What ghz reported, as figures: `overload.py capacity FILE`, `overload.py table DIRECTORY SECONDS LEVEL...`."""

import datetime
import json
import pathlib
import re
import sys

WARM = 10  # seconds at the start of a level that do not count: the queue fills


def report(file):
    return json.loads(pathlib.Path(file).read_text())


def moment(text):
    # Nanoseconds are more than datetime takes.
    match = re.match(r"(.*?\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})$", text)
    whole, part, zone = match.group(1), match.group(2) or ".0", match.group(3).replace("Z", "+00:00")
    return datetime.datetime.fromisoformat(whole + zone).timestamp() + float(part)


def calls(file):
    """Each call as (sent, answered, status), in seconds from the first."""
    found = [(moment(d["timestamp"]), d["latency"] / 1e9, d["status"]) for d in report(file)["details"] or []]
    begin = min(sent for sent, _, _ in found)
    return [(sent - begin, sent - begin + took, status) for sent, took, status in found]


def answered(found, begin, end):
    """The answers a second within that time."""
    return sum(begin <= at < end for _, at, status in found if status == "OK") / (end - begin)


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else float("nan")


def capacity(file):
    found = calls(file)
    # From the first answer on: each covers the time since the one before.
    done = sorted(at for _, at, status in found if status == "OK")
    return (len(done) - 1) / (done[-1] - done[0])


def looks(file):
    took = [d["latency"] / 1e6 for d in report(file)["details"]]
    return percentile(took, 0.5), percentile(took, 0.99)


def table(directory, seconds, levels):
    directory = pathlib.Path(directory)
    head = ["offered", "sent a second", "answered a second", "answered a processor second", "of the best", "refused",
            "late", "p99 of answered, s", "GetDecision p99 idle, then beside, ms", "peak memory, MB", "load"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    rows = []
    for times in levels:
        found = calls(directory / f"{times}.reads")
        status = [status for _, _, status in found]
        used, load = (directory / f"{times}.used").read_text().split()
        by_processor = status.count("OK") / (int(used) / 100)
        good = answered(found, WARM, seconds)
        rows.append((times, len(found) / seconds, good, by_processor, found, status, load))
    best = max(by_processor for _, _, _, by_processor, *_ in rows)
    for times, sent, good, by_processor, found, status, load in rows:
        p99 = percentile([at - sent for sent, at, status in found if status == "OK"], 0.99)
        (_, idle), (_, beside) = looks(directory / f"{times}.idle.looks"), looks(directory / f"{times}.looks")
        memory = int((directory / f"{times}.peak").read_text()) / 1024
        refused, late = status.count("ResourceExhausted"), status.count("DeadlineExceeded")
        other = len(status) - refused - late - status.count("OK")
        extra = f" (+{other} other)" if other else ""
        print(f"| {times}x | {sent:.1f} | {good:.2f} | {by_processor:.2f} | {by_processor / best:.2f} | {refused}{extra} |"
              f" {late} | {p99:.1f} | {idle:.1f}, {beside:.1f} ({beside / idle:.1f}x) | {memory:.0f} | {load} |")


if __name__ == "__main__":
    if sys.argv[1] == "capacity":
        print(f"{capacity(sys.argv[2]):.2f}")
    else:
        table(sys.argv[2], float(sys.argv[3]), sys.argv[4:])
