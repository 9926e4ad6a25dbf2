-- The triggers on "Message" that call stogram_keep_message_tags(), if its comment does not note that
-- they are there. Then "MessageTag" may lack rows: without its mark it is filled from the beginning.
DO $block$
DECLARE
    named text := @schema;
    home text := pg_catalog.quote_ident(named);
    -- Of an array, or of the JSON that a server may keep in a column of type TEXT.
    none text;
    has text;
    of_old text := '(OLD.id, OLD."chatId", OLD."createdAt", OLD."isDeleted", OLD."isSent", '
        'OLD."scheduledFor", OLD.hashtags, OLD.mentions)';
    make record;
    keeper text := home || '.stogram_keep_message_tags()';
    path text := pg_catalog.current_setting('search_path');
BEGIN
    IF pg_catalog.obj_description(keeper::pg_catalog.regprocedure, 'pg_proc') IS NOT NULL THEN
        RETURN;
    END IF;
    -- The conditions of the triggers compare arrays, also inside rows: no operator may be found that
    -- fits them better than that of the catalog.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    SELECT CASE WHEN a.atttypid = 'pg_catalog.text[]'::pg_catalog.regtype THEN '{}' ELSE '[]' END
    INTO none
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = pg_catalog.to_regclass(home || '."Message"') AND a.attname = 'hashtags';
    has := '(@row.hashtags <> ' || pg_catalog.quote_literal(none)
        || ' OR @row.mentions <> ' || pg_catalog.quote_literal(none) || ')';
    FOR make IN SELECT * FROM (VALUES
        ('insert', 'FOR EACH ROW WHEN ' || pg_catalog.replace(has, '@row', 'NEW')),
        ('update', 'FOR EACH ROW WHEN ((' || pg_catalog.replace(has, '@row', 'OLD') || ' OR '
            || pg_catalog.replace(has, '@row', 'NEW') || ') AND ' || of_old
            || ' IS DISTINCT FROM ' || pg_catalog.replace(of_old, 'OLD.', 'NEW.') || ')'),
        ('delete', 'FOR EACH ROW WHEN ' || pg_catalog.replace(has, '@row', 'OLD')),
        ('truncate', 'FOR EACH STATEMENT')
    ) AS given(event, which) LOOP
        EXECUTE 'DROP TRIGGER IF EXISTS "Message_tags_' || make.event || '" ON '
            || home || '."Message"';
        EXECUTE 'CREATE TRIGGER "Message_tags_' || make.event || '" AFTER ' || make.event
            || ' ON ' || home || '."Message" ' || make.which
            || ' EXECUTE FUNCTION ' || keeper;
    END LOOP;
    EXECUTE 'COMMENT ON FUNCTION ' || keeper || ' IS '
        || pg_catalog.quote_literal('@shipped ' || (@installed));
    PERFORM pg_catalog.set_config('search_path', path, true);
    EXECUTE 'DELETE FROM ' || home
        || $q$."MessageTag" WHERE tag OPERATOR(pg_catalog.=) ''$q$;
END $block$;
