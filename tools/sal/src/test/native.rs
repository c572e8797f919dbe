//! Native tests in the machine: one boot runs many, and each says on the log `test NAME ok` or `test NAME FAILED reason`.

use super::report::Finding;

/// What the log's lines say about tests, in their order. Figures may follow `ok`.
pub(crate) fn findings<'a>(prefix: &str, lines: impl IntoIterator<Item = &'a str>) -> Vec<Finding> {
    lines
        .into_iter()
        .filter_map(|line| finding(prefix, line))
        .collect()
}

fn finding(prefix: &str, line: &str) -> Option<Finding> {
    // Before `test` may stand who wrote the line.
    let (before, rest) = line.split_once("test ")?;
    if !before.is_empty() && !before.ends_with(": ") {
        return None;
    }
    let (name, verdict) = rest.trim_end().split_once(' ')?;
    let (word, text) = verdict.split_once(' ').unwrap_or((verdict, ""));
    let note = Some(text.to_string()).filter(|text| !text.is_empty());
    let result = match word {
        "ok" => Ok(note),
        "FAILED" => Err(note.unwrap_or_else(|| "it gives no reason".into())),
        _ => return None,
    };
    Some(Finding {
        name: format!("{prefix}{name}"),
        time: None,
        result,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_found_among_other_lines() {
        let lines = [
            "cpus: 2",
            "test call/words ok",
            "guest: test death/fence FAILED 3 of 4 died",
            "contest x ok",
            "test a b",
            "test n ok 12 us",
        ];
        let found = findings("guest/", lines);
        let found = found
            .iter()
            .map(|f| (f.name.as_str(), f.result.clone()))
            .collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                ("guest/call/words", Ok(None)),
                ("guest/death/fence", Err("3 of 4 died".into())),
                ("guest/n", Ok(Some("12 us".into()))),
            ]
        );
    }
}
