-- The tags of the messages that are older than the triggers. The row with the empty tag keeps the
-- place that was reached, and says at last that the table is complete. It is taken at its word as far
-- as a sample goes.
DO $block$
DECLARE
    home text := pg_catalog.quote_ident(@schema);
    place text;
    next text;
    attempts int := 0;
    -- Fewer messages beside writers who are in the way, who lock theirs in any order.
    size int := 1000;
    has_shards bool;
    failed text;
BEGIN
    PERFORM pg_catalog.set_config('search_path', home, true);
    IF pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        SELECT EXISTS (SELECT FROM pg_dist_partition
            WHERE logicalrelid = '"Message"'::pg_catalog.regclass AND partmethod = 'h') INTO has_shards;
    END IF;
    IF has_shards THEN
        -- Each server fills the shards that it has, in batches of its own.
        IF EXISTS (SELECT FROM "MessageTag" WHERE tag = '' AND "chatId" = 'complete') AND (@shards) THEN
            RETURN;
        END IF;
        TRUNCATE "MessageTag";
        COMMIT;
        PERFORM pg_catalog.set_config('search_path', home, true);
        SELECT pg_catalog.min(result) INTO failed FROM run_command_on_colocated_placements(
            '"Message"', '"MessageTag"', pg_catalog.replace(pg_catalog.replace($shard$
            DO $fill$ DECLARE place text := ''; next text; BEGIN LOOP
                SET LOCAL search_path = @home;
                WITH batch AS MATERIALIZED (
                    SELECT * FROM @a1$s WHERE id > place AND (
                        hashtags::text NOT IN ('{}', '[]') OR mentions::text NOT IN ('{}', '[]'))
                    ORDER BY id LIMIT 1000 FOR SHARE
                ), filled AS (
                    INSERT INTO @a2$s
                    SELECT tag.* FROM batch, stogram_message_tags(ROW(batch.*)::"Message") AS tag
                    ON CONFLICT DO NOTHING
                )
                SELECT pg_catalog.max(id) INTO next FROM batch;
                COMMIT;
                EXIT WHEN next IS NULL;
                place := next;
            END LOOP; END $fill$ $shard$, '@home', home), '@a', pg_catalog.chr(37))) WHERE NOT success;
        IF failed IS NOT NULL THEN
            RAISE EXCEPTION USING MESSAGE = pg_catalog.concat(
                'a shard of "MessageTag" was not filled: ', failed);
        END IF;
        INSERT INTO "MessageTag" VALUES ('', 'complete', 'epoch', '');
        RETURN;
    END IF;
    LOOP
        BEGIN
            PERFORM pg_catalog.set_config('search_path', home, true);
            SET LOCAL lock_timeout = '200ms';
            SELECT "messageId" INTO place FROM "MessageTag" WHERE tag = '' AND "chatId" = 'filling';
            IF place IS NULL THEN
                EXIT WHEN (SELECT count(*) FROM "MessageTag" WHERE tag = '') = 1 AND (@sampled);
                TRUNCATE "MessageTag";
            END IF;
            WITH batch AS MATERIALIZED (
                SELECT message FROM "Message" AS message
                WHERE id > coalesce(place, '') AND (
                    hashtags::text NOT IN ('{}', '[]') OR mentions::text NOT IN ('{}', '[]'))
                ORDER BY id LIMIT size FOR SHARE
            ), filled AS (
                INSERT INTO "MessageTag"
                SELECT tag.* FROM batch, stogram_message_tags(batch.message) AS tag
                ON CONFLICT DO NOTHING
            )
            SELECT pg_catalog.max((batch.message).id) INTO next FROM batch;
            DELETE FROM "MessageTag" WHERE tag = '';
            INSERT INTO "MessageTag" VALUES (
                '', CASE WHEN next IS NULL THEN 'complete' ELSE 'filling' END,
                'epoch', coalesce(next, ''));
            attempts := 0;
            size := LEAST(1000, size * 2);
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            attempts := attempts + 1;
            size := GREATEST(10, size / 4);
            IF attempts > 1000 THEN
                RAISE;
            END IF;
            PERFORM pg_catalog.pg_sleep(
                0.1 OPERATOR(pg_catalog.+) (0.4 OPERATOR(pg_catalog.*) pg_catalog.random()));
        END;
        COMMIT;
    END LOOP;
END $block$;
