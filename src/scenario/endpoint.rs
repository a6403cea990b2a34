//! What the numbers of requests are filed under: the name that a request was given, or its method and address as they are
//! written, templates and all. So every user's request for `/citizens/{{ id }}` counts for one endpoint.

use indexmap::IndexSet;

use crate::interned::Id;

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The method.
    pub method: String,
    /// The address without host and query: `/citizens/{{ id }}`.
    pub path: String,
    /// What follows the path in the address.
    pub query: String,
    /// The name that the script gives it.
    pub name: Option<String>,
}

/// The number of an endpoint.
pub type EndpointId = Id<Endpoint>;

/// All endpoints of a script.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    list: IndexSet<Endpoint>,
}

impl Endpoints {
    /// The number of the endpoint that an address belongs to.
    pub fn add(&mut self, method: &str, url: &str, name: Option<&str>, target: &str) -> EndpointId {
        let target = target.trim_end_matches('/');
        let local = match url.strip_prefix(target) {
            Some(rest) if !target.is_empty() && rest.starts_with(['/', '?']) => rest,
            _ => without_host(url),
        };
        let (path, query) = match split_query(local) {
            Some(at) => (&local[..at], &local[at..]),
            None => (local, ""),
        };
        let endpoint = Endpoint {
            method: method.to_owned(),
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            query: query.to_owned(),
            name: name.map(str::to_owned),
        };
        self.insert(endpoint)
    }

    /// The number of the endpoint of a message: `EMIT` and the name of an event, `SEND` and what is sent.
    pub fn add_message(&mut self, what: &str, label: &str) -> EndpointId {
        let label = label.to_owned();
        self.insert(Endpoint { method: what.to_owned(), path: label, query: String::new(), name: None })
    }

    fn insert(&mut self, endpoint: Endpoint) -> EndpointId {
        let (number, _) = self.list.insert_full(endpoint);
        Id::from_index(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// The endpoint of a number.
    #[must_use]
    pub fn get(&self, id: EndpointId) -> Option<&Endpoint> {
        self.list.get_index(id.index() as usize)
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.list.iter()
    }
}

/// `http://host:1/path` without what stands before the path, and without a placeholder for all of that.
fn without_host(url: &str) -> &str {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        // `{{ target }}/path`
        return match url.find("}}").filter(|_| url.starts_with("{{")) {
            Some(end) if url[end + 2..].starts_with('/') => &url[end + 2..],
            _ => url,
        };
    };
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// Where the query begins, outside of placeholders.
fn split_query(path: &str) -> Option<usize> {
    let mut inside = false;
    path.char_indices().find_map(|(at, letter)| {
        let rest = &path[at..];
        inside = (inside || rest.starts_with("{{")) && !rest.starts_with("}}");
        (letter == '?' && !inside).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_path_are_one_endpoint() {
        let mut endpoints = Endpoints::default();
        let mut path = |url: &str| {
            let id = endpoints.add("GET", url, None, "http://h:80/api");
            endpoints.get(id).map(|endpoint| (endpoint.path.clone(), endpoint.query.clone())).expect("just added")
        };
        let pair = |path: &str, query: &str| (path.to_owned(), query.to_owned());
        assert_eq!(path("/a/{{ id }}?x=1"), pair("/a/{{ id }}", "?x=1"));
        assert_eq!(path("http://h:80/api/a"), pair("/a", ""));
        assert_eq!(path("https://other/a/b"), pair("/a/b", ""));
        assert_eq!(path("https://other"), pair("/", ""));
        assert_eq!(path("{{ base }}/a"), pair("/a", ""));
        assert_eq!(path("{{ whole }}"), pair("{{ whole }}", ""));
        let one = endpoints.add("GET", "/a", Some("list"), "");
        assert_eq!(endpoints.add("GET", "/a", Some("list"), ""), one);
        assert_eq!(endpoints.get(one).and_then(|endpoint| endpoint.name.as_deref()), Some("list"));
    }
}
