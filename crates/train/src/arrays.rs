//! Named arrays of 32-bit floats and their safetensors file: weights in `model.safetensors`, and all of a checkpoint.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;

/// One array with its name, in the layout of PyTorch's `state_dict`.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// `conv1.weight`.
    pub name: String,
    /// Elements along each axis.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// The bytes of a safetensors file with the arrays and the metadata; the same for the same arguments.
///
/// # Errors
/// Two arrays of one name, or a shape that does not fit its values.
pub fn encode(arrays: &[Array], metadata: &[(&str, String)]) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let bytes: Vec<Vec<u8>> = arrays.iter().map(|array| little_endian(&array.values)).collect();
    let views = arrays.iter().zip(&bytes).map(|(array, bytes)| {
        Ok((array.name.as_str(), TensorView::new(Dtype::F32, array.shape.clone(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    // One entry is all that a reproducible file can hold: the map's order is random and the header follows it.
    let metadata: HashMap<String, String> = metadata.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
    safetensors::serialize(views, Some(metadata))
}

/// The arrays and the metadata of a safetensors file.
///
/// # Errors
/// Cut short, no safetensors file, or an array of another type than 32-bit floats; in words.
pub fn decode(bytes: &[u8]) -> Result<(Vec<Array>, HashMap<String, String>), String> {
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

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
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

    #[test]
    fn arrays_and_metadata_come_back() {
        let bytes = encode(&sample(), &[("format", "pt".into())]).unwrap();
        let (mut arrays, metadata) = decode(&bytes).unwrap();
        arrays.sort_by_key(|array| std::cmp::Reverse(array.name.clone()));
        assert_eq!(arrays, sample());
        assert_eq!(metadata, HashMap::from([("format".to_owned(), "pt".to_owned())]));
        assert_eq!(bytes, encode(&sample(), &[("format", "pt".into())]).unwrap());
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let bytes = encode(&sample(), &[]).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
    }
}
