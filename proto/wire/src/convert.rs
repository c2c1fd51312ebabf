//! Protobuf fields to domain values and back: parsed once, here, with the path of the field in the error.

use bytes::Bytes;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::Signature;

use crate::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use crate::status::ApiError;

/// The value of canonical bytes.
///
/// # Errors
/// [`ApiError::InvalidArgument`] with the offset.
pub fn canonical<T: Canonical>(field: &str, bytes: &[u8]) -> Result<T, ApiError> {
    T::from_bytes(bytes).map_err(|error| ApiError::invalid(field, error))
}

/// The canonical bytes of a value.
pub fn to_bytes<T: Canonical>(value: &T) -> Bytes {
    value.to_bytes().into()
}

/// A code in canonical or display form, without its check suffix.
///
/// # Errors
/// [`ApiError::InvalidArgument`] with segment and position.
pub fn code(field: &str, text: &str) -> Result<Code, ApiError> {
    Code::parse(text).map_err(|error| ApiError::invalid(field, error))
}

/// A prefix.
///
/// # Errors
/// [`ApiError::InvalidArgument`] with the position.
pub fn prefix(field: &str, text: &str) -> Result<Prefix, ApiError> {
    Prefix::parse(text).map_err(|error| ApiError::invalid(field, error))
}

/// A field of exactly `N` bytes.
///
/// # Errors
/// [`ApiError::InvalidArgument`] with the length found.
pub fn array<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], ApiError> {
    bytes
        .try_into()
        .map_err(|_| ApiError::invalid(field, format!("expected {N} bytes, found {}", bytes.len())))
}

/// A 64-byte signature.
///
/// # Errors
/// [`ApiError::InvalidArgument`] with the length found.
pub fn signature(field: &str, bytes: &[u8]) -> Result<Signature, ApiError> {
    array(field, bytes).map(Signature)
}

/// A list of hashes.
///
/// # Errors
/// [`ApiError::InvalidArgument`] with the index of the first that has not 32 bytes.
pub fn digests(field: &str, list: &[Bytes]) -> Result<Vec<Digest>, ApiError> {
    let parse = |(at, bytes): (usize, &Bytes)| array(&format!("{field}[{at}]"), bytes).map(Digest);
    list.iter().enumerate().map(parse).collect()
}

/// Hashes as a repeated field.
pub fn of_digests(list: &[Digest]) -> Vec<Bytes> {
    list.iter()
        .map(|digest| Bytes::copy_from_slice(&digest.0))
        .collect()
}

/// A page size; 0 stands for the default.
///
/// # Errors
/// [`ApiError::InvalidArgument`] above [`PAGE_SIZE_MAX`].
pub fn page_size(size: u32) -> Result<usize, ApiError> {
    match size {
        0 => Ok(PAGE_SIZE_DEFAULT as usize),
        1..=PAGE_SIZE_MAX => Ok(size as usize),
        _ => Err(ApiError::invalid(
            "page_size",
            format!("{size} is above {PAGE_SIZE_MAX}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_element_is_named() {
        let list = [Bytes::from(vec![0; 32]), Bytes::from(vec![0; 31])];
        let error = digests("consistency", &list).expect_err("31 bytes are no hash");
        assert_eq!(
            error.to_string(),
            "consistency[1]: expected 32 bytes, found 31"
        );
    }

    #[test]
    fn a_page_has_a_default_and_a_limit() {
        assert_eq!(page_size(0), Ok(100));
        assert_eq!(page_size(1_000), Ok(1_000));
        assert!(page_size(1_001).is_err());
    }
}
