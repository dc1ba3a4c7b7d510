//! The C interface, installed by its script, and programs that are compiled against it.

use crate::built::{built, installed, target};
use crate::cases::Effort;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Where it is installed, in the folder that the tests have for it.
pub const PREFIX: &str = "/opt/memcpy-select";

/// A folder of this test program's, under the build's.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("native-c").join(name)
}

pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(source(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs the script; without the network, from what the crate's own build has already fetched. By default the library is not
/// optimised, which is most of its build.
pub fn script(destination: &Path, arguments: &[&str]) -> Output {
    let is_full = Effort::chosen() >= Effort::Full;
    let options = [("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")];
    Command::new(source("native/c/install"))
        .args(arguments)
        .env("CARGO", std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", target("c"))
        .envs(options.into_iter().filter(|_| !is_full))
        .envs([("PREFIX", OsStr::new(PREFIX)), ("DESTDIR", destination.as_os_str())])
        // What the surrounding build was told is not meant for this one.
        .env_remove("INCLUDEDIR")
        .env_remove("LIBDIR")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .expect("bash starts the script")
}

/// The installed interface, for all tests.
pub struct Installed {
    destination: PathBuf,
}

impl Installed {
    pub fn once() -> &'static Self {
        static INSTALLED: OnceLock<Installed> = OnceLock::new();
        INSTALLED.get_or_init(|| {
            built("c");
            Self { destination: installed() }
        })
    }

    pub fn libraries(&self) -> PathBuf {
        self.destination.join(&PREFIX[1..]).join("lib")
    }

    pub fn library(&self, name: &str) -> PathBuf {
        self.libraries().join(name)
    }

    /// What pkg-config says a compiler needs; nothing without pkg-config.
    fn flags(&self, arguments: &[&str]) -> Option<Vec<String>> {
        let output = Command::new("pkg-config")
            .args(arguments)
            .arg("memcpy_select")
            .env("PKG_CONFIG_PATH", self.library("pkgconfig"))
            .env("PKG_CONFIG_SYSROOT_DIR", &self.destination)
            .output()
            .ok()?;
        assert!(output.status.success(), "pkg-config: {}", text(&output.stderr));
        Some(text(&output.stdout).split_ascii_whitespace().map(str::to_owned).collect())
    }

    /// What [`flags`](Self::flags) says, and the same by hand where there is no pkg-config.
    fn compiler_flags(&self, linked: Linked) -> Vec<String> {
        let is_static = linked != Linked::Shared;
        let mut flags =
            self.flags(if is_static { &["--static", "--cflags", "--libs"] } else { &["--cflags", "--libs"] });
        if flags.is_none() {
            println!("skipped: there is no pkg-config to ask");
        }
        let flags = flags.get_or_insert_with(|| {
            let root = self.destination.join(&PREFIX[1..]).display().to_string();
            [&format!("-I{root}/include"), &format!("-L{root}/lib"), "-lmemcpy_select", "-lpthread", "-lm", "-ldl"]
                .map(str::to_owned)
                .to_vec()
        });
        if is_static {
            // Both libraries are there: this is how the static one is asked for.
            for flag in flags.iter_mut().filter(|flag| *flag == "-lmemcpy_select") {
                *flag = "-l:libmemcpy_select.a".to_owned();
            }
        }
        if linked == Linked::WhollyStatic {
            flags.push("-static".to_owned());
        }
        std::mem::take(flags)
    }
}

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// With the shared library.
    Shared,
    /// With the static library.
    Static,
    /// With no shared library at all.
    WhollyStatic,
}

/// A compiler, and the arguments that make it read C as one language.
#[derive(Clone, Copy, Debug)]
pub struct Compiler {
    name: &'static str,
    language: &'static [&'static str],
}

pub const GCC: Compiler = Compiler { name: "gcc", language: &["-std=c99", "-x", "c"] };
pub const COMPILERS: [Compiler; 4] = [
    GCC,
    Compiler { name: "clang", language: &["-std=c99", "-x", "c"] },
    Compiler { name: "g++", language: &["-std=c++11", "-x", "c++"] },
    Compiler { name: "clang++", language: &["-std=c++11", "-x", "c++"] },
];

impl Compiler {
    /// Compiles a program; nothing if there is no such compiler.
    pub fn compile(self, from: &Path, linked: Linked) -> Option<Program> {
        if Command::new(self.name).arg("--version").output().is_err() {
            println!("skipped: there is no {}", self.name);
            return None;
        }
        let installed = Installed::once();
        let stem = from.file_stem().expect("the name of a file").to_string_lossy();
        let path = folder("programs").join(format!("{stem}-{}-{linked:?}", self.name));
        std::fs::create_dir_all(folder("programs")).expect("a folder for programs");
        let output = Command::new(self.name)
            .args(self.language)
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"])
            .arg(from)
            .args(["-x", "none"])
            .args(installed.compiler_flags(linked))
            .arg("-o")
            .arg(&path)
            .output()
            .expect("the compiler starts");
        assert!(output.status.success(), "{self:?}, {linked:?}: {}", text(&output.stderr));
        Some(Program { path })
    }
}

/// A compiled program.
pub struct Program {
    pub path: PathBuf,
}

impl Program {
    /// The program, without a home, and with the shared library where it looks for libraries.
    pub fn command(&self) -> Command {
        self.under(None)
    }

    /// The same under an emulator.
    pub fn under(&self, emulator: Option<&[&str]>) -> Command {
        let mut command = match emulator {
            Some([program, arguments @ ..]) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.path);
                command
            }
            _ => Command::new(&self.path),
        };
        command.env_remove("XDG_CACHE_HOME").env_remove("HOME");
        command.env("LD_LIBRARY_PATH", Installed::once().libraries());
        command
    }
}

/// What a program that does all right printed.
pub fn printed(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
