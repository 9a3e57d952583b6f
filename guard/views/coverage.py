"""The coverage for people: 80 columns. Long lists are cut and say so; the document has them whole."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import TypeVar

from guard.coverage.attempts import Attempt, Attempts, key_of
from guard.coverage.collisions import Collision, Crowd, Shared
from guard.coverage.report import Coverage
from guard.coverage.repositories import Filling, RepositoryFilling
from guard.coverage.stagger import Effect, Suggestion
from guard.coverage.stale import Age, StaleVm
from guard.units import format_bytes, format_duration, format_time, plural, some_of
from guard.views.text import wrap

MOST_NAMES = 5
MOST_GROUPS = 20
MOST_ATTEMPTS = 4
_ALL = "--json lists all"
_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)


def coverage_text(coverage: Coverage, *, took_s: float, origin: str = "") -> str:
    """All sections, with a newline at the end. ``origin``: where it is from, if not from XO just now."""
    sections = [
        [*(wrap(origin, "  ", first="") if origin else []), *_head(coverage)],
        _uncovered(coverage),
        _stale(coverage),
        _unknown(coverage),
        _collisions(coverage),
        _crowds(coverage),
        _suggestions(coverage),
        _repositories(coverage),
        _notes(coverage),
        _age(coverage, took_s),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _head(coverage: Coverage) -> list[str]:
    told, xo = coverage.gaps, coverage.estate.xo
    lines = wrap(f"XO {xo.version} at {xo.url}", "  ", first="")
    if told.why_unknown:
        return lines + wrap(f"Which VMs are covered is unknown: {told.why_unknown}.", "  ", first="")
    counts = f"{plural(told.vms, 'VM')}: {told.covered} in an enabled schedule, {len(told.uncovered)} in none"
    counts += f", {len(told.on_purpose)} left out on purpose" if told.on_purpose else ""
    counts += f"; beside {plural(told.replicas, 'replica')} that backup jobs made" if told.replicas else ""
    return lines + wrap(f"{counts}.", "  ", first="") + _away(coverage) + _longest(coverage)


def _away(coverage: Coverage) -> list[str]:
    names = [one.name for one in coverage.gaps.away]
    if not names:
        return []
    return wrap(f"Not counted: the VMs behind {_names(names)}, to which XO is not connected.", "  ", first="")


def _longest(coverage: Coverage) -> list[str]:
    one = coverage.stalest
    if one is None:
        return []
    told = f"since {_when(coverage, one.last_good)}" if one.last_good is not None else f"none {_reach(coverage)}"
    return wrap(f"Longest without a good backup: {one.name}, {told}.", "  ", first="")


def _uncovered(coverage: Coverage) -> list[str]:
    told = coverage.gaps
    lines: list[str] = []
    if told.uncovered:
        size = _sizes(one.disk_bytes for one in told.uncovered)
        lines += wrap(f"In no enabled schedule: {plural(len(told.uncovered), 'VM')}, {size}", "  ", first="")
        groups = _grouped(told.uncovered, lambda one: (_pool(coverage, one.pool), one.reason))
        for (pool, reason), own in groups[:MOST_GROUPS]:
            lines += wrap(
                f"{pool}: {plural(len(own), 'VM')}, {_sizes(one.disk_bytes for one in own)}: {reason}",
                "      ",
                first="  ",
            )
            lines += wrap(_names([one.name for one in own]), "      ")
        lines += _cut(groups)
    if told.on_purpose:
        lines.append("Left out on purpose:")
        for tag, meant in _grouped(told.on_purpose, lambda one: one.tag):
            size = _sizes(one.disk_bytes for one in meant)
            text = f"tag {tag}: {plural(len(meant), 'VM')}, {size}: {_names([one.name for one in meant])}"
            lines += wrap(text, "      ", first="  ")
    return lines


def _stale(coverage: Coverage) -> list[str]:
    if not coverage.stale:
        return []
    lines = [f"No good backup for too long: {_count(coverage.stale)}"]
    groups = _alike(coverage, coverage.stale)
    for _, own in groups[:MOST_GROUPS]:
        lines += wrap(f"{_names([one.name for one in own])}: {_since(coverage, own[0])}", "      ", first="  ")
        lines += _limit(own[0])
        lines += _attempts(coverage, coverage.attempts[key_of(own[0])])
    codes = {code for one in coverage.stale for tried in coverage.attempts[key_of(one)].newest for code in tried.codes}
    return lines + _cut(groups) + (["  guard explain CODE tells what to do."] if codes else [])


def _unknown(coverage: Coverage) -> list[str]:
    if not coverage.unknown:
        return []
    lines = [f"Unknown whether the last good backup is too old: {_count(coverage.unknown)}"]
    groups = _alike(coverage, coverage.unknown)
    for _, own in groups[:MOST_GROUPS]:
        first = own[0]
        told = (
            f"last good one {_when(coverage, first.last_good)}"
            if first.last_good
            else f"no good one {_reach(coverage)}"
        )
        where = f" on {first.target.name}" if first.target is not None else ""
        text = f"{_names([one.name for one in own])}: {told}{where}; {first.why_unknown}"
        lines += wrap(text, "      ", first="  ")
        lines += _limit(first)
        lines += _attempts(coverage, coverage.attempts[key_of(first)])
    return lines + _cut(groups)


def _count(stale: Sequence[StaleVm]) -> str:
    return plural(len({one.vm for one in stale}), "VM")


def _alike(coverage: Coverage, stale: Sequence[StaleVm]) -> list[tuple[Hashable, list[StaleVm]]]:
    """VMs that fare alike: the same age, limit and schedules, and the same came of each try."""
    return _grouped(
        stale,
        lambda one: (
            one.age,
            one.last_good,
            one.limit,
            one.schedules,
            one.target,
            coverage.attempts[key_of(one)].newest,
        ),
    )


def _since(coverage: Coverage, stale: StaleVm) -> str:
    where = f" on {stale.target.name}, although there is one elsewhere" if stale.target is not None else ""
    if stale.age is Age.NONE_IN_LOGS or stale.last_good is None:
        return f"no good backup{where} {_reach(coverage)}"
    return f"last good backup {_when(coverage, stale.last_good)}{where}"


def _when(coverage: Coverage, moment: datetime) -> str:
    age = format_duration((coverage.now - moment).total_seconds())
    return f"{format_time(moment, coverage.zone)}, {age} ago"


def _reach(coverage: Coverage) -> str:
    if coverage.reach_s is None:
        return "that guard knows of"
    return f"within the {format_duration(coverage.reach_s)} of logs that XO has"


def _limit(stale: StaleVm) -> list[str]:
    if stale.limit is None:
        return []
    return wrap(f"limit {format_duration(stale.limit.age.total_seconds())} ({stale.limit.source})", "      ")


def _attempts(coverage: Coverage, tries: Attempts) -> list[str]:
    """The tries since; those that ended alike, one after another, in one line."""
    if not tries.count:
        return wrap("no run of its schedules since, as far as the logs tell", "      ")
    runs = [list(own) for _, own in groupby(tries.newest, key=lambda one: (one.schedule, one.status, one.codes))]
    lines = [line for own in runs[:MOST_ATTEMPTS] for line in wrap(_tries(coverage, own), "        ", first="      ")]
    shown = sum(len(own) for own in runs[:MOST_ATTEMPTS])
    if tries.count > shown:
        lines += wrap(
            f"and {plural(tries.count - shown, 'try', 'tries')} before: {_ALL[:6]} lists the newest", "      "
        )
    return lines


def _tries(coverage: Coverage, alike: Sequence[Attempt]) -> str:
    last = alike[0]
    schedule = coverage.estate.schedule_by_id.get(last.schedule)
    name = schedule.name if schedule is not None else "a schedule that is gone"
    when = format_time(last.at, coverage.zone)
    if len(alike) > 1:
        when = f"{len(alike)} times from {format_time(alike[-1].at, coverage.zone)} to {when}"
    codes = f" {', '.join(last.codes)}" if last.codes else ""
    return f"{when}, {name}: {last.status}{codes}: {last.reason}"


def _collisions(coverage: Coverage) -> list[str]:
    if not coverage.collisions:
        return ["No schedules collide in the coming 7 days, as far as their past tells."]
    times = sum(one.times for one in coverage.collisions)
    lines = wrap(
        f"Schedules that collide in the coming 7 days: {plural(len(coverage.collisions), 'pair')}, {plural(times, 'time')}",
        "  ",
        first="",
    )
    for one in coverage.collisions[:MOST_GROUPS]:
        lines += wrap(_collision(coverage, one), "      ", first="  ")
    if len(coverage.collisions) > MOST_GROUPS:
        lines.append(f"  and {len(coverage.collisions) - MOST_GROUPS} more pairs: {_ALL}")
    return lines


def _collision(coverage: Coverage, one: Collision) -> str:
    first = f"{plural(one.times, 'time')}, first {format_time(one.first, coverage.zone)}"
    longest = format_duration(one.longest_s)
    if one.one == one.other:
        return f"{_schedule(coverage, one.one)}: due again up to {longest} before its run has ended: {first}; XO refuses it"
    pair = f"{_schedule(coverage, one.one)} and {_schedule(coverage, one.other)}"
    meet = "start in the same minute" if one.same_minute else f"overlap by up to {longest}"
    if one.shared is Shared.JOB:
        return f"{pair} {meet}: {first}; they are of the same job, so XO refuses the second"
    return f"{pair} {meet} with {plural(one.vms, 'VM')} in both: {first}"


def _suggestions(coverage: Coverage) -> list[str]:
    told = coverage.stagger
    lines: list[str] = []
    if told.suggestions:
        lines.append("Suggested; guard never changes a schedule, set it in XO:")
    for one in told.suggestions[:MOST_GROUPS]:
        lines += _suggestion(coverage, one)
    if len(told.suggestions) > MOST_GROUPS:
        lines.append(f"  and {len(told.suggestions) - MOST_GROUPS} more: {_ALL}")
    if len(told.suggestions) > 1:
        lines += wrap(f"All together: {_effect(coverage, told.before, told.after)}.", "      ", first="  ")
    for stuck in told.no_slot[:MOST_GROUPS]:
        names = " and ".join(_schedule(coverage, schedule) for schedule in stuck.schedules)
        about = f"{names} on {stuck.place}" if stuck.place else names
        lines += wrap(f"No other time for {about}: {stuck.reason}", "      ", first="  ")
    if len(told.no_slot) > MOST_GROUPS:
        lines.append(f"  and no other time for {len(told.no_slot) - MOST_GROUPS} more: {_ALL}")
    if told.left:
        lines += wrap(f"{plural(told.left, 'pair')} not looked at: look again when these are set", "      ", first="  ")
    return lines


def _suggestion(coverage: Coverage, one: Suggestion) -> list[str]:
    by = f"{format_duration(abs(one.minutes) * 60)} {'later' if one.minutes > 0 else 'earlier'}"
    lines = wrap(
        f"{_schedule(coverage, one.schedule)}: {one.suggested!r} instead of {one.cron!r} ({one.zone}), {by}",
        "      ",
        first="  ",
    )
    return lines + wrap(f"{_effect(coverage, one.before, one.after)}.", "      ")


def _effect(coverage: Coverage, before: Effect, after: Effect) -> str:
    def end(moment: datetime | None) -> str:
        return moment.strftime("%H:%M") if moment is not None else "none"

    return (
        f"in the week {before.collisions} -> {after.collisions} collisions, {before.shared} -> {after.shared} pairs of runs that "
        f"share a repository; at most {before.exports} -> {after.exports} exports at once; the longest night ends "
        f"{end(before.night_end)} -> {end(after.night_end)}"
    )


def _crowds(coverage: Coverage) -> list[str]:
    if not coverage.crowds:
        return []
    lines = ["At work at once in the coming 7 days:"]
    for one in coverage.crowds[:MOST_GROUPS]:
        lines += wrap(_crowd(coverage, one), "      ", first="  ")
    if len(coverage.crowds) > MOST_GROUPS:
        lines.append(f"  and {len(coverage.crowds) - MOST_GROUPS} more: {_ALL}")
    return lines


def _crowd(coverage: Coverage, one: Crowd) -> str:
    where = "XO" if one.kind == "xo" else f"{one.kind} {one.name}"
    most = (
        f"{plural(one.jobs, 'job')} and {plural(one.exports, 'export')}, most at {format_time(one.at, coverage.zone)}"
    )
    text = f"{where}: up to {most}; more than one job for {format_duration(one.shared_s)} of the week"
    if one.slots is None:
        return text
    beyond = f"for {format_duration(one.beyond_s)} of the week more than" if one.beyond_s else "never more than"
    return f"{text}, {beyond} the {one.slots} that the policy allows"


def _repositories(coverage: Coverage) -> list[str]:
    if not coverage.repositories:
        return []
    lines = ["Backup repositories by days until full (XO tells no age of free space):"]
    for one in coverage.repositories[:MOST_GROUPS]:
        lines += wrap(f"{one.name}: {_filling(one)}", "      ", first="  ")
    if len(coverage.repositories) > MOST_GROUPS:
        lines.append(f"  and {len(coverage.repositories) - MOST_GROUPS} more: {_ALL}")
    return lines


def _filling(one: RepositoryFilling) -> str:
    values = {fact.name: fact.value for fact in one.facts}
    available, size = values["available"], values["size"]
    free = f"{format_bytes(available)} free" if isinstance(available, int) else "free space unknown"
    free += f" of {format_bytes(size)}" if isinstance(size, int) else ""
    largest = f"the largest run writes {format_bytes(one.largest_run)}"
    beside = f"; not counted: {', '.join(one.not_counted)}" if one.not_counted else ""
    match one.filling:
        case Filling.FULL:
            return f"full now: {free}, and {largest} before anything is deleted{beside}"
        case Filling.DAYS:
            grows = f"it grows by {format_bytes(one.growth_per_day)} a day until retention is full, and {largest}"
            return f"{_days(one)}: {free}; {grows}{beside}"
        case Filling.STEADY if not one.largest_run:
            return f"steady: {free}; no schedule keeps backups there{beside}"
        case Filling.STEADY:
            still = (
                f"{format_bytes(one.to_come)} still to come until retention is full"
                if one.to_come
                else "retention is full"
            )
            return f"steady: {free}; {still}{beside}"
        case _:
            return f"unknown: {one.why_unknown}; {free}"


def _days(one: RepositoryFilling) -> str:
    days = f"{one.days or 0:.0f}" if (one.days or 0) >= 2 else f"{one.days or 0:.1f}"
    return f"full in {'at most ' if one.not_counted else ''}{days} d"


def _notes(coverage: Coverage) -> list[str]:
    lines = [
        line
        for note in coverage.notes
        for line in wrap(f"{'Unknown' if note.unknown else 'Note'}: {note.text}", "      ", first="")
    ]
    if coverage.untold:
        text = (
            f"Note: how long runs of {_names(coverage.untold)} take is not known yet: only their first minute counts."
        )
        lines += wrap(text, "      ", first="")
    return lines


def _age(coverage: Coverage, took_s: float) -> list[str]:
    oldest = min((part.read_at for part in coverage.estate.parts.values()), default=coverage.now)
    age = format_duration((coverage.now - oldest).total_seconds())
    return [f"Facts are up to {age} old; this took {format_duration(took_s)}."]


def _schedule(coverage: Coverage, schedule: str) -> str:
    return coverage.estate.schedule_by_id[schedule].name


def _pool(coverage: Coverage, pool: str) -> str:
    known = coverage.estate.pool_by_id.get(pool)
    return f"Pool {known.name_label}" if known is not None else "Unknown pool"


def _sizes(sizes: Iterable[int | None]) -> str:
    """The sum of the known ones, and how many are not."""
    told = list(sizes)
    known = [one for one in told if one is not None]
    lacking = len(told) - len(known)
    return f"{format_bytes(sum(known))} of disks" + (f" and {lacking} of unknown size" if lacking else "")


def _names(names: Sequence[str]) -> str:
    return some_of(names, MOST_NAMES)


def _grouped(items: Iterable[_T], key: Callable[[_T], _K]) -> list[tuple[_K, list[_T]]]:
    """In the order in which each group first comes."""
    found: dict[_K, list[_T]] = {}
    for one in items:
        found.setdefault(key(one), []).append(one)
    return list(found.items())


def _cut(groups: Sequence[tuple[object, Sequence[object]]]) -> list[str]:
    """What a list of groups of VMs leaves out."""
    rest = sum(len(own) for _, own in groups[MOST_GROUPS:])
    if rest:
        return [f"  and {plural(rest, 'VM')} more: {_ALL}"]
    return [f"  {_ALL}"] if any(len(own) > MOST_NAMES for _, own in groups) else []
