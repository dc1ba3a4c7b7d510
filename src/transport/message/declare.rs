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

        const _: () = {
            use $crate::transport::message as __message;

            #[allow(dead_code)]
            impl $name {
                /// Its length in bytes.
                $vis const BYTES: usize = <Self as __message::Field>::BITS.div_ceil(8);

                /// Its bits in words of 64.
                #[inline(always)]
                $vis fn to_words(self) -> [u64; Self::BYTES.div_ceil(8)] {
                    let mut words = [0; Self::BYTES.div_ceil(8)];
                    __message::Field::put(self, &mut words, 0);
                    words
                }

                /// The message in these words.
                ///
                /// # Errors
                ///
                /// `UnknownValue` if a field is an enumerator that was not declared.
                #[inline(always)]
                $vis fn from_words(words: [u64; Self::BYTES.div_ceil(8)]) -> __message::Taken<Self> {
                    __message::Field::take(&words, 0)
                }

                /// Its bytes, as they travel.
                #[inline]
                $vis fn to_bytes(self) -> [u8; Self::BYTES] {
                    __message::words_to_bytes(&self.to_words())
                }

                /// The message in these bytes.
                ///
                /// # Errors
                ///
                /// `UnknownValue` if a field is an enumerator that was not declared.
                #[inline]
                $vis fn from_bytes(bytes: [u8; Self::BYTES]) -> __message::Taken<Self> {
                    Self::from_words(__message::bytes_to_words(&bytes))
                }
            }

            impl __message::Field for $name {
                const BITS: usize = 0 $(+ <$type as __message::Field>::BITS)*;

                #[inline(always)]
                fn put(self, words: &mut [u64], mut _at: usize) {
                    $(
                        __message::Field::put(self.$field, words, _at);
                        _at += <$type as __message::Field>::BITS;
                    )*
                }

                #[inline(always)]
                fn take(words: &[u64], mut _at: usize) -> __message::Taken<Self> {
                    $(
                        let $field = <$type as __message::Field>::take(words, _at)?;
                        _at += <$type as __message::Field>::BITS;
                    )*
                    Ok(Self { $($field),* })
                }
            }
        };

        $crate::message! { $($rest)* }
    };

    ($(#[$meta:meta])* $vis:vis enum $name:ident: $width:ty {
        $($(#[$value_meta:meta])* $value:ident $(= $number:expr)?),* $(,)?
    } $($rest:tt)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        $vis enum $name { $($(#[$value_meta])* $value $(= $number)?,)* }

        const _: () = {
            use $crate::transport::message as __message;

            impl __message::Field for $name {
                const BITS: usize = {
                    let bits = <$width as __message::Field>::BITS;
                    $(__message::check_fits($name::$value as u64, bits);)*
                    bits
                };

                #[inline(always)]
                fn put(self, words: &mut [u64], at: usize) {
                    __message::put_bits(words, at, <Self as __message::Field>::BITS, self as u64);
                }

                #[inline(always)]
                fn take(words: &[u64], at: usize) -> __message::Taken<Self> {
                    let value = __message::take_bits(words, at, <Self as __message::Field>::BITS);
                    $(if value == Self::$value as u64 {
                        return Ok(Self::$value);
                    })*
                    Err(__message::UnknownValue { of: stringify!($name), value })
                }
            }
        };

        $crate::message! { $($rest)* }
    };

    ($(#[$meta:meta])* $vis:vis union $name:ident: $width:ty {
        $($(#[$view_meta:meta])* $view:ident: $type:ty),* $(,)?
    } $($rest:tt)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis struct $name(u64);

        const _: () = {
            use $crate::transport::message as __message;

            #[allow(dead_code)]
            impl $name {
                $($(#[$view_meta])* $vis const $view: __message::View<$name, $type> = __message::View::new();)*

                /// The bits of a value under one view; all others are 0.
                #[inline(always)]
                $vis fn of<T: __message::Field>(_view: __message::View<$name, T>, value: T) -> Self {
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
                $vis fn get<T: __message::Field>(self, _view: __message::View<$name, T>) -> __message::Taken<T> {
                    T::take(&[self.0], 0)
                }

                /// These bits, as far as the union is wide.
                #[inline(always)]
                $vis const fn from_raw(bits: u64) -> Self {
                    Self(bits & __message::mask(<Self as __message::Field>::BITS))
                }

                /// The bits.
                #[inline(always)]
                $vis const fn raw(self) -> u64 {
                    self.0
                }
            }

            impl __message::Field for $name {
                const BITS: usize = <$width as __message::Field>::BITS;

                #[inline(always)]
                fn put(self, words: &mut [u64], at: usize) {
                    __message::put_bits(words, at, <Self as __message::Field>::BITS, self.0);
                }

                #[inline(always)]
                fn take(words: &[u64], at: usize) -> __message::Taken<Self> {
                    Ok(Self(__message::take_bits(words, at, <Self as __message::Field>::BITS)))
                }
            }
        };

        $crate::message! { $($rest)* }
    };

    ($(#[$meta:meta])* $vis:vis alias $name:ident = $type:ty; $($rest:tt)*) => {
        $(#[$meta])*
        $vis type $name = $type;

        $crate::message! { $($rest)* }
    };
}
