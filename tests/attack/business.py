"""Laws of the business: what the clients asked for and were told, against the bank, the target and
the ledger. `asked`, `decided`, `bank` and `roles` are tables of the harness (see laws.py)."""

# A payment, what was asked for (in the types of the ledger), and its policy as a client set it.
_PAID = """
    (SELECT a.saga_id, a.result, a.failure, a.result ->> 'state' AS state,
        a.request ->> 'agent_id' AS agent_id, a.request ->> 'description' AS description,
        (a.request #>> '{amount,minor}')::bigint AS minor,
        a.request #>> '{amount,currency}' AS currency,
        coalesce(a.request #>> '{destination,cbu}', a.request #>> '{destination,iban}')
            AS destination,
        a.request ->> 'capture' AS capture,
        coalesce(a.request ->> 'approve_within', 'P1D')::interval AS approve_within,
        (p.request ->> 'max_per_transaction_minor')::bigint AS most,
        (p.request ->> 'approval_threshold_minor')::bigint AS threshold,
        (p.request ->> 'daily_limit_minor')::bigint AS a_day,
        p.request ->> 'time_zone' AS zone
    FROM asked AS a JOIN asked AS p
        ON p.kind = 'policy' AND p.request ->> 'agent_id' = a.request ->> 'agent_id'
    WHERE a.kind = 'payment' AND a.result IS NOT NULL) AS asked"""
# What a field is and what it should be, in the rows of a query that differ.
_DIFFERING = """
    CROSS JOIN LATERAL (VALUES {fields}) AS field(what, found, wanted)
    WHERE found IS DISTINCT FROM wanted"""
# Every saga, who asked for it, and whoever may have decided in it.
_ASKER = "coalesce(a.request ->> 'actor', 'agent:' || (a.request ->> 'agent_id'))"
_MADE = "'ResourceCreated', 'ResourceUpdated', 'ResourceReplaced'"
# Where a request says nothing, as the contract has it.
_DEFAULTS = """'{"metadata": {}, "capture": "automatic", "approve_within": "P1D", "absent": [],
    "force": false, "allow_irreversible": false, "capture_within": null, "daily_count": null,
    "weekly_limit_minor": null, "weekly_count": null, "monthly_limit_minor": null,
    "monthly_count": null, "total_limit_minor": null, "total_count": null, "further": {},
    "allowed_destinations": null, "refused_destinations": [], "hours": null, "approvers": null,
    "approvals": 1}'::jsonb"""
# The windows of each capture, in the zone of the policy, and what it holds of them.
_CAPTURED = f"""
    (SELECT z.authorization_id, z.agent_id, z.currency, period,
        coalesce(date_trunc(unit, e."timestamp" AT TIME ZONE asked.zone)::date, '1970-01-01')::text
            AS starts_on,
        z.amount_minor::numeric AS minor, 1::bigint AS count
    FROM {_PAID} JOIN ledger.authorizations AS z USING (saga_id)
    JOIN ledger.event_log AS e ON e.aggregate_id = z.aggregate_id
        AND e.event_type = 'AuthorizationCaptureStarted'
    CROSS JOIN (VALUES ('daily', 'day'), ('weekly', 'week'), ('monthly', 'month'), ('total', NULL))
        AS periods (period, unit)
    WHERE asked.state = 'captured')"""


def _fields(**pairs: str) -> str:
    """What each of these should be: `name="found = wanted"`, compared as texts."""
    rows = []
    for name, pair in pairs.items():
        found, wanted = pair.split(" = ", 1)
        rows.append(f"('{name}', ({found})::text, ({wanted})::text)")
    return _DIFFERING.format(fields=", ".join(rows))


