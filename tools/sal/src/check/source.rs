//! Rust sources as the kernel's target compiles them: without tests, without what only the host has, without comments.
//!
//! Tokens are looked at, not text: a comment, a string or a blank line can't be taken for code. Enough of the syntax is known to drop what a
//! `#[cfg]` that doesn't hold stands on.

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file and the code in it.
pub(crate) struct Source {
    /// Where.
    pub(crate) path: PathBuf,
    /// Its tokens; documentation is gone.
    pub(crate) code: TokenStream,
}

impl Source {
    /// A file as it stands, with its tests.
    pub(crate) fn whole(path: &Path) -> Result<Source> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let code = text.parse::<TokenStream>().map_err(|error| anyhow!("{}: {error}", path.display()))?;
        Ok(Source { path: path.to_path_buf(), code })
    }

    /// Lines with code on them.
    pub(crate) fn lines(&self) -> usize {
        let mut lines = BTreeSet::new();
        mark_lines(self.code.clone(), &mut lines);
        lines.len()
    }
}

/// The files of a crate from its first one on, as the kernel's target has them: `test` and features are off.
pub(crate) fn of_crate(first: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    let folder = first.parent().unwrap_or(Path::new("")).to_path_buf();
    follow(first, &folder, &mut found)?;
    Ok(found)
}

/// Takes a file, and those of its modules, which lie in `folder`.
fn follow(file: &Path, folder: &Path, found: &mut Vec<Source>) -> Result<()> {
    let whole = Source::whole(file)?;
    let Some(code) = compiled(whole.code) else {
        return Ok(());
    };
    let modules = modules(&code);
    found.push(Source { path: file.to_path_buf(), code });
    for Module { name, path } in modules {
        let inside = folder.join(&name);
        let beside = folder.join(format!("{name}.rs"));
        let file = match path {
            Some(path) => file.parent().unwrap_or(folder).join(path),
            None if beside.exists() => beside,
            None => inside.join("mod.rs"),
        };
        follow(&file, &inside, found)?;
    }
    Ok(())
}

/// A module whose contents lie in another file.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Module {
    name: String,
    /// If `#[path]` says so: where, from the folder of the file that names it.
    path: Option<String>,
}

/// The modules that a file names without their contents.
fn modules(code: &TokenStream) -> Vec<Module> {
    let tokens = code.clone().into_iter().collect::<Vec<_>>();
    let (mut found, mut path) = (Vec::new(), None);
    for (at, token) in tokens.iter().enumerate() {
        match (token, tokens.get(at + 1), tokens.get(at + 2)) {
            (TokenTree::Ident(word), Some(TokenTree::Ident(name)), Some(TokenTree::Punct(end)))
                if word == "mod" && end.as_char() == ';' =>
            {
                let name = name.to_string();
                found.push(Module { name, path: path.take() });
            }
            (TokenTree::Group(attribute), ..) if attribute.delimiter() == Delimiter::Bracket => {
                path = path_of(attribute).or(path);
            }
            (TokenTree::Punct(end), ..) if end.as_char() == ';' => path = None,
            _ => {}
        }
    }
    found
}

/// The text of `path = "..."`.
fn path_of(attribute: &Group) -> Option<String> {
    match &attribute.stream().into_iter().collect::<Vec<_>>()[..] {
        [TokenTree::Ident(word), _, TokenTree::Literal(text)] if word == "path" => {
            Some(text.to_string().trim_matches('"').to_string())
        }
        _ => None,
    }
}

/// Without documentation and without what a `cfg` leaves out; none if that is all of it.
fn compiled(code: TokenStream) -> Option<TokenStream> {
    let tokens = code.into_iter().collect::<Vec<_>>();
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let Some((attribute, length)) = attribute(&tokens[at..]) {
            let inner = length == 3;
            match judge(attribute) {
                Verdict::Keep => kept.extend_from_slice(&tokens[at..at + length]),
                Verdict::Comment => {}
                Verdict::Out if inner => return None,
                Verdict::Out => {
                    // Attributes before this one stay and count as lines; nobody here writes them before a `cfg`.
                    at += length;
                    at += length_of_item(&tokens[at..]);
                    continue;
                }
            }
            at += length;
            continue;
        }
        kept.push(match token {
            TokenTree::Group(group) => inside(group),
            other => other.clone(),
        });
        at += 1;
    }
    Some(kept.into_iter().collect())
}

fn inside(group: &Group) -> TokenTree {
    let mut new = Group::new(group.delimiter(), compiled(group.stream()).unwrap_or_default());
    new.set_span(group.span());
    TokenTree::Group(new)
}

/// `#[...]` or `#![...]` at the start, and how many tokens it has.
fn attribute(tokens: &[TokenTree]) -> Option<(&Group, usize)> {
    let punct = |token: Option<&TokenTree>, char| matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == char);
    if !punct(tokens.first(), '#') {
        return None;
    }
    let place = if punct(tokens.get(1), '!') { 2 } else { 1 };
    match tokens.get(place) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => Some((group, place + 1)),
        _ => None,
    }
}

enum Verdict {
    Keep,
    Comment,
    Out,
}

