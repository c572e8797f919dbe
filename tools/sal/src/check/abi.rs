//! The tables of docs/abi.md, from the ABI's own source: operations, errors, rights.

use super::page::Section;
use anyhow::{Context, Result, anyhow, bail};
use proc_macro2::{TokenStream, TokenTree};
use std::fmt::Write;
use std::fs;
use std::path::Path;

const PAGE: &str = "docs/abi.md";

/// A documented name with a number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Item {
    name: String,
    number: String,
    says: String,
}

/// The sections of docs/abi.md.
pub(crate) fn sections(root: &Path) -> Result<Vec<Section>> {
    let operations = listed(root, "abi/src/op.rs", "ops")?;
    let errors = listed(root, "abi/src/error.rs", "errors")?;
    let rights = rights(read(root, "abi/src/rights.rs")?);
    let known = |what: &str, here: Vec<&str>, there: &[Item]| match here.iter().eq(there.iter().map(|item| &item.name))
    {
        true => Ok(()),
        false => Err(anyhow!("{what}: the table does not have all that the crate has")),
    };
    // What was read from the text is held against what was compiled into this tool.
    known("operations", sal_abi::Op::ALL.iter().map(|op| op.name()).collect(), &operations)?;
    known("errors", sal_abi::Error::ALL.iter().map(|error| error.name()).collect(), &errors)?;
    Ok(vec![
        section("operations", "| n | operation | takes and gives |", &operations)?,
        section("errors", "| n | error | means |", &errors)?,
        section("rights", "| bit | right | lets its holder |", &rights)?,
    ])
}

fn section(name: &'static str, head: &str, items: &[Item]) -> Result<Section> {
    let mut text = format!("{head}\n|---|---|---|");
    for Item { name, number, says } in items {
        write!(text, "\n| {number} | `{name}` | {} |", says.replace('|', "\\|"))?;
    }
    Ok(Section { page: PAGE, name, text })
}

fn read(root: &Path, file: &str) -> Result<TokenStream> {
    let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
    text.parse().map_err(|error| anyhow!("{file}: {error}"))
}

/// What the call of that macro lists: `/// says`, `name = number,`.
fn listed(root: &Path, file: &str, called: &str) -> Result<Vec<Item>> {
    let tokens = read(root, file)?.into_iter().collect::<Vec<_>>();
    let call = tokens.windows(3).find_map(|window| match window {
        [TokenTree::Ident(name), TokenTree::Punct(mark), TokenTree::Group(list)]
            if name == called && mark.as_char() == '!' =>
        {
            Some(list.stream())
        }
        _ => None,
    });
    let items = items(call.ok_or_else(|| anyhow!("{file}: no call of {called}!"))?);
    match items.iter().find(|item| item.says.is_empty()) {
        Some(item) => bail!("{file}: {} has no documentation", item.name),
        None => Ok(items),
    }
}

fn items(list: TokenStream) -> Vec<Item> {
    let (mut found, mut item) = (Vec::new(), Item::default());
    for token in list {
        match token {
            TokenTree::Group(attribute) => add_documentation(&mut item, attribute.stream()),
            TokenTree::Ident(name) => item.name = name.to_string(),
            TokenTree::Literal(number) => item.number = number.to_string(),
            TokenTree::Punct(end) if end.as_char() == ',' => found.push(std::mem::take(&mut item)),
            TokenTree::Punct(_) => {}
        }
    }
    found
}

/// Adds the text of `doc = "..."`.
fn add_documentation(item: &mut Item, attribute: TokenStream) {
    let tokens = attribute.into_iter().collect::<Vec<_>>();
    if let [TokenTree::Ident(doc), _, TokenTree::Literal(text)] = &tokens[..]
        && doc == "doc"
    {
        let text = text.to_string().replace("\\\"", "\"");
        let text = text.trim_matches('"').trim();
        item.says = format!("{} {text}", item.says).trim().to_string();
    }
}

/// The single rights: `pub const NAME: Rights = Rights(1 << bit);`.
fn rights(file: TokenStream) -> Vec<Item> {
    let mut found = Vec::new();
    for token in file {
        let TokenTree::Group(group) = token else { continue };
        let (mut item, mut before) = (Item::default(), String::new());
        for token in group.stream() {
            match &token {
                TokenTree::Ident(name) if before == "const" => item.name = name.to_string(),
                TokenTree::Group(value) if before == "Rights" => item.number = bit(value.stream()).unwrap_or_default(),
                TokenTree::Group(attribute) => add_documentation(&mut item, attribute.stream()),
                TokenTree::Punct(end) if end.as_char() == ';' => {
                    let item = std::mem::take(&mut item);
                    found.extend(Some(item).filter(|item| !item.number.is_empty()));
                }
                _ => {}
            }
            before = token.to_string();
            if before.starts_with('{') {
                item = Item::default();
            }
        }
    }
    found
}

/// The n of `1 << n`.
fn bit(value: TokenStream) -> Option<String> {
    let text = value.to_string();
    let (one, bit) = text.split_once("<<")?;
    (one.trim() == "1").then(|| bit.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_name_number_and_all_lines_of_documentation() {
        let list = "/// One \"a\".\n/// Two.\nCall = 0,\n/// B.\nReply = 3,";
        let item =
            |name: &str, number: &str, says: &str| Item { name: name.into(), number: number.into(), says: says.into() };
        let expected = [item("Call", "0", "One \"a\". Two."), item("Reply", "3", "B.")];
        assert_eq!(items(list.parse().unwrap()), expected);
    }

    #[test]
    fn only_single_rights_are_tabled() {
        let file = "impl Rights {\n/// None.\npub const NONE: Rights = Rights(0);\n/// Call.\npub const SEND: Rights = Rights(1 << 0);\n/// Both.\npub const fn and(self) -> Rights { Rights(self.0) }\n/// Read.\npub const READ: Rights = Rights(1 << 2);\n}";
        let found = rights(file.parse().unwrap());
        let names = found.iter().map(|item| (item.name.as_str(), item.number.as_str(), item.says.as_str()));
        assert_eq!(names.collect::<Vec<_>>(), [("SEND", "0", "Call."), ("READ", "2", "Read.")]);
    }
}
