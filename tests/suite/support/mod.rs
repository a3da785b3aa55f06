//! What the tests share.

pub(crate) mod os_process;
