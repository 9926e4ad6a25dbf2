-- If a function or trigger that keeps "MessageTag" is not what was made last, or is to be another,
-- the note of what was made goes: then tag_triggers.sql makes the triggers anew.
DO $block$
DECLARE
    keeper text := pg_catalog.quote_ident(@schema) || '.stogram_keep_message_tags()';
BEGIN
    IF pg_catalog.obj_description(pg_catalog.to_regprocedure(keeper), 'pg_proc')
        OPERATOR(pg_catalog.<>) pg_catalog.concat('@shipped ', (@installed)) THEN
        EXECUTE 'COMMENT ON FUNCTION ' || keeper || ' IS NULL';
    END IF;
END $block$;
