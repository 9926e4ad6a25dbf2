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
BEGIN
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
