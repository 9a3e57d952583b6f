"""The figures guard tells Prometheus: every family that there is, and their text.

A family that has no figure is left out: what was not read yet is absent, never 0. Names carry their units. Labels that
name things (a schedule, an SR, ...) are bounded: beyond so many series the rest is put together under the name ``other``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from guard.meter import BOUNDS_S, OTHER, Timing
from guard.views.text import clean

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of Prometheus' text format, which every version of it reads."""
MOST_CHARACTERS = 128  # of a label's value: names come from XO, where anybody may write them
DROPPED = "guard_metrics_dropped_series"
Value = float | Timing
Sample = tuple[tuple[str, ...], Value]
"""The values of a family's labels, in their order, and the figure."""
Figures = Mapping[str, Sequence[Sample]]
"""By the name of the family."""


class Kind(StrEnum):
    """Prometheus' kinds of families."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Rest(StrEnum):
    """What stands for the series that are too many: their sum, or the least of them."""

    SUM = "sum"
    LEAST = "least"


@dataclass(frozen=True)
class Family:
    """``things``: how many of the labels, from the first one on, name a thing."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    things: int = 0
    kind: Kind = Kind.GAUGE
    rest: Rest = Rest.SUM


_SCHEDULE = ("schedule_id", "schedule")
_SR = ("sr_id", "sr")
_REPOSITORY = ("repository_id", "repository")

FAMILIES: tuple[Family, ...] = (
    # guard itself
    Family("guard_build_info", "1, with the version of guard that runs.", ("version",)),
    Family("guard_loop_last_look_timestamp_seconds", "When guard's last look was over, well or badly."),
    Family(
        "guard_loop_looks_total",
        "Looks since guard started: read, unread (XO could not be read), unrecorded (the ledger failed).",
        ("result",),
        kind=Kind.COUNTER,
    ),
    Family("guard_loop_look_duration_seconds", "How long looks took.", kind=Kind.HISTOGRAM),
    Family("guard_loop_wake_timestamp_seconds", "Before then nothing is expected to happen."),
    Family("guard_policy_reload_success_timestamp_seconds", "When the policy in force was read."),
    Family("guard_ledger_size_bytes", "Size of the ledger's files."),
    Family("guard_ledger_writable", "1 while the ledger takes writes, else 0."),
    Family("guard_ledger_ballast_held", "1 while the ledger's reserve of disk space is there, else 0."),
    Family(
        DROPPED,
        "Series that were put together under the name other ([metrics] most_series).",
        ("family",),
    ),
    # XO
    Family("guard_xo_info", "1, with XO's version, and whether guard was tested with it.", ("version", "tested")),
    Family("guard_xo_readable", "1 when the last look could read XO, else 0."),
    Family("guard_xo_unread_since_timestamp_seconds", "Since when XO cannot be read; absent while it can."),
    Family(
        "guard_estate_read_timestamp_seconds",
        "When XO was read whole the last time: the age of the figures about SRs, repositories and VMs.",
    ),
    Family(
        "guard_call_duration_seconds",
        "How long XO and the pools took to answer, by way (rest, rpc, xapi) and operation; errors and retries included.",
        ("way", "operation"),
        kind=Kind.HISTOGRAM,
    ),
    Family(
        "guard_call_errors_total",
        "Calls that failed, by party at fault (XO, pool) and kind.",
        ("party", "kind"),
        kind=Kind.COUNTER,
    ),
    Family(
        "guard_xo_writes_total",
        "Calls sent to XO that change something there or have it run something, by JSON-RPC method.",
        ("method",),
        kind=Kind.COUNTER,
    ),
    Family("guard_xo_token_expiry_timestamp_seconds", "When XO's token expires."),
    # schedules
    Family(
        "guard_schedule_enabled",
        "1 for a schedule that is enabled in XO, one that guard itself has claimed included; else 0.",
        _SCHEDULE,
        things=2,
    ),
    Family(
        "guard_schedule_next_due_timestamp_seconds",
        "When XO fires a schedule next.",
        _SCHEDULE,
        things=2,
        rest=Rest.LEAST,
    ),
    Family(
        "guard_schedule_verdict",
        "1 for the verdict of a schedule's newest prediction, 0 for the others.",
        (*_SCHEDULE, "verdict"),
        things=2,
    ),
    Family(
        "guard_schedule_prediction_timestamp_seconds",
        "When a schedule's newest prediction was made.",
        _SCHEDULE,
        things=2,
        rest=Rest.LEAST,
    ),
    Family(
        "guard_schedule_last_good_timestamp_seconds",
        "When a schedule's last run that went well for all its VMs began.",
        _SCHEDULE,
        things=2,
        rest=Rest.LEAST,
    ),
    Family("guard_runs_running", "Runs of backup jobs that go on."),
    Family("guard_schedules_unwatched", "Reasons for which due times or predictions are missing (see guard status)."),
    Family(
        "guard_alarms",
        "Alarms that stand, by code and schedule.",
        (*_SCHEDULE, "code"),
        things=2,
    ),
    Family("guard_due_times", "Due times whose story ended within the last 24 hours, by final state.", ("end",)),
    Family(
        "guard_predictions",
        "Predictions against outcomes of the last 30 days, by code and result (hit, miss, false_alarm, wrong_cause).",
        ("code", "result"),
    ),
    # what guard holds
    Family("guard_deferrals", "Due runs that wait, in whole or in part, by the code they wait for.", ("code",)),
    Family(
        "guard_held_vms",
        "VMs that the newest predictions of open due runs hold, by code and gate (enforce: guard acts on it).",
        ("code", "gate"),
    ),
    Family("guard_claims", "Schedules that guard may have switched off in XO at this moment."),
    Family("guard_fallbacks", "Fallbacks of guard's that are in XO, by the ledger."),
    Family("guard_brakes", "Holds and bypasses that stand.", ("kind",)),
    # VMs
    Family("guard_stalest_vm_age_seconds", "Age of the last good backup of the VM whose last one is the oldest."),
    Family("guard_stalest_vm_info", "1, with that VM.", ("vm_id", "vm")),
    # storage
    Family("guard_sr_size_bytes", "Size of an SR that backups read from or write to.", _SR, things=2),
    Family("guard_sr_free_bytes", "Room left on it, as of its last scan.", _SR, things=2),
    Family("guard_sr_headroom_ratio", "The part of it that is free, from 0 to 1.", _SR, things=2, rest=Rest.LEAST),
    Family("guard_sr_coalesce_backlog_vdis", "VDIs on it that wait to be merged with their parent.", _SR, things=2),
    Family("guard_sr_coalesce_backlog_bytes", "The bytes of these.", _SR, things=2),
    Family(
        "guard_sr_coalesce_oldest_timestamp_seconds",
        "Since when the VDI has waited that waits longest.",
        _SR,
        things=2,
        rest=Rest.LEAST,
    ),
    Family("guard_repository_size_bytes", "Size of a backup repository.", _REPOSITORY, things=2),
    Family("guard_repository_free_bytes", "Room left on it.", _REPOSITORY, things=2),
    Family(
        "guard_repository_until_full_seconds",
        "How long until it is full at the pace of its last runs; absent where nothing tells.",
        _REPOSITORY,
        things=2,
        rest=Rest.LEAST,
    ),
    # notifications
    Family("guard_notify_sent_total", "Messages a channel took.", ("channel",), kind=Kind.COUNTER),
    Family("guard_notify_failed_total", "Tries it did not take.", ("channel",), kind=Kind.COUNTER),
    Family("guard_notify_dropped_total", "Messages given up.", ("channel",), kind=Kind.COUNTER),
    Family("guard_notify_waiting", "Messages that wait; under digest those for the next digest.", ("channel",)),
    Family(
        "guard_notify_failing_since_timestamp_seconds",
        "Since when nothing gets through; absent while it does.",
        ("channel",),
    ),
)


