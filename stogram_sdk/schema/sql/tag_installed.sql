-- One text for all that keeps "MessageTag", as it is now: whatever is changed there changes it.
SELECT pg_catalog.md5(pg_catalog.string_agg(part, '|' ORDER BY part)) FROM (
    SELECT pg_catalog.concat_ws('|', p.proname, p.prosrc, p.prosecdef, p.provolatile, p.proparallel,
        p.proconfig, p.prolang, pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE'))
    FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
    WHERE n.nspname OPERATOR(pg_catalog.=) @schema AND p.proname OPERATOR(pg_catalog.=) ANY (
        '{stogram_json_texts,stogram_keep_message_tags,stogram_message_tags,stogram_tag_key,
            stogram_word}'::pg_catalog.name[])
    UNION ALL
    SELECT pg_catalog.concat_ws('|', t.tgname, t.tgenabled, t.tgtype, p.proname,
        pg_catalog.translate(pg_catalog."substring"(  -- a dump sets brackets in its own way
            pg_catalog.pg_get_triggerdef(t.oid), ' WHEN (.*) EXECUTE '), '()', ''))
    FROM pg_catalog.pg_trigger AS t
        JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) t.tgfoid
    WHERE t.tgrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(pg_catalog.quote_ident(@schema) || '."Message"')
        AND pg_catalog.starts_with(t.tgname, 'Message_tags_')
) AS kept(part)
