-- Files in any order: rows are joined by key; what some file lacks or repeats is told apart, with an example.
SELECT true_bits, known_bits, held_by, times, count(*) AS rows, min(key) AS example
FROM (
    SELECT
        key,
        bit_or(CASE WHEN value THEN bit ELSE 0 END) AS true_bits,
        bit_or(CASE WHEN value IS NULL THEN 0 ELSE bit END) AS known_bits,
        bit_or(bit) AS held_by,
        count(*) AS times
    FROM ({sources})
    GROUP BY key
)
GROUP BY ALL
