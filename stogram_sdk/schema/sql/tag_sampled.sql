-- Whether "MessageTag" holds what the messages say, as far as some 1,000 pages of each table tell.
SELECT NOT EXISTS (
    SELECT FROM @prefix"Message" AS message TABLESAMPLE SYSTEM (LEAST(100,
            819200000.0 OPERATOR(pg_catalog./) GREATEST(1,
                pg_catalog.pg_relation_size('@prefix"Message"'::pg_catalog.regclass)))),
        @prefixstogram_message_tags(message) AS made
    WHERE NOT EXISTS (
        SELECT FROM @prefix"MessageTag" AS kept
        WHERE kept.tag OPERATOR(pg_catalog.=) made.tag
            AND kept."chatId" OPERATOR(pg_catalog.=) made."chatId"
            AND kept."createdAt" OPERATOR(pg_catalog.=) made."createdAt"
            AND kept."messageId" OPERATOR(pg_catalog.=) made."messageId"))
AND NOT EXISTS (
    SELECT FROM @prefix"MessageTag" AS kept TABLESAMPLE SYSTEM (LEAST(100,
            819200000.0 OPERATOR(pg_catalog./) GREATEST(1,
                pg_catalog.pg_relation_size('@prefix"MessageTag"'::pg_catalog.regclass))))
    WHERE kept.tag OPERATOR(pg_catalog.<>) '' AND NOT EXISTS (
        SELECT FROM @prefix"Message" AS message, @prefixstogram_message_tags(message) AS made
        WHERE message.id OPERATOR(pg_catalog.=) kept."messageId"
            AND made.tag OPERATOR(pg_catalog.=) kept.tag
            -- IS TRUE, for no index may be used but that of the id: by chat or by time there may be
            -- a million others.
            AND (made."chatId" OPERATOR(pg_catalog.=) kept."chatId") IS TRUE
            AND (made."createdAt" OPERATOR(pg_catalog.=) kept."createdAt") IS TRUE))
