"""Checks the laws between aggregates: money, mandates, ends of sagas and steps, claims, cases.

Each law is one query, which gives the rows that break it: `aggregate`, `head_at` of its row, the
`other` aggregate of the contradiction, and `what` it is.
"""

from collections.abc import Mapping

from ledger.audit.findings import MAX_FINDINGS, Findings, Kind, finding
from ledger.database import Connection

# An authorization names a transfer, or one for each part that it captures: they are of one amount,
# and stand alike. So what is captured is what the executed transfers moved.
_MONEY = """
    WITH hold AS (
        SELECT aggregate, head_at, authorization_id, saga_id, currency, destination, state,
            reserved, provider_reference, transfer_id, amount_minor, parts
        FROM ledger.authorizations WHERE transfer_id IS NOT NULL
    ), asked AS (
        SELECT hold.*, amount_minor::text AS amount, saga_id AS key, 1 AS number,
            CASE state WHEN 'captured' THEN 'settled' WHEN 'approved' THEN 'none' ELSE state END
                AS stands
        FROM hold WHERE parts = '[]'
        UNION ALL
        SELECT aggregate, head_at, authorization_id, saga_id, currency, destination, state,
            reserved, provider_reference, part->>'transfer_id', amount_minor, parts,
            part->>'amount_minor', saga_id || CASE n WHEN 1 THEN '' ELSE '#' || n END, n,
            CASE part->>'state' WHEN 'started' THEN state ELSE part->>'state' END
        FROM hold, jsonb_path_query(parts, 'lax $[*]') WITH ORDINALITY AS of (part, n)
    )
    SELECT coalesce(asked.aggregate, moved.aggregate) AS aggregate,
        CASE WHEN asked.aggregate IS NULL THEN 'authorization/' || moved.authorization_id
            ELSE 'transfer/' || transfer_id END AS other,
        coalesce(asked.head_at, moved.head_at) AS head_at,
        CASE WHEN asked.aggregate IS NULL THEN 'no authorization names this transfer'
            WHEN moved.aggregate IS NULL THEN 'the transfer that it names does not exist'
            WHEN (asked.authorization_id, asked.saga_id) <> (moved.authorization_id, moved.saga_id)
                THEN 'its transfer is of another authorization or saga'
            WHEN (asked.amount, asked.currency, asked.destination)
                <> (moved.amount_minor::text, moved.currency, moved.destination)
                THEN 'its transfer is of another amount, currency or destination'
            WHEN moved.key <> asked.key THEN 'its transfer has the key of another saga'
            ELSE 'it is ' || asked.state
                || CASE WHEN asked.stands = 'returned' THEN ', a part of it returned' ELSE '' END
                || ', and its transfer is ' || moved.state || CASE
                WHEN moved.state = 'executed' AND asked.provider_reference <> moved.reference
                    THEN ' by another reference'
                ELSE '' END
            END AS what
    FROM asked FULL JOIN ledger.transfers AS moved USING (transfer_id)
    WHERE (asked.authorization_id, asked.saga_id, asked.amount, asked.currency,
            asked.destination) IS DISTINCT FROM (moved.authorization_id, moved.saga_id,
            moved.amount_minor::text, moved.currency, moved.destination)
        OR moved.key <> asked.key
        OR NOT CASE asked.stands
            WHEN 'capturing' THEN true
            WHEN 'settled' THEN moved.state = 'executed'
                AND (number > 1 OR moved.reference IS NOT DISTINCT FROM asked.provider_reference)
            WHEN 'returned' THEN moved.state IN ('refused', 'cancelled', 'arrived')
            -- Money that is gone stays spent, and what came back is released.
            WHEN 'compensated' THEN
                (moved.state IN ('started', 'executed')) = (asked.reserved <> '[]')
            ELSE false END
    ORDER BY 1 LIMIT %(limit)s
"""

