-- If a function or trigger that keeps "MessageTag" is not what was made last, or is to be another,
-- the note of what was made goes: then tag_triggers.sql makes the triggers anew.
DO $block$
DECLARE
    named text := @schema;
    keeper text := pg_catalog.quote_ident(named) || '.stogram_keep_message_tags()';
    path text := pg_catalog.current_setting('search_path');
BEGIN
    -- On any other path a trigger may be written in other words.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF pg_catalog.obj_description(pg_catalog.to_regprocedure(keeper), 'pg_proc')
        OPERATOR(pg_catalog.<>) pg_catalog.concat('@shipped ', (@installed)) THEN
        EXECUTE 'COMMENT ON FUNCTION ' || keeper || ' IS NULL';
    END IF;
    PERFORM pg_catalog.set_config('search_path', path, true);
END $block$;
