-- The rows of a table, for its copy. What is written meanwhile is there already by way of the
-- triggers. The place that was reached is kept with each batch: a run that was broken off goes on.
DO $block$
DECLARE
    reached text;
    next text;
    attempts int := 0;
    -- Fewer rows beside writers who are in the way.
    size int := 2000;
BEGIN
    LOOP
        BEGIN
            SET LOCAL lock_timeout = '200ms';
            SELECT place INTO STRICT reached FROM @copied WHERE name = '@table';
            SELECT pg_catalog.max(batch.place) INTO next FROM (
                SELECT @key AS place FROM @from AS here
                WHERE @key > reached ORDER BY place LIMIT size) AS batch;
            IF next IS NOT NULL THEN
                INSERT INTO @to (@columns)
                SELECT @values FROM @rows WHERE @key > reached AND @key <= next FOR SHARE OF here
                ON CONFLICT DO NOTHING;
            END IF;
            UPDATE @copied SET place = coalesce(next, place), is_complete = next IS NULL
            WHERE name = '@table';
            -- Until the commit has reached all servers; see follow_rows.sql.
            PERFORM pg_catalog.pg_advisory_xact_lock(@batch);
            attempts := 0;
            size := LEAST(2000, size * 2);
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            attempts := attempts + 1;
            size := GREATEST(10, size / 4);
            IF attempts > 1000 THEN
                RAISE;
            END IF;
            next := '';
            PERFORM pg_catalog.pg_sleep(
                0.1 OPERATOR(pg_catalog.+) (0.4 OPERATOR(pg_catalog.*) pg_catalog.random()));
        END;
        COMMIT;
        EXIT WHEN next IS NULL;
    END LOOP;
END $block$;
