//! What a program finds on its stack: arguments, environment, auxiliary vector (System V ABI, x86_64, "Process
//! Initialization").

use crate::errno::Errno;
use crate::mm::Layout;
use alloc::vec::Vec;

/// What goes on it.
pub(super) struct Start<'a> {
    /// Arguments, without zero bytes.
    pub arguments: &'a [Vec<u8>],
    /// Environment, without zero bytes.
    pub environment: &'a [Vec<u8>],
    /// The path that was executed.
    pub path: &'a [u8],
    /// For `AT_RANDOM`.
    pub random: [u8; 16],
    /// The rest of the auxiliary vector: type and value.
    pub auxiliary: &'a [(u32, u64)],
}

/// Lays it out below `top` (16-aligned). Returns the stack pointer, the bytes from there on, and where things are.
pub(super) fn build(top: u64, start: &Start, limit: u64) -> Result<(u64, Vec<u8>, Layout), Errno> {
    use linux_raw_sys::auxvec as at;
    let mut strings = Strings::default();
    let platform = strings.add(b"x86_64");
    let random = strings.add_bytes(&start.random);
    let arguments: Vec<u64> = start.arguments.iter().map(|s| strings.add(s)).collect();
    let arguments_end = strings.bytes.len() as u64;
    let environment: Vec<u64> = start.environment.iter().map(|s| strings.add(s)).collect();
    let environment_end = strings.bytes.len() as u64;
    let path = strings.add(start.path);
    strings.add_bytes(&[0; 8]);

    let base = (top.checked_sub(strings.bytes.len() as u64).ok_or(Errno::E2BIG)?) & !15;
    let mut words: Vec<u64> = Vec::new();
    words.push(arguments.len() as u64);
    words.extend(arguments.iter().map(|o| base + o));
    words.push(0);
    words.extend(environment.iter().map(|o| base + o));
    words.push(0);
    let auxiliary_at = words.len();
    let pairs = start.auxiliary.iter().copied();
    let more = [(at::AT_RANDOM, base + random), (at::AT_EXECFN, base + path), (at::AT_PLATFORM, base + platform)];
    words.extend(pairs.chain(more).chain([(at::AT_NULL, 0)]).flat_map(|(kind, value)| [kind as u64, value]));

    let size = words.len() as u64 * 8 + strings.bytes.len() as u64;
    if size > limit {
        return Err(Errno::E2BIG);
    }
    let sp = (base - words.len() as u64 * 8) & !15;
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let auxiliary = bytes.get(auxiliary_at * 8..).unwrap_or_default().to_vec();
    bytes.resize((base - sp) as usize, 0);
    bytes.extend_from_slice(&strings.bytes);
    let first = |offsets: &[u64], none: u64| base + offsets.first().copied().unwrap_or(none);
    let layout = Layout {
        code: (0, 0),
        stack: sp,
        arguments: (first(&arguments, arguments_end), base + arguments_end),
        environment: (first(&environment, environment_end), base + environment_end),
        auxiliary,
    };
    Ok((sp, bytes, layout))
}

#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
}

impl Strings {
    fn add(&mut self, string: &[u8]) -> u64 {
        let at = self.add_bytes(string);
        self.bytes.push(0);
        at
    }

    fn add_bytes(&mut self, bytes: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        at
    }
}
