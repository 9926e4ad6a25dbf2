-- The triggers on "Message" that call stogram_keep_message_tags().
DO $block$
DECLARE
    old_has text := $$(OLD.hashtags <> '{}' OR OLD.mentions <> '{}')$$;
    new_has text := $$(NEW.hashtags <> '{}' OR NEW.mentions <> '{}')$$;
    of_old text := '(OLD.id, OLD."chatId", OLD."createdAt", OLD."isDeleted", OLD."isSent", '
        'OLD."scheduledFor", OLD.hashtags, OLD.mentions)';
    make record;
BEGIN
    PERFORM set_config('search_path', quote_ident(@schema), true);
    FOR make IN SELECT * FROM (VALUES
        ('insert', 'FOR EACH ROW WHEN (' || new_has || ')'),
        ('update', 'FOR EACH ROW WHEN ((' || old_has || ' OR ' || new_has || ') AND '
            || of_old || ' IS DISTINCT FROM ' || replace(of_old, 'OLD.', 'NEW.') || ')'),
        ('delete', 'FOR EACH ROW WHEN (' || old_has || ')'),
        ('truncate', 'FOR EACH STATEMENT')
    ) AS given(event, which) LOOP
        EXECUTE 'DROP TRIGGER IF EXISTS "Message_tags_' || make.event || '" ON "Message"';
        EXECUTE 'CREATE TRIGGER "Message_tags_' || make.event || '" AFTER ' || make.event
            || ' ON "Message" ' || make.which || ' EXECUTE FUNCTION stogram_keep_message_tags()';
    END LOOP;
END $block$;
