//! The macro that turns declarations into types.

/// Declares messages; [`transport::message`](crate::transport::message) has the language and an example.
///
/// - `struct Name { field: Type, … }`: its fields one after the other, from the least significant bit on; `to_bytes`,
///   `from_bytes`, `to_words`, `from_words`.
/// - `enum Name: Width { A, B = 4, … }`: numbered as Rust numbers; all must fit the width.
/// - `union Name: Width { VIEW: Type, … }`: the same bits read in several ways; `of(view, value)`, `get(view)`.
/// - `alias Name = Type;`
#[macro_export]
macro_rules! message {
    () => {};

    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)?
    } $($rest:tt)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis struct $name { $($(#[$field_meta])* $vis $field: $type,)* }

        #[allow(dead_code)]
        impl $name {
            /// Its length in bytes.
            $vis const BYTES: usize = <Self as $crate::transport::message::Field>::BITS.div_ceil(8);

            /// Its bits in words of 64.
            #[inline(always)]
            $vis fn to_words(self) -> [u64; Self::BYTES.div_ceil(8)] {
                let mut words = [0; Self::BYTES.div_ceil(8)];
                $crate::transport::message::Field::put(self, &mut words, 0);
                words
            }

            /// The message in these words.
            ///
            /// # Errors
            ///
            /// `UnknownValue` if a field is an enumerator that was not declared.
            #[inline(always)]
            $vis fn from_words(
                words: [u64; Self::BYTES.div_ceil(8)],
            ) -> ::core::result::Result<Self, $crate::transport::message::UnknownValue> {
                $crate::transport::message::Field::take(&words, 0)
            }

            /// Its bytes, as they travel.
            #[inline]
            $vis fn to_bytes(self) -> [u8; Self::BYTES] {
                let mut bytes = [0; Self::BYTES];
                $crate::transport::message::words_to_bytes(&self.to_words(), &mut bytes);
                bytes
            }

            /// The message in these bytes.
            ///
            /// # Errors
            ///
            /// `UnknownValue` if a field is an enumerator that was not declared.
            #[inline]
            $vis fn from_bytes(
                bytes: [u8; Self::BYTES],
            ) -> ::core::result::Result<Self, $crate::transport::message::UnknownValue> {
                let mut words = [0; Self::BYTES.div_ceil(8)];
                $crate::transport::message::bytes_to_words(&bytes, &mut words);
                Self::from_words(words)
            }
        }

        impl $crate::transport::message::Field for $name {
            const BITS: usize = 0 $(+ <$type as $crate::transport::message::Field>::BITS)*;

            #[inline(always)]
            fn put(self, words: &mut [u64], at: usize) {
                let mut next = at;
                $(
                    $crate::transport::message::Field::put(self.$field, words, next);
                    next += <$type as $crate::transport::message::Field>::BITS;
                )*
                let _ = next;
            }

            #[inline(always)]
            fn take(
                words: &[u64],
                at: usize,
            ) -> ::core::result::Result<Self, $crate::transport::message::UnknownValue> {
                let mut next = at;
                $(
                    let $field = <$type as $crate::transport::message::Field>::take(words, next)?;
                    next += <$type as $crate::transport::message::Field>::BITS;
                )*
                let _ = next;
                ::core::result::Result::Ok(Self { $($field),* })
            }
        }

        $crate::message! { $($rest)* }
    };

    ($(#[$meta:meta])* $vis:vis enum $name:ident: $width:ty {
        $($(#[$value_meta:meta])* $value:ident $(= $number:expr)?),* $(,)?
    } $($rest:tt)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        $vis enum $name { $($(#[$value_meta])* $value $(= $number)?,)* }

        impl $crate::transport::message::Field for $name {
            const BITS: usize = {
                let bits = <$width as $crate::transport::message::Field>::BITS;
                $(assert!(
                    $name::$value as u64 <= $crate::transport::message::mask(bits),
                    "an enumerator does not fit the width of its enumeration"
                );)*
                bits
            };

            #[inline(always)]
            fn put(self, words: &mut [u64], at: usize) {
                let bits = <Self as $crate::transport::message::Field>::BITS;
                $crate::transport::message::put_bits(words, at, bits, self as u64);
            }

            #[inline(always)]
            fn take(
                words: &[u64],
                at: usize,
            ) -> ::core::result::Result<Self, $crate::transport::message::UnknownValue> {
                let bits = <Self as $crate::transport::message::Field>::BITS;
                let value = $crate::transport::message::take_bits(words, at, bits);
                $(if value == Self::$value as u64 {
                    return ::core::result::Result::Ok(Self::$value);
                })*
                ::core::result::Result::Err($crate::transport::message::UnknownValue {
                    of: ::core::stringify!($name),
                    value,
                })
            }
        }

        $crate::message! { $($rest)* }
    };

    ($(#[$meta:meta])* $vis:vis union $name:ident: $width:ty {
        $($(#[$view_meta:meta])* $view:ident: $type:ty),* $(,)?
    } $($rest:tt)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis struct $name(u64);

        #[allow(dead_code)]
        impl $name {
            $($(#[$view_meta])* $vis const $view: $crate::transport::message::View<$name, $type> = {
                assert!(
                    <$type as $crate::transport::message::Field>::BITS
                        <= <$width as $crate::transport::message::Field>::BITS,
                    "a view is wider than its union"
                );
                $crate::transport::message::View::new()
            };)*

            /// The bits of a value under one view; all others are 0.
            #[inline(always)]
            $vis fn of<T: $crate::transport::message::Field>(
                _view: $crate::transport::message::View<$name, T>,
                value: T,
            ) -> Self {
                let mut words = [0];
                value.put(&mut words, 0);
                Self::from_raw(words[0])
            }

            /// The bits under one view.
            ///
            /// # Errors
            ///
            /// `UnknownValue` if they hold an enumerator that was not declared.
            #[inline(always)]
            $vis fn get<T: $crate::transport::message::Field>(
                self,
                _view: $crate::transport::message::View<$name, T>,
            ) -> ::core::result::Result<T, $crate::transport::message::UnknownValue> {
                T::take(&[self.0], 0)
            }

            /// These bits, as far as the union is wide.
            #[inline(always)]
            $vis const fn from_raw(bits: u64) -> Self {
                Self(bits & $crate::transport::message::mask(<Self as $crate::transport::message::Field>::BITS))
            }

            /// The bits.
            #[inline(always)]
            $vis const fn raw(self) -> u64 {
                self.0
            }
        }

        impl $crate::transport::message::Field for $name {
            const BITS: usize = <$width as $crate::transport::message::Field>::BITS;

            #[inline(always)]
            fn put(self, words: &mut [u64], at: usize) {
                let bits = <Self as $crate::transport::message::Field>::BITS;
                $crate::transport::message::put_bits(words, at, bits, self.0);
            }

            #[inline(always)]
            fn take(
                words: &[u64],
                at: usize,
            ) -> ::core::result::Result<Self, $crate::transport::message::UnknownValue> {
                let bits = <Self as $crate::transport::message::Field>::BITS;
                ::core::result::Result::Ok(Self($crate::transport::message::take_bits(words, at, bits)))
            }
        }

        $crate::message! { $($rest)* }
    };

    ($(#[$meta:meta])* $vis:vis alias $name:ident = $type:ty; $($rest:tt)*) => {
        $(#[$meta])*
        $vis type $name = $type;

        $crate::message! { $($rest)* }
    };
}
