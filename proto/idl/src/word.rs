//! Values that travel in one word.

/// A value that fits in a word. `get` refuses every word that `put` does not make, so that reserved bits stay free.
pub trait Word: Sized {
    /// As a word.
    fn put(self) -> u64;
    /// From a word; `None` if no value has it.
    fn get(word: u64) -> Option<Self>;
}

macro_rules! unsigned {
    ($($t:ty),*) => {$(
        impl Word for $t {
            #[inline(always)]
            fn put(self) -> u64 {
                u64::from(self)
            }
            #[inline(always)]
            fn get(word: u64) -> Option<Self> {
                <$t>::try_from(word).ok()
            }
        }
    )*};
}
unsigned!(u8, u16, u32, u64);

/// Two's complement in 64 bits.
impl Word for i64 {
    #[inline(always)]
    fn put(self) -> u64 {
        self as u64
    }
    #[inline(always)]
    fn get(word: u64) -> Option<Self> {
        Some(word as i64)
    }
}

/// Sign-extended to 64 bits.
impl Word for i32 {
    #[inline(always)]
    fn put(self) -> u64 {
        i64::from(self) as u64
    }
    #[inline(always)]
    fn get(word: u64) -> Option<Self> {
        i32::try_from(word as i64).ok()
    }
}

impl Word for bool {
    #[inline(always)]
    fn put(self) -> u64 {
        u64::from(self)
    }
    #[inline(always)]
    fn get(word: u64) -> Option<Self> {
        match word {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// Makes an enumeration or a set of named values a [`Word`]: `word_enum! { /// doc \n pub enum E { /// doc \n A = 0, } }`.
#[macro_export]
macro_rules! word_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u32)]
        pub enum $name { $($(#[$vmeta])* $variant = $number,)* }

        impl $crate::Word for $name {
            #[inline]
            fn put(self) -> u64 {
                self as u64
            }
            #[inline]
            fn get(word: u64) -> Option<Self> {
                match word { $($number => Some($name::$variant),)* _ => None }
            }
        }
    };
}
