DO $came$
DECLARE
    others text;
BEGIN
    SELECT string_agg(concat(what, ' of ', "table"), ', ' ORDER BY what, "table") INTO others
    FROM (
        @others
        UNION ALL
        SELECT 'column ' || a.attname, here::regclass::text
        FROM unnest(@tables, @copies) AS pair(here, copy)
            JOIN pg_attribute AS a ON a.attrelid = to_regclass(here)
        WHERE a.attnum > 0 AND NOT a.attisdropped AND NOT EXISTS (
            SELECT FROM pg_attribute AS c
            WHERE c.attrelid = to_regclass(copy) AND c.attname = a.attname
                AND c.atttypid = a.atttypid AND c.atttypmod = a.atttypmod)
        UNION ALL
        SELECT 'index ' || i.relname, here::regclass::text
        FROM unnest(@tables, @copies) AS pair(here, copy)
            JOIN pg_index AS x ON x.indrelid = to_regclass(here)
            JOIN pg_class AS i ON i.oid = x.indexrelid
        WHERE x.indisvalid AND NOT EXISTS (
            SELECT FROM pg_index AS y JOIN pg_class AS c ON c.oid = y.indexrelid
            WHERE y.indrelid = to_regclass(copy) AND c.relname = i.relname)
    ) AS came;
    IF others IS NOT NULL THEN
        RAISE EXCEPTION USING MESSAGE =
            concat('would be lost, since it came while the tables were copied: ', others);
    END IF;
END $came$
