//! `struct termios` as the Linux kernel has it on x86_64 (`TCGETS`; termios(3), asm-generic/termbits.h).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Number of control characters.
pub const NCCS: usize = 19;

/// Modes and control characters, in the layout of `TCGETS` and `TCSETS` (36 bytes).
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Termios {
    /// Input modes: [`iflag`].
    pub iflag: u32,
    /// Output modes: [`oflag`].
    pub oflag: u32,
    /// Control modes (speed, character size): kept, without effect.
    pub cflag: u32,
    /// Local modes: [`lflag`].
    pub lflag: u32,
    /// Line discipline number: 0.
    pub line: u8,
    /// Control characters, by [`cc`]; 0 switches one off.
    pub cc: [u8; NCCS],
}

/// `struct winsize`, in the layout of `TIOCGWINSZ`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
    /// Width in pixels; 0: unknown.
    pub x_pixels: u16,
    /// Height in pixels; 0: unknown.
    pub y_pixels: u16,
}

/// Input modes.
#[allow(missing_docs, reason = "the names are those of termios(3)")]
pub mod iflag {
    pub const IGNBRK: u32 = 0o1;
    pub const BRKINT: u32 = 0o2;
    pub const IGNPAR: u32 = 0o4;
    pub const PARMRK: u32 = 0o10;
    pub const INPCK: u32 = 0o20;
    pub const ISTRIP: u32 = 0o40;
    pub const INLCR: u32 = 0o100;
    pub const IGNCR: u32 = 0o200;
    pub const ICRNL: u32 = 0o400;
    pub const IUCLC: u32 = 0o1000;
    pub const IXON: u32 = 0o2000;
    pub const IXANY: u32 = 0o4000;
    pub const IXOFF: u32 = 0o10000;
    pub const IMAXBEL: u32 = 0o20000;
    pub const IUTF8: u32 = 0o40000;
}

/// Output modes.
#[allow(missing_docs, reason = "the names are those of termios(3)")]
pub mod oflag {
    pub const OPOST: u32 = 0o1;
    pub const OLCUC: u32 = 0o2;
    pub const ONLCR: u32 = 0o4;
    pub const OCRNL: u32 = 0o10;
    pub const ONOCR: u32 = 0o20;
    pub const ONLRET: u32 = 0o40;
    pub const TABDLY: u32 = 0o14000;
    pub const XTABS: u32 = 0o14000;
}

/// Control modes of the default.
#[allow(missing_docs, reason = "the names are those of termios(3)")]
pub mod cflag {
    pub const B38400: u32 = 0o17;
    pub const CS8: u32 = 0o60;
    pub const CREAD: u32 = 0o200;
    pub const HUPCL: u32 = 0o2000;
}

/// Local modes.
#[allow(missing_docs, reason = "the names are those of termios(3)")]
pub mod lflag {
    pub const ISIG: u32 = 0o1;
    pub const ICANON: u32 = 0o2;
    pub const ECHO: u32 = 0o10;
    pub const ECHOE: u32 = 0o20;
    pub const ECHOK: u32 = 0o40;
    pub const ECHONL: u32 = 0o100;
    pub const NOFLSH: u32 = 0o200;
    pub const TOSTOP: u32 = 0o400;
    pub const ECHOCTL: u32 = 0o1000;
    pub const ECHOPRT: u32 = 0o2000;
    pub const ECHOKE: u32 = 0o4000;
    pub const IEXTEN: u32 = 0o100000;
}

/// Places of the control characters.
#[allow(missing_docs, reason = "the names are those of termios(3)")]
pub mod cc {
    pub const VINTR: usize = 0;
    pub const VQUIT: usize = 1;
    pub const VERASE: usize = 2;
    pub const VKILL: usize = 3;
    pub const VEOF: usize = 4;
    pub const VTIME: usize = 5;
    pub const VMIN: usize = 6;
    pub const VSWTC: usize = 7;
    pub const VSTART: usize = 8;
    pub const VSTOP: usize = 9;
    pub const VSUSP: usize = 10;
    pub const VEOL: usize = 11;
    pub const VREPRINT: usize = 12;
    pub const VDISCARD: usize = 13;
    pub const VWERASE: usize = 14;
    pub const VLNEXT: usize = 15;
    pub const VEOL2: usize = 16;
}

const CONTROLS: [u8; NCCS] = {
    let mut controls = [0; NCCS];
    controls[cc::VINTR] = 0x03;
    controls[cc::VQUIT] = 0x1c;
    controls[cc::VERASE] = 0x7f;
    controls[cc::VKILL] = 0x15;
    controls[cc::VEOF] = 0x04;
    controls[cc::VMIN] = 1;
    controls[cc::VSTART] = 0x11;
    controls[cc::VSTOP] = 0x13;
    controls[cc::VSUSP] = 0x1a;
    controls[cc::VREPRINT] = 0x12;
    controls[cc::VDISCARD] = 0x0f;
    controls[cc::VWERASE] = 0x17;
    controls[cc::VLNEXT] = 0x16;
    controls
};

impl Default for Termios {
    /// What a new Linux terminal has, and `IUTF8`.
    fn default() -> Self {
        Termios {
            iflag: iflag::ICRNL | iflag::IXON | iflag::IUTF8,
            oflag: oflag::OPOST | oflag::ONLCR,
            cflag: cflag::B38400 | cflag::CS8 | cflag::CREAD | cflag::HUPCL,
            lflag: lflag::ISIG
                | lflag::ICANON
                | lflag::ECHO
                | lflag::ECHOE
                | lflag::ECHOK
                | lflag::ECHOCTL
                | lflag::ECHOKE
                | lflag::IEXTEN,
            line: 0,
            cc: CONTROLS,
        }
    }
}

impl Termios {
    /// `cfmakeraw(3)`.
    pub fn make_raw(&mut self) {
        use iflag::{BRKINT, ICRNL, IGNBRK, IGNCR, INLCR, ISTRIP, IXON, PARMRK};
        use lflag::{ECHO, ECHONL, ICANON, IEXTEN, ISIG};
        self.iflag &= !(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        self.oflag &= !oflag::OPOST;
        self.lflag &= !(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
        self.cc[cc::VMIN] = 1;
        self.cc[cc::VTIME] = 0;
    }

    pub(crate) fn input(&self, flag: u32) -> bool {
        self.iflag & flag != 0
    }

    pub(crate) fn output(&self, flag: u32) -> bool {
        self.oflag & flag != 0
    }

    pub(crate) fn local(&self, flag: u32) -> bool {
        self.lflag & flag != 0
    }

    /// Whether `byte` is the control character at `place`. A control character of 0 is switched off.
    pub(crate) fn is(&self, byte: u8, place: usize) -> bool {
        byte != 0 && self.cc.get(place) == Some(&byte)
    }
}
