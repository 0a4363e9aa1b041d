//! Places: lines, columns and byte ranges of what was read.

use super::*;

/// The value at `path` (keys only) as the characters that it was made from.
fn slice<'a>(text: &'a str, path: &[&str]) -> (&'a str, usize, usize) {
    let (root, faults) = read(text);
    assert_eq!(faults, []);
    let root = root.expect("the text is one document");
    let node = path.iter().fold(&root, |node, key| &node.entry(key).expect("the key is there").value);
    (&text[node.start.offset..node.end], node.start.line, node.start.column)
}

#[test]
fn ends_are_those_of_the_value_and_not_of_what_follows() {
    let text = "a: \"q \\\" x\"   # c\nb: 'it''s' # d\nc:   plain words   # e\nd: {x: 1, y: [2]}  # f\ne:\n  k: v # g\n\n# h\nf: 1\n";
    assert_eq!(slice(text, &["a"]), ("\"q \\\" x\"", 1, 4));
    assert_eq!(slice(text, &["b"]), ("'it''s'", 2, 4));
    assert_eq!(slice(text, &["c"]), ("plain words", 3, 6));
    assert_eq!(slice(text, &["d"]), ("{x: 1, y: [2]}", 4, 4));
    assert_eq!(slice(text, &["e"]), ("k: v", 6, 3));
}

#[test]
fn columns_count_characters_and_offsets_count_bytes() {
    let text = "# é 😀\né😀: 'ü' # x\nb: {é: ö}\n";
    assert_eq!(slice(text, &["é😀"]), ("'ü'", 2, 5));
    assert_eq!(slice(text, &["b", "é"]), ("ö", 3, 8));
}

#[test]
fn quoted_numbers_are_text() {
    let (root, _) = read("a: \"1\"\nb: 1\nc: 0x10\nd: 1.5\ne: yes\nf: true\ng: !!str 1\n");
    let root = root.expect("the text is one document");
    let kinds: Vec<Plain> = ["a", "b", "c", "d", "e", "f", "g"]
        .iter()
        .map(|key| match &root.entry(key).expect("the key is there").value.kind {
            Kind::Scalar(scalar) => scalar.value.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let integer = Plain::Integer;
    assert_eq!(
        kinds,
        [Plain::Text, integer(1), integer(16), Plain::Float(1.5), Plain::Text, Plain::Bool(true), Plain::Text]
    );
}