# A payment is of what its request asks for, ends as its authorization does, and releases nothing
# before it is compensated.
_AUTHORIZATIONS = """
    SELECT asked.aggregate, 'saga/' || asked.saga_id AS other, asked.head_at,
        CASE WHEN is_another THEN 'money' ELSE 'saga_end' END AS kind,
        CASE WHEN saga.aggregate IS NULL THEN 'its saga does not exist'
            WHEN is_another
                THEN 'the request of its saga has another agent, amount, destination or mandate'
            ELSE 'it is ' || asked.state || ', and its saga ' || saga.state
                || CASE WHEN saga.ended_at IS NULL THEN '' ELSE ' with another result' END
        END AS what
    FROM ledger.authorizations asked
    LEFT JOIN ledger.sagas saga ON saga.aggregate = 'saga/' || asked.saga_id
    CROSS JOIN LATERAL (SELECT saga.input ? 'amount' AND
        (saga.input->>'agent_id', saga.input->'amount'->>'minor', saga.input->'amount'->>'currency',
            coalesce(saga.input->'destination'->>'cbu', saga.input->'destination'->>'iban'),
            saga.input->>'mandate', saga.input->>'purpose') IS DISTINCT FROM (asked.agent_id,
            asked.requested_minor::text, asked.currency, asked.destination,
            asked.mandates->>-1, asked.purpose)) AS compared (is_another)
    WHERE saga.aggregate IS NULL OR is_another OR NOT CASE saga.state
        WHEN 'running' THEN asked.state NOT IN ('rejected', 'expired', 'voided', 'compensated')
        WHEN 'compensating' THEN asked.state <> 'captured'
        WHEN 'completed' THEN asked.state IN ('denied', 'captured')
        WHEN 'compensated' THEN
            asked.state IN ('denied', 'rejected', 'expired', 'voided', 'compensated')
        ELSE false END
        OR saga.ended_at IS NOT NULL AND (asked.state, asked.authorization_id, asked.transfer_id,
            asked.provider_reference) IS DISTINCT FROM (saga.result->>'state',
            saga.result->>'authorization_id', saga.result->>'transfer_id',
            saga.result->>'provider_reference')
        -- A result of before does not say how much.
        OR (saga.result->>'captured_minor')::text <> asked.captured_minor::text
    ORDER BY 1 LIMIT %(limit)s
"""

# Beyond what the steps say of their saga (cross_checks). Without a step a request can only be
# refused: a rollback to a point that does not exist completes, and others fail.
_ENDS = """
    WITH steps AS (
        SELECT saga_id, bool_and(
                -- The capture of a later part may be refused: another one follows, or none.
                state NOT IN ('refused', 'failed') OR name ~ '^execute transfer [0-9]+$') AS stand,
            bool_or(undo IS NOT NULL AND state IN ('undone', 'skipped')) AS undone,
            bool_or(undo IS NOT NULL AND state IN ('done', 'undone', 'skipped')) AS held
        FROM ledger.saga_steps GROUP BY saga_id
    )
    SELECT saga.aggregate, NULL AS other, saga.head_at,
        'it is ' || saga.state || ', and ' || CASE
            WHEN saga.state = 'completed' AND (steps.saga_id IS NULL OR NOT steps.stand)
                THEN 'it has no step, or one that was refused or failed'
            WHEN saga.state = 'compensated' AND steps.undone IS NOT TRUE
                THEN 'none of its steps was undone'
            WHEN saga.state = 'failed' THEN 'one of its steps has something to undo'
            ELSE 'it has no authorization' END AS what
    FROM ledger.sagas saga
    LEFT JOIN steps ON saga.aggregate = 'saga/' || steps.saga_id
    WHERE saga.ended_at IS NOT NULL AND (
        saga.kind = 'payment' AND saga.state <> 'failed' AND NOT EXISTS (
            SELECT FROM ledger.authorizations asked WHERE 'saga/' || saga_id = saga.aggregate)
        -- Else its row is wrong, and the row says so.
        AND NOT EXISTS (
            SELECT FROM ledger.event_log event WHERE event.saga_id = saga.workflow_id
                AND event.event_type = 'AuthorizationRequested')
        OR NOT coalesce(CASE saga.state
        WHEN 'completed' THEN
            coalesce(steps.stand, saga.kind NOT IN
                ('payment', 'refund', 'agent', 'policy', 'mandate', 'key', 'change'))
        WHEN 'compensated' THEN steps.undone
        ELSE NOT coalesce(steps.held, false) END, false))
    ORDER BY 1 LIMIT %(limit)s
"""

