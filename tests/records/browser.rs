//! The promise: in a browser the page is as wide as its window, on a phone and on a desk, follows the reader's theme, and
//! logs nothing. Skipped, and said to be, where there is no Chromium.

use crate::program::Scratch;
use crate::tree::named;
use memcpy_select::lab::question::{Named, page};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names under which Chromium is installed.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Far more than a page takes.
const PATIENCE: Duration = Duration::from_secs(90);
/// Widths of windows, in pixels.
const WIDTHS: [u32; 2] = [400, 1400];
/// What Chromium calls a theme, and the colour of the page's paper in it.
const THEMES: [(&str, &str); 2] = [("1", "rgb(255, 255, 255)"), ("0", "rgb(22, 24, 27)")];
/// Pages, one of each kind; those of several records stand beside each other. Closed elements are opened.
const PAGES: [&[&str]; 8] = [
    &["results/intel-6-167-1-masked-kvm/2026-11-24.1", "results/amd-25-1-1-kvm/2026-11-23.1"],
    &["results/amd-26-2-1-kvm/2026-11-23.8"],
    &["results/amd-26-2-1-kvm/2026-11-23.11"],
    &["results/intel-6-167-1-masked-kvm/2026-11-24.2"],
    &["results/intel-6-167-1-masked-kvm/2026-11-24.4"],
    &["results/intel-6-167-1-masked-kvm/2026-11-24.6"],
    &["results/intel-6-207-2-kvm/2026-11-30.1"],
    &["results/intel-6-207-2-kvm/2026-11-30.2"],
];
/// Tells the frame around a page what its reader sees.
const MEASURE: &str = "<script>addEventListener('load', () => { const root = document.documentElement; \
    document.querySelectorAll('details').forEach(one => { one.open = true; }); \
    parent.postMessage([innerWidth, root.scrollWidth - root.clientWidth, getComputedStyle(document.body).backgroundColor, \
    document.querySelectorAll('details').length].join('|'), '*'); });</script></body>";

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files = PROGRAMS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// What Chromium prints of a page once it is loaded, and what it logs.
fn dump(program: &Path, scratch: &Path, theme: &str, page: &Path) -> (String, String) {
    let (out, log) = (scratch.join("out"), scratch.join("log"));
    let mut child = Command::new(program)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=2000", "--window-size=1900,1200", "--dump-dom"])
        .arg(format!("--user-data-dir={}", scratch.join("profile").display()))
        .arg(format!("--blink-settings=preferredColorScheme={theme}"))
        .arg(format!("file://{}", page.display()))
        .stdout(Stdio::from(fs::File::create(&out).unwrap()))
        .stderr(Stdio::from(fs::File::create(&log).unwrap()))
        .spawn()
        .expect("Chromium starts");
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let (out, log) = (read(&out), read(&log));
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {log}");
    (out, log)
}

#[test]
#[ignore = "has Chromium draw each page in each width: ten seconds"]
fn pages_fit_their_window_in_both_themes_and_log_nothing() {
    let Some(program) = chromium() else {
        println!("skipped: {} views of {} pages, for there is no Chromium", WIDTHS.len() * THEMES.len(), PAGES.len());
        return;
    };
    let folder = Scratch::new("browser");
    let scratch = &folder.0;
    let mut frames = String::new();
    for (at, names) in PAGES.iter().enumerate() {
        let html = page(&names.iter().map(|name| named(name)).collect::<Vec<Named>>());
        let file = format!("page-{at}.html");
        fs::write(scratch.join(&file), html.replacen("</body>", MEASURE, 1)).unwrap();
        for width in WIDTHS {
            frames.push_str(&format!(
                "<iframe src=\"{file}\" style=\"width:{width}px;height:900px;border:0\"></iframe>\n"
            ));
        }
    }
    let around = scratch.join("around.html");
    let listen = "<pre id=\"said\"></pre><script>addEventListener('message', event => { \
                  document.getElementById('said').textContent += event.data + '\\n'; });</script>";
    let text = format!("<!DOCTYPE html>\n<meta name=\"color-scheme\" content=\"light dark\">\n{listen}\n{frames}");
    fs::write(&around, text).unwrap();

    for (theme, paper) in THEMES {
        let (out, log) = dump(&program, scratch, theme, &around);
        let said = out.split_once("<pre id=\"said\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let views: Vec<Vec<&str>> = said
            .map(|(said, _)| said.trim().lines().map(|line| line.split('|').collect()).collect())
            .unwrap_or_default();
        assert_eq!(views.len(), PAGES.len() * WIDTHS.len(), "theme {theme}: {log}");
        for width in WIDTHS.map(|width| width.to_string()) {
            let of_width: Vec<_> = views.iter().filter(|view| view[0] == width).collect();
            assert_eq!(of_width.len(), PAGES.len());
            for view in of_width {
                assert_eq!(view[1], "0", "theme {theme}: a page scrolls sideways: {view:?}");
                assert_eq!(view[2], paper, "theme {theme}: {view:?}");
            }
        }
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(errors.is_empty(), "{errors:?}");
        println!("theme {theme}: {} views, widths {WIDTHS:?}, nothing logged", views.len());
    }
}
