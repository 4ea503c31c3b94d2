//! Reading arguments.

use rivulet_keyspace::value::elem::parse_int;

use crate::fail::{Fail, NOT_FLOAT, NOT_INTEGER};

/// An integer in canonical decimal form, as Redis takes it.
#[inline]
pub fn int(text: &[u8]) -> Result<i64, Fail> {
    parse_int(text).ok_or(NOT_INTEGER)
}

/// A double; NaN is refused, infinities are not.
pub fn float(text: &[u8]) -> Result<f64, Fail> {
    rivulet_resp::double::parse(text).filter(|v| !v.is_nan()).ok_or(NOT_FLOAT)
}
