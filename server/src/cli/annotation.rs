//! Annotations of GitHub Actions: a problem shown on the line that it is about, in the pull request.

use config::Problem;

/// A workflow command; data and properties are escaped each in their own way.
pub(super) fn annotation(level: &str, problem: &Problem) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let place = match problem.line {
        0 => String::new(),
        line => format!(",line={line},col={}", problem.column),
    };
    let title = if problem.path.is_empty() { "values" } else { &problem.path };
    let (file, title) = (property(&problem.file), property(title));
    format!("::{level} file={file}{place},title={title}::{}", data(&problem.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_survives_what_a_message_may_hold() {
        let problem = Problem {
            file: "a,b:c.yaml".into(),
            line: 3,
            column: 9,
            path: "model.version".into(),
            message: "100% wrong\nreally: yes".into(),
        };
        insta::assert_snapshot!(
            annotation("error", &problem),
            @"::error file=a%2Cb%3Ac.yaml,line=3,col=9,title=model.version::100%25 wrong%0Areally: yes"
        );
    }
}
