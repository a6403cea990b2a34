//! The cookies of one virtual user.
//!
//! Most users of most scripts have none, so the jar is made when the first cookie comes. A server cannot fill the memory with
//! them: there are bounds as in browsers (RFC 6265, 6.1), behind which the oldest ones go.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use cookie_store::{Cookie, CookieStore, RawCookie, StoreAction};
use url::Url;

/// Cookies of one path of a domain.
const MOST_OF_PATH: usize = 50;
/// Cookies of a user.
const MOST: usize = 300;
/// The longest header, in bytes; cookies that find no room in it are not sent.
const LONGEST_HEADER: usize = 16 << 10;

/// A jar that is made when it is needed.
#[derive(Debug, Default)]
pub(super) struct Cookies {
    jar: Mutex<Option<Box<Jar>>>,
}

#[derive(Debug, Default)]
struct Jar {
    store: CookieStore,
    /// What is in the store, expired ones among it, oldest first.
    order: VecDeque<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    domain: String,
    path: String,
    name: String,
}

impl Jar {
    /// Keeps a cookie. One that the server may not set is not kept.
    fn insert(&mut self, cookie: &RawCookie<'_>, url: &Url) {
        let Ok(cookie) = Cookie::try_from_raw_cookie(cookie, url) else { return };
        let key = Key {
            domain: cookie.domain.as_cow().unwrap_or_default().into_owned(),
            path: cookie.path.as_ref().to_owned(),
            name: cookie.name().to_owned(),
        };
        match self.store.insert(cookie.into_owned(), url) {
            Ok(StoreAction::Inserted) => {
                self.order.push_back(key);
                self.forget();
            }
            Ok(StoreAction::ExpiredExisting) => {
                self.store.remove(&key.domain, &key.path, &key.name);
                self.order.retain(|known| *known != key);
            }
            Ok(StoreAction::UpdatedExisting) | Err(_) => {}
        }
    }

    /// Makes room for the cookie that came last.
    fn forget(&mut self) {
        let Some(last) = self.order.back() else { return };
        let beside = |key: &Key| key.domain == last.domain && key.path == last.path;
        let full = self.order.iter().filter(|key| beside(key)).count() > MOST_OF_PATH;
        let oldest =
            if full { self.order.iter().position(beside) } else { Some(0).filter(|_| self.order.len() > MOST) };
        if let Some(key) = oldest.and_then(|oldest| self.order.remove(oldest)) {
            self.store.remove(&key.domain, &key.path, &key.name);
        }
    }
}

impl Cookies {
    /// What the `Cookie` header of a request to this address says; `None` when there is nothing to say.
    pub(super) fn header(&self, url: &str) -> Option<String> {
        let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        let jar = jar.as_ref()?;
        let url = Url::parse(url).ok()?;
        let mut header = String::new();
        for (name, value) in jar.store.get_request_values(&url) {
            if header.len() + name.len() + value.len() + "; =".len() > LONGEST_HEADER {
                continue;
            }
            if !header.is_empty() {
                header.push_str("; ");
            }
            header.extend([name, "=", value]);
        }
        (!header.is_empty()).then_some(header)
    }

    /// Keeps a cookie that the script sets.
    pub(super) fn set(&self, name: &str, value: &str, url: &str) {
        let Ok(url) = Url::parse(url) else { return };
        let cookie = RawCookie::build((name.to_owned(), value.to_owned())).path("/").build().into_owned();
        self.with_jar(|jar| jar.insert(&cookie, &url));
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
                    // One that the server may not set is no fault of the answer.
                    Ok(cookie) => jar.insert(&cookie, &url),
                    Err(_) => unreadable = true,
                }
            }
        });
        unreadable
    }

    fn with_jar(&self, change: impl FnOnce(&mut Jar)) {
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

    /// How many cookies are sent, and how many are kept.
    fn counted(cookies: &Cookies, url: &str) -> (usize, usize) {
        let sent = cookies.header(url).map_or(0, |header| header.split("; ").count());
        let jar = cookies.jar.lock().expect("a jar");
        let jar = jar.as_ref().expect("a jar");
        assert_eq!(jar.store.iter_any().count(), jar.order.len());
        (sent, jar.order.len())
    }

    #[test]
    fn the_oldest_cookies_make_room() {
        let cookies = Cookies::default();
        for number in 0..200 {
            cookies.receive([format!("c{number}=1; Path=/")].iter().map(String::as_str), "http://h/");
        }
        assert_eq!(counted(&cookies, "http://h/"), (MOST_OF_PATH, MOST_OF_PATH));
        let header = cookies.header("http://h/").expect("cookies");
        assert!(header.contains("c199=1") && header.contains("c150=1") && !header.contains("c149=1"), "{header}");
        cookies.receive(["c199=1; Path=/; Max-Age=0", "c150=new; Path=/"].into_iter(), "http://h/");
        assert_eq!(counted(&cookies, "http://h/"), (MOST_OF_PATH - 1, MOST_OF_PATH - 1));
        for number in 0..500 {
            cookies.receive(std::iter::once("a=1"), &format!("http://h/p{number}/"));
        }
        assert_eq!(counted(&cookies, "http://h/p499/x"), (1, MOST));
    }

    #[test]
    fn a_header_is_no_longer_than_a_server_takes() {
        let cookies = Cookies::default();
        for number in 0..40 {
            cookies.set(&format!("c{number}"), &"x".repeat(1000), "http://h/");
        }
        let header = cookies.header("http://h/").expect("cookies");
        assert!(header.len() <= LONGEST_HEADER && header.len() > LONGEST_HEADER - 1010, "{}", header.len());
    }
}
