CREATE TABLE entry(id INTEGER PRIMARY KEY, body TEXT);
BEGIN;
WITH RECURSIVE number(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM number WHERE x < 60000)
INSERT INTO entry SELECT x, printf('%0700d', x * 7919) FROM number;
COMMIT;
SELECT count(*), sum(length(body)), max(substr(body, 690)) FROM entry;
SELECT count(*) FROM entry WHERE body LIKE '%123%';
CREATE INDEX ending ON entry(substr(body, 680));
SELECT sum(id) FROM (SELECT id FROM entry ORDER BY substr(body, 690) DESC, body LIMIT 1000);
