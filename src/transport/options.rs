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

/// Declares options, each with its usual value, and for each a call, as visible as it is, that sets it and returns the rest as it was.
macro_rules! options {
    ($(#[$about:meta])* pub struct $options:ident {
        $($(#[$what:meta])* $vis:vis $field:ident: $type:ty = $usual:expr,)*
    }) => {
        $(#[$about])*
        #[derive(Debug)]
        #[non_exhaustive]
        pub struct $options {
            $($(#[$what])* $vis $field: $type,)*
        }

        impl Default for $options {
            fn default() -> Self {
                Self { $($field: $usual),* }
            }
        }

        impl $options {$(
            #[doc = concat!("The same with another [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
            #[must_use]
            $vis fn $field(self, $field: $type) -> Self {
                Self { $field, ..self }
            }
        )*}
    };
}

pub(super) use options;
