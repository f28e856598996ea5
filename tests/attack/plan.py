"""What is going to happen in a run, drawn before any of it begins: a seed gives one plan.

Every story, kill and round of attacks has dice of its own, so how long something takes changes
nothing of what comes next.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tests.ledger.attacks.refused import refused

Json = dict[str, Any]
Victim = Literal["frozen worker", "worker", "postgres", "temporal", "target", "supervisor"]
VICTIMS: tuple[Victim, ...] = get_args(Victim)
ATTACKS_A_ROUND = 4
CBUS = ("2850590940090418135201", "3982597391907483378878", "6232860712904047966693")
ACCOUNTS = (*({"cbu": cbu} for cbu in CBUS), {"iban": "ES9121000418450200051332"})
USER = {"actor": "user:u-17", "reason": "it was asked for"}
# Where it is another day than in UTC for 14 and for 12 hours of it: of one of them, always.
ZONES = ("UTC", "Pacific/Kiritimati", "Etc/GMT+12", "America/Argentina/Buenos_Aires")
# In minor units: above it a person is asked, and above that it is denied.
THRESHOLD, MOST = 5_000_000, 6_000_000
# Of the last agent: two payments of the story about it, and not three.
A_DAY, SMALL_DAY = 10**12, 100_000
FAULTS = ("refuse", "timeout_before", "timeout_after", "answer_twice", "slow", "slow_after")


@dataclass(frozen=True)
class Plan:
    """So many rounds, of so many sagas each; all chance comes from the seed."""

    rounds: int
    sagas: int
    seed: int

    def drawn(self) -> list["Round"]:
        """All that is going to happen."""
        return [self._round(number) for number in range(1, self.rounds + 1)]

    def _round(self, number: int) -> "Round":
        dice = self.dice(number, "kill")
        attacks = self.dice(number, "attacks")
        return Round(
            self._victim(number),
            dice.uniform(0.05, 1.5),
            tuple(self._stories(number)),
            tuple(_attack(attacks) for _ in range(ATTACKS_A_ROUND)),
        )

    def _victim(self, number: int) -> Victim:
        """All in turn, in another order each time: who is killed again and again within a minute is
        started again later and later, until the supervisor is a new one. The worker is frozen in
        the first round of each turn."""
        turn, place = divmod(number - 1, len(VICTIMS))
        killed = self.dice(turn, "victims").sample(VICTIMS[1:], k=len(VICTIMS) - 1)
        return [VICTIMS[0], *killed][place]

    def _stories(self, number: int) -> Iterator["Story"]:
        """Of the first round, all there are; of the others, so many sagas."""
        kinds = [*STORIES]
        sagas = 0
        for place in range(1, 10_000):
            dice = self.dice(number, place)
            if number == 1 and place <= len(kinds):
                kind = kinds[place - 1]
            elif sagas < self.sagas:
                kind = dice.choices(kinds, [*STORIES.values()])[0]
            else:
                return
            story = kind(Drawn(dice, f"{number}-{place}"))
            sagas += len(story.requests)
            yield story

    def dice(self, number: int, what: object) -> random.Random:
        return random.Random(f"{self.seed}/{number}/{what}")


@dataclass(frozen=True)
class Attack:
    """A statement, and the SQLSTATE that this role has to get for it."""

    role: Literal["worker", "auditor"]
    name: str
    state: str
    statement: str


@dataclass(frozen=True)
class Story:
    """What clients ask for: requests with their kinds, one after the other or at once, a fault of
    the bank in the first one, and who then says what to it (verb, actor), all at once.

    With `clients` so many send each request.
    """

    requests: tuple[tuple[str, Json], ...]
    at_once: bool = False
    fault: str | None = None
    decisions: tuple[tuple[str, str], ...] = ()
    clients: int = 1


@dataclass(frozen=True)
class Round:
    """Who is killed, how long after the beginning, and what happens meanwhile."""

    victim: Victim
    after_s: float
    stories: tuple[Story, ...]
    attacks: tuple[Attack, ...]


@dataclass(frozen=True)
class Drawn:
    """What a story is drawn with: dice, and a name that no other story has."""

    dice: random.Random
    name: str
    prefix: str = ""

    def payment(self, minor: int, part: str = "", **more: Any) -> tuple[str, Json]:
        name = f"{self.prefix}pay-{self.name}{part}"
        agent = self.dice.randrange(len(ZONES))
        request = {
            "operation_id": name,
            "agent_id": f"{self.prefix}bot-{agent}",
            "amount": {"minor": minor + self.dice.randrange(1_000), "currency": "ARS"},
            "destination": self.dice.choice(ACCOUNTS),
            "description": f"rent of {name}",
            **more,
        }
        return "payment", request

    def change(self, name: str, role: str, *, login: bool) -> tuple[str, Json]:
        made = {"name": f"attacked-{role}", "kind": "postgres.role", "spec": {"login": login}}
        change = {"operation_id": name, "present": [made], "environment": "attacked", **USER}
        return "change", change


def first_stories(prefix: str = "") -> list[Story]:
    """Register the agents, and give them their policies; the last one may spend little in a day."""
    stories = []
    days = [*(A_DAY for _ in ZONES), SMALL_DAY]
    for number, (zone, day) in enumerate(zip([*ZONES, "UTC"], days, strict=True)):
        agent = {"agent_id": f"{prefix}bot-{number}", **USER}
        register = {"operation_id": f"{prefix}register-{number}", "action": "register"}
        register |= {"user": f"user:owner-{number}", **agent}
        limits = {"max_per_transaction_minor": MOST, "daily_limit_minor": day, "time_zone": zone}
        limits |= {"currency": "ARS", "approval_threshold_minor": THRESHOLD}
        policy = {"operation_id": f"{prefix}set-{number}", **limits, **agent}
        stories.append(Story((("agent", register), ("policy", policy))))
    return stories


def small(drawn: Drawn) -> Story:
    return Story((drawn.payment(1_000),))


def denied(drawn: Drawn) -> Story:
    return Story((drawn.payment(MOST + 1),))


def limited(drawn: Drawn) -> Story:
    """Three payments at once of an agent that may spend as much as two of them in a day."""
    agent = f"{drawn.prefix}bot-{len(ZONES)}"
    parts = [drawn.payment(40_000, f"-{part}", agent_id=agent) for part in range(3)]
    return Story(tuple(parts), at_once=True)


def troubled(drawn: Drawn) -> Story:
    return Story((drawn.payment(2_000),), fault=drawn.dice.choice(FAULTS))


def approved(drawn: Drawn) -> Story:
    return _decided(drawn, "approve")


def rejected(drawn: Drawn) -> Story:
    return _decided(drawn, "reject")


def decided(drawn: Drawn) -> Story:
    """Two people decide at once, not always alike, or somebody cancels."""
    return _decided(drawn, *drawn.dice.choices(("approve", "reject", "cancel"), k=2))


def _decided(drawn: Drawn, *verbs: str) -> Story:
    request = drawn.payment(THRESHOLD + 1)
    people = [(verb, f"user:u-{number}") for number, verb in enumerate(verbs)]
    return Story((request,), decisions=tuple(people))


def expired(drawn: Drawn) -> Story:
    return Story((drawn.payment(THRESHOLD + 1, approve_within="PT1S"),))


def captured(drawn: Drawn) -> Story:
    return _by_hand(drawn, "capture")


def cancelled(drawn: Drawn) -> Story:
    return _by_hand(drawn, "cancel")


def contested(drawn: Drawn) -> Story:
    """The agent captures, and somebody cancels at once."""
    return _by_hand(drawn, *drawn.dice.sample(("capture", "cancel"), k=2))


def _by_hand(drawn: Drawn, *verbs: str) -> Story:
    kind, request = drawn.payment(3_000, capture="manual")
    actors = {"capture": f"agent:{request['agent_id']}", "cancel": "user:u-2"}
    return Story(((kind, request),), decisions=tuple((verb, actors[verb]) for verb in verbs))


def wrong(drawn: Drawn) -> Story:
    """An account number with a wrong digit: no saga begins."""
    return Story((drawn.payment(1_000, destination={"cbu": CBUS[0][:-1] + "2"}),))


def four_at_once(drawn: Drawn) -> Story:
    """The same request by four clients."""
    return Story((drawn.payment(4_000),), clients=4)


def changed(drawn: Drawn) -> Story:
    """A role is made, and sometimes taken back."""
    name = f"{drawn.prefix}role-{drawn.name}"
    made = drawn.change(name, name, login=drawn.dice.random() < 0.5)
    if drawn.dice.random() < 0.5:
        return Story((made,))
    back: Json = {"operation_id": f"{name}-back", "to": f"before:{name}", **USER}
    back |= {"environment": "attacked", "resources": [f"attacked-{name}"]}
    return Story((made, ("rollback", back)))


def three_changes(drawn: Drawn) -> Story:
    """Three changes want one role at once."""
    name = f"{drawn.prefix}raced-{drawn.name}"
    logins = (True, False, True)
    changes = [drawn.change(f"{name}-{n}", name, login=login) for n, login in enumerate(logins)]
    return Story(tuple(changes), at_once=True)


# How often each comes.
STORIES: dict[Callable[[Drawn], Story], int] = {
    **{small: 4, denied: 1, limited: 1, troubled: 4, approved: 1, rejected: 1, decided: 4},
    **{expired: 1, captured: 1, cancelled: 1, contested: 2, four_at_once: 2, wrong: 1},
    **{changed: 2, three_changes: 1},
}


def _attack(dice: random.Random) -> Attack:
    role: Literal["worker", "auditor"] = dice.choice(("worker", "auditor"))
    return Attack(role, *dice.choice([*refused(role)]))
