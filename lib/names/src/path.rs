//! Paths: absolute, at most [`MOST`] bytes, no empty component, no `.` or `..`, no slash at the end; `/` is the root.

/// Longest path in bytes.
pub const MOST: usize = 256;

/// Is it such a path?
pub fn is_valid(path: &[u8]) -> bool {
    match path {
        [b'/'] => true,
        [b'/', rest @ ..] => {
            path.len() <= MOST && rest.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
        }
        _ => false,
    }
}

/// How many bytes of `path` the prefix covers, its following slash included; `None` if it doesn't cover the path. Both are valid.
pub fn covered(prefix: &[u8], path: &[u8]) -> Option<usize> {
    if prefix == b"/" {
        return path.starts_with(b"/").then_some(1);
    }
    match path.strip_prefix(prefix)? {
        [] => Some(prefix.len()),
        [b'/', ..] => Some(prefix.len() + 1),
        _ => None,
    }
}
