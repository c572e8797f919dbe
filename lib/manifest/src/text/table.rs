//! A table of the text whose keys are taken one by one; what is left at the end is an unknown key.

use super::Wrong;
use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
pub(super) struct At<T> {
    /// What the text says.
    pub value: T,
    /// Byte offset.
    pub at: usize,
}

/// A table being read.
pub(super) struct Table<'a, 'i> {
    /// Dotted path, for messages.
    pub path: String,
    /// Where it stands.
    pub at: usize,
    table: &'a DeTable<'i>,
    taken: Vec<&'static str>,
}

impl<'a, 'i> Table<'a, 'i> {
    pub(super) fn new(path: String, at: usize, table: &'a DeTable<'i>) -> Self {
        Table { path, at, table, taken: Vec::new() }
    }

    /// Dotted path of a key of this table.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where a key's value stands; where the table stands, if it has no such key.
    pub(super) fn at_of(&self, key: &str) -> usize {
        self.table.iter().find(|(k, _)| k.get_ref() == key).map_or(self.at, |(_, v)| v.span().start)
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.taken.push(key);
        self.table.iter().find(|(k, _)| k.get_ref() == key).map(|(_, v)| v)
    }

    fn need(&mut self, key: &'static str) -> Result<&'a Spanned<DeValue<'i>>, Wrong> {
        let at = self.at;
        self.take(key).ok_or_else(|| Wrong::new(at, self.key(key), "is missing"))
    }

    fn kind(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) -> Wrong {
        let what = format!("is of type {}, must be {wanted}", value.get_ref().type_str());
        Wrong::new(value.span().start, self.key(key), what)
    }

    fn as_text(&self, key: &str, value: &'a Spanned<DeValue<'i>>) -> Result<At<String>, Wrong> {
        let text = value.get_ref().as_str().ok_or_else(|| self.kind(key, value, "a string"))?;
        Ok(At { value: text.to_owned(), at: value.span().start })
    }

    /// A string.
    pub(super) fn text(&mut self, key: &'static str) -> Result<At<String>, Wrong> {
        let value = self.need(key)?;
        self.as_text(key, value)
    }

    /// A string, if it is there.
    pub(super) fn text_or(&mut self, key: &'static str) -> Result<Option<At<String>>, Wrong> {
        self.take(key).map(|value| self.as_text(key, value)).transpose()
    }

    fn as_number(&self, key: &str, value: &Spanned<DeValue<'_>>, least: u64, most: u64) -> Result<u64, Wrong> {
        let integer = value.get_ref().as_integer().ok_or_else(|| self.kind(key, value, "a number"))?;
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        number.filter(|n| (least..=most).contains(n)).ok_or_else(|| {
            let what = format!("{} is not between {least} and {most}", integer.as_str());
            Wrong::new(value.span().start, self.key(key), what)
        })
    }

    /// A number in a range.
    pub(super) fn number(&mut self, key: &'static str, least: u64, most: u64) -> Result<u64, Wrong> {
        let value = self.need(key)?;
        self.as_number(key, value, least, most)
    }

    /// A number in a range, if it is there.
    pub(super) fn number_or(&mut self, key: &'static str, least: u64, most: u64) -> Result<Option<u64>, Wrong> {
        self.take(key).map(|value| self.as_number(key, value, least, most)).transpose()
    }

    /// `true` or `false`; `false` if it isn't there.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, Wrong> {
        let Some(value) = self.take(key) else {
            return Ok(false);
        };
        value.get_ref().as_bool().ok_or_else(|| self.kind(key, value, "true or false"))
    }

    /// The elements of an array; none if it isn't there.
    pub(super) fn list(&mut self, key: &'static str) -> Result<Vec<&'a Spanned<DeValue<'i>>>, Wrong> {
        let Some(value) = self.take(key) else {
            return Ok(Vec::new());
        };
        let array = value.get_ref().as_array().ok_or_else(|| self.kind(key, value, "an array"))?;
        Ok(array.iter().collect())
    }

    /// An array of strings; empty if it isn't there.
    pub(super) fn texts(&mut self, key: &'static str) -> Result<Vec<At<String>>, Wrong> {
        self.list(key)?.into_iter().map(|value| self.as_text(key, value)).collect()
    }

    /// An array of numbers in a range; empty if it isn't there.
    pub(super) fn numbers(&mut self, key: &'static str, least: u64, most: u64) -> Result<Vec<At<u64>>, Wrong> {
        let read = |value: &Spanned<DeValue<'_>>| {
            Ok(At { value: self.as_number(key, value, least, most)?, at: value.span().start })
        };
        let values = match self.table.iter().find(|(k, _)| k.get_ref() == key) {
            Some((_, v)) => {
                v.get_ref().as_array().ok_or_else(|| self.kind(key, v, "an array"))?.iter().map(read).collect()
            }
            None => Ok(Vec::new()),
        };
        self.taken.push(key);
        values
    }

    /// A table under a key, if it is there.
    pub(super) fn table_or(&mut self, key: &'static str) -> Result<Option<Table<'a, 'i>>, Wrong> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let table = value.get_ref().as_table().ok_or_else(|| self.kind(key, value, "a table"))?;
        Ok(Some(Table::new(self.key(key), value.span().start, table)))
    }

    /// A table under a key.
    pub(super) fn table(&mut self, key: &'static str) -> Result<Table<'a, 'i>, Wrong> {
        let at = self.at;
        self.table_or(key)?.ok_or_else(|| Wrong::new(at, self.key(key), "is missing: add a table of that name"))
    }

    /// Every key with its table, in the text's order.
    pub(super) fn named_tables(self) -> Result<Vec<(At<String>, Table<'a, 'i>)>, Wrong> {
        let mut all = Vec::new();
        for (key, value) in self.table.iter() {
            let name = key.get_ref().as_ref();
            let table = value.get_ref().as_table().ok_or_else(|| self.kind(name, value, "a table"))?;
            let at = key.span().start;
            all.push((At { value: name.to_owned(), at }, Table::new(self.key(name), at, table)));
        }
        all.sort_by_key(|(name, _)| name.at);
        Ok(all)
    }

    /// All keys must have been taken.
    pub(super) fn end(self) -> Result<(), Wrong> {
        let unknown = self.table.keys().filter(|k| !self.taken.contains(&k.get_ref().as_ref()));
        match unknown.min_by_key(|k| k.span().start) {
            None => Ok(()),
            Some(key) => {
                let mut known = self.taken.clone();
                known.sort_unstable();
                let what = format!("no such key; there are {}", known.join(", "));
                Err(Wrong::new(key.span().start, self.key(key.get_ref()), what))
            }
        }
    }
}
