# A C file of many functions.
BEGIN {
    for (number = 0; number < 90; number++) {
        printf "int f%d(int a, const char *s) { int r = a; for (int i = 0; s[i]; i++) switch (s[i] & 7) {\n", number
        for (at = 0; at < 8; at++) printf "case %d: r = r * %d + (r >> %d); break;\n", at, number * 8 + at + 3, at + 1
        print "} return r; }"
    }
}
