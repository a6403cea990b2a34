//! Which proxy a request goes through, if any, and what is said to it.
//!
//! It stands alone because the rules of `NO_PROXY` are folklore that needs its own tests. It opens no connection and
//! reads no environment: the URLs and rules are given to it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, Method, Request, Uri};
use url::Url;

use super::{Origin, Proxies, SettingsError, Target};

/// A proxy that is spoken to in plain HTTP.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) target: Target,
    authorization: Option<HeaderValue>,
}

impl Proxy {
    fn new(url: &Url) -> Result<Self, SettingsError> {
        let refuse = |reason: String| SettingsError::Proxy(reason);
        let target = Target::of(url).map_err(|error| refuse(error.to_string()))?;
        if target.origin().is_secure() {
            return Err(refuse("a proxy is spoken to in plain HTTP: write `http://`".into()));
        }
        let authorization = match target.credentials() {
            None => None,
            Some((user, password)) => {
                let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                let mut value = HeaderValue::try_from(text).map_err(|error| refuse(error.to_string()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self { target, authorization })
    }

    /// Adds what the proxy wants to know to the headers of a request.
    pub(super) fn authorize(&self, headers: &mut HeaderMap) {
        if let Some(value) = &self.authorization {
            headers.insert(PROXY_AUTHORIZATION, value.clone());
        }
    }

    /// The request for a tunnel (RFC 9110, 9.3.6); nothing when the host cannot be asked for.
    pub(super) fn connect<B: Default>(&self, origin: &Origin) -> Option<Request<B>> {
        let whom = origin.with_port();
        let mut request = Request::new(B::default());
        *request.method_mut() = Method::CONNECT;
        request.headers_mut().insert(http::header::HOST, HeaderValue::try_from(whom.as_str()).ok()?);
        *request.uri_mut() = Uri::try_from(whom).ok()?;
        self.authorize(request.headers_mut());
        Some(request)
    }
}

/// The proxies of a run and what goes around them.
#[derive(Debug, Default)]
pub(super) struct Route {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: Vec<Exception>,
}

impl Route {
    pub(super) fn new(proxies: &Proxies) -> Result<Self, SettingsError> {
        Ok(Self {
            http: proxies.http.as_ref().map(Proxy::new).transpose()?,
            https: proxies.https.as_ref().map(Proxy::new).transpose()?,
            except: proxies.except.iter().filter_map(|rule| Exception::parse(rule)).collect(),
        })
    }

    /// The proxy for requests to an origin.
    pub(super) fn proxy(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = if origin.is_secure() { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.except.iter().any(|rule| rule.covers(origin)))
    }
}

/// One rule of `NO_PROXY`, as curl reads it: a name stands for itself and for all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    /// Lower case, without a leading dot; nothing for `*`.
    name: Option<String>,
    port: Option<u16>,
}

impl Exception {
    fn parse(rule: &str) -> Option<Self> {
        let rule = rule.trim().to_ascii_lowercase();
        let (name, port) = match rule.rsplit_once(':') {
            // `::1` is an address, `[::1]:80` one with a port.
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port.parse().ok()?)),
            _ => (rule.as_str(), None),
        };
        let name = name.trim_start_matches("*.").trim_start_matches('.').trim_matches(['[', ']']);
        match name {
            "" => None,
            "*" => Some(Self { name: None, port }),
            name => Some(Self { name: Some(name.to_owned()), port }),
        }
    }

    fn covers(&self, origin: &Origin) -> bool {
        let name = self.name.as_ref().is_none_or(|name| {
            origin
                .host()
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || (origin.address().is_none() && rest.ends_with('.')))
        });
        name && self.port.is_none_or(|port| port == origin.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covers(rule: &str, url: &str) -> bool {
        let target = Target::parse(url).expect("a URL");
        Exception::parse(rule).is_some_and(|rule| rule.covers(target.origin()))
    }

    #[test]
    fn rules_cover_what_curl_says() {
        assert!(covers("*", "http://any.host/"));
        assert!(covers("Example.com", "http://example.com/") && covers("example.com", "http://api.example.com/"));
        assert!(covers(".example.com", "http://api.example.com/") && covers("*.example.com", "http://a.example.com/"));
        assert!(!covers("example.com", "http://badexample.com/"));
        assert!(covers("host:8080", "http://host:8080/") && !covers("host:8080", "http://host/"));
        assert!(covers("::1", "http://[::1]:3000/") && covers("[::1]:80", "http://[::1]/"));
        assert!(covers("127.0.0.1", "http://127.0.0.1:5000/") && !covers("0.0.1", "http://127.0.0.1/"));
        assert!(!covers("", "http://host/") && !covers("host:port", "http://host/"));
    }

    #[test]
    fn a_proxy_is_chosen_by_scheme_and_told_who_asks() {
        let proxies = Proxies {
            http: Url::parse("http://me:secret@proxy:3128").ok(),
            https: None,
            except: vec!["localhost".into(), " ".into()],
        };
        let route = Route::new(&proxies).expect("good");
        let origin = |url| Target::parse(url).expect("a URL").origin().clone();
        assert!(route.proxy(&origin("https://example.com")).is_none());
        assert!(route.proxy(&origin("http://localhost")).is_none());
        let proxy = route.proxy(&origin("http://example.com")).expect("chosen");
        let request = proxy.connect::<()>(&origin("http://example.com")).expect("a request");
        assert_eq!(request.uri().to_string(), "example.com:80");
        assert_eq!(request.headers()["proxy-authorization"], "Basic bWU6c2VjcmV0");
        assert!(Route::new(&Proxies { http: Url::parse("https://proxy").ok(), ..Proxies::default() }).is_err());
    }

    proptest! {
        #[test]
        fn no_rule_makes_it_panic(rule in any::<String>()) {
            covers(&rule, "http://host/");
        }
    }
}