# No step begins after its saga compensates or in an epoch that has ended. By position and by time:
# from a clock that was set back a little nothing follows.
_LATE_STEPS = """
    WITH turn AS (
        SELECT aggregate, event_type, position, "timestamp",
            event_type IN ('SagaCompensating', 'SagaLost', 'SagaTakenOver') AS of_beginnings,
            CASE WHEN event_type IN ('SagaLost', 'SagaTakenOver') THEN payload->'epoch' END AS epoch
        FROM ledger.event_log
        WHERE event_type IN ('SagaCompensating', 'SagaCompleted', 'SagaCompensated', 'SagaFailed',
                'SagaLost', 'SagaTakenOver')
            {of_touched_steps}
    )
    SELECT DISTINCT ON (step.aggregate) step.aggregate, turn.aggregate AS other, step.head_at,
        CASE WHEN turn.epoch IS NOT NULL THEN 'it began in an epoch that had ended'
            WHEN of_beginnings THEN 'it began after its saga was compensating'
            ELSE 'it was written after the end of its saga' END AS what
    FROM turn
    JOIN ledger.saga_steps step ON turn.aggregate = 'saga/' || step.saga_id
        AND step.head_at > turn."timestamp"
        AND (turn.epoch IS NULL OR to_jsonb(step.epoch) < turn.epoch)
    JOIN ledger.event_log event ON event.aggregate_id = step.aggregate_id AND event.version =
        CASE WHEN of_beginnings THEN 1 ELSE step.version END
    WHERE event."timestamp" > turn."timestamp" AND event.position > turn.position
    ORDER BY 1 LIMIT %(limit)s
"""

# The steps of a saga are counted.
_ORDINALS = """
    SELECT DISTINCT ON (saga_id, ordinal) step.aggregate, 'saga/' || saga_id AS other, step.head_at,
        'another step of its saga has its ordinal' AS what
    FROM (SELECT saga_id, ordinal FROM ledger.saga_steps GROUP BY 1, 2 HAVING count(*) > 1)
        AS twice
    JOIN ledger.saga_steps step USING (saga_id, ordinal)
    ORDER BY saga_id, ordinal, step.head_at DESC, step.aggregate DESC LIMIT %(limit)s
"""

_OF_TOUCHED_STEPS = """AND aggregate_id IN (
    SELECT saga.aggregate_id FROM ledger.saga_steps step
    JOIN ledger.sagas saga ON saga.aggregate = 'saga/' || step.saga_id
    WHERE step.aggregate_id IN (
        SELECT aggregate_id FROM ledger.event_log WHERE position > %(after)s))"""

# A resource stands as the last change of it ended. A residual may be this resource.
_CLAIMS = """
    SELECT claimed.aggregate, 'saga/' || claimed.claimed_by AS other, claimed.head_at,
        CASE WHEN saga.aggregate IS NULL THEN 'the saga that claims it does not exist'
            WHEN saga.kind NOT IN ('change', 'rollback') THEN 'the saga that claims it is no change'
            ELSE 'the saga that claims it has ended as ' || saga.state END AS what
    FROM ledger.resources claimed
    LEFT JOIN ledger.sagas saga ON saga.aggregate = 'saga/' || claimed.claimed_by
    WHERE claimed.claimed_by IS NOT NULL AND (saga.aggregate IS NULL OR saga.ended_at IS NOT NULL
        OR saga.kind NOT IN ('change', 'rollback'))
    UNION ALL
    SELECT changed.aggregate, 'saga/' || changed_by, changed.head_at,
        'the saga of its last change ' || CASE WHEN saga.aggregate IS NULL THEN 'does not exist'
            WHEN saga.kind NOT IN ('change', 'rollback') THEN 'is no change'
            ELSE 'is ' || saga.state || ' with a result that does not have it' END
    FROM ledger.resources changed
    LEFT JOIN ledger.sagas saga ON saga.aggregate = 'saga/' || changed.changed_by
    WHERE changed_by IS NOT NULL AND (saga.aggregate IS NULL
        OR saga.kind NOT IN ('change', 'rollback')
        OR CASE saga.state
            WHEN 'completed' THEN saga.result->>'state' IS DISTINCT FROM 'applied'
            WHEN 'compensated' THEN coalesce(saga.result->'residuals', '[]') = '[]'
                AND changed_by IS DISTINCT FROM (
                    SELECT payload->>'undoes' FROM ledger.event_log
                    WHERE aggregate_id = changed.aggregate_id AND event_type IN ('ResourceCreated',
                        'ResourceUpdated', 'ResourceReplaced', 'ResourceDeleted')
                    ORDER BY version DESC LIMIT 1)
            ELSE saga.state = 'failed' END)
    ORDER BY 1 LIMIT %(limit)s
"""