def exposition(figures: Figures, most: int) -> bytes:
    """The text of /metrics. ``most``: series of one family, a histogram counted as one; the rest is put together."""
    from prometheus_client import CollectorRegistry, generate_latest  # takes longer to import than most commands last
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector

    kinds = {Kind.GAUGE: GaugeMetricFamily, Kind.COUNTER: CounterMetricFamily}

    class Once(Collector):
        """A registry of its own for one text: nothing is kept between two of them."""

        def collect(self) -> Iterator[Metric]:
            for family, samples in bounded(figures, most):
                if family.kind is Kind.HISTOGRAM:
                    histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
                    for labels, timing in samples:
                        histogram.add_metric(labels, buckets=_buckets(timing), sum_value=_sum(timing))
                    yield histogram
                    continue
                made = kinds[family.kind](family.name, family.help, labels=family.labels)
                for labels, value in samples:
                    made.add_metric(labels, _sum(value))
                yield made

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)


def bounded(figures: Figures, most: int) -> Iterator[tuple[Family, Sequence[Sample]]]:
    """Every family that has figures, its labels made harmless, with ``most`` series at most; last how many were too many."""
    dropped: list[Sample] = []
    for family in FAMILIES:
        samples = figures.get(family.name, ())
        if not samples or family.name == DROPPED:
            continue
        found = _distinct(family, [(tuple(map(_label, labels)), value) for labels, value in samples])
        kept, rest = _cut(family, found, most)
        dropped.append(((family.name,), float(rest)))
        yield family, kept
    yield next(one for one in FAMILIES if one.name == DROPPED), dropped


def _label(value: str) -> str:
    text = clean(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."


def _distinct(family: Family, samples: Sequence[Sample]) -> list[Sample]:
    """In the order of their labels. Two series with the same labels would make Prometheus refuse the whole text."""
    found: dict[tuple[str, ...], Value] = {}
    for labels, value in samples:
        found[labels] = _joined(family, found[labels], value) if labels in found else value
    return sorted(found.items(), key=lambda one: one[0])


def _cut(family: Family, samples: Sequence[Sample], most: int) -> tuple[Sequence[Sample], int]:
    """As many whole things as there is room for, always the same ones; in the rest what names a thing becomes ``other``.

    Returns how many series went into the rest, too.
    """
    if len(samples) <= most:
        return samples, 0
    things = family.things or len(family.labels)
    room = max(0, most - len({labels[things:] for labels, _ in samples}))
    while room and samples[room - 1][0][:things] == samples[room][0][:things]:
        room -= 1
    rest = [((OTHER,) * things + labels[things:], value) for labels, value in samples[room:]]
    return [*samples[:room], *_distinct(family, rest)], len(rest)


def _joined(family: Family, one: Value, other: Value) -> Value:
    if isinstance(one, Timing) or isinstance(other, Timing):
        return one  # the meter joins its own: its operations are bounded already
    return one + other if family.rest is Rest.SUM else min(one, other)


def _sum(value: Value) -> float:
    return value.sum_s if isinstance(value, Timing) else float(value)


def _buckets(value: Value) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus wants them."""
    counts = value.counts if isinstance(value, Timing) else ()
    names = [*map(str, BOUNDS_S), "+Inf"]
    return list(zip(names, accumulate(map(float, counts)), strict=True))


def reference() -> str:
    """The families as a Markdown table, for docs/metrics.md."""
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
        for one in FAMILIES
    ]
    return "\n".join(["| name | kind | labels | what |", "|---|---|---|---|", *rows]) + "\n"
