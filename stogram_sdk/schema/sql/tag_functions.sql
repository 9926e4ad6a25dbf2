-- The functions that keep "MessageTag".
DO $block$
DECLARE
    home text := quote_ident(@schema);
    by_collation text;
    key text;
BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        key := 'normalize(casefold(normalize(tag, NFKC) COLLATE "pg_unicode_fast"), NFC)';
    ELSE
        SELECT ' COLLATE pg_catalog.' || quote_ident(c.collname) INTO by_collation
        FROM pg_collation AS c
        WHERE c.collnamespace = 'pg_catalog'::regnamespace
            AND c.collname IN ('und-x-icu', 'pg_c_utf8', 'C.utf8', 'C.UTF-8', 'en_US.utf8')
            AND c.collencoding IN (-1, pg_char_to_encoding('UTF8'))
        ORDER BY array_position(
            ARRAY['und-x-icu', 'pg_c_utf8', 'C.utf8', 'C.UTF-8', 'en_US.utf8'], c.collname::text)
        LIMIT 1;
        -- casefold() makes one letter of both sigmas, and "ss" of sharp s in both cases.
        key := replace(
            'normalize(replace(replace(lower(upper(replace(normalize(tag, NFKC), chr(7838), '
            'chr(223))@by)@by), chr(962), chr(963)), chr(223), ''ss''), NFC)',
            '@by', coalesce(by_collation, ''));
    END IF;
    PERFORM set_config('search_path', home, true);
    EXECUTE 'CREATE OR REPLACE FUNCTION stogram_tag_key(tag text) RETURNS text '
        'LANGUAGE sql IMMUTABLE PARALLEL SAFE AS ' || quote_literal('SELECT ' || key);
    -- A longer key would not fit into the index; a search cuts at 256 too.
    CREATE OR REPLACE FUNCTION stogram_message_tags(message "Message")
    RETURNS SETOF "MessageTag" LANGUAGE sql STABLE ROWS 2 AS $body$
        SELECT given.sign || left(stogram_tag_key(given.tag), 256),
            message."chatId", message."createdAt", message.id
        FROM (
            SELECT '#', unnest(message.hashtags)
            UNION ALL SELECT '@', unnest(message.mentions)
        ) AS given(sign, tag)
        WHERE given.tag IS NOT NULL AND NOT message."isDeleted"
            AND (message."isSent" OR message."scheduledFor" IS NULL)
    $body$;
    -- SECURITY DEFINER: a role that may write messages needs no right to write "MessageTag".
    -- enable_seqscan: a session keeps its plans, also one that it made while the table was small.
    CREATE OR REPLACE FUNCTION stogram_keep_message_tags() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $body$
    DECLARE
        past record;
    BEGIN
        -- For this call: the schema may be renamed, and the writer's session may be in another.
        PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', true);
        IF TG_OP = 'TRUNCATE' THEN
            DELETE FROM "MessageTag" WHERE tag <> '';
            RETURN NULL;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            -- One by one: a join would be planned anew each time, which takes longer than this.
            FOR past IN SELECT * FROM stogram_message_tags(OLD) LOOP
                DELETE FROM "MessageTag" AS kept
                WHERE kept.tag = past.tag AND kept."chatId" = past."chatId"
                    AND kept."createdAt" = past."createdAt" AND kept."messageId" = past."messageId";
            END LOOP;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO "MessageTag" SELECT * FROM stogram_message_tags(NEW)
            ON CONFLICT DO NOTHING;
        END IF;
        RETURN NULL;
    END $body$;
    -- No other role may use it for a table of its own: it runs with the rights of the owner.
    REVOKE EXECUTE ON FUNCTION stogram_keep_message_tags() FROM PUBLIC;
END $block$;
