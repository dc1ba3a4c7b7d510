//! Where a table is found.

#![forbid(unsafe_code)]

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a table.
///
/// Written `@name`, or as a path with a slash: `./table`, `/run/table`.
///
/// ```
/// use memcpy_select::transport::Address;
///
/// let address: Address = "@greetings".parse()?;
/// assert_eq!(address, Address::Abstract("greetings".to_owned()));
/// assert!("greetings".parse::<Address>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A name in the abstract namespace, outside any file system: the kernel removes it when the server ends, however it ends.
    /// Every process of the network namespace can try to connect to it.
    Abstract(String),
    /// A file. Its permissions say which users may connect. It stays behind when the server is killed; the next one to listen
    /// there replaces it.
    Path(PathBuf),
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// The text.
    pub text: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix('@') {
            Some(name) if !name.is_empty() => Ok(Self::Abstract(name.to_owned())),
            None if text.contains('/') => Ok(Self::Path(PathBuf::from(text))),
            _ => Err(AddressError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abstract(name) => write!(f, "@{name}"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no address: no table can be there; write @name, or a path with a slash", self.text)
    }
}

impl std::error::Error for AddressError {}
