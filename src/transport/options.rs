//! Options: each is set by a call of its name, so that there can be more of them later.

/// How a side waits for the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// Looks for as long as that has paid lately, then sleeps.
    #[default]
    Adaptive,
    /// Looks until the limit, and never sleeps: the quickest, for a CPU of its own.
    Poll,
    /// Sleeps at once.
    Sleep,
}

/// Options: a struct, what its fields usually are, and a call for each, that sets it and returns the rest as it was. Behind a
/// semicolon stands one that is not public and has no call.
macro_rules! options {
    (
        $(#[$about:meta])* pub struct $options:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty = $usual:expr,)*
            $(; $own:ident: $own_type:ty = $own_usual:expr,)?
        }
        $(#[$usually:meta])* impl Default;
    ) => {
        $(#[$about])*
        #[derive(Debug)]
        #[non_exhaustive]
        pub struct $options {
            $($(#[$doc])* pub $field: $type,)*
            $($own: $own_type,)?
        }

        impl Default for $options {
            $(#[$usually])*
            fn default() -> Self {
                Self { $($field: $usual,)* $($own: $own_usual,)? }
            }
        }

        impl $options {$(
            #[doc = concat!("The same with another [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
            #[must_use]
            pub fn $field(self, $field: $type) -> Self {
                Self { $field, ..self }
            }
        )*}
    };
}

pub(super) use options;
