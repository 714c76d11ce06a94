# SPDX-License-Identifier: Apache-2.0
"""Turns samples into medians, ratios, tables in Markdown and a verdict on each target."""

import re
from statistics import median

from scenarios import SCENARIOS, TARGETS

# Share of the proxy's CPU that other work may have had for latencies and rates to mean something.
NOISE_MAX = 0.05
NOISY = ("p99_us", "rate")
PEERS = ("nginx", "nginx-stream", "haproxy", "h2o", "nghttpx")
# Without all of these nobody knows which is the best. Not all of them can do bare TCP.
MUST_BE_THERE = {"nginx", "haproxy", "h2o", "nghttpx"}
MUST_BE_THERE_TCP = {"nginx", "haproxy"}


def middle(samples, column):
    """The median of one column, None without samples."""
    values = [sample[column] for sample in samples or [] if column in sample]
    return median(values) if values else None


def best_peer(results):
    """The peer that needs least CPU time, None when none was measured."""
    peers = [name for name in PEERS if middle(results.get(name), "cpu_us") is not None]
    return min(peers, key=lambda name: middle(results[name], "cpu_us"), default=None)


def ratio(results, name, other, column):
    """Median over the rounds of the ratio within the round, so that slow drift cancels out."""
    if other == "best":
        other = best_peer(results)
    pairs = zip(results.get(name, []), results.get(other, []))
    values = [mine[column] / theirs[column] for mine, theirs in pairs
              if column in mine and theirs.get(column, 0) > 0]
    return median(values) if values else None


def show(value, digits):
    """A number for the table, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def table(header, rows):
    """A Markdown table with aligned columns, which reads well as plain text too."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells):
        padded = [cell.ljust(width) if i == 0 else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    return "\n".join([line(header), line(rule), *[line(row) for row in rows]])


def failure(samples):
    """Why a system that may fail did; None: it did not."""
    return next((sample["failed"] for sample in samples if "failed" in sample), None)


def mib_per_second(samples, scenario):
    """MiB of body for each second of CPU time; None where bodies are not what matters."""
    cost = middle(samples, "cpu_us")
    return scenario.mib * 1e6 / cost if cost and scenario.mib else None


def load_table(results, scenario):
    """Rows of a scenario with load. In clear, nginx is what is compared with; else the best."""
    rival = scenario.rival or ("nginx" if scenario.mode == "clear" else "best")
    # Name, how a row's cell is made; a column that has nothing in any row is left out.
    columns = [
        (f"CPU us/{scenario.unit}", lambda name, of: show(middle(of, "cpu_us"), 2)),
        ("x floor", lambda name, of: show(ratio(results, name, "floor", "cpu_us"), 2)),
        (f"x {rival}", lambda name, of: show(ratio(results, name, rival, "cpu_us"), 2)),
        ("MiB/CPU s", lambda name, of: show(mib_per_second(of, scenario), 0)),
        ("spread", lambda name, of: f"{spread(of):.0%}"),
        (f"{scenario.unit}s/s", lambda name, of: show(middle(of, "rate"), 0)),
        ("p50 us", lambda name, of: show(middle(of, "p50_us"), 0)),
        ("p99 us", lambda name, of: show(middle(of, "p99_us"), 0)),
        ("p999 us", lambda name, of: show(middle(of, "p999_us"), 0)),
        ("busy", lambda name, of: f"{middle(of, 'busy'):.0%}"),
        ("others", lambda name, of: f"{middle(of, 'foreign'):.0%}"),
    ]
    cells = [["-" if failure(of) else make(name, of) for name, of in results.items()]
             for _, make in columns]
    kept = [i for i, column in enumerate(cells) if any(cell != "-" for cell in column)]
    rows = [[name, *[cells[i][row] for i in kept]] for row, name in enumerate(results)]
    for row in rows:
        if failure(results[row[0]]):
            row[1] = "fails"
    lines = [f"{name} fails: {failure(of)}." for name, of in results.items() if failure(of)]
    return "\n\n".join([table(["system", *[columns[i][0] for i in kept]], rows), *lines])


def spread(samples):
    """The range of the costs over their median."""
    costs = [sample["cpu_us"] for sample in samples]
    return (max(costs) - min(costs)) / median(costs)


def idle_table(results, scenario):
    """Rows of an idle scenario."""
    header = ["system", "connections", "private bytes each", "RSS bytes each", "all processes MiB"]
    rows = [[name, show(middle(of, "connections"), 0), show(middle(of, "private_bytes"), 0),
             show(middle(of, "rss_bytes"), 0), show(middle(of, "total_private_bytes") / 2**20, 1)]
            for name, of in results.items()]
    if scenario.mode == "tls":
        header.append("without OpenSSL's")
        for row in rows:
            row.append(show(middle(results[row[0]], "own_bytes"), 0))
    return table(header, rows)


def agents_table(results):
    """Rows of the scenario of idle tunnels."""
    columns = [("tunnels", "connections", 0), ("private bytes each", "private_bytes", 0),
               ("without OpenSSL's", "own_bytes", 0), ("RSS bytes each", "rss_bytes", 0),
               ("CPU ms/s", "idle_ms", 1), ("PINGs/s", "pings", 0), ("others", "foreign", 2),
               ("handshakes/s", "open_rate", 0), ("back within ms", "window_ms", 0),
               ("back p50 ms", "back_p50_ms", 0), ("all back ms", "back_max_ms", 0),
               ("refused", "refused", 0)]
    return table(["agents of", *[title for title, _, _ in columns]],
                 [[name, *[show(middle(of, column), digits) for _, column, digits in columns]]
                  for name, of in results.items()])


def kill_table(results):
    """Rows of the kill scenario."""
    header = ["system", "median ms", "worst ms"]
    return table(header, [
        [name, show(middle(of, "service_ms"), 1),
         show(max(sample["service_ms"] for sample in of), 1)] for name, of in results.items()])


def verdicts(data):
    """One entry per target that this run can judge."""
    found = []
    for target in TARGETS:
        results = data["scenarios"].get(target.scenario, {})
        tcp = SCENARIOS[target.scenario].mode == "tcp"
        needed = MUST_BE_THERE_TCP if tcp else MUST_BE_THERE
        if target.reference == "one server":
            value = ratio(results, "adit-four", "adit", target.column)
        else:
            value = (ratio(results, target.system, target.reference, target.column)
                     if target.reference else middle(results.get(target.system), target.column))
        if value is None or (target.reference == "best" and not needed <= results.keys()):
            continue
        if target.at_least and target.column != "rate":  # of a cost: how many times less
            value = 1 / value
        # Latency and rate are only the proxy's own where nothing else wanted its CPU.
        noise = middle(results[target.system], "foreign") if target.column in NOISY else 0
        text = target.text
        if target.reference == "best":
            text += f" ({best_peer(results)})"
        met = value >= target.limit if target.at_least else value <= target.limit
        found.append({"target": text, "limit": target.limit, "value": value, "met": met,
                      "at_least": target.at_least, "noisy": noise > NOISE_MAX})
    return found


def sections(data):
    """The report's parts by their headings, in order."""
    parts = {}
    for name, results in data["scenarios"].items():
        scenario = SCENARIOS[name]
        if scenario.kind == "idle":
            text = idle_table(results, scenario)
        elif scenario.kind == "agents":
            text = agents_table(results)
        elif scenario.kind == "kill":
            text = kill_table(results)
        else:
            text = load_table(results, scenario)
        rounds = min(data["rounds"], scenario.rounds_max)
        note = f"{data['date'][:10]}, {rounds} rounds"
        note += f" of {data['seconds']:g} s" if scenario.kind in ("load", "half") else ""
        if name in data.get("rates", {}):
            note += f", at {data['rates'][name]:.0f} requests/s"
        parts[scenario.title] = text + f"\n\n{note}."
    if data["verdicts"]:
        parts["Targets"] = targets_table([
            [item["target"], f"{'>=' if item['at_least'] else '<='} {item['limit']:g}",
             show(item["value"], 0 if item["limit"] > 10 else 3),
             ("met" if item["met"] else "missed") + (", noisy" if item["noisy"] else "")]
            for item in data["verdicts"]])
    parts["Systems"] = "\n".join(f"- {name}: {text}" for name, text in data["systems"].items())
    return parts


def targets_table(rows):
    """The table of verdicts."""
    return table(["target", "wanted", "measured", "verdict"], rows)


def render(data):
    """The whole report as text."""
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in sections(data).items()) + "\n"


