//! The programs, and what each is given to do: a row is all that there is to add for another one.

#![forbid(unsafe_code)]

/// What a program is given to do. Scripts are for `sh`, and run in a folder of the workload's own.
#[derive(Debug)]
pub struct Workload {
    /// Its name, by which a reader asks for it.
    pub name: &'static str,
    /// What kind of program it is.
    pub kind: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// The Debian packages that it is in, its load generator's too.
    pub packages: &'static [&'static str],
    /// The programs that it needs, the one that is measured first; looked for in [`PATH`].
    pub needs: &'static [&'static str],
    /// Files that stand in the folder before anything runs.
    pub files: &'static [(&'static str, &'static str)],
    /// Makes the input, once.
    pub setup: &'static str,
    /// Makes the folder what it was before the first run.
    pub reset: &'static str,
    /// A server that is measured while the command asks it; without one, the command itself is measured.
    pub server: Option<Server>,
    /// What is timed.
    pub command: &'static str,
    /// Prints what must be the same with every `memcpy`.
    pub verify: &'static str,
}

/// A server: started and stopped around each run, neither of which is in the wall time.
#[derive(Debug)]
pub struct Server {
    /// Becomes the server.
    pub start: &'static str,
    /// Succeeds once it answers.
    pub ready: &'static str,
}

/// Where programs are looked for: those of the distribution, not those that a reader has put before them.
pub const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs what follows as a user whom PostgreSQL accepts, and finds its programs.
macro_rules! postgres {
    ($script:literal) => {
        concat!(
            "PATH=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1):$PATH; export PGHOST=$PWD PGUSER=it; ",
            "as=; [ $(id -u) != 0 ] || as='setpriv --reuid postgres --regid postgres --clear-groups'; ",
            $script
        )
    };
}

const NONE: Workload = Workload {
    name: "",
    kind: "",
    about: "",
    packages: &[],
    needs: &[],
    files: &[],
    setup: "",
    reset: "",
    server: None,
    command: "",
    verify: "",
};

