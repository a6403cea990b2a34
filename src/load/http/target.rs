//! Where a request goes: a URL, parsed once and ready to be used again and again.
//!
//! It stands alone because a URL is parsed far more often than a connection is made, and because two requests may share
//! a connection exactly when their [`Origin`]s are equal. It knows no request and opens nothing.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str};
use url::{Host, Url};

/// What JavaScript's `encodeURIComponent` leaves alone.
pub(in crate::load) const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The longest URL that is taken, in bytes; what a request line can hold in the `http` crate.
const LONGEST: usize = 65_000;
/// Room for scheme, credentials, host and port of a URL that is put together.
const LONGEST_ORIGIN: usize = 5_000;

/// The bytes that stand in a path and in a query as they are.
const PLAIN: [bool; 256] = {
    let bytes = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/?&=-_.~%+,:;@!$()*";
    let mut plain = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        plain[bytes[at] as usize] = true;
        at += 1;
    }
    plain
};

/// Why a text is no URL that a request can be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It cannot be parsed.
    #[error("{0}")]
    Malformed(String),
    /// It is a URL of something other than HTTP.
    #[error("`{0}:` is neither `http:` nor `https:`")]
    Scheme(String),
    /// It is longer than 65 000 bytes.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
}

/// Scheme, host and port: what decides whether two requests may use the same connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    secure: bool,
    /// As in a URL: an IPv6 address has its brackets.
    host: String,
    address: Option<IpAddr>,
    port: u16,
    authority: HeaderValue,
}

impl Origin {
    /// Whether it is spoken to through TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host as it is looked up, shown in a certificate, or matched with `NO_PROXY`: an IPv6 address has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// The host when it is an IP address.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The port, also when the URL left it out.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What the `Host` header says: the port is there only when it is not the scheme's own.
    #[must_use]
    pub const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Host and port, always both: what `CONNECT` asks a proxy for.
    #[must_use]
    pub fn with_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// A parsed URL. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    origin: Arc<Origin>,
    path: PathAndQuery,
    credentials: Option<Arc<(String, String)>>,
}

impl Target {
    /// Reads a URL as browsers and Node do (WHATWG). The fragment is dropped, user and password are kept apart.
    ///
    /// # Errors
    ///
    /// When it is no URL, or not one of HTTP.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        if text.len() > LONGEST {
            return Err(BadUrl::TooLong);
        }
        Self::of(&Url::parse(text).map_err(|error| BadUrl::Malformed(error.to_string()))?)
    }

    /// The target of a URL that is parsed already.
    ///
    /// # Errors
    ///
    /// When it is not a URL of HTTP.
    pub fn of(url: &Url) -> Result<Self, BadUrl> {
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(BadUrl::Scheme(other.to_owned())),
        };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(BadUrl::Malformed("it has no host".into()));
        };
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        let host = host.to_string();
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let authority = HeaderValue::try_from(authority).map_err(|error| BadUrl::Malformed(error.to_string()))?;
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        if path.len() > LONGEST {
            return Err(BadUrl::TooLong);
        }
        let path = PathAndQuery::try_from(path).map_err(|error| BadUrl::Malformed(error.to_string()))?;
        Ok(Self {
            origin: Arc::new(Origin { secure, host, address, port, authority }),
            path,
            credentials: credentials(url),
        })
    }

    /// The target whose URL is this one's, without slashes at its end, and `path` behind it. `None` when it takes a parser to
    /// tell: when the path has characters that are encoded, dots that lead up, or this one has a query.
    #[must_use]
    pub fn below(&self, path: &str) -> Option<Self> {
        let base = self.path.path().trim_end_matches('/');
        let leads_up = |pair: &[u8]| matches!(pair, b"/." | b"%2");
        if self.path.query().is_some()
            || !path.starts_with('/')
            || base.len() + path.len() > LONGEST - LONGEST_ORIGIN
            || !path.bytes().all(|byte| PLAIN[usize::from(byte)])
            || path.as_bytes().windows(2).any(leads_up)
        {
            return None;
        }
        let mut joined = String::with_capacity(base.len() + path.len());
        joined.extend([base, path]);
        let path = PathAndQuery::try_from(joined).ok()?;
        Some(Self { origin: Arc::clone(&self.origin), path, credentials: self.credentials.clone() })
    }

    /// Scheme, host and port.
    #[must_use]
    pub const fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Path and query, as the request line has them.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// User and password of `https://user:password@host/`, percent-decoded.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        self.credentials.as_deref().map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// The request target of HTTP/1 (RFC 9112, 3.2.1).
    pub(super) fn into_origin_form(self) -> Uri {
        Uri::from(self.path)
    }

    /// The request target for a proxy (RFC 9112, 3.2.2), and of HTTP/2. The path alone, should it ever not fit.
    pub(super) fn absolute_form(&self) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(if self.origin.secure { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = self.origin.authority.as_bytes().try_into().ok();
        parts.path_and_query = Some(self.path.clone());
        Uri::from_parts(parts).unwrap_or_else(|_| Uri::from(self.path.clone()))
    }
}

