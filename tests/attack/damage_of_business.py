"""What breaks the laws of the business: at the bank, on the target, in the ledger, or in what the
clients remember."""

from tests.attack.damage import (
    BANK,
    HOLDS,
    LOG,
    NUMBERS,
    SAGAS,
    STEPS,
    TRANSFERS,
    Damage,
    one_row,
    other_value,
)

IS_CAPTURED = "result ->> 'state' = 'captured'"


def _told(**change: str) -> str:
    """One client that was told `captured` remembers something else."""
    pairs = ", ".join(f"'{name}', '{value}'" for name, value in change.items())
    return one_row("asked", f"result = result || jsonb_build_object({pairs})", IS_CAPTURED)


def _end(state: str) -> str:
    return f"(SELECT saga_id FROM asked WHERE result ->> 'state' = '{state}' LIMIT 1)"


_OF_CLIENTS = [
    Damage("each saga on record was", (one_row(SAGAS, "workflow_id = 'payment/eve'"),)),
    Damage("each saga that answered", (f"DELETE FROM {SAGAS} WHERE state = 'compensated'",)),
    Damage("the result of a saga", (one_row(SAGAS, "result = '{}'"),)),
    Damage("the result of a saga", (one_row(SAGAS, "result = NULL"),)),
    Damage(
        "a saga that failed for its client",
        (
            one_row(
                SAGAS,
                "workflow_id = (SELECT saga_id FROM asked WHERE failure IS NOT NULL LIMIT 1)",
                "state = 'completed'",
            ),
        ),
    ),
    *(
        Damage("the input of a saga", (one_row(SAGAS, f"input = {change}", where),), names)
        for change, where, names in (
            ("'{}'", "true", "operation_id"),
            ("input || '{\"eve\": 1}'", "true", "eve"),
            (
                'input || \'{"capture": "manual"}\'',
                'input @> \'{"capture": "automatic"}\'',
                "capture",
            ),
            ("jsonb_set(input, '{amount,minor}', '1')", "kind = 'payment'", "amount"),
            ("jsonb_set(input, '{present,0,name}', '\"eve\"')", "kind = 'change'", "present"),
            (
                "jsonb_set(input, '{present}', (input -> 'present') || (input -> 'present'))",
                *("kind = 'change'", "present"),
            ),
        )
    ),
    *(
        Damage("an event is by whoever", (one_row(LOG, f"user_id = '{user}'"),))
        for user in ("user:eve", "agent:eve")
    ),
    *(
        Damage(
            "what was asked for is by",
            (one_row(LOG, "user_id = 'system:amends'", f"event_type = '{event}'"),),
        )
        for event in (
            *("SagaStarted", "AuthorizationRequested", "AgentRegistered", "PolicySet"),
            *("ResourceChangeStarted", "ResourceCreated"),
        )
    ),
    *(
        Damage(
            "a rejection or a cancel",
            (one_row(LOG, "user_id = 'system:amends'", f"payload ->> 'cause' = '{cause}'"),),
        )
        for cause in ("rejected", "cancelled")
    ),
    *(
        Damage("each payment has the", (one_row(HOLDS, other_value(name)),), f" {name}")
        for name in ("amount_minor", "currency", "destination", "agent_id", "description")
    ),
    Damage(
        "each payment has the",
        (
            f"DELETE FROM {LOG} WHERE aggregate IN "
            f"(SELECT aggregate FROM {HOLDS} WHERE state = 'denied')",
            f"DELETE FROM {HOLDS} WHERE state = 'denied'",
        ),
    ),
    *(
        Damage("each transfer is the", (one_row(TRANSFERS, other_value(name)),), f" {name}")
        for name in ("amount_minor", "currency", "destination", "key", "authorization_id")
    ),
    *(
        Damage(
            "each order at the bank",
            (one_row(BANK, other_value(name), "status = 'executed'"),),
            *(f" {name}", "bank"),
        )
        for name in ("key", "amount_minor", "currency", "destination", "description")
    ),
    *(
        Damage("money moved for", (change,), where="bank")
        for change in (
            one_row(BANK, "status = 'reversed'", "status = 'executed'"),
            f"INSERT INTO {BANK} (key, status, reference, amount_minor, currency, destination, "
            "description) VALUES ('payment/eve', 'executed', 'r', 1, 'ARS', 'd', '')",
        )
    ),
    *(
        Damage("the ids that a client", (one_row(table, other_value(name), stands),), f" {name}")
        for table, name, stands in (
            (HOLDS, "authorization_id", "state = 'denied'"),
            (TRANSFERS, "transfer_id", "state = 'executed'"),
            (HOLDS, "provider_reference", "state = 'captured'"),
        )
    ),
    Damage(
        "the ids that a client",
        (one_row(BANK, other_value("reference"), "status = 'executed'"),),
        *(" bank", "bank"),
    ),
    Damage(
        "the state of an authorization", (one_row(HOLDS, "state = 'voided'", "state = 'captured'"),)
    ),
    Damage(
        "the state of an authorization",
        (one_row(HOLDS, "reason = 'eve'", "state = 'denied'"),),
        " reason",
    ),
    Damage(
        "a captured payment has", (one_row(TRANSFERS, "state = 'refused'", "state = 'executed'"),)
    ),
    Damage("a captured payment has", (_told(state="voided"),)),
    *(
        Damage("above the maximum is", (f"UPDATE asked SET result = result || '{change}'",))
        for change in ('{"state": "captured"}', '{"reason": "eve"}')
    ),
    Damage("above the maximum nothing", (f"UPDATE {HOLDS} SET state = 'voided'",)),
    Damage("who was denied", (_told(state="denied"),)),
    Damage(
        "no agent moved more",
        (one_row(BANK, "amount_minor = 10000000000000", "status = 'executed'"),),
        where="bank",
    ),
    *(
        Damage("no order of a payment", (_told(state=state),))
        for state in ("denied", "rejected", "expired")
    ),
    *(
        Damage("above the threshold", (change,))
        for change in (
            f"UPDATE {LOG} SET payload = payload || '{{\"automatic\": true}}'",
            f"UPDATE {LOG} SET user_id = 'agent:eve' WHERE event_type = 'AuthorizationApproved'",
            f"UPDATE {LOG} SET user_id = 'user:eve' WHERE event_type = 'AuthorizationApproved'",
            f"UPDATE {LOG} SET event_type = 'AuthorizationVoided'",
            "DELETE FROM decided WHERE verb = 'approve'",
            "UPDATE decided SET answer = 'refused'",
            one_row(TRANSFERS, f"saga_id = {_end('rejected')}"),
        )
    ),
    *(
        Damage("up to the threshold", (f"UPDATE {LOG} SET {change}",))
        for change in (
            "event_type = 'ApprovalRequested'",
            "payload = payload || '{\"automatic\": false}'",
        )
    ),
    *(
        Damage("a payment is rejected", (f"DELETE FROM decided WHERE verb = '{verb}'",), state)
        for verb, state in (("reject", "rejected"), ("cancel", "voided"))
    ),
    *(
        Damage(
            "what somebody rejected",
            (f"INSERT INTO decided VALUES ({_end('captured')}, '{verb}', 'user:eve', 'accepted')",),
        )
        for verb in ("reject", "cancel")
    ),
    Damage("what its agent captures", ("DELETE FROM decided WHERE verb = 'capture'",)),
    Damage(
        "an approval expires",
        (
            one_row(
                HOLDS,
                "expires_at = expires_at + interval '1 second'",
                "expires_at IS NOT NULL AND state <> 'expired'",
            ),
        ),
    ),
    Damage(
        "an approval expires",
        (
            f"UPDATE {HOLDS} SET expires_at = requested_at + interval '1 day' "
            "WHERE state = 'expired'",
            "UPDATE asked SET request = request - 'approve_within'",
        ),
    ),
    *(
        Damage(
            "an authorization holds",
            (
                f"UPDATE {LOG} SET payload = jsonb_set(payload, '{{spend,0,{path}}}', '{value}') "
                "WHERE event_type = 'AuthorizationApproved'",
            ),
        )
        for path, value in (
            *(("window,starts_on", '"2020-01-01"'), ("window,agent_id", '"eve"')),
            *(("window,currency", '"USD"'), ("window,period", '"weekly"')),
            *(("amount_minor", "1"), ("count", "2")),
        )
    ),
    *(
        Damage(
            "an authorization holds",
            (
                f"UPDATE {LOG} SET payload = payload || '{{\"spend\": []}}' "
                f"WHERE event_type = 'Authorization{end}'",
            ),
        )
        for end in ("Approved", "Rejected", "Expired", "Voided")
    ),
    *(
        Damage("an authorization that is captured", (one_row(HOLDS, change, stands),))
        for change, stands in (
            ("reserved = '[]'", "state = 'captured'"),
            ("reserved = '[1]'", "state = 'captured'"),
            ("reserved = '[1]'", "state = 'denied'"),
        )
    ),
    *(
        Damage("the spend windows", (one_row("ledger.spend_windows", change),))
        for change in (
            *("amount_minor = amount_minor + 1", "count = count + 1"),
            *("currency = 'USD'", "agent_id = 'eve'", "period = 'yearly'"),
        )
    ),
    Damage("the spend windows", ("UPDATE ledger.spend_windows SET starts_on = starts_on - 400",)),
    Damage("the spend windows", ("DELETE FROM ledger.spend_windows WHERE amount_minor > 0",)),
    *(
        Damage("a payment has the steps", (f"DELETE FROM {STEPS} WHERE name = '{name}'",), name)
        for name in ("authorize", "approve", "execute transfer", "settle")
    ),
    Damage("each agent is as", (one_row("ledger.agents", other_value("user")),), " user"),
    Damage("each agent is as", (one_row("ledger.agents", "state = 'revoked'"),), " state"),
    *(
        Damage("each policy is as", (one_row("ledger.policies", other_value(name)),), f" {name}")
        for name in ("currency", "time_zone", *NUMBERS)
    ),
]


