//! Options by name: each is set by a call of that name, so that there can be more of them later.

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
