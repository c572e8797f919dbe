//! The hashes by which indexed directories order their names. Source: `directory.rst`, "Hash Tree Directories"; for
//! what the functions compute, e2fsprogs' `lib/ext2fs/dirhash.c`, which debugfs's `dx_hash` shows.

use crate::superblock::Chars;

/// A name's hash: an even number for the index, and another that orders names of the same one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct NameHash {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Algorithm {
    Legacy,
    HalfMd4,
    Tea,
}

/// How a directory hashes its names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hasher {
    algorithm: Algorithm,
    chars: Chars,
    seed: [u32; 4],
}

/// No name hashes to this: it stands for the directory's end.
const END: u32 = 0x7fff_ffff << 1;
/// With what the hashes start that have no seed.
const UNSEEDED: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

impl Hasher {
    /// By the number that the index's root has; none for one we don't know. Versions 0 to 2 leave it to the superblock
    /// how characters are read.
    pub(crate) fn new(version: u8, chars: Chars, seed: [u32; 4]) -> Option<Hasher> {
        let (algorithm, chars) = match version {
            0 => (Algorithm::Legacy, chars),
            1 => (Algorithm::HalfMd4, chars),
            2 => (Algorithm::Tea, chars),
            3 => (Algorithm::Legacy, Chars::Unsigned),
            4 => (Algorithm::HalfMd4, Chars::Unsigned),
            5 => (Algorithm::Tea, Chars::Unsigned),
            _ => return None,
        };
        let seed = if seed == [0; 4] { UNSEEDED } else { seed };
        Some(Hasher { algorithm, chars, seed })
    }

    pub(crate) fn hash(&self, name: &[u8]) -> NameHash {
        let (major, minor) = match self.algorithm {
            Algorithm::Legacy => (self.legacy(name), 0),
            Algorithm::HalfMd4 => {
                let [_, major, minor, _] = self.rounds::<8>(name, 32, half_md4);
                (major, minor)
            }
            Algorithm::Tea => {
                let [major, minor, _, _] = self.rounds::<4>(name, 16, tea);
                (major, minor)
            }
        };
        match major & !1 {
            END => NameHash { major: END - 2, minor },
            major => NameHash { major, minor },
        }
    }

    fn legacy(&self, name: &[u8]) -> u32 {
        let (mut before, mut hash) = (0x37ab_e8f9_u32, 0x12a3_fe2d_u32);
        for byte in name {
            let next = before.wrapping_add(hash ^ self.char(*byte).wrapping_mul(7_152_373));
            before = hash;
            hash = if next & 0x8000_0000 == 0 { next } else { next.wrapping_sub(0x7fff_ffff) };
        }
        hash << 1
    }

    /// The name in pieces of `piece` bytes, each as `N` words into the state.
    fn rounds<const N: usize>(&self, name: &[u8], piece: usize, mix: fn([u32; 4], [u32; N]) -> [u32; 4]) -> [u32; 4] {
        let mut rest = name;
        let mut state = self.seed;
        while !rest.is_empty() {
            state = mix(state, self.words(rest));
            rest = rest.get(piece..).unwrap_or_default();
        }
        state
    }

    /// The first `4 * N` bytes as words, filled up with the length of all that is left.
    fn words<const N: usize>(&self, rest: &[u8]) -> [u32; N] {
        let length = rest.len() as u32;
        let pad = (length | length << 8) & 0xffff;
        let pad = pad | pad << 16;
        let mut pieces = rest.chunks(4);
        core::array::from_fn(|_| {
            let bytes = pieces.next().unwrap_or_default();
            bytes.iter().fold(pad, |word, byte| self.char(*byte).wrapping_add(word << 8))
        })
    }

    fn char(&self, byte: u8) -> u32 {
        match self.chars {
            Chars::Signed => i32::from(byte as i8) as u32,
            Chars::Unsigned => u32::from(byte),
        }
    }
}

/// MD4 with half of its steps.
fn half_md4(state: [u32; 4], words: [u32; 8]) -> [u32; 4] {
    type Mixer = fn(u32, u32, u32) -> u32;
    const ROUNDS: [(Mixer, u32, [usize; 8], [u32; 4]); 3] = [
        (|x, y, z| z ^ (x & (y ^ z)), 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (|x, y, z| (x & y).wrapping_add((x ^ y) & z), 0x5a82_7999, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (|x, y, z| x ^ y ^ z, 0x6ed9_eba1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let [mut a, mut b, mut c, mut d] = state;
    for (mixer, constant, order, shifts) in ROUNDS {
        for (at, shift) in order.into_iter().zip(shifts.into_iter().cycle()) {
            let word = words.get(at).copied().unwrap_or(0).wrapping_add(constant);
            let mixed = a.wrapping_add(mixer(b, c, d)).wrapping_add(word).rotate_left(shift);
            (a, b, c, d) = (d, mixed, b, c);
        }
    }
    let [w, x, y, z] = state;
    [w.wrapping_add(a), x.wrapping_add(b), y.wrapping_add(c), z.wrapping_add(d)]
}

/// The Tiny Encryption Algorithm, the name as its key.
fn tea(state: [u32; 4], [a, b, c, d]: [u32; 4]) -> [u32; 4] {
    let [first, second, third, fourth] = state;
    let (mut x, mut y, mut sum) = (first, second, 0_u32);
    let mix = |half: u32, sum: u32, left: u32, right: u32| {
        (half << 4).wrapping_add(left) ^ half.wrapping_add(sum) ^ (half >> 5).wrapping_add(right)
    };
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        x = x.wrapping_add(mix(y, sum, a, b));
        y = y.wrapping_add(mix(x, sum, c, d));
    }
    [first.wrapping_add(x), second.wrapping_add(y), third, fourth]
}
