//! What to try next: commands that work as they are printed, from another terminal in the folder that the user is in.
//! Pure, but for asking where this program is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::app::Addresses;
use crate::cli::demo::content::{BAD, BETTER, FIRST, MODEL, TAMPERED};
use crate::cli::output::{FAINT, STRONG, TYPED};

/// What the commands are made of.
#[derive(Debug)]
pub(super) struct Guide {
    /// The program as it can be typed.
    pub(super) program: String,
    /// The values file as it can be typed.
    pub(super) values: String,
    /// Where the server listens.
    pub(super) at: Addresses,
    /// A request, for `curl`.
    pub(super) request: String,
}

impl Guide {
    /// A guide to the server `at` these addresses.
    pub(super) fn new(values: &Path, at: Addresses, request: String) -> Self {
        Self { program: program(), values: typed(values), at, request }
    }

    /// Four things to try, and where to look, for who sees that `serving` is stable.
    pub(super) fn text(&self, serving: &str) -> String {
        let Self { program, values, at, request } = self;
        let (admin, http) = (format!("http://{}", at.admin), at.http);
        let elsewhere =
            if at.admin.to_string() == "127.0.0.1:8002" { String::new() } else { format!(" --admin {admin}") };
        let bump = |version| format!("{program} bump {values} {version} --status {admin}");
        let mut text = String::new();
        let mut step = |title: &str, commands: &[String]| {
            let _ = writeln!(text, "\n{STRONG}{title}{STRONG:#}");
            for command in commands {
                let _ = writeln!(text, "   {TYPED}{command}{TYPED:#}");
            }
        };
        if serving == BETTER {
            step(
                &format!("1  deploy: done before, {BETTER} serves; 4 takes it back, and then it can be done again"),
                &[],
            );
        } else {
            step(
                "1  deploy: change the version, and watch it get 10%, 25%, 50% and then all requests",
                &[bump(BETTER)],
            );
        }
        step(
            "2  watch: what serves, what is on trial, how it is judged",
            &[format!("{program} status --watch{elsewhere}")],
        );
        step(
            &format!(
                "3  break it: {BAD} passes every gate and then answers NaN to some; {TAMPERED} was changed after signing"
            ),
            &[bump(BAD), bump(TAMPERED)],
        );
        step(
            "4  roll back: change the version back; a version that was promoted before needs no new trial",
            &[bump(FIRST)],
        );
        let curl = format!("curl -s http://{http}/v2/models/{MODEL}/infer -d '{request}'");
        step("or ask it yourself", &[curl]);
        let _ = writeln!(text, "\n   {FAINT}status page{FAINT:#}  {TYPED}{admin}/{TYPED:#}");
        let _ = writeln!(text, "   {FAINT}values file{FAINT:#}  {values}  {FAINT}(an editor will do too){FAINT:#}");
        text
    }
}

/// This program as it can be typed where the user is.
fn program() -> String {
    let invoked = std::env::args_os().next().map(PathBuf::from).unwrap_or_else(|| PathBuf::from("sluice"));
    let here = std::env::current_dir().and_then(|dir| dir.canonicalize()).unwrap_or_default();
    program_from(&invoked, std::env::current_exe().ok().as_deref(), &here)
}

/// A bare name was found on the PATH, and will be again. Anything else is named from `here`, or from the root.
fn program_from(invoked: &Path, exe: Option<&Path>, here: &Path) -> String {
    if invoked.components().count() == 1 && !invoked.is_absolute() && !invoked.starts_with(".") {
        return typed(invoked);
    }
    let exe = exe.unwrap_or(invoked);
    match exe.strip_prefix(here) {
        Ok(below) if below.components().count() == 1 => typed(&Path::new(".").join(below)),
        Ok(below) => typed(below),
        Err(_) => typed(exe),
    }
}

/// `path` as a word of a shell.
fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_named_as_it_can_be_typed() {
        let named = |invoked: &str, exe: &str, here: &str| {
            program_from(Path::new(invoked), Some(Path::new(exe)), Path::new(here))
        };
        assert_eq!(named("sluice", "/usr/bin/sluice", "/home/me"), "sluice");
        assert_eq!(named("target/release/sluice", "/src/target/release/sluice", "/src"), "target/release/sluice");
        assert_eq!(named("/src/target/release/sluice", "/src/target/release/sluice", "/src"), "target/release/sluice");
        assert_eq!(named("./sluice", "/src/sluice", "/src"), "./sluice");
        assert_eq!(
            named("../target/release/sluice", "/src/target/release/sluice", "/src/docs"),
            "/src/target/release/sluice"
        );
        assert_eq!(named("./my tools/sluice", "/src/my tools/sluice", "/src"), "'my tools/sluice'");
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(typed(Path::new("a b")), "'a b'");
        assert_eq!(typed(Path::new("it's")), r"'it'\''s'");
        assert_eq!(typed(Path::new("./x-1/v.yaml")), "./x-1/v.yaml");
    }

    #[test]
    fn the_guide() {
        let address = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let at = Addresses { http: address(8000), grpc: address(8001), admin: address(8002) };
        let guide = Guide {
            program: "target/release/sluice".to_owned(),
            values: "sluice-quickstart/values/fraud-detection.yaml".to_owned(),
            at,
            request: "{}".to_owned(),
        };
        insta::assert_snapshot!(anstream::adapter::strip_str(&guide.text(FIRST)));
        let again = anstream::adapter::strip_str(&guide.text(BETTER)).to_string();
        assert!(
            again.contains("1  deploy: done before, v1.1.0 serves")
                && !again.contains("bump sluice-quickstart/values/fraud-detection.yaml v1.1.0"),
            "{again}"
        );
        let moved = Guide { at: Addresses { admin: address(9002), ..at }, ..guide };
        let text = anstream::adapter::strip_str(&moved.text(FIRST)).to_string();
        assert!(text.contains("status --watch --admin http://127.0.0.1:9002"), "{text}");
    }
}