/// All of them. `$TEXT` is a file of 64 MiB of lines, `$PORT` a TCP port that was free when the run began.
pub static WORKLOADS: &[Workload] = &[
    Workload {
        name: "zstd",
        kind: "compressor",
        about: "64 MiB of text, level 3, one thread, and back",
        packages: &["zstd"],
        needs: &["zstd"],
        command: "zstd -q -f -3 --single-thread $TEXT -o packed && zstd -q -f -d packed -o text",
        verify: "cksum packed text",
        ..NONE
    },
    Workload {
        name: "lz4",
        kind: "compressor",
        about: "64 MiB of text, unpacked four times",
        packages: &["lz4"],
        needs: &["lz4"],
        setup: "lz4 -q -f $TEXT packed",
        command: "lz4 -q -f -d packed text && lz4 -q -f -d packed text && lz4 -q -f -d packed text && lz4 -q -f -d packed text",
        verify: "cksum text",
        ..NONE
    },
    Workload {
        name: "xz",
        kind: "compressor",
        about: "1.5 MiB of text, level 3, and 24 MiB unpacked",
        packages: &["xz-utils"],
        needs: &["xz"],
        setup: "head -c 1572864 $TEXT > short && head -c 25165824 $TEXT | xz -0 -c > packed.xz",
        command: "xz -f -k -3 -T1 short && xz -f -k -d packed.xz",
        verify: "cksum short.xz packed",
        ..NONE
    },
    Workload {
        name: "redis",
        kind: "key-value store",
        about: "60,000 SET and as many GET of 8 KiB by 16 clients, over a Unix socket",
        packages: &["redis-server", "redis-tools"],
        needs: &["redis-server", "redis-benchmark", "redis-cli"],
        server: Some(Server {
            start: "exec redis-server --port 0 --unixsocket redis.sock --save '' --appendonly no --daemonize no",
            ready: "redis-cli -s redis.sock ping",
        }),
        command: "redis-benchmark -s redis.sock -q -c 16 -P 4 -n 60000 -d 8192 -r 1000 -t set,get",
        verify: "redis-cli -s redis.sock dbsize; redis-cli -s redis.sock strlen key:000000000007",
        ..NONE
    },
    Workload {
        name: "memcached",
        kind: "key-value store",
        about: "20,000 SET and 40,000 GET by 2 clients, over a Unix socket",
        packages: &["memcached", "libmemcached-tools"],
        needs: &["memcached", "memcslap", "memcstat"],
        server: Some(Server {
            start: "[ $(id -u) != 0 ] || as='-u root'; exec memcached $as -s $PWD/memcached.sock -m 512 -t 1",
            ready: "memcstat --servers=$PWD/memcached.sock",
        }),
        command: "memcslap --servers=$PWD/memcached.sock --concurrency=2 --initial-load=20000 --execute-number=20000 --test=get",
        verify: "memcstat --servers=$PWD/memcached.sock | grep -E 'curr_items|cmd_get'",
        ..NONE
    },
    Workload {
        name: "sqlite",
        kind: "database, in a process",
        about: "60,000 rows of 700 bytes inserted, scanned, indexed and sorted",
        packages: &["sqlite3"],
        needs: &["sqlite3"],
        files: &[("scan.sql", include_str!("inputs/scan.sql"))],
        reset: "rm -f base*",
        command: "sqlite3 -batch base < scan.sql > answers",
        verify: "cat answers",
        ..NONE
    },
    Workload {
        name: "postgresql",
        kind: "database server",
        about: "pgbench, 8,000 SELECT by 4 clients, and COPY of 200,000 rows, over a Unix socket",
        packages: &["postgresql"],
        needs: &["psql", "pg_ctlcluster", "setpriv"],
        setup: postgres!(
            "[ -z \"$as\" ] || chown postgres .; $as initdb -D data -U it -A trust --no-sync > initdb.log && \
             $as pg_ctl -D data -s -w -l server.log -o \"-F -k $PWD -h ''\" start && createdb bench && \
             pgbench -q -i -s 2 bench; status=$?; $as pg_ctl -D data -s -w -m fast stop && exit $status"
        ),
        server: Some(Server {
            start: postgres!("exec $as postgres -D data -F -k $PWD -h '' -c autovacuum=off -c shared_buffers=128MB"),
            ready: postgres!("pg_isready -q"),
        }),
        command: postgres!(
            "pgbench -n -S -M prepared -c 4 -j 1 -t 2000 bench && psql -qAtc 'COPY pgbench_accounts TO STDOUT' bench > rows"
        ),
        verify: "cksum rows",
        ..NONE
    },
    Workload {
        name: "nginx",
        kind: "web server",
        about: "10,000 answers of 64 KiB through a proxy to itself, 8 clients kept alive, over loopback",
        packages: &["nginx-light", "apache2-utils"],
        needs: &["nginx", "ab"],
        files: &[("nginx.conf.in", include_str!("inputs/nginx.conf"))],
        setup: "mkdir files && head -c 65536 $TEXT > files/page && sed s/PORT/$PORT/ nginx.conf.in > nginx.conf",
        reset: "rm -f files.sock",
        server: Some(Server {
            start: "exec nginx -e stderr -p $PWD -c nginx.conf",
            ready: "ab -q -n 1 http://127.0.0.1:$PORT/page",
        }),
        command: "ab -q -k -c 8 -n 10000 http://127.0.0.1:$PORT/page > report",
        verify: "grep -E '^(Complete|Failed|Non-2xx|HTML)' report",
    },
    Workload {
        name: "git",
        kind: "version control",
        about: "a repository of 100 files and 60 commits cloned, repacked and read through",
        packages: &["git"],
        needs: &["git"],
        files: &[("history.awk", include_str!("inputs/history.awk"))],
        setup: "git init -q --bare -b main origin && awk -f history.awk $TEXT | git -C origin fast-import --quiet",
        reset: "rm -rf clone",
        command: "git clone -q --no-local origin clone && cd clone && git -c pack.threads=1 repack -q -a -d -f && \
                  git log -p --format=%H > ../history",
        verify: "cksum history && git -C clone fsck --no-progress",
        ..NONE
    },
    Workload {
        name: "python",
        kind: "interpreter",
        about: "text to objects, to JSON and back; bytes joined, cut and copied",
        packages: &["python3"],
        needs: &["python3"],
        files: &[("objects.py", include_str!("inputs/objects.py"))],
        command: "python3 -I objects.py $TEXT > answers",
        verify: "cat answers",
        ..NONE
    },
    Workload {
        name: "numpy",
        kind: "numerical library",
        about: "a pipeline in memory over 1 GiB: concatenate, copyto, slices",
        packages: &["python3-numpy"],
        needs: &["python3"],
        files: &[("arrays.py", include_str!("inputs/arrays.py"))],
        setup: "python3 -I -c 'import numpy'",
        command: "OPENBLAS_NUM_THREADS=1 python3 -I arrays.py > answers",
        verify: "cat answers",
        ..NONE
    },
    Workload {
        name: "ffmpeg",
        kind: "video encoder",
        about: "60 frames of 1280x720, made, scaled and encoded as MPEG-4, one thread",
        packages: &["ffmpeg"],
        needs: &["ffmpeg"],
        command: "ffmpeg -v error -nostdin -y -f lavfi -i testsrc2=size=1280x720:rate=30 -vf scale=960:540 -frames:v 60 \
                  -c:v mpeg4 -threads 1 -filter_threads 1 -bitexact -f framemd5 frames",
        verify: "cat frames",
        ..NONE
    },
    Workload {
        name: "sort",
        kind: "sort of a large file",
        about: "64 MiB of lines, in memory, one thread",
        packages: &["coreutils"],
        needs: &["sort"],
        command: "sort --parallel=1 -S 400M $TEXT -o sorted",
        verify: "cksum sorted",
        ..NONE
    },
    Workload {
        name: "java",
        kind: "virtual machine with a compiler",
        about: "buffers on and off the heap, strings, a compressor",
        packages: &["openjdk-17-jdk-headless"],
        needs: &["java", "javac"],
        files: &[("Work.java", include_str!("inputs/Work.java"))],
        setup: "javac Work.java",
        command: "java -XX:+UseSerialGC -Xms256m -Xmx256m -cp . Work $TEXT > answers",
        verify: "cat answers",
        ..NONE
    },
    Workload {
        name: "perl",
        kind: "interpreter",
        about: "12 MiB of text split into words and counted",
        packages: &["perl"],
        needs: &["perl"],
        setup: "head -c 12582912 $TEXT > short",
        command: "perl -ne 'for (split) { $n{$_}++ } END { print scalar(keys %n), \" $n{$_}\\n\" for sort keys %n }' short > answers",
        verify: "cksum answers",
        ..NONE
    },
    Workload {
        name: "gcc",
        kind: "compiler",
        about: "90 functions in C, -O2",
        packages: &["gcc"],
        needs: &["gcc"],
        files: &[("functions.awk", include_str!("inputs/functions.awk"))],
        setup: "awk -f functions.awk > many.c",
        command: "gcc -O2 -c many.c -o many.o",
        verify: "cksum many.o",
        ..NONE
    },
];

impl Workload {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        WORKLOADS.iter().find(|known| known.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_whole_and_of_many_kinds() {
        let names: BTreeSet<&str> = WORKLOADS.iter().map(|one| one.name).collect();
        let kinds: BTreeSet<&str> = WORKLOADS.iter().map(|one| one.kind).collect();
        assert!(names.len() == WORKLOADS.len() && kinds.len() >= 10, "{names:?} {kinds:?}");
        for one in WORKLOADS {
            let texts = [one.name, one.kind, one.about, one.command, one.verify];
            assert!(texts.iter().all(|text| !text.is_empty()) && !one.packages.is_empty(), "{}", one.name);
            assert!(!one.needs.is_empty() && !one.name.contains(','), "{}", one.name);
        }
    }
}
