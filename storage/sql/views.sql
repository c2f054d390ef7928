-- What a person queries. `_records` has a row a version; `_expired` and `tags` are as their files say now.
CREATE VIEW versions AS
SELECT
    r.version,
    r.kind,
    r.name,
    r.seq,
    r.format,
    r.rows,
    r.files,
    r.bytes,
    CAST(left(r.created, 23) AS TIMESTAMP) AS created,  -- UTC, by the writer's clock; the order of versions is seq
    CASE
        WHEN r.digest IS NULL THEN 'damaged'
        WHEN r.version IN (SELECT version FROM _expired) THEN 'expired'
        ELSE 'whole'
    END AS status,
    (SELECT list(t.tag ORDER BY t.tag) FROM tags t WHERE t.version = r.version) AS tags,
    r.parents,
    r.run,
    r.duration_s,
    r.cost,
    r.digest,
    r.cause,
    CAST(r.record AS JSON) -> '$.config' AS config,
    CAST(r.record AS JSON) -> '$.code' AS code,
    CAST(r.record AS JSON) -> '$.producer' AS producer,
    CAST(r.record AS JSON) -> '$.schema' AS "schema",
    r.record ->> '$.environment' AS environment
FROM _records r;

CREATE VIEW lineage AS
SELECT version AS child, unnest(parents) AS parent FROM _records;
