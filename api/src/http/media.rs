//! Which media type a GraphQL response has: what `Accept` asks for, as GraphQL over HTTP reads it.

use axum::http::{HeaderMap, HeaderValue, header};

/// A media type of GraphQL responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/graphql-response+json`, whose status codes tell what happened.
    GraphqlResponse,
    /// `application/json`, for clients from before the specification, and when nothing is asked for.
    Json,
}

impl Media {
    /// As a header.
    pub fn content_type(self) -> HeaderValue {
        match self {
            Self::GraphqlResponse => {
                HeaderValue::from_static("application/graphql-response+json; charset=utf-8")
            }
            Self::Json => HeaderValue::from_static("application/json; charset=utf-8"),
        }
    }
}

/// How much a client wants a media type: its `q` in thousandths, then whether it named the type.
type Wish = (u16, bool);

/// The media type that the client prefers, or none if it accepts neither. Of two that it wants equally
/// the newer one wins if it was named, else `application/json`.
pub(super) fn negotiate(headers: &HeaderMap) -> Option<Media> {
    let mut accepted = headers.get_all(header::ACCEPT).iter().peekable();
    if accepted.peek().is_none() {
        return Some(Media::Json);
    }
    let text = accepted
        .filter_map(|value| value.to_str().ok())
        .collect::<Vec<_>>()
        .join(",");
    let newer = wish(&text, "graphql-response+json");
    let json = wish(&text, "json");
    match (newer, json) {
        (Some(newer), json) if newer.1 && json.is_none_or(|json| newer.0 >= json.0) => {
            Some(Media::GraphqlResponse)
        }
        (_, Some(_)) => Some(Media::Json),
        (Some(_), None) => Some(Media::GraphqlResponse),
        (None, None) => None,
    }
}

/// The wish for `application/<subtype>`: the most specific range that covers it decides.
fn wish(accept: &str, subtype: &str) -> Option<Wish> {
    let mut best: Option<(u8, u16)> = None;
    for entry in accept.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let Some((main, sub)) = parts.next().and_then(|range| range.split_once('/')) else {
            continue;
        };
        let specific = match (
            main.to_ascii_lowercase().as_str(),
            sub.to_ascii_lowercase().as_str(),
        ) {
            ("application", sub) if sub == subtype => 2,
            ("application", "*") => 1,
            ("*", "*") => 0,
            _ => continue,
        };
        let weight = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1000, |(_, q)| quality(q.trim()));
        if best.is_none_or(|(known, _)| specific > known) {
            best = Some((specific, weight));
        }
    }
    best.filter(|(_, weight)| *weight > 0)
        .map(|(specific, weight)| (weight, specific == 2))
}

fn quality(text: &str) -> u16 {
    // A `q` that is no number counts as the default.
    let q: f32 = text.parse().unwrap_or(1.0);
    (q.clamp(0.0, 1.0) * 1000.0).round() as u16
}

/// Whether the body is JSON in UTF-8.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(content) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let mut parts = content.split(';').map(str::trim);
    let json = parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let utf8 = parts
        .filter_map(|parameter| parameter.split_once('='))
        .all(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        });
    json && utf8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &str) -> Option<Media> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_str(text).expect("a header"),
        );
        negotiate(&headers)
    }

    #[test]
    fn the_accepted_type_is_chosen() {
        let (newer, json) = (Some(Media::GraphqlResponse), Some(Media::Json));
        assert_eq!(negotiate(&HeaderMap::new()), json);
        for (text, expected) in [
            ("application/graphql-response+json", newer),
            ("application/json", json),
            ("*/*", json),
            ("application/*", json),
            ("application/graphql-response+json, application/json", newer),
            ("application/json, application/graphql-response+json", newer),
            (
                "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
                newer,
            ),
            (
                "application/graphql-response+json;q=0.5, application/json",
                json,
            ),
            (
                "application/graphql-response+json;q=0.9, application/json;q=0.5",
                newer,
            ),
            ("application/json;q=0, */*", newer),
            ("application/json, */*", json),
            ("text/html, application/xhtml+xml, */*;q=0.8", json),
            ("application/json;q=0", None),
            ("text/event-stream", None),
            ("text/html", None),
            ("nonsense", None),
        ] {
            assert_eq!(accept(text), expected, "{text}");
        }
    }

    #[test]
    fn only_json_in_utf_8_is_read() {
        let content = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            is_json(&headers)
        };
        assert!(content("application/json"));
        assert!(content("Application/JSON; charset=UTF-8"));
        assert!(content("application/json; charset=\"utf-8\""));
        assert!(!content("application/json; charset=latin-1"));
        assert!(!content("text/plain"));
        assert!(!content("application/graphql"));
        assert!(!content("multipart/form-data; boundary=x"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