SAGAS = {
    "each saga on record was asked for": """
        SELECT workflow_id FROM ledger.sagas
        WHERE workflow_id NOT IN (SELECT saga_id FROM asked)""",
    "each saga that answered is on record": """
        SELECT saga_id FROM asked
        WHERE result IS NOT NULL AND saga_id NOT IN (SELECT workflow_id FROM ledger.sagas)""",
    "the result of a saga is what its client was told": """
        SELECT a.saga_id FROM asked AS a JOIN ledger.sagas AS s ON s.workflow_id = a.saga_id
        WHERE a.result IS NOT NULL AND s.result IS DISTINCT FROM a.result""",
    "a saga that failed for its client is failed": """
        SELECT a.saga_id, a.failure FROM asked AS a
        JOIN ledger.sagas AS s ON s.workflow_id = a.saga_id
        WHERE a.failure IS NOT NULL AND s.state <> 'failed'""",
    "the input of a saga is its request": f"""
        SELECT a.saga_id, field.key FROM asked AS a
        JOIN ledger.sagas AS s ON s.workflow_id = a.saga_id
        CROSS JOIN LATERAL (
            SELECT key, i.value AS found, r.value AS wanted FROM jsonb_each(s.input) AS i
            FULL JOIN jsonb_each(a.request) AS r USING (key)) AS field
        WHERE CASE WHEN field.wanted IS NULL THEN field.found <> {_DEFAULTS} -> field.key
            WHEN jsonb_typeof(field.wanted) = 'array' THEN NOT (field.found @> field.wanted
                AND jsonb_array_length(field.found) = jsonb_array_length(field.wanted))
            ELSE field.found IS DISTINCT FROM field.wanted END IS NOT FALSE""",
    "an event is by whoever asked or decided, or by the system": f"""
        SELECT e.saga_id, e.event_type, e.user_id FROM ledger.event_log AS e
        JOIN asked AS a USING (saga_id)
        WHERE e.user_id NOT IN ({_ASKER}, 'system:amends') AND NOT EXISTS (
            SELECT FROM decided AS d WHERE d.saga_id = e.saga_id AND d.actor = e.user_id)""",
    "what was asked for is by whoever asked": f"""
        SELECT e.saga_id, e.event_type, e.user_id FROM ledger.event_log AS e
        JOIN asked AS a USING (saga_id)
        WHERE e.user_id <> {_ASKER} AND event_type IN ('SagaStarted', 'AuthorizationRequested',
            'AgentRegistered', 'PolicySet', 'ResourceChangeStarted', 'ResourceCreated')""",
    "a rejection or a cancel is by whoever decided so": """
        SELECT e.saga_id, e.user_id FROM ledger.event_log AS e
        WHERE e.event_type = 'SagaCompensating'
          AND e.payload ->> 'cause' IN ('rejected', 'cancelled') AND NOT EXISTS (
            SELECT FROM decided AS d WHERE d.saga_id = e.saga_id AND d.actor = e.user_id
            AND d.answer <> 'refused'
            AND d.verb = CASE e.payload ->> 'cause' WHEN 'rejected' THEN 'reject'
                                                    ELSE 'cancel' END)""",
}
PAYMENTS = {
    "each payment has the authorization that was asked for": f"""
        SELECT asked.saga_id, field.what FROM {_PAID}
        LEFT JOIN ledger.authorizations AS z USING (saga_id) """
    + _fields(
        amount_minor="z.amount_minor = asked.minor",
        currency="z.currency = asked.currency",
        destination="z.destination = asked.destination",
        agent_id="z.agent_id = asked.agent_id",
        description="z.description = asked.description",
    ),
    "each transfer is the one that was asked for": f"""
        SELECT t.saga_id, field.what FROM ledger.transfers AS t
        LEFT JOIN {_PAID} USING (saga_id)
        LEFT JOIN ledger.authorizations AS z USING (saga_id) """
    + _fields(
        amount_minor="t.amount_minor = asked.minor",
        currency="t.currency = asked.currency",
        destination="t.destination = asked.destination",
        key="t.key = asked.saga_id",
        authorization_id="t.authorization_id = z.authorization_id",
    ),
    # A key that was cancelled before its order came has no order.
    "each order at the bank is the one that was asked for": f"""
        SELECT bank.key, field.what
        FROM (SELECT * FROM bank WHERE amount_minor IS NOT NULL) AS bank
        LEFT JOIN {_PAID} ON asked.saga_id = bank.key """
    + _fields(
        key="bank.key = asked.saga_id",
        amount_minor="bank.amount_minor = asked.minor",
        currency="bank.currency = asked.currency",
        destination="bank.destination = asked.destination",
        description="bank.description = asked.description",
    ),
    "money moved for whoever was told so, and for nobody else": f"""
        SELECT coalesce(asked.saga_id, bank.key)
        FROM (SELECT * FROM {_PAID} WHERE state = 'captured') AS asked
        FULL JOIN (SELECT * FROM bank WHERE status = 'executed') AS bank
            ON bank.key = asked.saga_id
        WHERE asked.saga_id IS NULL OR bank.key IS NULL""",
    "the ids that a client was told are on record, and at the bank": f"""
        SELECT asked.saga_id, field.what FROM {_PAID}
        LEFT JOIN ledger.authorizations AS z USING (saga_id)
        LEFT JOIN ledger.transfers AS t USING (saga_id)
        LEFT JOIN bank ON bank.key = asked.saga_id AND bank.status = 'executed' """
    + _fields(
        authorization_id="z.authorization_id = asked.result ->> 'authorization_id'",
        transfer_id="t.transfer_id = asked.result ->> 'transfer_id'",
        provider_reference="z.provider_reference = asked.result ->> 'provider_reference'",
        bank="bank.reference = asked.result ->> 'provider_reference'",
    ),
    "the state of an authorization is what its client was told": f"""
        SELECT asked.saga_id, field.what FROM {_PAID}
        LEFT JOIN ledger.authorizations AS z USING (saga_id) """
    + _fields(
        state="z.state = asked.state",
        reason="z.reason = CASE WHEN asked.state = 'denied' THEN asked.result ->> 'reason' "
        "ELSE z.reason END",
    ),
    "a captured payment has its transfer, and no other has one that moved money": f"""
        SELECT asked.saga_id FROM {_PAID} LEFT JOIN ledger.transfers AS t USING (saga_id)
        WHERE (asked.state = 'captured') <> coalesce(t.state = 'executed', false)""",
    "above the maximum is denied": f"""
        SELECT saga_id FROM {_PAID} WHERE minor > most
        AND (state, result ->> 'reason') <> ('denied', 'exceeded_max_transaction_limit')""",
    "above the maximum nothing is authorized": f"""
        SELECT saga_id FROM {_PAID} JOIN ledger.authorizations AS z USING (saga_id)
        WHERE minor > most AND z.state <> 'denied'""",
    "who was denied had asked for too much": f"""
        SELECT saga_id FROM {_PAID} WHERE state = 'denied' AND minor <= most
        AND a_day >= (SELECT sum((request #>> '{{amount,minor}}')::bigint) FROM asked AS other
                      WHERE other.request ->> 'agent_id' = agent_id)""",
    "no agent moved more in a day than its limit": f"""
        SELECT agent_id, day FROM (
            SELECT asked.agent_id, (z.requested_at AT TIME ZONE zone)::date AS day, a_day, bank.*
            FROM {_PAID} JOIN ledger.authorizations AS z USING (saga_id)
            JOIN bank ON bank.key = asked.saga_id AND bank.status = 'executed') AS moved
        GROUP BY agent_id, day, a_day HAVING sum(amount_minor) > a_day""",
    "no order of a payment that was denied, rejected or expired is at the bank": f"""
        SELECT saga_id FROM {_PAID} JOIN bank ON bank.key = asked.saga_id
        WHERE state IN ('denied', 'rejected', 'expired')""",
    "above the threshold a user has approved what moved": f"""
        SELECT saga_id FROM {_PAID} JOIN ledger.authorizations AS z USING (saga_id)
        WHERE minor > threshold AND (
            asked.state = 'captured' OR EXISTS (
                SELECT FROM ledger.transfers AS t WHERE t.saga_id = asked.saga_id)
        ) AND NOT EXISTS (
            SELECT FROM ledger.event_log AS e JOIN decided AS d USING (saga_id)
            WHERE e.aggregate = 'authorization/' || z.authorization_id
              AND e.saga_id = asked.saga_id
              AND e.event_type = 'AuthorizationApproved' AND e.payload -> 'automatic' = 'false'
              AND e.user_id ~ '^user:.' AND d.actor = e.user_id
              AND d.verb = 'approve' AND d.answer <> 'refused')""",
    "up to the threshold nobody is asked": f"""
        SELECT saga_id FROM {_PAID} JOIN ledger.event_log AS e USING (saga_id)
        WHERE minor <= threshold AND (event_type = 'ApprovalRequested'
            OR event_type = 'AuthorizationApproved' AND e.payload -> 'automatic' <> 'true')""",
    "a payment is rejected or voided where somebody decided so": f"""
        SELECT saga_id, state FROM {_PAID} WHERE state IN ('rejected', 'voided') AND NOT EXISTS (
            SELECT FROM decided AS d WHERE d.saga_id = asked.saga_id AND d.answer <> 'refused'
            AND d.verb = CASE asked.state WHEN 'rejected' THEN 'reject' ELSE 'cancel' END)""",
    "what somebody rejected or cancelled is not captured": f"""
        SELECT saga_id, verb FROM {_PAID} JOIN decided USING (saga_id)
        WHERE answer = 'accepted' AND verb IN ('reject', 'cancel') AND state = 'captured'""",
    "what its agent captures waits for a capture": f"""
        SELECT saga_id FROM {_PAID} WHERE capture = 'manual' AND state = 'captured'
        AND NOT EXISTS (SELECT FROM decided AS d WHERE d.saga_id = asked.saga_id
                        AND d.verb = 'capture' AND d.answer <> 'refused')""",
    "an approval expires when it was asked to, and not earlier": f"""
        SELECT saga_id FROM {_PAID} JOIN ledger.authorizations AS z USING (saga_id)
        WHERE z.expires_at <> z.requested_at + approve_within
           OR asked.state = 'expired' AND (z.expires_at IS NULL OR z.expires_at > (
                SELECT min("timestamp") FROM ledger.event_log AS e
                WHERE e.saga_id = asked.saga_id AND e.event_type = 'AuthorizationExpired'))""",
    "an authorization holds its amount on its day once it is captured, and else nothing": f"""
        SELECT coalesce(wanted.authorization_id, held.authorization_id) FROM (
            SELECT substr(e.aggregate, 15) AS authorization_id, change #>> '{{window,agent_id}}'
                AS agent_id, change #>> '{{window,currency}}' AS currency,
                change #>> '{{window,period}}' AS period,
                change #>> '{{window,starts_on}}' AS starts_on,
                sum((change ->> 'amount_minor')::numeric) AS minor,
                sum((change ->> 'count')::bigint) AS count
            FROM ledger.event_log AS e
            CROSS JOIN jsonb_array_elements(e.payload -> 'spend') AS change
            WHERE e.aggregate LIKE 'authorization/%' GROUP BY 1, 2, 3, 4, 5) AS held
        FULL JOIN {_CAPTURED} AS wanted
            USING (authorization_id, agent_id, currency, period, starts_on)
        WHERE (coalesce(held.minor, 0), coalesce(held.count, 0))
            <> (coalesce(wanted.minor, 0), coalesce(wanted.count, 0))""",
    "an authorization that is captured has its reservation in its row, and no other": """
        SELECT z.saga_id FROM ledger.authorizations AS z LEFT JOIN LATERAL (
            SELECT jsonb_agg(held.row ORDER BY held.row) AS spend FROM (
                SELECT jsonb_build_object('window', change -> 'window',
                    'amount_minor', sum((change ->> 'amount_minor')::bigint),
                    'count', sum((change ->> 'count')::bigint)) AS row
                FROM ledger.event_log AS e
                CROSS JOIN jsonb_array_elements(e.payload -> 'spend') AS change
                WHERE e.aggregate_id = z.aggregate_id GROUP BY change -> 'window'
                HAVING sum((change ->> 'amount_minor')::bigint) <> 0) AS held) AS held ON true
        WHERE (SELECT jsonb_agg(row ORDER BY row) FROM jsonb_array_elements(z.reserved) AS row)
            IS DISTINCT FROM held.spend OR z.state <> 'captured' AND z.reserved <> '[]'""",
    "the spend windows are the captured payments of each day": f"""
        SELECT agent_id, period, starts_on FROM (
            SELECT agent_id, currency, period, starts_on::text, sum(amount_minor) AS minor,
                sum(count) AS count FROM ledger.spend_windows GROUP BY 1, 2, 3, 4) AS spent
        FULL JOIN (
            SELECT agent_id, currency, period, starts_on, sum(minor) AS minor, sum(count) AS count
            FROM {_CAPTURED} AS captured GROUP BY 1, 2, 3, 4) AS wanted
            USING (agent_id, currency, period, starts_on)
        WHERE (coalesce(spent.minor, 0), coalesce(spent.count, 0))
            <> (coalesce(wanted.minor, 0), coalesce(wanted.count, 0))""",
    "a payment has the steps of its end": f"""
        SELECT asked.saga_id, step.name FROM {_PAID}
        CROSS JOIN LATERAL (VALUES ('authorize', true),
            ('approve', state = 'captured' AND minor > threshold),
            ('execute transfer', state = 'captured'), ('settle', state = 'captured')
        ) AS step(name, is_needed)
        LEFT JOIN ledger.saga_steps AS t ON t.saga_id = asked.saga_id AND t.name = step.name
        WHERE is_needed AND t.saga_id IS NULL""",
}
AGENTS = {
    "each agent is as it was registered": """
        SELECT a.saga_id, field.what FROM asked AS a
        LEFT JOIN ledger.agents AS g ON g.agent_id = a.request ->> 'agent_id' """
    + _fields(user="""g."user" = a.request ->> 'user'""", state="g.state = 'active'")
    + " AND a.kind = 'agent'",
    "each policy is as it was set": """
        SELECT a.saga_id, field.what FROM asked AS a
        LEFT JOIN ledger.policies AS p ON p.agent_id = a.request ->> 'agent_id' """
    + _fields(
        **{
            name: f"p.{name} = a.request ->> '{name}'"
            for name in (
                *("currency", "max_per_transaction_minor", "daily_limit_minor"),
                *("approval_threshold_minor", "time_zone"),
            )
        }
    )
    + " AND a.kind = 'policy'",
}
CHANGES = {
    "the target holds the roles that are present": """
        SELECT coalesce(r.name, roles.name) FROM roles FULL JOIN (
            SELECT name FROM ledger.resources WHERE state = 'present') AS r USING (name)
        WHERE r.name IS NULL OR roles.name IS NULL""",
    "each role has what its last change asked for, and no power": """
        SELECT roles.name, field.what FROM roles
        LEFT JOIN ledger.resources AS r ON r.name = roles.name
        LEFT JOIN asked AS a ON a.saga_id = r.changed_by """
    + _fields(
        login="roles.login = a.request #>> '{present,0,spec,login}'",
        connection_limit="roles.connection_limit = -1",
        powers="roles.powers = '{}'::jsonb",
    ),
    "each resource is what its last change asked for": """
        SELECT r.name, field.what FROM ledger.resources AS r
        LEFT JOIN asked AS a ON a.saga_id = r.changed_by """
    + _fields(
        name="r.name = coalesce(a.request #>> '{present,0,name}', a.request #>> '{resources,0}')",
        kind="r.kind = coalesce(a.request #>> '{present,0,kind}', r.kind)",
        environment="r.environment = a.request ->> 'environment'",
        spec="r.spec = (a.request #> '{present,0,spec}') || '{\"connection_limit\": -1}'",
    ),
    "nobody claims a resource": """
        SELECT name, claimed_by FROM ledger.resources WHERE claimed_by IS NOT NULL""",
    "what a change was told to have done is on record, and nothing else": f"""
        SELECT coalesce(told.saga_id, done.saga_id), coalesce(told.name, done.name) FROM (
            SELECT saga_id, change ->> 'name' AS name, change ->> 'action' AS action
            FROM asked CROSS JOIN jsonb_array_elements(result -> 'changes') AS change
            WHERE kind IN ('change', 'rollback') AND result ->> 'state' = 'applied') AS told
        FULL JOIN (
            SELECT saga_id, split_part(aggregate, '/', 3) AS name, CASE event_type
                WHEN 'ResourceCreated' THEN 'create' WHEN 'ResourceUpdated' THEN 'update'
                WHEN 'ResourceReplaced' THEN 'replace' ELSE 'delete' END AS action
            FROM ledger.event_log WHERE event_type IN ({_MADE}, 'ResourceDeleted')) AS done
            USING (saga_id, name, action)
        WHERE told.saga_id IS NULL OR done.saga_id IS NULL""",
}
BUSINESS = {**SAGAS, **PAYMENTS, **AGENTS, **CHANGES}
