# Lines of text as a history for `git fast-import`: 100 files, 60 commits, each of which changes one file in 13.
NR % 300 == 1 { if (++file > 100) exit }
{ text[file] = text[file] $0 "\n" }
END {
    for (commit = 1; commit <= 60; commit++) {
        printf "commit refs/heads/main\ncommitter A <a@example.org> %d +0000\ndata 2\nc\n", 1700000000 + commit
        for (file = 1; file <= 100; file++) {
            if (commit > 1 && (file * 7 + commit) % 13) continue
            body = commit "\n" text[file] commit "\n"
            printf "M 100644 inline d%d/f%d\ndata %d\n%s\n", file % 10, file, length(body), body
        }
    }
}
