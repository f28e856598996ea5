"""Records the decisions that people and agents sign."""

from ledger.aggregates.saga import SagaDecisionSigned, SagaState, saga_name
from ledger.database import Database
from ledger.errors import NotFound
from ledger.sagas.signatures import Signed, require_signed
from ledger.store.commit import Author, Decision, Loaded, Ref, commit


async def record_decision(database: Database, author: Author, signed: Signed, update: str) -> None:
    """Records the signed decision of the author on a saga, once; of one that has ended nothing is
    written. Raises NotSigned, NotFound."""
    saga_ref = saga_name(signed.saga_id)

    def decide(loaded: Loaded) -> Decision[None]:
        require_signed(signed, author.user_id, signed.saga_id, loaded, database.signing)
        saga: SagaState | None = loaded[saga_ref]
        if saga is None:
            raise NotFound(f"no saga named {signed.saga_id!r} in the ledger")
        if saga.closed:
            return Decision(None)
        event = SagaDecisionSigned(verb=signed.verb, repeat=update, **signed.recorded())
        # The activity may itself be repeated.
        known = saga.last_repeat == update
        return Decision(None, [] if known else [(saga_ref, event)])

    await commit(database, author, [Ref(saga_ref), *signed.refs()], decide)
