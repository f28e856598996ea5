"""Sagas whose run Temporal loses: a sweep finds them, and a recovery carries them to their end."""

from tests.crash.play import Play
from tests.crash.scenario import scenario
from tests.infrastructure.driver import database, role


@scenario(
    "payment lost in its transfer", "payment/pay", "compensated", lost_at="after bank transfer"
)
async def lost_in_its_transfer(play: Play) -> None:
    await play.asks(45_000)
    await play.start()
    await play.recover()


@scenario(
    "payment lost past its transfer",
    *("payment/pay", "captured"),
    lost_at="after commit execute transfer: StepDone",
)
async def lost_past_its_transfer(play: Play) -> None:
    await play.asks(45_000)
    await play.start()
    await play.recover()


@scenario(
    "payment lost in its undo",
    *("payment/pay", "compensated"),
    lost_at="before commit authorize: StepUndone",
)
async def lost_in_its_undo(play: Play) -> None:
    await play.asks(45_000)
    await play.fault("refuse")
    await play.start()
    await play.recover()


@scenario("change lost on its way", "change/change", "compensated", lost_at="after target apply db")
async def change_lost(play: Play) -> None:
    app = f"{play.prefix}app"
    await play.change("change", present=[role(app), database(f"{play.prefix}db", app)])
    await play.recover()
