//! What a load script says: read and checked, never acted upon.
//!
//! The language is Artillery's, in the meaning that its authors had in mind over three generations of it. [`load::load`] is the
//! way in: files and flags go in, a [`script::Script`] and everything there is to say of it come out, each with its place in
//! the text. Nothing here sends a request or knows what time it is.
//!
//! | what | where |
//! | --- | --- |
//! | text and its places | [`files`], [`source`], [`finding`], [`excerpt`], [`yaml`], [`node`], [`section`] |
//! | the whole | [`load`], [`script`], [`review`], [`secrets`] |
//! | `config` | [`phase`], [`settings`], [`engine`], [`payload`], [`plugins`], [`publish`], [`length`] |
//! | what users do | [`flow`], [`request`], [`endpoint`], [`amend`], [`capture`], [`expect`], [`hook`] |
//! | what is evaluated later | [`template`], [`variables`], [`path`], [`expression`], [`extract`], [`jsonpath`], [`pattern`], [`javascript`] |

pub mod amend;
pub mod capture;
mod config;
pub mod endpoint;
pub mod engine;
pub mod excerpt;
pub mod expect;
pub mod expression;
pub mod extract;
pub mod files;
pub mod finding;
pub mod flow;
pub mod hook;
pub mod javascript;
pub mod jsonpath;
pub mod length;
pub mod load;
pub mod node;
pub mod path;
pub mod pattern;
pub mod payload;
pub mod phase;
pub mod plugins;
pub mod publish;
pub mod request;
pub mod review;
mod scenarios;
pub mod script;
pub mod secrets;
pub mod section;
pub mod settings;
pub mod source;
pub mod template;
pub mod variables;
pub mod yaml;
