//! Sections of pages that are made from the sources: between two marks, everything else is a person's.

use anyhow::{Context, Result, anyhow};
use std::fs;
use std::path::Path;

/// A made section of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Section {
    /// The page's path in the repository.
    pub(crate) page: &'static str,
    /// Which of its sections.
    pub(crate) name: &'static str,
    /// What stands between the marks, without the line ends beside them.
    pub(crate) text: String,
}

impl Section {
    fn marks(&self) -> [String; 2] {
        [format!("<!-- made by `cargo sal check --write`: {} -->", self.name), format!("<!-- end of {} -->", self.name)]
    }

    /// The page with this section as it should be.
    fn inserted(&self, page: &str) -> Result<String> {
        let [begin, end] = self.marks();
        let missing = || anyhow!("{}: the marks of the section `{}` are missing", self.page, self.name);
        let (before, rest) = page.split_once(&begin).ok_or_else(missing)?;
        let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
        Ok(format!("{before}{begin}\n{}\n{end}{after}", self.text))
    }

    fn read(&self, root: &Path) -> Result<String> {
        fs::read_to_string(root.join(self.page)).with_context(|| format!("cannot read {}", self.page))
    }

    /// Says so if the page is stale.
    pub(crate) fn fault(&self, root: &Path) -> Result<Option<String>> {
        let page = self.read(root)?;
        let stale = self.inserted(&page)? != page;
        Ok(stale.then(|| {
            format!("{}: `{}` is not what the sources say: run `cargo sal check --write`", self.page, self.name)
        }))
    }

    /// Makes the page true; says whether it wasn't.
    pub(crate) fn write(&self, root: &Path) -> Result<bool> {
        let page = self.read(root)?;
        let new = self.inserted(&page)?;
        if new == page {
            return Ok(false);
        }
        fs::write(root.join(self.page), new).with_context(|| format!("cannot write {}", self.page))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Section {
        Section { page: "p", name: "n", text: text.into() }
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let [begin, end] = section("").marks();
        let page = format!("a\n{begin}\nold\n{end}\nz\n");
        let new = section("new").inserted(&page).unwrap();
        assert_eq!(new, format!("a\n{begin}\nnew\n{end}\nz\n"));
        assert_eq!(section("new").inserted(&new).unwrap(), new);
    }

    #[test]
    fn a_page_without_marks_is_an_error() {
        assert!(section("new").inserted("nothing").is_err());
    }
}
