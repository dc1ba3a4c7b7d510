"""Text to objects, to JSON and back; bytes joined, cut and copied."""

import io
import json
import sys

text = open(sys.argv[1], "rb").read(3 << 20)
lines = text.splitlines()
records = [
    {"id": int(words[0]), "words": [word.decode() for word in words[1:]]} for words in (line.split() for line in lines)
]
document = json.dumps(records)
assert json.loads(document) == records
joined = b"|".join(lines)
buffer = io.BytesIO()
for turn in range(100):
    buffer.seek(0)
    buffer.write(joined)
    copy = bytearray(buffer.getvalue())
    copy += joined[: 1 << 20]
    part = bytes(memoryview(copy)[turn : turn + (2 << 20)])
groups = {}
for record in records:
    groups.setdefault(len(record["words"]), []).append(record["id"])
print(len(document), sum(map(len, groups.values())), part[:16], len(copy))
