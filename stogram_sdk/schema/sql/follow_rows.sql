-- Whoever writes a table writes its copy too, in the same transaction. A row that is not in the copy
-- may be in a batch whose commit is on its way to the other servers: the lock is had when it is there.
-- Under a stricter isolation a transaction does not see what was copied after it began. It learns of
-- that by putting the row there itself, which is then refused (SQLSTATE 40001): it has to run again.
-- Once all are copied, a row that is not there is gone.
CREATE OR REPLACE FUNCTION @prefixfollow_rows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET citus.multi_shard_modify_mode = 'sequential' AS $body$
DECLARE
    chat text;
    -- The row stays with its chat.
    is_edit bool;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM @to;
        RETURN NULL;
    END IF;
    is_edit := TG_OP = 'UPDATE' AND @stays;
    FOR look IN 1..2 LOOP
        EXIT WHEN TG_OP = 'INSERT';
        IF is_edit THEN
            UPDATE @to SET @assignments WHERE @old_row;
        ELSE
            DELETE FROM @to WHERE @old_row;
        END IF;
        EXIT WHEN FOUND OR look = 2;
        PERFORM pg_catalog.pg_advisory_xact_lock_shared(@batch);
        IF pg_catalog.current_setting('transaction_isolation')
                OPERATOR(pg_catalog.<>) 'read committed'
            AND NOT EXISTS (SELECT FROM @copied WHERE name = '@table' AND is_complete) THEN
            chat := @old_chat;
            INSERT INTO @to (@columns) SELECT @old_values WHERE chat IS NOT NULL OR @has_no_chat
            ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;
    IF TG_OP <> 'DELETE' AND NOT is_edit THEN
        chat := @chat;
        INSERT INTO @to (@columns) VALUES (@new_values) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $body$