fn credentials(url: &Url) -> Option<Arc<(String, String)>> {
    let password = url.password().unwrap_or_default();
    if url.username().is_empty() && password.is_empty() {
        return None;
    }
    let plain = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some(Arc::new((plain(url.username()), plain(password))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_url_falls_into_origin_and_path() {
        let target = Target::parse("HTTP://me:p%40ss@Example.COM:8080/a b?q={x}#part").expect("a URL");
        assert_eq!(target.path(), "/a%20b?q={x}");
        assert_eq!(target.origin().authority(), "example.com:8080");
        assert_eq!(target.origin().with_port(), "example.com:8080");
        assert_eq!(target.credentials(), Some(("me", "p@ss")));
        assert_eq!(target.absolute_form().to_string(), "http://example.com:8080/a%20b?q={x}");
        assert_eq!(target.into_origin_form().to_string(), "/a%20b?q={x}");
    }

    #[test]
    fn the_port_of_the_scheme_is_known_and_not_said() {
        let target = Target::parse("https://[::1]").expect("a URL");
        assert_eq!((target.origin().port(), target.path()), (443, "/"));
        assert_eq!(target.origin().authority(), "[::1]");
        assert_eq!(target.origin().host(), "::1");
        assert_eq!(target.origin().address(), "::1".parse().ok());
        let same = Target::parse("https://[::1]:443/other").expect("a URL");
        assert_eq!(target.origin(), same.origin());
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert_eq!(Target::parse("ftp://host/"), Err(BadUrl::Scheme("ftp".into())));
        assert!(matches!(Target::parse("/only/a/path"), Err(BadUrl::Malformed(_))));
        assert!(matches!(Target::parse("http://"), Err(BadUrl::Malformed(_))));
        assert_eq!(Target::parse(&format!("http://h/{}", "a".repeat(70_000))), Err(BadUrl::TooLong));
        assert_eq!(Target::parse(&format!("http://h/{}x", " ".repeat(40_000))), Err(BadUrl::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_what_would_be_parsed(path in "/?[a-c/.%2eE?&=~'# \\\\é:@-]{0,12}") {
            for base in ["http://h", "http://h/", "https://me:pw@h:81/api//", "http://h/a%20b/c"] {
                let text = format!("{}{path}", base.trim_end_matches('/'));
                if let Some(target) = Target::parse(base).expect("a URL").below(&path) {
                    prop_assert_eq!(Ok(target), Target::parse(&text));
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), path in any::<String>()) {
            let _ = Target::parse(&text);
            if let Ok(target) = Target::parse(&format!("http://host/{path}")) {
                let again = Target::parse(&target.absolute_form().to_string()).expect("what it wrote itself");
                prop_assert_eq!(again, target);
            }
        }
    }
}
