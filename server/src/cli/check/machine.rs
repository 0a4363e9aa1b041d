//! The same report for programs: JSON, JUnit's XML, and GitHub's annotations.

use std::io;

use config::Problem;
use quick_xml::Writer;
use quick_xml::events::BytesText;
use serde_json::{Value, json};

use super::report::Report;
use super::verdict::{Check, Finding, Verdict};
use crate::cli::annotation::annotation;
use crate::cli::output::Clean;

pub(super) fn json(report: &Report) -> Value {
    let finding = |finding: &Finding| {
        let (line, column) = report.place(finding);
        json!({ "field": finding.field, "line": line, "column": column, "message": finding.message })
    };
    let check = |check: &Check| {
        let findings: Vec<Value> = check.verdict.findings().iter().map(finding).collect();
        let message = check.verdict.messages().join("; ");
        json!({ "name": check.name, "verdict": check.verdict.word(), "message": message, "findings": findings })
    };
    json!({
        "file": report.file,
        "model": report.release.as_ref().map(|(model, _)| model),
        "version": report.release.as_ref().map(|(_, version)| version),
        "outcome": report.outcome(),
        "checks": report.checks.iter().map(check).collect::<Vec<_>>(),
    })
}

/// An annotation for each thing that is wrong or unknown, on the line of its field.
pub(super) fn github(report: &Report) -> String {
    let mut lines = String::new();
    for check in &report.checks {
        for finding in check.verdict.findings() {
            let (line, column) = report.place(finding);
            let message = match finding.field.as_str() {
                "" => Clean(&finding.message).to_string(),
                field => format!("{field}: {}", Clean(&finding.message)),
            };
            let problem = Problem { file: report.file.clone(), line, column, path: check.name.to_owned(), message };
            lines.push_str(&annotation("error", &problem));
            lines.push('\n');
        }
    }
    lines
}

/// One suite, a case for each check: what is wrong is a failure, what is not known an error.
pub(super) fn junit(report: &Report) -> io::Result<String> {
    let count =
        |words: &[&str]| report.checks.iter().filter(|check| words.contains(&check.verdict.word())).count().to_string();
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let file = Clean(&report.file).to_string();
    let suite = [
        ("name", format!("sluice check {file}")),
        ("tests", report.checks.len().to_string()),
        ("failures", count(&["failed"])),
        ("errors", count(&["unreachable"])),
        ("skipped", count(&["notRun", "skipped"])),
    ];
    let suite = suite.iter().map(|(name, value)| (*name, value.as_str()));
    writer.create_element("testsuites").write_inner_content(|writer| {
        writer
            .create_element("testsuite")
            .with_attributes(suite)
            .write_inner_content(|writer| report.checks.iter().try_for_each(|check| case(writer, &file, check)))?;
        Ok(())
    })?;
    let body = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    Ok(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}\n"))
}

fn case(writer: &mut Writer<Vec<u8>>, file: &str, check: &Check) -> io::Result<()> {
    let element = match &check.verdict {
        Verdict::Passed(_) => "system-out",
        Verdict::Failed(_) => "failure",
        Verdict::Unreachable(_) => "error",
        Verdict::NotRun(_) | Verdict::Skipped(_) => "skipped",
    };
    // XML has no way to write control characters.
    let said = Clean(&check.verdict.messages().join("; ")).to_string();
    let attributes = [("classname", file), ("name", check.name), ("file", file)];
    writer.create_element("testcase").with_attributes(attributes).write_inner_content(|writer| {
        match element {
            "system-out" => writer.create_element(element).write_text_content(BytesText::new(&said))?,
            "skipped" => writer.create_element(element).with_attribute(("message", said.as_str())).write_empty()?,
            _ => {
                let element = writer.create_element(element).with_attribute(("message", said.as_str()));
                element.write_text_content(BytesText::new(&said))?
            }
        };
        Ok(())
    })?;
    Ok(())
}
