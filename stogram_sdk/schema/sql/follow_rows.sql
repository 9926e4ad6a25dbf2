-- Whoever writes a table writes its copy too, in the same transaction. A row that is not in the copy
-- may be in a batch whose commit is on its way to the other servers: the lock is had when it is there.
-- Under a stricter isolation a transaction does not see what was copied after it began. It learns of
-- that by putting the row there itself, which is then refused (SQLSTATE 40001): it has to run again.
CREATE OR REPLACE FUNCTION @prefixfollow_rows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET citus.multi_shard_modify_mode = 'sequential' AS $body$
DECLARE
    chat text;
    sees_all bool := pg_catalog.current_setting('transaction_isolation')
        OPERATOR(pg_catalog.=) 'read committed';
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM @to;
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND @stays THEN
        UPDATE @to SET @assignments WHERE @old_row;
        IF NOT FOUND THEN
            PERFORM pg_catalog.pg_advisory_xact_lock_shared(@batch);
            IF NOT sees_all THEN
                chat := @old_chat;
                INSERT INTO @to (@columns) VALUES (@old_values) ON CONFLICT DO NOTHING;
            END IF;
            UPDATE @to SET @assignments WHERE @old_row;
        END IF;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM @to WHERE @old_row;
        IF NOT FOUND THEN
            PERFORM pg_catalog.pg_advisory_xact_lock_shared(@batch);
            IF NOT sees_all THEN
                chat := @old_chat;
                INSERT INTO @to (@columns) SELECT @old_values WHERE chat IS NOT NULL OR @has_no_chat
                ON CONFLICT DO NOTHING;
            END IF;
            DELETE FROM @to WHERE @old_row;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        chat := @chat;
        INSERT INTO @to (@columns) VALUES (@new_values) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $body$
