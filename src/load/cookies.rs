//! The cookies of one virtual user.
//!
//! Most users of most scripts have none, so the jar is made when the first cookie comes.

use std::sync::{Mutex, PoisonError};

use cookie_store::{CookieStore, RawCookie};
use url::Url;

/// A jar that is made when it is needed.
#[derive(Debug, Default)]
pub(super) struct Cookies {
    jar: Mutex<Option<Box<CookieStore>>>,
}

impl Cookies {
    /// What the `Cookie` header of a request to this address says; `None` when there is nothing to say.
    pub(super) fn header(&self, url: &str) -> Option<String> {
        let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        let jar = jar.as_ref()?;
        let url = Url::parse(url).ok()?;
        let pairs: Vec<String> = jar.get_request_values(&url).map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Keeps a cookie that the script sets.
    pub(super) fn set(&self, name: &str, value: &str, url: &str) {
        let Ok(url) = Url::parse(url) else { return };
        let cookie = RawCookie::build((name.to_owned(), value.to_owned())).path("/").build().into_owned();
        self.with_jar(|jar| drop(jar.insert_raw(&cookie, &url)));
    }

    /// Keeps what the `Set-Cookie` headers of an answer say. Returns whether one could not be read.
    pub(super) fn receive<'h>(&self, headers: impl Iterator<Item = &'h str>, url: &str) -> bool {
        let mut unreadable = false;
        let mut headers = headers.peekable();
        if headers.peek().is_none() {
            return false;
        }
        let Ok(url) = Url::parse(url) else { return false };
        self.with_jar(|jar| {
            for header in headers {
                match RawCookie::parse(header.to_owned()) {
                    // One that the server may not set is not kept, which is no fault of the answer.
                    Ok(cookie) => drop(jar.insert_raw(&cookie, &url)),
                    Err(_) => unreadable = true,
                }
            }
        });
        unreadable
    }

    fn with_jar(&self, change: impl FnOnce(&mut CookieStore)) {
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        change(jar.get_or_insert_with(Box::default));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_come_back_to_where_they_belong() {
        let cookies = Cookies::default();
        assert_eq!(cookies.header("http://h/"), None);
        assert!(
            !cookies.receive(["sid=1; Path=/", "deep=2; Path=/a", "gone=3; Max-Age=0"].into_iter(), "http://h/a/b")
        );
        assert_eq!(cookies.header("http://h/").as_deref(), Some("sid=1"));
        let both = cookies.header("http://h/a/c").expect("two cookies");
        assert!(both.contains("sid=1") && both.contains("deep=2"), "{both}");
        assert_eq!(cookies.header("http://other/"), None);
        cookies.set("own", "x y", "http://other/deep/er");
        assert_eq!(cookies.header("http://other/").as_deref(), Some("own=x y"));
        assert!(cookies.receive(std::iter::once("=;="), "http://h/"));
    }
}