def _roles(change: str) -> str:
    """The same change of all roles that the sagas made; `{login}` is what a role has not."""
    return f"""
        DO $$ DECLARE role record; BEGIN
        FOR role IN SELECT rolname, CASE WHEN rolcanlogin THEN 'NOLOGIN' ELSE 'LOGIN' END AS login
            FROM pg_roles WHERE rolname LIKE 'attacked-%' LOOP
            EXECUTE replace(format('{change}', role.rolname), '{{login}}', role.login);
        END LOOP; END $$"""


_OF_CHANGES = [
    Damage("the target holds", ('CREATE ROLE "attacked-by-eve"',), where="target"),
    Damage("the target holds", (_roles("DROP ROLE %I"),), where="target"),
    *(
        Damage("each role has what", (_roles(f"ALTER ROLE %I {change}"),), names, "target")
        for change, names in (
            ("{login}", " login"),
            ("CONNECTION LIMIT 7", " connection_limit"),
            *(
                (power, " powers")
                for power in (
                    *("SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS"),
                    *("VALID UNTIL ''2040-01-01''", "SET work_mem = 1234"),
                )
            ),
        )
    ),
    Damage("each role has what", (_roles("GRANT pg_monitor TO %I"),), " powers", "target"),
    *(
        Damage("each resource is what", (one_row("ledger.resources", change, where),), f" {name}")
        for name, change, where in (
            ("name", "name = 'eve'", "true"),
            ("kind", "kind = 'postgres.database'", "state = 'present'"),
            ("environment", "environment = 'eve'", "true"),
            ("spec", "spec = spec || '{\"connection_limit\": 7}'", "state = 'present'"),
        )
    ),
    Damage("nobody claims", (one_row("ledger.resources", "claimed_by = 'change/gone'"),)),
    *(
        Damage("what a change was told", (one_row(LOG, change, f"event_type = '{event}'"),))
        for change, event in (
            ("event_type = 'ResourceChangeDropped'", "ResourceCreated"),
            ("event_type = 'ResourceUpdated'", "ResourceCreated"),
            ("event_type = 'ResourceReplaced'", "ResourceChangeStarted"),
            ("event_type = 'ResourceDeleted'", "ResourceChangeStarted"),
        )
    ),
]
OF_BUSINESS = [*_OF_CLIENTS, *_OF_CHANGES]
