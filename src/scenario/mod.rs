//! What a load script says: read and checked, never acted upon.
//!
//! The language is Artillery's, in the meaning its authors had in mind. Nothing here sends a request or knows what time it is.

pub mod expression;
pub mod extract;
pub mod javascript;
pub mod jsonpath;
pub mod length;
pub mod path;
pub mod pattern;
