-- What others have made of the tables and columns that are to be dropped; it would stop that on its way.
WITH gone AS (
    SELECT * FROM ROWS FROM (pg_catalog.unnest(@names), pg_catalog.unnest(@columns))
        AS given(name, attname)
)
SELECT string_agg(DISTINCT pg_describe_object(
    CASE WHEN r.oid IS NULL THEN d.classid ELSE d.refclassid END, coalesce(r.ev_class, d.objid), 0), ', ')
FROM gone
    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(gone.name)
    LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attname = gone.attname
    LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_constraint AS k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
WHERE d.deptype = 'n' AND (gone.attname IS NULL OR d.refobjsubid = a.attnum)
    -- A key of a table that goes too is in nobody's way.
    AND (k.oid IS NULL OR k.conrelid NOT IN (
        SELECT to_regclass(name) FROM gone WHERE attname IS NULL AND to_regclass(name) IS NOT NULL))