def target_key(row):
    """What a verdict is about, whichever peer was the best."""
    return re.sub(r" \(.*\)$", "", row[0])


def merged(title, old, new):
    """A section of an earlier report with what a later run knows; tables of one run are replaced."""
    if title == "Targets":
        rows = {}
        for line in [*old.splitlines(), *new.splitlines()]:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) == 4 and cells[0] != "target" and not cells[0].startswith("-"):
                rows[target_key(cells)] = cells
        order = [target.text for target in TARGETS]
        return targets_table(sorted((row for key, row in rows.items() if key in order),
                                    key=lambda row: order.index(target_key(row))))
    if title == "Systems":
        lines = {line.partition(":")[0]: line for line in [*old.splitlines(), *new.splitlines()]}
        return "\n".join(lines.values())
    return new


def update(text, data):
    """RESULTS.md with this run's tables in the place of older ones, its prose as it was."""
    start, stop = text.find("### "), text.find("\n## ")
    stop = len(text) if stop < 0 else stop + 1
    start = stop if start < 0 or start > stop else start
    old = {}
    for part in re.split(r"^### ", text[start:stop], flags=re.M)[1:]:
        title, _, body = part.partition("\n")
        old[title.strip()] = body.strip()
    new = sections(data)
    order = [*[scenario.title for scenario in SCENARIOS.values()], "Targets", "Systems"]
    parts = [f"### {title}\n\n" + (merged(title, old.get(title, ""), new[title])
                                   if title in new else old[title])
             for title in order if title in new or title in old]
    return text[:start] + "\n\n".join(parts) + "\n" + ("\n" if stop < len(text) else "") + text[stop:]