fn judge(attribute: &Group) -> Verdict {
    let tokens = attribute.stream().into_iter().collect::<Vec<_>>();
    match &tokens[..] {
        [TokenTree::Ident(doc), TokenTree::Punct(_), TokenTree::Literal(_)] if doc == "doc" => Verdict::Comment,
        [TokenTree::Ident(cfg), TokenTree::Group(condition)] if cfg == "cfg" => match holds(condition.stream()) {
            true => Verdict::Keep,
            false => Verdict::Out,
        },
        _ => Verdict::Keep,
    }
}

/// Does a condition hold for the kernel's target, without features, without tests?
fn holds(condition: TokenStream) -> bool {
    let tokens = condition.into_iter().collect::<Vec<_>>();
    match &tokens[..] {
        [TokenTree::Ident(word), TokenTree::Group(of), ..] => {
            let mut parts = split(of.stream()).into_iter().map(holds);
            match word.to_string().as_str() {
                "not" => !parts.next().unwrap_or(false),
                "any" => parts.any(|part| part),
                _ => parts.all(|part| part),
            }
        }
        [TokenTree::Ident(key), _, TokenTree::Literal(value), ..] => {
            let value = value.to_string();
            (key == "target_os" && value == "\"none\"") || (key == "target_arch" && value == "\"x86_64\"")
        }
        _ => false,
    }
}

fn split(stream: TokenStream) -> Vec<TokenStream> {
    let mut parts = vec![Vec::new()];
    for token in stream {
        match &token {
            TokenTree::Punct(p) if p.as_char() == ',' => parts.push(Vec::new()),
            _ => parts.last_mut().into_iter().for_each(|part| part.push(token.clone())),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.into_iter().map(|part| part.into_iter().collect()).collect()
}

/// How many tokens the item, statement, field or arm at the start has.
fn length_of_item(tokens: &[TokenTree]) -> usize {
    let mut at = 0;
    while let Some((_, length)) = attribute(&tokens[at..]) {
        at += length;
    }
    let word = |token: &TokenTree| match token {
        TokenTree::Ident(ident) => ident.to_string(),
        _ => String::new(),
    };
    let first = tokens[at..].iter().map(word).find(|word| word != "pub").unwrap_or_default();
    // What ends by a semicolon alone; what has a body; everything else ends at a comma too.
    let plain = ["use", "const", "static", "let", "type"].contains(&first.as_str());
    let item = ["fn", "mod", "struct", "enum", "impl", "trait", "unsafe", "extern", "macro_rules", "async"]
        .contains(&first.as_str());
    // `const fn` has a body.
    let plain = plain && !tokens[at..].iter().take(4).any(|token| word(token) == "fn");
    for (n, token) in tokens[at..].iter().enumerate() {
        let end = match token {
            TokenTree::Punct(p) if p.as_char() == ';' => true,
            TokenTree::Punct(p) if p.as_char() == ',' => !item && !plain && p.spacing() == Spacing::Alone,
            TokenTree::Group(group) => !plain && group.delimiter() == Delimiter::Brace,
            _ => false,
        };
        if end {
            return at + n + 1;
        }
    }
    tokens.len()
}

fn mark_lines(code: TokenStream, lines: &mut BTreeSet<usize>) {
    for token in code {
        match token {
            TokenTree::Group(group) => {
                lines.insert(group.span().start().line);
                lines.insert(group.span().end().line);
                mark_lines(group.stream(), lines);
            }
            other => lines.extend(other.span().start().line..=other.span().end().line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Source {
        Source { path: PathBuf::new(), code: compiled(text.parse().unwrap()).unwrap_or_default() }
    }

    #[test]
    fn comments_blanks_and_tests_are_no_code() {
        let text = "//! Head.\n\n/// Says.\nfn a() {\n    // why\n    b(\"x // y\n z\");\n}\n#[cfg(test)]\nmod tests {\n  fn t() {}\n}\n";
        assert_eq!(of(text).lines(), 4);
    }

    #[test]
    fn what_only_the_host_has_is_left_out() {
        let host = "#[cfg(not(target_os = \"none\"))]";
        assert_eq!(of(&format!("{host}\npub(crate) const fn a() -> u8 {{\n1\n}}\nfn b() {{}}")).lines(), 1);
        assert_eq!(of(&format!("{host}\nuse a::{{b, c}};\nfn b() {{}}")).lines(), 1);
        assert_eq!(of(&format!("fn b() {{\n{host}\nlet x = S {{ y: 1 }};\nc()\n}}")).lines(), 3);
        assert_eq!(of(&format!("struct S {{\n{host}\na: A,\nb: B,\n}}")).lines(), 3);
        assert_eq!(of("#![cfg(test)]\nfn a() {}").lines(), 0);
    }

    #[test]
    fn conditions_are_those_of_the_kernel_target() {
        let holds = |text: &str| super::holds(text.parse().unwrap());
        assert!(holds("target_os = \"none\"") && holds("not(test)") && holds("any(test, target_os = \"none\")"));
        assert!(!holds("feature = \"check\"") && !holds("all(target_os = \"none\", test)"));
    }

    #[test]
    fn modules_are_found_without_their_contents() {
        let code = "pub mod a;\nmod b { fn c() {} }\n#[cfg(test)]\nmod tests;\n#[path = \"../e.rs\"]\nmod d;\nmod f;";
        let module = |name: &str, path: Option<&str>| Module { name: name.into(), path: path.map(String::from) };
        let expected = [module("a", None), module("d", Some("../e.rs")), module("f", None)];
        assert_eq!(modules(&compiled(code.parse().unwrap()).unwrap()), expected);
    }
}
