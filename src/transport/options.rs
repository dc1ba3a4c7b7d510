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

/// Gives options a call for each field, that sets it and returns the rest as it was.
macro_rules! setters {
    ($options:ident { $($field:ident: $type:ty),* $(,)? }) => {
        impl $options {$(
            #[doc = concat!("The same with another [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
            #[must_use]
            pub fn $field(self, $field: $type) -> Self {
                Self { $field, ..self }
            }
        )*}
    };
}

pub(super) use setters;
