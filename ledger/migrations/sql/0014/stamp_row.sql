-- A state row carries the transaction that wrote it, and its version before that transaction. As
-- before, with the identity of refunds.
CREATE OR REPLACE FUNCTION ledger.stamp_row() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    identity text;
BEGIN
    NEW.xid := pg_current_xact_id();
    IF TG_OP = 'INSERT' THEN
        -- Else one event would do for rows in two tables.
        IF split_part(NEW.aggregate, '/', 1) <> TG_ARGV[0] THEN
            RAISE EXCEPTION '% has no place in ledger.%: it is of no %',
                NEW.aggregate, TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'ZA003';
        END IF;
        NEW.base := 0;
    ELSE
        -- After a restore the number of an old transaction comes again, and its time is long past.
        IF OLD.xid = NEW.xid AND OLD.head_at >= now() THEN
            RAISE EXCEPTION '% was already written in this transaction: one commit writes it once',
                OLD.aggregate USING ERRCODE = 'ZA003';
        END IF;
        -- Who reads the log by transaction would meet the versions in the wrong order. What is older
        -- than a commit may be late is of a transaction that ended before, or of another cluster.
        IF OLD.xid > NEW.xid AND OLD.head_at >= now() - ledger.late_after() THEN
            IF OLD.head_at >= (SELECT max(began_at) FROM ledger.incarnations) THEN
                RAISE EXCEPTION '% was written by transaction %, which began to write after this '
                    'one, %: try again', OLD.aggregate, OLD.xid, NEW.xid USING ERRCODE = '40001';
            END IF;
        END IF;
        IF NEW.aggregate_id <> OLD.aggregate_id OR NEW.aggregate <> OLD.aggregate THEN
            RAISE EXCEPTION '% can''t become another aggregate', OLD.aggregate
                USING ERRCODE = 'ZA003';
        END IF;
        NEW.base := OLD.version;
    END IF;
    -- Else a row under one name could take what is another's: an operation id, an agent, a resource.
    CASE TG_ARGV[0]
        WHEN 'saga' THEN
            identity := 'saga/' || NEW.workflow_id;
            -- A run of a schedule has colons in its workflow id, where its operation id has dots.
            IF replace(NEW.workflow_id, ':', '.') <> NEW.kind || '/' || NEW.operation_id THEN
                identity := '';
            END IF;
        WHEN 'step' THEN identity := 'step/' || NEW.saga_id || '/' || NEW.name;
        WHEN 'authorization' THEN identity := 'authorization/' || NEW.authorization_id;
        WHEN 'transfer' THEN identity := 'transfer/' || NEW.transfer_id;
        WHEN 'refund' THEN identity := 'refund/' || NEW.refund_id;
        WHEN 'agent' THEN identity := 'agent/' || NEW.agent_id;
        WHEN 'policy' THEN identity := 'policy/' || NEW.agent_id;
        WHEN 'mandate' THEN identity := 'mandate/' || NEW.mandate_id;
        WHEN 'key' THEN identity := 'key/' || NEW.key_id;
        WHEN 'statement' THEN identity := 'statement/' || NEW.statement_id;
        WHEN 'case' THEN identity := 'case/' || NEW.case_id;
        WHEN 'resource' THEN identity := 'resource/' || NEW.environment || '/' || NEW.name;
    END CASE;
    IF identity <> NEW.aggregate THEN
        RAISE EXCEPTION '% claims another identity than that of its name', NEW.aggregate
            USING ERRCODE = 'ZA008';
    END IF;
    IF NEW.version <= NEW.base THEN
        RAISE EXCEPTION '% has version %: the next must be higher, not %',
            NEW.aggregate, NEW.base, NEW.version USING ERRCODE = 'ZA003';
    END IF;
    -- After the clock stepped back, the old time may stand again, and nothing else from the future.
    IF NEW.head_at < now() OR NEW.head_at < OLD.head_at OR (NEW.head_at > clock_timestamp()
            AND NEW.head_at IS DISTINCT FROM OLD.head_at) THEN
        RAISE EXCEPTION '% at % is not within this transaction', NEW.aggregate, NEW.head_at
            USING ERRCODE = 'ZA003';
    END IF;
    RETURN NEW;
END
$$;
