-- Whether "MessageTag" holds what the messages say, as far as some 1,000 pages of each table tell.
SELECT NOT EXISTS (
    SELECT FROM @prefix"Message" AS message TABLESAMPLE SYSTEM (LEAST(100, 819200000.0
            / GREATEST(1, pg_catalog.pg_relation_size('@prefix"Message"'::pg_catalog.regclass)))),
        @prefixstogram_message_tags(message) AS made
    WHERE NOT EXISTS (
        SELECT FROM @prefix"MessageTag" AS kept
        WHERE kept.tag = made.tag AND kept."chatId" = made."chatId"
            AND kept."createdAt" = made."createdAt" AND kept."messageId" = made."messageId"))
AND NOT EXISTS (
    SELECT FROM @prefix"MessageTag" AS kept TABLESAMPLE SYSTEM (LEAST(100, 819200000.0
            / GREATEST(1, pg_catalog.pg_relation_size('@prefix"MessageTag"'::pg_catalog.regclass))))
    WHERE kept.tag <> '' AND NOT EXISTS (
        SELECT FROM @prefix"Message" AS message, @prefixstogram_message_tags(message) AS made
        WHERE message.id = kept."messageId" AND made.tag = kept.tag
            AND made."chatId" = kept."chatId" AND made."createdAt" = kept."createdAt"))
