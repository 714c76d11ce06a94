# SPDX-License-Identifier: Apache-2.0
"""Turns samples into medians, ratios, a table in Markdown and a verdict on each target."""

from statistics import median

from measure import BODIES

# scenario, column, reference (None: the value itself), limit, what it says
TARGETS = [
    ("128", "cpu_us", "floor", 1.12, "128 B: CPU per request / floor"),
    ("128", "cpu_us", "nginx", 0.85, "128 B: CPU per request / nginx"),
    ("10k", "cpu_us", "floor", 1.12, "10 KiB: CPU per request / floor"),
    ("10k", "cpu_us", "nginx", 0.85, "10 KiB: CPU per request / nginx"),
    ("1m", "cpu_us", "nginx", 0.70, "1 MiB: CPU per request / nginx"),
    ("idle", "private_bytes", None, 1024, "idle connection: bytes of user memory"),
    ("half", "p99_us", "floor", 1.30, "half load: p99 / floor"),
]


# Share of the proxy's CPU that other work may have had for latencies to mean something.
NOISE_MAX = 0.05


def middle(samples, column):
    """The median of one column, None without samples."""
    values = [sample[column] for sample in samples or [] if column in sample]
    return median(values) if values else None


def ratio(results, name, other, column):
    """Median over the rounds of the ratio within the round, so that slow drift cancels out."""
    pairs = zip(results.get(name, []), results.get(other, []))
    values = [mine[column] / theirs[column] for mine, theirs in pairs if theirs[column] > 0]
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


def load_table(results):
    """Rows of a scenario with load."""
    header = ["system", "CPU us/request", "x floor", "x nginx", "spread", "requests/s", "p50 us",
              "p99 us", "p999 us", "busy", "others"]
    rows = []
    for name, samples in results.items():
        costs = [sample["cpu_us"] for sample in samples]
        spread = (max(costs) - min(costs)) / median(costs)
        rows.append([
            name, show(middle(samples, "cpu_us"), 2),
            show(ratio(results, name, "floor", "cpu_us"), 2),
            show(ratio(results, name, "nginx", "cpu_us"), 2), f"{spread:.0%}",
            show(middle(samples, "rate"), 0), show(middle(samples, "p50_us"), 0),
            show(middle(samples, "p99_us"), 0), show(middle(samples, "p999_us"), 0),
            f"{middle(samples, 'busy'):.0%}", f"{middle(samples, 'foreign'):.0%}"])
    return table(header, rows)


def idle_table(results):
    """Rows of the idle scenario."""
    header = ["system", "connections", "private bytes each", "RSS bytes each", "all processes MiB"]
    return table(header, [
        [name, show(middle(samples, "connections"), 0), show(middle(samples, "private_bytes"), 0),
         show(middle(samples, "rss_bytes"), 0),
         show(middle(samples, "total_private_bytes") / 2**20, 1)]
        for name, samples in results.items()])


def kill_table(results):
    """Rows of the kill scenario."""
    header = ["system", "median ms", "worst ms"]
    return table(header, [
        [name, show(middle(samples, "service_ms"), 1),
         show(max(sample["service_ms"] for sample in samples), 1)]
        for name, samples in results.items()])


def verdicts(data):
    """One entry per target that this run can judge."""
    found = []
    for scenario, column, reference, limit, text in TARGETS:
        results = data["scenarios"].get(scenario, {})
        value = (ratio(results, "adit", reference, column) if reference
                 else middle(results.get("adit"), column))
        if value is not None:
            # Latency is only the proxy's own where nothing else wanted its CPU.
            noise = middle(results["adit"], "foreign") if column == "p99_us" else 0
            found.append({"target": text, "limit": limit, "value": value, "met": value <= limit,
                          "noisy": noise > NOISE_MAX})
    return found


def render(data):
    """The whole report as text."""
    parts = []
    for scenario, results in data["scenarios"].items():
        if scenario == "idle":
            parts.append("### Idle keep-alive connections, each after one answer\n\n"
                         + idle_table(results))
        elif scenario == "kill":
            parts.append("### Time to service after `kill -9` of the worker\n\n"
                         + kill_table(results))
        elif scenario == "half":
            parts.append(f"### 128 B answers at {data['half_rate']:.0f} requests/s for all, "
                         "half of what the floor can do\n\n" + load_table(results))
        else:
            parts.append(f"### {BODIES[scenario][3]}\n\n" + load_table(results))
    if data["verdicts"]:
        rows = [[item["target"], f"<= {item['limit']:g}",
                 show(item["value"], 0 if item["limit"] > 10 else 3),
                 ("met" if item["met"] else "missed") + (", noisy" if item["noisy"] else "")]
                for item in data["verdicts"]]
        parts.append("### Targets\n\n" + table(["target", "wanted", "measured", ""], rows))
    parts.append("### Systems\n\n" + "\n".join(
        f"- {name}: {text}" for name, text in data["systems"].items()))
    return "\n\n".join(parts) + "\n"
