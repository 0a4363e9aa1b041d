//! Where a command writes: lines, styles and tables. Styles are written always and taken out again where nobody sees
//! them (no terminal, `NO_COLOR`). Knows nothing of what is said.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, StripStream};
use anstyle::{AnsiColor, Style};

use super::exit::{Exit, Failure};

/// Headings and names.
pub(crate) const STRONG: Style = Style::new().bold();
/// What matters less.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// As it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// On its way, or worth a look.
pub(crate) const BUSY: Style = AnsiColor::Yellow.on_default();
/// Wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What can be typed or opened.
pub(crate) const TYPED: Style = AnsiColor::Cyan.on_default();

/// Where a command writes.
pub struct Console {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    terminal: bool,
}

impl Console {
    /// The standard streams of the process.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            out: Box::new(AutoStream::auto(io::stdout())),
            err: Box::new(AutoStream::auto(io::stderr())),
            terminal: io::stdout().is_terminal(),
        }
    }

    /// Writes elsewhere, without styles, as into a file.
    pub fn plain(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        let strip = |stream: Box<dyn Write + Send>| Box::new(StripStream::new(stream));
        Self { out: strip(Box::new(out)), err: strip(Box::new(err)), terminal: false }
    }

    /// Whether a person watches: progress bars and redrawing make sense.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes `text` as it is.
    pub(crate) fn print(&mut self, text: impl Display) -> Result<(), Failure> {
        write!(self.out, "{text}").and_then(|()| self.out.flush()).map_err(|error| unwritable(&error))
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        self.print(format_args!("{text}\n"))
    }

    /// Writes one line for people, beside the output. Nothing depends on it, so nothing fails with it.
    pub(crate) fn note(&mut self, text: impl Display) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Says why a command failed.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        if !failure.message.is_empty() {
            self.note(format_args!("{BAD}error:{BAD:#} {}", failure.message));
        }
        if let Some(hint) = &failure.hint {
            self.note(format_args!("{STRONG}hint:{STRONG:#} {hint}"));
        }
    }
}

/// A reader that went away (`sluice status | head`) is no failure; a full disk is.
fn unwritable(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::quiet(Exit::Done),
        _ => Failure::failed(format_args!("cannot write the output: {error}")),
    }
}

/// Text of somebody else's making on one line: control characters would let it rewrite the terminal.
pub(crate) struct Clean<'a>(pub(crate) &'a str);

impl Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean: String = self.0.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        f.pad(&clean)
    }
}

/// `text` with each SHA-256 in it cut to what tells two apart: a person compares the first digits, if any.
pub(crate) fn short_digests(text: &str) -> String {
    const DIGEST: usize = 64;
    const KEPT: usize = 12;
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, run) = rest.split_at(start);
        let end = run.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(run.len());
        let (run, after) = run.split_at(end);
        short.push_str(before);
        if run.len() == DIGEST {
            short.push_str(&run[..KEPT]);
            short.push('…');
        } else {
            short.push_str(run);
        }
        rest = after;
    }
    short + rest
}

/// One cell of a [`Table`].
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn styled(style: Style, text: impl Display) -> Self {
        Self { text: Clean(&text.to_string()).to_string(), style }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Display> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(Style::new(), text)
    }
}

/// Columns that line up, two blanks apart, each as wide as its widest cell.
#[derive(Debug, Default)]
pub(crate) struct Table {
    indent: usize,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table whose lines start `indent` blanks in.
    pub(crate) fn indented(indent: usize) -> Self {
        Self { indent, rows: Vec::new() }
    }

    /// A table with column names.
    pub(crate) fn headed<const N: usize>(indent: usize, names: [&str; N]) -> Self {
        Self { indent, rows: vec![names.iter().map(|name| Cell::styled(FAINT, name)).collect()] }
    }

    /// Adds a row at the end.
    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.cells(cells);
    }

    /// Adds a row of any number of cells at the end.
    pub(crate) fn cells(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            // Blanks are owed until something follows them, so that no line ends with blanks.
            let mut owed = self.indent;
            for (cell, width) in row.iter().zip(&widths) {
                if !cell.text.is_empty() {
                    write!(f, "{:owed$}{}{}{:#}", "", cell.style, cell.text, cell.style)?;
                    owed = 0;
                }
                owed += width + 2 - cell.width();
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let mut table = Table::headed(2, ["NAME", "SIZE", ""]);
        table.row(["a".into(), 1.into(), "".into()]);
        table.row(["longer".into(), "".into(), Cell::styled(GOOD, "ok")]);
        let mut shown = Vec::new();
        write!(StripStream::new(&mut shown), "{table}").unwrap();
        assert_eq!(String::from_utf8(shown).unwrap(), "  NAME    SIZE\n  a       1\n  longer        ok\n");
    }

    #[test]
    fn only_digests_are_cut() {
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(short_digests(&format!("is {digest}, not {digest}")), "is 0123456789ab…, not 0123456789ab…");
        for same in ["", "no digest: café 12 %", &digest[1..], &format!("{digest}0")] {
            assert_eq!(short_digests(same), same);
        }
    }

    #[test]
    fn what_a_server_says_cannot_move_the_cursor() {
        assert_eq!(Clean("a\u{1b}[2Jb\nc").to_string(), "a [2Jb c");
    }

    #[test]
    fn a_closed_pipe_ends_quietly_and_a_full_disk_does_not() {
        struct Broken(io::ErrorKind);
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let end = |kind| Console { out: Box::new(Broken(kind)), err: Box::new(io::sink()), terminal: false }.line("x");
        assert_eq!(end(io::ErrorKind::BrokenPipe), Err(Failure::quiet(Exit::Done)));
        assert_eq!(end(io::ErrorKind::StorageFull).unwrap_err().exit, Exit::Failed);
    }
}
