"""Compares what arrived at the endpoints with the feed of events and with the log of attempts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fire_receiver import Arrival


@dataclass(frozen=True, kw_only=True, slots=True)
class FedEvent:
    """An event of the feed. `subject` is its order, or the endpoint that it is about."""

    id: str
    subject: str
    version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """How often an event was tried at an endpoint, by the log: all attempts, and those of which no answer came."""

    all: int
    without_answer: int


@dataclass(kw_only=True)
class Findings:
    """What is wrong at an endpoint, and what is right."""

    lost: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    holes: list[str] = field(default_factory=list)  # another previous event than the one before
    wrong: list[str] = field(default_factory=list)  # the signature, or the version
    unknown: list[str] = field(default_factory=list)
    too_often: list[str] = field(default_factory=list)  # more arrivals than attempts that explain them
    events: int = 0
    arrivals: int = 0
    duplicates: int = 0
    refused: int = 0
    without_answer: int = 0
    cut_off: int = 0

    def faults(self) -> dict[str, int]:
        """Return the number of faults, by kind."""
        names = ("lost", "out_of_order", "holes", "wrong", "unknown", "too_often")
        return {name: len(getattr(self, name)) for name in names if getattr(self, name)}

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{self.events:,} events, lost {len(self.lost)}, out of order {len(self.out_of_order)}, "
            f"holes in the chain {len(self.holes)}, wrong signatures {len(self.wrong)}, "
            f"unknown {len(self.unknown)}; {self.arrivals:,} arrivals, refused {self.refused:,}, "
            f"accepted twice {self.duplicates:,} (attempts without an answer {self.without_answer:,}, "
            f"of which cut off {self.cut_off:,}; events with more arrivals than the log explains {len(self.too_often)})"
        )


def checked(
    arrivals: Sequence[Arrival], fed: Iterable[FedEvent], tried: Mapping[str, Tried], cut_off: int, own: str
) -> Findings:
    """Compare the arrivals at the endpoint `own`, which hears of every event but those about itself."""
    found = Findings(cut_off=cut_off, arrivals=len(arrivals))
    wanted: dict[str, list[FedEvent]] = defaultdict(list)
    for event in fed:
        if event.subject != own:
            wanted[event.subject].append(event)
            found.events += 1
    known = {event.id: event for events in wanted.values() for event in events}
    firsts = _firsts(found, arrivals, known)
    everything = Counter(one.event_id for one in arrivals if one.event_id in known)
    accepted = Counter(one.event_id for one in arrivals if one.event_id in known and one.accepted)
    found.lost = [event_id for event_id in known if not accepted[event_id]]
    for subject, events in wanted.items():
        came = [one.event_id for one in firsts[subject]]
        if came != [event.id for event in events if everything[event.id]]:
            found.out_of_order.append(subject)
        before = [None, *came]
        found.holes += [
            one.event_id for one, previous in zip(firsts[subject], before, strict=False) if one.previous != previous
        ]
    _count(found, everything, accepted, tried)
    return found


def _firsts(
    found: Findings, arrivals: Sequence[Arrival], known: Mapping[str, FedEvent]
) -> Mapping[str, Sequence[Arrival]]:
    """Return the first arrival of each event, by subject, and note what is wrong with any arrival."""
    firsts: dict[str, dict[str, Arrival]] = defaultdict(dict)
    for one in arrivals:
        event = known.get(one.event_id)
        if event is None:
            found.unknown.append(one.event_id)
            continue
        if not one.is_right or one.version != event.version:
            found.wrong.append(one.event_id)
        firsts[event.subject].setdefault(one.event_id, one)
    return defaultdict(list, {subject: list(its.values()) for subject, its in firsts.items()})


def _count(
    found: Findings, everything: Mapping[str, int], accepted: Mapping[str, int], tried: Mapping[str, Tried]
) -> None:
    """Count repeats. Each needs an attempt before it whose answer nobody got, or an attempt that was refused."""
    found.refused = sum(everything.values()) - sum(accepted.values())
    for event_id, arrivals in everything.items():
        logged = tried.get(event_id, Tried(all=0, without_answer=0))
        found.duplicates += max(0, accepted[event_id] - 1)
        found.without_answer += logged.without_answer
        if arrivals > logged.all or accepted[event_id] - 1 > logged.without_answer:
            found.too_often.append(event_id)
