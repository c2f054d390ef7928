-- Files that hold the same keys in the same order: rows are joined by position, and no key is read.
SELECT {true_bits} AS true_bits, {known_bits} AS known_bits, {every} AS held_by, {count} AS times, count(*) AS rows, NULL AS example
FROM {sources}
GROUP BY ALL
