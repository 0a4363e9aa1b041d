//! What code says: messages in one form, and nothing that only promises.

use super::lexemes::{Kind, Lexeme, after_group, follows, lex};
use super::tree::{Source, Tree, Violation};

/// Macros of `tracing` that take a message.
const LOG_MACROS: &[&str] = &["trace", "debug", "info", "warn", "error"];

/// Log messages and error texts start in lower case and have no full stop: they are parts of a line, not sentences.
pub(super) fn lower_case_without_full_stop(tree: &Tree) -> Vec<Violation> {
    tree.sources
        .iter()
        .flat_map(|source| messages(source).into_iter().filter_map(|it| misshapen(source, &it)))
        .collect()
}

/// Why a test may be ignored: another test of the same file, which is named next, starts it as a process of its own.
const CHILD: &str = "the child process of ";

/// No test is switched off, and no function is left out.
pub(super) fn nothing_ignored_or_unfinished(tree: &Tree) -> Vec<Violation> {
    let patterns = ["#[ignore", "todo!", "unimplemented!"].map(|text| (text, opening(text)));
    let mut found = Vec::new();
    for source in &tree.sources {
        for (index, lexeme) in source.lexemes.iter().enumerate() {
            let broken = patterns.iter().filter(|(_, pattern)| {
                follows(&source.lexemes, index, pattern) && !run_by_another_test(&source.lexemes, index)
            });
            found.extend(
                broken.map(|(text, _)| source.violation(lexeme.line, format!("`{text}`: finish it or remove it"))),
            );
        }
    }
    found
}

/// Whether `#[ignore = "the child process of TEST"]` stands at `index`, and the file has that test.
fn run_by_another_test(lexemes: &[Lexeme], index: usize) -> bool {
    let reason = index + opening("#[ignore").len() + 1;
    let Some(Kind::Literal(text)) = lexemes.get(reason).map(|it| &it.kind) else { return false };
    let Some(parent) = text.trim_matches('"').strip_prefix(CHILD) else { return false };
    lexemes.windows(2).any(|pair| pair[0].is_word("fn") && pair[1].is_word(parent))
}

/// The lexemes of Rust text that may end inside a bracket.
fn opening(text: &str) -> Vec<Lexeme> {
    let (closed, extra) = if text.contains('[') { (format!("{text}]"), 1) } else { (text.to_owned(), 0) };
    let mut lexemes = lex(&closed).expect("a constant");
    lexemes.truncate(lexemes.len() - extra);
    lexemes
}

/// A message and its line.
struct Message {
    text: String,
    line: usize,
}

fn messages(source: &Source) -> Vec<Message> {
    let lexemes = &source.lexemes;
    let mut found = Vec::new();
    for (index, lexeme) in lexemes.iter().enumerate() {
        let Some(word) = lexeme.word() else { continue };
        let next = |offset: usize| lexemes.get(index + offset).map(|it| &it.kind);
        if LOG_MACROS.contains(&word) && next(1) == Some(&Kind::Mark('!')) && next(2) == Some(&Kind::Open('(')) {
            found.extend(argument(&lexemes[index + 2..after_group(lexemes, index + 2)]));
        } else if word == "error" && in_attribute(lexemes, index) && next(1) == Some(&Kind::Open('(')) {
            found.extend(argument(&lexemes[index + 1..after_group(lexemes, index + 1)]));
        }
    }
    found
}

fn in_attribute(lexemes: &[Lexeme], index: usize) -> bool {
    let kind = |back: usize| index.checked_sub(back).map(|at| &lexemes[at].kind);
    kind(1) == Some(&Kind::Open('[')) && kind(2) == Some(&Kind::Mark('#'))
}

/// The first string that is an argument of its own, not the value of a field.
fn argument(group: &[Lexeme]) -> Option<Message> {
    let mut depth = 0_usize;
    for pair in group.windows(2) {
        match pair[0].kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth -= 1,
            _ => {}
        }
        let starts = matches!(pair[0].kind, Kind::Open('(') | Kind::Mark(','));
        if let (1, true, Kind::Literal(text)) = (depth, starts, &pair[1].kind)
            && text.ends_with(['"', '#'])
        {
            let text = text.trim_start_matches('r').trim_matches('#').trim_matches('"').to_owned();
            return Some(Message { text, line: pair[1].line });
        }
    }
    None
}

fn misshapen(source: &Source, message: &Message) -> Option<Violation> {
    let mut letters = message.text.chars();
    let first = letters.next()?;
    // Two capitals are a name such as CUDA or HTTP.
    let sentence = first.is_uppercase() && letters.next().is_some_and(char::is_lowercase);
    let stopped = message.text.ends_with('.') && !message.text.ends_with("..");
    (sentence || stopped).then(|| {
        let text = format!("\"{}\": start in lower case and leave out the full stop", message.text);
        source.violation(message.line, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = lower_case_without_full_stop(&Tree::of(&[("a.rs", text)]));
        let said: Vec<&str> = found.iter().map(|it| it.message.split('"').nth(1).unwrap()).collect();
        assert_eq!(said, expected, "{text}");
    }

    #[test]
    fn a_sentence_in_a_log_fires() {
        check("fn f() { info!(\"Loaded it\"); }", &["Loaded it"]);
        check("fn f() { tracing::warn!(model = %m.name(\"X\"), \"it failed.\"); }", &["it failed."]);
        check("#[derive(Error)] enum E { #[error(\"Not found\")] A }", &["Not found"]);
        check("fn f() { error!(r#\"Raw \"too\"\"#); }", &["Raw "]);
    }

    #[test]
    fn parts_of_a_line_pass() {
        check("fn f() { info!(name = \"Field\", \"loaded {x}\", x = \"Value.\"); }", &[]);
        check("fn f() { debug!(target: \"A\", \"CUDA is there\"); info!(a, b); }", &[]);
        check("#[derive(Error)] enum E { #[error(transparent)] A, #[error(\"waiting...\")] B }", &[]);
        check("// info!(\"In a comment.\");", &[]);
    }

    #[test]
    fn a_promise_fires() {
        let text = "#[test]\n#[ignore = \"flaky\"]\nfn a() { todo!() }\nfn b() { unimplemented!(\"later\") }";
        let found = nothing_ignored_or_unfinished(&Tree::of(&[("a.rs", text)]));
        assert_eq!(found.iter().map(|it| it.line).collect::<Vec<_>>(), [2, 3, 4]);
        let child = "#[test]\n#[ignore = \"the child process of parent\"]\nfn child() {}\n";
        assert_eq!(nothing_ignored_or_unfinished(&Tree::of(&[("a.rs", child)])).len(), 1, "nothing runs it");
        let both = format!("{child}#[test]\nfn parent() {{}}");
        assert_eq!(nothing_ignored_or_unfinished(&Tree::of(&[("a.rs", &both)])), []);
        let text = "/// No todo!() and no #[ignore].\nfn ignore() { f(\"todo!\") }";
        assert_eq!(nothing_ignored_or_unfinished(&Tree::of(&[("a.rs", text)])), []);
    }
}
