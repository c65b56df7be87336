//! The columns, as Hugging Face `datasets` recognises them.

use arrow::datatypes::{DataType, Field, Fields, Schema};
use std::collections::HashMap;
use std::sync::Arc;

/// The key under which `datasets` looks for its features, in the schema's metadata and in the file's.
pub(crate) const METADATA_KEY: &str = "huggingface";

/// `image: struct<bytes: binary, path: string>`, `label: int64`, `copy: int64`, `group: int64`, `source: string`,
/// `content: string`, `width: int64`, `height: int64`. All are nullable, though no value is null: otherwise `datasets`
/// takes them for plain columns. `content` is the BLAKE3 of the source file in hexadecimal: what an image is known by,
/// under whatever name and class. `width` and `height` are those of the picture in that file, in pixels, as it is seen
/// (after its orientation is applied); in the rows of copies too.
pub(crate) fn schema(classes: &[String]) -> Schema {
    let image =
        Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)]);
    let fields = vec![
        Field::new("image", DataType::Struct(image), true),
        Field::new("label", DataType::Int64, true),
        Field::new("copy", DataType::Int64, true),
        Field::new("group", DataType::Int64, true),
        Field::new("source", DataType::Utf8, true),
        Field::new("content", DataType::Utf8, true),
        Field::new("width", DataType::Int64, true),
        Field::new("height", DataType::Int64, true),
    ];
    Schema::new(fields).with_metadata(HashMap::from([(METADATA_KEY.to_owned(), features(classes))]))
}

/// The same columns with the bytes as views into the file, so that reading tells where they lie.
pub(crate) fn schema_of_views() -> Arc<Schema> {
    let image =
        Fields::from(vec![Field::new("bytes", DataType::BinaryView, true), Field::new("path", DataType::Utf8, true)]);
    let mut fields: Vec<_> = schema(&[]).fields().iter().cloned().collect();
    fields[0] = Arc::new(Field::new("image", DataType::Struct(image), true));
    Arc::new(Schema::new(fields))
}

/// The features of the columns as JSON.
pub(crate) fn features(classes: &[String]) -> String {
    let value = |kind: &str| serde_json::json!({ "dtype": kind, "_type": "Value" });
    serde_json::json!({ "info": { "features": {
        "image": { "_type": "Image" },
        "label": { "names": classes, "_type": "ClassLabel" },
        "copy": value("int64"),
        "group": value("int64"),
        "source": value("string"),
        "content": value("string"),
        "width": value("int64"),
        "height": value("int64"),
    }}})
    .to_string()
}