# A case is closed by the person who says so; a statement has each case that it counts, and money
# that arrived after its payment was undone has one.
_CASES = """
    SELECT moved.aggregate, NULL AS other, moved.head_at,
        'the money arrived after its payment was undone, and no case says so' AS what
    FROM ledger.transfers moved
    WHERE moved.state = 'arrived' AND NOT EXISTS (
        SELECT FROM ledger.cases found
        WHERE found.kind = 'arrived' AND found.transfer_id = moved.transfer_id)
    UNION ALL
    SELECT closed.aggregate, 'statement/' || closed.statement_id, closed.head_at,
        'it was closed by another than the one whose event says so'
    FROM ledger.cases closed JOIN ledger.event_log event USING (aggregate_id, version)
    WHERE closed.state = 'closed' AND event.user_id <> closed.closed_by
    UNION ALL
    SELECT read.aggregate, NULL, read.head_at, 'it counts ' || read.differences
        || ' differences, and has ' || count(found.case_id) || ' cases'
    FROM ledger.statements read LEFT JOIN ledger.cases found USING (statement_id)
    GROUP BY read.aggregate, read.head_at, read.differences
    HAVING count(found.case_id) < read.differences
    ORDER BY 1 LIMIT %(limit)s
"""

# A mandate is a part of the one above it, and what is paid under it stays within it. A payment is
# under the whole chain of the mandate of its agent, unless it was denied.
_MANDATES = """
    SELECT below.aggregate, above.aggregate AS other, below.head_at, CASE
            WHEN above.aggregate IS NULL THEN 'the mandate above it does not exist'
            ELSE 'it allows more than the mandate above it' END AS what
    FROM ledger.mandates below
    LEFT JOIN ledger.mandates above ON above.aggregate = 'mandate/' || (below.chain->>-1)
    WHERE below.chain <> '[]' AND (above.aggregate IS NULL
        OR below.chain <> above.chain || to_jsonb(above.mandate_id)
        OR below.currency <> above.currency
        OR above.amount_minor IS NOT NULL
            AND coalesce(below.amount_minor > above.amount_minor, true)
        OR above.count IS NOT NULL AND coalesce(below.count > above.count, true)
        OR above.destinations IS NOT NULL
            AND NOT coalesce(above.destinations @> below.destinations, false)
        OR above.purposes IS NOT NULL AND NOT coalesce(above.purposes @> below.purposes, false)
        OR below.valid_from < above.valid_from
        OR coalesce(below.valid_until, 'infinity') > coalesce(above.valid_until, 'infinity'))
    UNION ALL
    SELECT held.aggregate, NULL, held.head_at, 'more is paid under it than it allows'
    FROM ledger.mandates held
    JOIN ledger.spend_windows spent ON spent.agent_id = held.aggregate
    WHERE spent.amount_minor > held.amount_minor OR spent.count > held.count
        OR (spent.currency, spent.period, spent.starts_on)
            <> (held.currency, 'mandate', '1970-01-01')
    UNION ALL
    SELECT asked.aggregate, named.aggregate, asked.head_at,
        CASE WHEN named.aggregate IS NULL THEN 'its mandate does not exist'
            WHEN named.agent_id <> asked.agent_id THEN 'its mandate is of another agent'
            ELSE 'it is not under the whole chain of its mandate' END
    FROM ledger.authorizations asked
    LEFT JOIN ledger.mandates named ON named.aggregate = 'mandate/' || (asked.mandates->>-1)
    WHERE asked.mandates <> '[]' AND asked.state <> 'denied' AND (named.aggregate IS NULL
        OR named.agent_id <> asked.agent_id
        OR asked.mandates <> named.chain || to_jsonb(named.mandate_id))
    ORDER BY 1 LIMIT %(limit)s
"""

