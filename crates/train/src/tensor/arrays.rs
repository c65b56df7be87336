//! Named arrays of 32-bit floats and their safetensors file: weights in `model.safetensors`, and all of a checkpoint.

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;

/// One array with its name, in the layout of PyTorch's `state_dict`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    /// `conv1.weight`.
    pub name: String,
    /// Elements along each axis.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

impl Array {
    /// Whether all values are numbers.
    pub(crate) fn is_finite(&self) -> bool {
        // Without an early end the loop works on whole vectors: an exponent of all ones is an infinity or no number.
        self.values.chunks(4096).all(|values| values.iter().fold(true, |all, value| all & value.is_finite()))
    }
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        little_endian(&self.values).into()
    }

    fn data_len(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

/// The bytes of a safetensors file with the arrays, each under the name given with it, and the metadata. With at most
/// one entry of metadata they are the same for the same arguments: more would be written in a random order.
///
/// # Errors
/// Metadata that have no JSON form.
pub(crate) fn encode<'a, N: AsRef<str> + Ord + Display>(
    arrays: impl IntoIterator<Item = (N, &'a Array)>,
    metadata: &[(&str, String)],
) -> Result<Vec<u8>, SafeTensorError> {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    safetensors::serialize(arrays, Some(metadata))
}

/// The arrays and the metadata of a safetensors file.
///
/// # Errors
/// Cut short, no safetensors file, or an array of another type than 32-bit floats; in words.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Vec<Array>, HashMap<String, String>), String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut arrays = Vec::new();
    for (name, view) in tensors.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("`{name}` is of type {:?}, not F32", view.dtype()));
        }
        arrays.push(Array { name: name.into(), shape: view.shape().to_vec(), values: floats(view.data()) });
    }
    Ok((arrays, header.metadata().clone().unwrap_or_default()))
}

pub(crate) fn little_endian(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(values));
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Array> {
        vec![
            Array { name: "conv1.weight".into(), shape: vec![2, 1, 1, 1], values: vec![1.5, f32::MIN_POSITIVE] },
            Array { name: "conv1.bias".into(), shape: vec![2], values: vec![-0.0, 3.0e38] },
        ]
    }

    fn named(arrays: &[Array]) -> impl Iterator<Item = (&str, &Array)> {
        arrays.iter().map(|array| (array.name.as_str(), array))
    }

    #[test]
    fn arrays_and_metadata_come_back() {
        let bytes = encode(named(&sample()), &[("format", "pt".into())]).unwrap();
        let (mut arrays, metadata) = decode(&bytes).unwrap();
        arrays.sort_by_key(|array| std::cmp::Reverse(array.name.clone()));
        assert_eq!(arrays, sample());
        assert_eq!(metadata, HashMap::from([("format".to_owned(), "pt".to_owned())]));
        assert_eq!(bytes, encode(named(&sample()), &[("format", "pt".into())]).unwrap());
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let bytes = encode(named(&sample()), &[]).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
    }
}
