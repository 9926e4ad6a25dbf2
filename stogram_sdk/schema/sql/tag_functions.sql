-- The functions that keep "MessageTag". They run with the rights of the owner for whoever writes
-- messages, so they name pg_catalog wherever they mean it: nobody can put something of theirs in
-- its place. Names without a schema are found beside the table that is written: it may be renamed.
DO $block$
DECLARE
    home text := pg_catalog.quote_ident(@schema);
    by_collation text;
    fold text;
    texts text;
BEGIN
    IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 180000 THEN
        fold := $f$pg_catalog.normalize(pg_catalog.casefold(
            pg_catalog.normalize(@tag, 'NFKC') COLLATE pg_catalog.pg_unicode_fast), 'NFC')$f$;
    ELSE
        SELECT ' COLLATE pg_catalog.' || pg_catalog.quote_ident(c.collname) INTO by_collation
        FROM (VALUES (1, 'und-x-icu'), (2, 'pg_c_utf8'), (3, 'C.utf8'), (4, 'C.UTF-8'),
                (5, 'en_US.utf8')) AS known(place, name)
            JOIN pg_catalog.pg_collation AS c ON c.collname OPERATOR(pg_catalog.=) known.name
        WHERE c.collnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
            AND c.collencoding IN (-1, pg_catalog.pg_char_to_encoding('UTF8'))
        ORDER BY known.place LIMIT 1;
        -- casefold() makes one letter of both sigmas, and "ss" of sharp s in both cases.
        fold := pg_catalog.replace($f$pg_catalog.normalize(pg_catalog.replace(pg_catalog.replace(
            pg_catalog.lower(pg_catalog.upper(pg_catalog.replace(
                pg_catalog.normalize(@tag, 'NFKC'), pg_catalog.chr(7838), pg_catalog.chr(223)
            )@by)@by), pg_catalog.chr(962), pg_catalog.chr(963)), pg_catalog.chr(223), 'ss'),
            'NFC')$f$, '@by', coalesce(by_collation, ''));
    END IF;
    -- pg_catalog comes first where a path does not name it.
    PERFORM pg_catalog.set_config('search_path', home, true);
    -- What text.key_of does too: a space goes, which NFKC makes of some letters, and a dot at the
    -- end; and more than 256 characters would not fit into the index.
    EXECUTE pg_catalog.replace(pg_catalog.replace($f$
        CREATE OR REPLACE FUNCTION @home.stogram_tag_key(tag text) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $body$
            SELECT pg_catalog.rtrim(pg_catalog."left"(@folded, 256), pg_catalog.chr(183))
        $body$ $f$, '@folded', pg_catalog.replace(fold, '@tag',
            'pg_catalog.replace(' || pg_catalog.replace(fold, '@tag',
                'pg_catalog."left"(tag, 256)') || $f$, ' ', '')$f$)), '@home', home);
    -- For search_users: one word of a name. What parts words is that of text.words_of.
    EXECUTE pg_catalog.replace(pg_catalog.replace($f$
        CREATE OR REPLACE FUNCTION @home.stogram_word(name text, number integer) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $body$
            SELECT pg_catalog."left"((pg_catalog.string_to_array(pg_catalog.btrim(
                pg_catalog.regexp_replace(@folded, '[\u0001-\u002f\u003a-\u0040\u005b-\u005e'
                    '\u0060\u007b-\u00bf\u2000-\u206f\u3000-\u3002]+', ' ', 'g')), ' '))[number], 64)
        $body$ $f$, '@folded', pg_catalog.replace(fold, '@tag', 'pg_catalog."left"(name, 256)')),
        '@home', home);
    -- A server may keep JSON in a column of type TEXT. What is no array of texts holds no tags: a
    -- message is never refused for it.
    SELECT CASE WHEN a.atttypid OPERATOR(pg_catalog.=) 'pg_catalog.text[]'::pg_catalog.regtype
        THEN 'message.@column' ELSE 'stogram_json_texts(message.@column)' END INTO texts
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(home || '."Message"')
        AND a.attname OPERATOR(pg_catalog.=) 'hashtags';
    EXECUTE pg_catalog.replace($f$
        CREATE OR REPLACE FUNCTION @home.stogram_json_texts(json_text text) RETURNS text[]
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $body$
        BEGIN
            IF json_text IS NULL OR json_text OPERATOR(pg_catalog.=) '[]' THEN
                RETURN '{}';
            END IF;
            RETURN ARRAY(SELECT pg_catalog.json_array_elements_text(json_text::pg_catalog.json));
        EXCEPTION WHEN data_exception OR statement_too_complex THEN
            RETURN '{}';
        END $body$ $f$, '@home', home);
    EXECUTE pg_catalog.replace(pg_catalog.replace(pg_catalog.replace($f$
        CREATE OR REPLACE FUNCTION @home.stogram_message_tags(message "Message")
        RETURNS SETOF "MessageTag" LANGUAGE sql STABLE ROWS 2 AS $body$
            SELECT given.sign OPERATOR(pg_catalog.||) stogram_tag_key(given.tag),
                message."chatId", message."createdAt", message.id
            FROM (
                SELECT '#'::pg_catalog.text, pg_catalog.unnest(@hashtags)
                UNION ALL SELECT '@'::pg_catalog.text, pg_catalog.unnest(@mentions)
            ) AS given(sign, tag)
            WHERE given.tag IS NOT NULL AND NOT message."isDeleted"
                AND (message."isSent" OR message."scheduledFor" IS NULL)
        $body$ $f$, '@hashtags', pg_catalog.replace(texts, '@column', 'hashtags')),
        '@mentions', pg_catalog.replace(texts, '@column', 'mentions')), '@home', home);
    -- enable_seqscan: a session keeps its plans, also one that it made while the table was small.
    EXECUTE pg_catalog.replace($f$
        CREATE OR REPLACE FUNCTION @home.stogram_keep_message_tags() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $body$
        DECLARE
            past record;
            kept text;
        BEGIN
            PERFORM pg_catalog.set_config('search_path',
                'pg_catalog, ' || pg_catalog.quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', true);
            -- A shard, such as "Message_102042": the shard of "MessageTag" for the same chats is
            -- beside it, and nothing else may be written from here.
            IF TG_TABLE_NAME <> 'Message' THEN
                SELECT pg_catalog.quote_ident('MessageTag_' || tags.shardid) INTO kept
                FROM pg_dist_shard AS messages JOIN pg_dist_shard AS tags USING (shardminvalue)
                WHERE messages.shardid = pg_catalog."substring"(TG_TABLE_NAME, '[0-9]+$')::pg_catalog.int8
                    AND tags.logicalrelid = '"MessageTag"'::pg_catalog.regclass;
                IF TG_OP = 'TRUNCATE' THEN
                    EXECUTE 'DELETE FROM ' || kept || $q$ WHERE tag <> ''$q$;
                    RETURN NULL;
                END IF;
                IF TG_OP <> 'INSERT' THEN
                    EXECUTE 'DELETE FROM ' || kept || ' WHERE (tag, "chatId", "createdAt", "messageId")'
                        ' IN (SELECT past.* FROM stogram_message_tags(ROW(($1).*)::"Message") AS past)'
                    USING OLD;
                END IF;
                IF TG_OP <> 'DELETE' THEN
                    EXECUTE 'INSERT INTO ' || kept || ' SELECT made.*'
                        ' FROM stogram_message_tags(ROW(($1).*)::"Message") AS made'
                        ' ON CONFLICT DO NOTHING'
                    USING NEW;
                END IF;
                RETURN NULL;
            END IF;
            IF TG_OP = 'TRUNCATE' THEN
                DELETE FROM "MessageTag" WHERE tag OPERATOR(pg_catalog.<>) '';
                RETURN NULL;
            END IF;
            IF TG_OP <> 'INSERT' THEN
                -- One by one: a join would be planned anew each time, which takes longer.
                FOR past IN SELECT * FROM stogram_message_tags(OLD) LOOP
                    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
                        -- The rows may have been filled in since this snapshot was taken, and DELETE
                        -- would not see them: this ends with a serialization failure then.
                        INSERT INTO "MessageTag"
                        VALUES (past.tag, past."chatId", past."createdAt", past."messageId")
                        ON CONFLICT DO NOTHING;
                    END IF;
                    DELETE FROM "MessageTag" AS kept
                    WHERE kept.tag = past.tag AND kept."chatId" = past."chatId"
                        AND kept."createdAt" = past."createdAt"
                        AND kept."messageId" = past."messageId";
                END LOOP;
            END IF;
            IF TG_OP <> 'DELETE' THEN
                INSERT INTO "MessageTag" SELECT * FROM stogram_message_tags(NEW)
                ON CONFLICT DO NOTHING;
            END IF;
            RETURN NULL;
        END $body$ $f$, '@home', home);
    -- No other role may use it for a table of its own: it runs with the rights of the owner.
    EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || home || '.stogram_keep_message_tags() FROM PUBLIC';
END $block$;
