//! The macro that turns one definition into everything else.

/// Defines an interface in the module where it stands.
///
/// ```
/// sal_idl::interface! {
///     /// Keeps numbers by name.
///     interface "registers" version 1;
///     /// What can go wrong.
///     errors {
///         /// No register has this name.
///         NotFound = 1,
///     }
///     /// Adds `amount` to the register `name`.
///     1 add(amount: u64) reads(name) returns(sum: u64);
/// }
/// # fn main() {}
/// ```
/// Clauses stand in this order, each may be missing: `reads` (buffers lent for the server to read), `writes`, `gives` (capabilities to
/// the server), `returns` (words), `takes` (capabilities to the client). At most seven words each way, four loans, four capabilities.
///
/// It makes: `Error`, `Server` (one method per operation), `dispatch`, `Client<T: Transport>` (one method per operation), per operation a module with
/// `NUMBER`, `Arguments`, `Results` (what the server answers) and `Reply` (what the client gets), and `OPERATIONS`, `NAME`, `VERSION`, `ABOUT`.
///
/// Operation 0 is the same everywhere: it opens a slot for a client thread (`Server::open_slot`).
///
/// Handles in `Arguments` are the server's if its method succeeds; otherwise the dispatcher closes them.
#[macro_export]
macro_rules! interface {
    (
        $(#[doc = $about:literal])*
        interface $name:literal version $version:literal;
        $(#[doc = $errors:literal])*
        errors { $($(#[doc = $variant_doc:literal])* $variant:ident = $code:literal,)* }
        $(
            $(#[doc = $doc:literal])*
            $number:literal $op:ident ( $($arg:ident : $arg_type:ty),* $(,)? )
                $(reads( $($read:ident),* ))?
                $(writes( $($write:ident),* ))?
                $(gives( $($give:ident),* ))?
                $(returns( $($ret:ident : $ret_type:ty),* ))?
                $(takes( $($take:ident),* ))?
            ;
        )*
    ) => {
        /// The interface's name.
        pub const NAME: &str = $name;
        /// Its version; changes that old peers would not understand raise it.
        pub const VERSION: u32 = $version;
        /// What it is for.
        pub const ABOUT: &str = concat!($($about, "\n"),*);

        $(#[doc = $errors])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u16)]
        pub enum Error { $($(#[doc = $variant_doc])* $variant = $code,)* }

        impl Error {
            /// From its number on the wire.
            pub const fn from_number(number: u16) -> Option<Error> {
                match number { $($code => Some(Error::$variant),)* _ => None }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Error::$variant => stringify!($variant),)* }
            }

            /// As a reply, for a caller that was kept.
            pub const fn response(self) -> $crate::Response {
                $crate::Response::status($crate::Status::Error(self as u16))
            }
        }

        impl From<Error> for u16 {
            fn from(error: Error) -> u16 {
                error as u16
            }
        }

        impl core::fmt::Display for Error {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl From<Error> for $crate::Stop<Error> {
            fn from(error: Error) -> Self {
                $crate::Stop::Error(error)
            }
        }

        $(#[doc = $about])*
        ///
        /// The server's side: one method per operation, called by [`dispatch`] with checked arguments.
        pub trait Server {
            /// The answer to this very request (slot and sequence number), if it was given before: then no method is called. Servers whose
            /// operations may all be repeated leave it as it is.
            fn recall(&mut self, call: &$crate::Call<'_>) -> Option<$crate::Response> {
                let _ = call;
                None
            }

            /// The slot of the client thread with this key ([`$crate::header::client_key`]), the same at each call. `None` (as it is here): the
            /// server keeps no answers, or has no room.
            fn open_slot(&mut self, key: u64) -> Option<u16> {
                let _ = key;
                None
            }
            $(
                $(#[doc = $doc])*
                ///
                /// # Errors
                /// The protocol's, an unusable loan, or `Kept`.
                fn $op(&mut self, call: &mut $crate::Call<'_>, arguments: $op::Arguments)
                    -> Result<$op::Results, $crate::Stop<Error>>;
            )*
        }

        /// Checks one message and calls the server's method. Never panics, whatever the message.
        pub fn dispatch<S: Server + ?Sized>(
            server: &mut S,
            arrival: $crate::abi::message::Arrival,
            badge: u64,
            words: &$crate::abi::Words,
            attachments: &mut dyn $crate::Attachments,
        ) -> $crate::Outcome {
            let [word0, ..] = *words;
            let header = $crate::Header::from_word(word0);
            match header.operation {
                $crate::header::OPEN => $crate::server::open(arrival, badge, words, attachments, |key| server.open_slot(key)),
                $($op::NUMBER => $op::serve(server, arrival, header, badge, words, attachments),)*
                _ => $crate::server::refuse(arrival, attachments, $crate::Status::UnknownOperation),
            }
        }

        $(#[doc = $about])*
        ///
        /// The client's side.
        #[derive(Debug)]
        pub struct Client<T>(pub T);

        impl<T: $crate::Transport> Client<T> {
            $(
                $(#[doc = $doc])*
                ///
                /// # Errors
                /// The protocol's or the transport's.
                #[allow(clippy::too_many_arguments, reason = "an operation has as many as it needs")]
                pub fn $op<'a>(
                    &mut self
                    $(, $arg: $arg_type)*
                    $($(, $read: impl Into<$crate::ReadLend<'a>>)*)?
                    $($(, $write: impl Into<$crate::WriteLend<'a>>)*)?
                    $($(, $give: $crate::Give)*)?
                ) -> Result<$op::Reply, $crate::Failure<Error>> {
                    let arguments: [u64; $op::WORDS] = [$(<$arg_type as $crate::Word>::put($arg)),*];
                    let mut lends: [$crate::Lend<'a>; $op::READS + $op::WRITES] = [
                        $($($crate::Lend::Read($read.into()),)*)?
                        $($($crate::Lend::Write($write.into()),)*)?
                    ];
                    let gives: [$crate::Give; $op::GIVES] = [$($($give),*)?];
                    let mut request = $crate::Request {
                        words: $crate::client::request_words($op::NUMBER, &arguments),
                        lends: &mut lends,
                        gives: &gives,
                        accept: $op::TAKES,
                    };
                    $op::Reply::decode(&self.0.exchange(&mut request)?)
                }
            )*
        }

        $(
            $(#[doc = $doc])*
            #[allow(unused_imports, unused_variables, unused_mut, clippy::let_unit_value,
                    reason = "an operation without arguments, loans or results leaves some of it unused")]
            pub mod $op {
                use super::*;

                /// On the wire.
                pub const NUMBER: u16 = $number;
                pub(super) const WORDS: usize = <[&str]>::len(&[$(stringify!($arg)),*]);
                pub(super) const READS: usize = <[&str]>::len(&[$($(stringify!($read)),*)?]);
                pub(super) const WRITES: usize = <[&str]>::len(&[$($(stringify!($write)),*)?]);
                pub(super) const GIVES: usize = <[&str]>::len(&[$($(stringify!($give)),*)?]);
                pub(super) const TAKES: usize = <[&str]>::len(&[$($(stringify!($take)),*)?]);
                const RETURNS: usize = <[&str]>::len(&[$($(stringify!($ret)),*)?]);
                const _: () = assert!(NUMBER != $crate::header::OPEN, "operation 0 opens a slot");
                const _: () = assert!(WORDS < $crate::abi::WORDS, "too many argument words");
                const _: () = assert!(RETURNS < $crate::abi::WORDS, "too many result words");
                const _: () = assert!(READS + WRITES <= $crate::abi::message::LOANS, "too many loans");
                const _: () = assert!(GIVES <= $crate::abi::message::CAPS, "too many capabilities given");
                const _: () = assert!(TAKES <= $crate::abi::message::CAPS, "too many capabilities taken");

                /// What the client asks, checked.
                #[derive(Clone, Copy, PartialEq, Debug)]
                #[allow(missing_docs, reason = "named in the operation's documentation")]
                pub struct Arguments {
                    $(pub $arg: $arg_type,)*
                    $($(pub $read: $crate::ReadLoan,)*)?
                    $($(pub $write: $crate::WriteLoan,)*)?
                    $($(pub $give: $crate::abi::Handle,)*)?
                }

                /// What the server answers.
                #[derive(Clone, Copy, PartialEq, Debug)]
                #[allow(missing_docs, reason = "named in the operation's documentation")]
                pub struct Results {
                    $($(pub $ret: $ret_type,)*)?
                    $($(pub $take: $crate::Give,)*)?
                }

                /// What the client gets.
                #[derive(Clone, Copy, PartialEq, Debug)]
                #[allow(missing_docs, reason = "named in the operation's documentation")]
                pub struct Reply {
                    $($(pub $ret: $ret_type,)*)?
                    $($(pub $take: $crate::abi::Handle,)*)?
                }

                impl Arguments {
                    fn decode(words: &$crate::abi::Words, attachments: &dyn $crate::Attachments) -> Option<Arguments> {
                        let mut rest = words.iter().copied().skip(1);
                        $(let $arg = <$arg_type as $crate::Word>::get(rest.next()?)?;)*
                        if rest.any(|word| word != 0) {
                            return None;
                        }
                        let mut loans = 0..;
                        $($(let $read = $crate::server::read_loan(loans.next()?, attachments);)*)?
                        $($(let $write = $crate::server::write_loan(loans.next()?, attachments);)*)?
                        let mut handles = 0..;
                        $($(let $give = attachments.received(handles.next()?);)*)?
                        Some(Arguments { $($arg,)* $($($read,)*)? $($($write,)*)? $($($give,)*)? })
                    }
                }

                impl Results {
                    /// As a reply: also for a caller that was kept, and for an answer that is committed.
                    pub fn response(self) -> $crate::Response {
                        let words: [u64; RETURNS] = [$($(<$ret_type as $crate::Word>::put(self.$ret)),*)?];
                        let gives: [$crate::Give; TAKES] = [$($(self.$take),*)?];
                        $crate::Response::results(&words, &gives)
                    }
                }

                impl Reply {
                    pub(super) fn decode(received: &$crate::client::Received)
                        -> Result<Reply, $crate::Failure<Error>> {
                        $crate::client::done(received, TAKES, Error::from_number)?;
                        Reply::results(received).ok_or($crate::Failure::BadReply)
                    }

                    fn results(received: &$crate::client::Received) -> Option<Reply> {
                        let mut rest = received.words.iter().copied().skip(1);
                        $($(let $ret = <$ret_type as $crate::Word>::get(rest.next()?)?;)*)?
                        let mut handles = received.handles.iter().copied();
                        $($(let $take = handles.next()?;)*)?
                        Some(Reply { $($($ret,)*)? $($($take,)*)? })
                    }
                }

                pub(super) fn serve<S: Server + ?Sized>(
                    server: &mut S,
                    arrival: $crate::abi::message::Arrival,
                    header: $crate::Header,
                    badge: u64,
                    words: &$crate::abi::Words,
                    attachments: &mut dyn $crate::Attachments,
                ) -> $crate::Outcome {
                    let counts = $crate::server::Counts { loans: READS + WRITES, gives: GIVES };
                    let arguments = $crate::server::well_formed(arrival, header, counts)
                        .then(|| Arguments::decode(words, attachments))
                        .flatten();
                    let Some(arguments) = arguments else {
                        return $crate::server::refuse(arrival, attachments, $crate::Status::Malformed);
                    };
                    let mut call = $crate::Call::new(header, badge, attachments);
                    if let Some(response) = server.recall(&call) {
                        $crate::server::close_received(GIVES, attachments);
                        return $crate::Outcome::Reply(response);
                    }
                    let answer = server.$op(&mut call, arguments).map(Results::response);
                    $crate::server::conclude(arrival, answer, attachments)
                }
            }
        )*

        /// Every operation, for documentation and tests.
        pub const OPERATIONS: &[$crate::Operation] = &[$(
            $crate::Operation {
                number: $number,
                name: stringify!($op),
                doc: concat!($($doc, "\n"),*),
                arguments: &[$(concat!(stringify!($arg), ": ", stringify!($arg_type))),*],
                reads: &[$($(stringify!($read)),*)?],
                writes: &[$($(stringify!($write)),*)?],
                gives: &[$($(stringify!($give)),*)?],
                returns: &[$($(concat!(stringify!($ret), ": ", stringify!($ret_type))),*)?],
                takes: &[$($(stringify!($take)),*)?],
            },
        )*];
    };
}
