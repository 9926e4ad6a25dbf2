-- What refers to one of these tables, and would stay with the old one.
WITH ours AS (
    SELECT pg_catalog.to_regclass(name)::pg_catalog.oid AS oid
    FROM pg_catalog.unnest(@tables) AS name
)
SELECT 'foreign key ' || k.conname AS what, CASE WHEN k.conrelid IN (SELECT oid FROM ours)
    THEN k.conrelid ELSE k.confrelid END::regclass::text AS "table"
FROM pg_constraint AS k
WHERE k.contype = 'f'
    AND (k.conrelid IN (SELECT oid FROM ours)) <> (k.confrelid IN (SELECT oid FROM ours))
UNION ALL
SELECT 'trigger ' || t.tgname, t.tgrelid::regclass::text
FROM pg_trigger AS t JOIN ours ON ours.oid = t.tgrelid
WHERE NOT t.tgisinternal AND NOT starts_with(t.tgname, 'Message_tags_')
    AND strpos(t.tgname, '_followed') = 0
UNION ALL
SELECT 'view ' || r.ev_class::regclass::text, d.refobjid::regclass::text
FROM pg_depend AS d JOIN ours ON ours.oid = d.refobjid
    JOIN pg_rewrite AS r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
WHERE d.refclassid = 'pg_class'::regclass
UNION ALL
SELECT 'policy ' || p.polname, p.polrelid::regclass::text
FROM pg_policy AS p JOIN ours ON ours.oid = p.polrelid
UNION ALL
SELECT 'publication ' || b.pubname, r.prrelid::regclass::text
FROM pg_publication_rel AS r JOIN ours ON ours.oid = r.prrelid
    JOIN pg_publication AS b ON b.oid = r.prpubid