# A refund is of what its request asks for and ends as its saga does; a transfer has as much
# refunded as its refunds that were executed, and as much reserved as those without an outcome.
_REFUNDS = """
    SELECT back.aggregate,
        coalesce('transfer/' || back.transfer_id, 'saga/' || back.saga_id) AS other, back.head_at,
        CASE WHEN saga.aggregate IS NULL THEN 'its saga does not exist'
            WHEN is_another
                THEN 'the request of its saga has another payment, amount or currency'
            WHEN is_elsewhere THEN 'its transfer is of another payment or currency, or not executed'
            WHEN back.key <> back.saga_id THEN 'it has the key of another saga'
            ELSE 'it is ' || back.state || ', and its saga ' || saga.state
                || CASE WHEN saga.ended_at IS NULL THEN '' ELSE ' with another result' END
        END AS what
    FROM ledger.refunds back
    LEFT JOIN ledger.sagas saga ON saga.aggregate = 'saga/' || back.saga_id
    LEFT JOIN ledger.transfers paid ON paid.transfer_id = back.transfer_id
    LEFT JOIN ledger.authorizations asked ON asked.authorization_id = back.authorization_id
    CROSS JOIN LATERAL (SELECT
        back.payment <> 'payment/' || regexp_replace(saga.input->>'payment', '^payment/', '')
            OR coalesce((saga.input->'amount'->>'minor', saga.input->'amount'->>'currency')
                IS DISTINCT FROM (back.amount_minor::text, back.currency)
                AND saga.input->>'amount' IS NOT NULL, false),
        back.transfer_id IS NOT NULL AND (paid.authorization_id, paid.currency, paid.state,
            asked.saga_id) IS DISTINCT FROM (back.authorization_id, back.currency, 'executed',
            back.payment)) AS compared (is_another, is_elsewhere)
    WHERE saga.aggregate IS NULL OR is_another OR is_elsewhere OR back.key <> back.saga_id
        OR NOT CASE saga.state
            WHEN 'running' THEN back.state <> 'voided'
            WHEN 'compensating' THEN back.state NOT IN ('started', 'executed')
            WHEN 'completed' THEN back.state IN ('denied', 'executed')
            WHEN 'compensated' THEN back.state IN ('denied', 'refused', 'cancelled', 'voided')
            ELSE false END
        OR saga.ended_at IS NOT NULL AND (CASE back.state WHEN 'executed' THEN 'refunded'
                WHEN 'denied' THEN 'denied' WHEN 'voided' THEN 'voided' ELSE 'failed' END,
            back.refund_id, back.transfer_id, back.reference, back.amount_minor::text)
            IS DISTINCT FROM (saga.result->>'state', saga.result->>'refund_id',
            saga.result->>'transfer_id', saga.result->>'provider_reference',
            saga.result->>'amount_minor')
    UNION ALL
    SELECT paid.aggregate, last, paid.head_at,
        'what it has refunded, or reserved for refunds, is not what its refunds have'
    FROM ledger.transfers paid
    LEFT JOIN (
        SELECT transfer_id, max(aggregate) AS last,
            sum(amount_minor) FILTER (WHERE state = 'executed') AS refunded,
            sum(amount_minor) FILTER (WHERE state IN ('reserved', 'started')) AS refunding
        FROM ledger.refunds GROUP BY transfer_id) AS back USING (transfer_id)
    WHERE (paid.refunded_minor, paid.refunding_minor)
        IS DISTINCT FROM (coalesce(refunded, 0), coalesce(refunding, 0))
    ORDER BY 1 LIMIT %(limit)s
"""

LAWS: Mapping[str, Kind] = {
    _MONEY: "money",
    _MANDATES: "mandate",
    _REFUNDS: "money",
    _AUTHORIZATIONS: "saga_end",
    _ENDS: "saga_end",
    _LATE_STEPS: "step",
    _ORDINALS: "step",
    _CLAIMS: "claim",
    _CASES: "case",
}


async def check_laws(connection: Connection, after: int | None, findings: Findings) -> None:
    """Adds a finding for each aggregate that contradicts another; `after`: of the log, only what
    steps touched beyond that position.

    Of an aggregate that has a finding already its relations can't be judged.
    """
    told = findings.unjudged
    # A saga is not judged by a wrong step.
    steps = [name.removeprefix("step/") for name in told if name.startswith("step/")]
    told |= {f"end of saga/{step.rpartition('/')[0]}" for step in steps}
    touched = "" if after is None else _OF_TOUCHED_STEPS
    for query, kind in LAWS.items():
        text = query.replace("{of_touched_steps}", touched)
        cursor = await connection.execute(text, {"limit": MAX_FINDINGS, "after": after})
        for row in await cursor.fetchall():
            judged = {row["aggregate"], row["other"]}
            if query is _ENDS:
                judged.add(f"end of {row['aggregate']}")
            if told.isdisjoint(judged):
                told_kind = row.get("kind", kind)
                findings.add(
                    finding(told_kind, row["aggregate"], row["what"], None, row["head_at"])
                )
