//! What the documents point at is there: files by links, and functions by name in docs/invariants.md.

use super::rooms;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One line for each link to a file that is not there.
pub(crate) fn faults(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for page in pages(root)? {
        let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        let folder = page.parent().unwrap_or(root);
        let broken = targets(&text).filter(|target| !folder.join(target).exists());
        let name = page.strip_prefix(root).unwrap_or(&page).display();
        faults.extend(broken.map(|target| format!("{name}: the link to {target} leads nowhere")));
    }
    faults.extend(functions(root)?);
    Ok(faults)
}

/// Functions that docs/invariants.md names and no source has.
fn functions(root: &Path) -> Result<Vec<String>> {
    const PAGE: &str = "docs/invariants.md";
    let mut known = BTreeSet::new();
    for file in rooms::sources(root)? {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        known.extend(text.split("fn ").skip(1).map(|rest| word(rest).to_string()));
    }
    let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let missing = quoted(&page).filter(|name| name.contains('_') && !known.contains(*name));
    Ok(missing.map(|name| format!("{PAGE}: no function is called {name}")).collect())
}

/// The name at the start.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// What stands between backticks and is a name.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|name| word(name) == *name)
}

/// The pages at the top, and those in docs/.
fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for folder in [root.to_path_buf(), root.join("docs")] {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let files = entries.flatten().map(|entry| entry.path());
        pages.extend(files.filter(|file| file.extension().is_some_and(|end| end == "md")));
    }
    pages.sort();
    Ok(pages)
}

/// Where relative links lead, without the part after `#`.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|target| !target.contains(':') && !target.contains(char::is_whitespace));
    targets.map(|target| target.split('#').next().unwrap_or(target)).filter(|target| !target.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_links_are_found() {
        let text = "[a](../b.rs) [c](https://d) [`e`](f.md#g)(h)\nx[1](y z)";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["../b.rs", "f.md"]);
    }

    #[test]
    fn names_are_found_between_backticks() {
        assert_eq!(quoted("a `b_c` d `e f` `g`").collect::<Vec<_>>(), ["b_c", "g"]);
        assert_eq!(word("name(arguments)"), "name");
    }
}
