//! What can be told of each image of a data set from frozen features and from its pixels, for the report's audit.

pub mod evidence;
