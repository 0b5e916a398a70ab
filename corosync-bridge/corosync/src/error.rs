//! `cs_error_t` as an enum, and the call that it came from.

use std::fmt;

use super::sys;

/// Declares the enum, its translation and its names from one table, so that they cannot drift apart.
macro_rules! cs_errors {
    ($($variant:ident = $constant:ident),+ $(,)?) => {
        /// What a Corosync library answered instead of `CS_OK`, by the names of `corosync/corotypes.h`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum CsError {
            $(#[doc = stringify!($constant)] $variant,)+
            /// A number that the headers of the build did not know.
            Unknown(sys::cs_error_t),
        }

        impl CsError {
            /// Success is `Ok`, everything else has a name.
            pub fn check(code: sys::cs_error_t) -> Result<(), Self> {
                match code {
                    sys::CS_OK => Ok(()),
                    $(sys::$constant => Err(Self::$variant),)+
                    other => Err(Self::Unknown(other)),
                }
            }
        }

        impl fmt::Display for CsError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str(stringify!($constant)),)+
                    Self::Unknown(code) => write!(f, "unknown corosync error {code}"),
                }
            }
        }
    };
}

cs_errors! {
    Library = CS_ERR_LIBRARY,
    Version = CS_ERR_VERSION,
    Init = CS_ERR_INIT,
    Timeout = CS_ERR_TIMEOUT,
    TryAgain = CS_ERR_TRY_AGAIN,
    InvalidParameter = CS_ERR_INVALID_PARAM,
    NoMemory = CS_ERR_NO_MEMORY,
    BadHandle = CS_ERR_BAD_HANDLE,
    Busy = CS_ERR_BUSY,
    Access = CS_ERR_ACCESS,
    NotExist = CS_ERR_NOT_EXIST,
    NameTooLong = CS_ERR_NAME_TOO_LONG,
    Exist = CS_ERR_EXIST,
    NoSpace = CS_ERR_NO_SPACE,
    Interrupt = CS_ERR_INTERRUPT,
    NameNotFound = CS_ERR_NAME_NOT_FOUND,
    NoResources = CS_ERR_NO_RESOURCES,
    NotSupported = CS_ERR_NOT_SUPPORTED,
    BadOperation = CS_ERR_BAD_OPERATION,
    FailedOperation = CS_ERR_FAILED_OPERATION,
    MessageError = CS_ERR_MESSAGE_ERROR,
    QueueFull = CS_ERR_QUEUE_FULL,
    QueueNotAvailable = CS_ERR_QUEUE_NOT_AVAILABLE,
    BadFlags = CS_ERR_BAD_FLAGS,
    TooBig = CS_ERR_TOO_BIG,
    NoSections = CS_ERR_NO_SECTIONS,
    ContextNotFound = CS_ERR_CONTEXT_NOT_FOUND,
    TooManyGroups = CS_ERR_TOO_MANY_GROUPS,
    Security = CS_ERR_SECURITY,
}

/// A call of a Corosync library that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {code}")]
pub struct CallError {
    /// The C function, with what it was called for where that matters.
    pub call: &'static str,
    /// What it answered.
    pub code: CsError,
}

/// Turns the answer of `call` into a result.
pub fn check(call: &'static str, code: sys::cs_error_t) -> Result<(), CallError> {
    CsError::check(code).map_err(|code| CallError { call, code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_names_of_the_header() {
        assert_eq!(check("cpg_join", sys::CS_OK), Ok(()));
        let error = check("cpg_join", sys::CS_ERR_TRY_AGAIN).unwrap_err();
        assert_eq!(error.to_string(), "cpg_join: CS_ERR_TRY_AGAIN");
        let error = check("cpg_join", 77).unwrap_err();
        assert_eq!(error.to_string(), "cpg_join: unknown corosync error 77");
    }
}
