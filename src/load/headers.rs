//! The headers of a request until it is sent: those that all users share, and a user's own.
//!
//! It stands alone because a request may have to be sent again, to where a redirect leads, and hardly ever is: so the shared
//! ones stay where they are, and the map that goes out is made once, with room for what the transport adds.

use std::borrow::Cow;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};

/// What is added on the way: host, length, cookies.
const SPARE: usize = 3;

/// Headers that can be sent more than once.
#[derive(Debug)]
pub(super) struct Headers<'a> {
    shared: Cow<'a, HeaderMap>,
    /// They win.
    own: Vec<(HeaderName, HeaderValue)>,
}

impl<'a> Headers<'a> {
    /// Those that all users share. Each name is there once.
    pub(super) const fn of(shared: &'a HeaderMap) -> Self {
        Self { shared: Cow::Borrowed(shared), own: Vec::new() }
    }

    /// Gives a header its value, whatever it was.
    pub(super) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.own.push((name, value));
    }

    /// Whether there is such a header.
    pub(super) fn has(&self, name: &HeaderName) -> bool {
        self.own.iter().any(|(own, _)| own == name) || self.shared.contains_key(name)
    }

    /// The same without some of them.
    pub(super) fn without(&self, names: &[HeaderName]) -> Headers<'static> {
        let mut map = self.map();
        for name in names {
            map.remove(name);
        }
        Headers { shared: Cow::Owned(map), own: Vec::new() }
    }

    /// All of them, to be sent.
    pub(super) fn map(&self) -> HeaderMap {
        let mut map = HeaderMap::try_with_capacity(self.shared.len() + self.own.len() + SPARE).unwrap_or_default();
        let own = self.own.iter().map(|(name, value)| (name, value));
        for (name, value) in self.shared.iter().chain(own) {
            map.insert(name.clone(), value.clone());
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::header::{ACCEPT, COOKIE, USER_AGENT};

    #[test]
    fn own_ones_win_and_can_be_left_out() {
        let value = HeaderValue::from_static;
        let shared = HeaderMap::from_iter([(ACCEPT, value("a")), (USER_AGENT, value("b"))]);
        let mut headers = Headers::of(&shared);
        assert!(headers.has(&ACCEPT) && !headers.has(&COOKIE));
        headers.set(COOKIE, value("c"));
        headers.set(ACCEPT, value("d"));
        assert!(headers.has(&COOKIE));
        let all = [(ACCEPT, value("d")), (USER_AGENT, value("b")), (COOKIE, value("c"))];
        assert_eq!(headers.map(), HeaderMap::from_iter(all));
        assert_eq!(headers.without(&[COOKIE, ACCEPT]).map(), HeaderMap::from_iter([(USER_AGENT, value("b"))]));
    }
}
