//! Whether a delivery is from whom it says: signatures over the bytes as they came, compared in constant time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entity::{Millis, WebhookKind, WebhookRefusal};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Headers, Mapping, Refused};
use crate::run::envelope::unhex;
use crate::secret::{Secret, is_same};

/// How far a signed time may lie from now, milliseconds, as Standard Webhooks has it.
pub const TOLERANCE: i64 = 300_000;
/// The most signatures of one delivery that are looked at.
const SIGNATURES: usize = 10;
/// The header of a generic endpoint's signature where its mapping names none.
pub const GENERIC_HEADER: &str = "x-hub-signature-256";

/// Checks the signature of `body` with every secret in force.
///
/// # Errors
/// [`Refused`], with a sentence for whoever set the sender up.
pub fn verify(
    kind: WebhookKind,
    mapping: Option<&Mapping>,
    secrets: &[Secret],
    headers: &Headers,
    body: &[u8],
    now: Millis,
) -> Result<(), Refused> {
    if secrets.is_empty() {
        let text = "This endpoint has no secret to verify with; give it the sender's with webhookEndpointSecretRotate.";
        return Err(Refused::new(WebhookRefusal::NoSecret, text));
    }
    match kind {
        WebhookKind::Pagerduty => {
            let header = "x-pagerduty-signature";
            let given = list(headers, header, &[','])?;
            let tags = given
                .iter()
                .filter_map(|one| unhex_tag(one.strip_prefix("v1=")?));
            any(secrets, &[body], tags, header)
        }
        WebhookKind::Standard => standard(secrets, headers, body, now),
        WebhookKind::Generic => {
            let header = mapping
                .and_then(|mapping| mapping.signature_header.as_deref())
                .unwrap_or(GENERIC_HEADER);
            let given = list(headers, header, &[','])?;
            let tags = given
                .iter()
                .filter_map(|one| bare(one.strip_prefix("sha256=").unwrap_or(one)));
            any(secrets, &[body], tags, header)
        }
    }
}

fn standard(
    secrets: &[Secret],
    headers: &Headers,
    body: &[u8],
    now: Millis,
) -> Result<(), Refused> {
    let id = headers
        .get("webhook-id")
        .ok_or_else(|| missing("webhook-id"))?;
    let at = headers
        .get("webhook-timestamp")
        .ok_or_else(|| missing("webhook-timestamp"))?;
    // Its parts are joined by full stops, so that one with another inside could be read in two ways.
    if id.contains('.') {
        let text =
            "The header webhook-id holds a full stop, which Standard Webhooks does not allow.";
        return Err(Refused::new(WebhookRefusal::SignatureInvalid, text));
    }
    let seconds: Option<i64> = at.parse().ok();
    let signed_at = seconds.and_then(|seconds| seconds.checked_mul(1_000));
    let near = signed_at.is_some_and(|at| now.since(Millis(at)).abs() <= TOLERANCE);
    if !near {
        let text = "The header webhook-timestamp is not within 5 minutes of this server's time, in seconds since 1970.";
        return Err(Refused::new(WebhookRefusal::TimestampOutOfRange, text));
    }
    let header = "webhook-signature";
    let given = list(headers, header, &[' '])?;
    let tags = given
        .iter()
        .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
    let signed = [id.as_bytes(), b".", at.as_bytes(), b".", body];
    any(secrets, &signed, tags, header)
}

/// Whether any secret makes any of the tags.
fn any(
    secrets: &[Secret],
    signed: &[&[u8]],
    tags: impl Iterator<Item = Vec<u8>>,
    header: &str,
) -> Result<(), Refused> {
    let tags: Vec<_> = tags.take(SIGNATURES).collect();
    for secret in secrets {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.reveal()) else {
            continue;
        };
        signed.iter().for_each(|part| mac.update(part));
        let made = mac.finalize().into_bytes();
        if tags.iter().any(|tag| is_same(tag, &made)) {
            return Ok(());
        }
    }
    let text = format!(
        "No secret of this endpoint makes the signature in {header}; look whether the sender uses the newest one, and whether something on the way changes the body."
    );
    Err(Refused::new(WebhookRefusal::SignatureInvalid, text))
}

fn list<'a>(headers: &'a Headers, name: &str, by: &[char]) -> Result<Vec<&'a str>, Refused> {
    let all: Vec<_> = headers
        .all(name)
        .flat_map(|line| line.split(by))
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .collect();
    if all.is_empty() {
        return Err(missing(name));
    }
    Ok(all)
}

fn missing(header: &str) -> Refused {
    let text = format!("The header {header} is missing; deliveries to this endpoint are signed.");
    Refused::new(WebhookRefusal::SignatureMissing, text)
}

/// A tag in either usual form; they can't be mistaken for each other, because they differ in length.
fn bare(text: &str) -> Option<Vec<u8>> {
    unhex_tag(text).or_else(|| STANDARD.decode(text).ok())
}

fn unhex_tag(text: &str) -> Option<Vec<u8>> {
    (text.len() == 64).then(|| unhex(text)).flatten()
}

/// The signature of `parts`, for tests of senders.
#[cfg(test)]
fn tag(secret: &Secret, parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal()).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::run::envelope::hex;

    const NOW: Millis = Millis(1_779_247_800_000);
    const BODY: &[u8] = br#"{"type":"incident.opened","data":{"id":"\u00e9"}}"#;

    fn verdict(kind: WebhookKind, secrets: &[Secret], headers: &[(&str, String)]) -> &'static str {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let headers = Headers::new(headers);
        match verify(kind, None, secrets, &headers, BODY, NOW) {
            Ok(()) => "ok",
            Err(refused) => refused.code.as_str(),
        }
    }

    #[test]
    fn pagerduty_signs_with_several_secrets_while_they_change() {
        let (own, other) = (Secret::new(*b"own"), Secret::new(*b"other"));
        let sign = |secret| format!("v1={}", hex(&tag(secret, &[BODY])));
        let verdict = |secrets: &[Secret], value: String| {
            verdict(
                WebhookKind::Pagerduty,
                secrets,
                &[("X-PagerDuty-Signature", value)],
            )
        };
        assert_eq!(verdict(from_ref(&own), sign(&own)), "ok");
        let both = format!("{},{}", sign(&other), sign(&own));
        assert_eq!(verdict(from_ref(&own), both.clone()), "ok");
        assert_eq!(verdict(from_ref(&own), format!("v2=00, {both}")), "ok");
        assert_eq!(verdict(&[own.clone(), other.clone()], sign(&other)), "ok");
        assert_eq!(verdict(from_ref(&own), sign(&other)), "SIGNATURE_INVALID");
        assert_eq!(
            verdict(from_ref(&own), sign(&own).replace("v1=", "v2=")),
            "SIGNATURE_INVALID"
        );
        assert_eq!(verdict(from_ref(&own), "v1=".into()), "SIGNATURE_INVALID");
        assert_eq!(verdict(from_ref(&own), " , ".into()), "SIGNATURE_MISSING");
        assert_eq!(verdict(&[], sign(&own)), "NO_SECRET");
    }

    #[test]
    fn a_standard_webhook_is_what_its_own_library_signs() {
        let key = [9; 32];
        let text = format!("whsec_{}", STANDARD.encode(key));
        let oracle = standardwebhooks::Webhook::new(&text).expect("a secret");
        let at = NOW.0 / 1_000;
        let signature = oracle.sign("msg_1", at, BODY).expect("a signature");
        let secrets = [Secret::new(key)];
        let verdict = |id: &str, at: i64, signature: &str| {
            let headers = [
                ("webhook-id", id.to_owned()),
                ("webhook-timestamp", at.to_string()),
                ("webhook-signature", signature.to_owned()),
            ];
            verdict(WebhookKind::Standard, &secrets, &headers)
        };
        assert_eq!(verdict("msg_1", at, &signature), "ok");
        assert_eq!(
            verdict("msg_1", at, &format!("v1a,AAAA v1,AAAA {signature}")),
            "ok"
        );
        assert_eq!(verdict("msg_2", at, &signature), "SIGNATURE_INVALID");
        assert_eq!(verdict("msg.1", at, &signature), "SIGNATURE_INVALID");
        assert_eq!(verdict("msg_1", at + 1, &signature), "SIGNATURE_INVALID");
        for (seconds, expected) in [
            (300, "ok"),
            (301, "TIMESTAMP_OUT_OF_RANGE"),
            (-300, "ok"),
            (-301, "TIMESTAMP_OUT_OF_RANGE"),
            (i64::MAX - at, "TIMESTAMP_OUT_OF_RANGE"),
        ] {
            let signature = oracle
                .sign("msg_1", at + seconds, BODY)
                .expect("a signature");
            assert_eq!(
                verdict("msg_1", at + seconds, &signature),
                expected,
                "{seconds}"
            );
        }
    }

    /// Each kind writes its tags in its own form; here they are of any length.
    #[test]
    fn a_tag_that_is_wrong_short_long_or_empty_is_refused() {
        let own = Secret::new(*b"own");
        let (id, at) = ("msg_1", (NOW.0 / 1_000).to_string());
        let whole = [id.as_bytes(), b".", at.as_bytes(), b".", BODY];
        let with = |kind: WebhookKind, tag: &[u8]| {
            let headers = match kind {
                WebhookKind::Pagerduty => {
                    vec![("x-pagerduty-signature", format!("v1={}", hex(tag)))]
                }
                WebhookKind::Generic => vec![(GENERIC_HEADER, STANDARD.encode(tag))],
                WebhookKind::Standard => vec![
                    ("webhook-id", id.to_owned()),
                    ("webhook-timestamp", at.clone()),
                    ("webhook-signature", format!("v1,{}", STANDARD.encode(tag))),
                ],
            };
            verdict(kind, from_ref(&own), &headers)
        };
        for kind in [
            WebhookKind::Pagerduty,
            WebhookKind::Generic,
            WebhookKind::Standard,
        ] {
            let signed: &[&[u8]] = match kind {
                WebhookKind::Pagerduty | WebhookKind::Generic => &[BODY],
                WebhookKind::Standard => &whole,
            };
            let right = tag(&own, signed);
            assert_eq!(with(kind, &right), "ok", "{kind:?}");
            for i in 0..right.len() {
                let mut wrong = right.clone();
                wrong[i] ^= 1;
                assert_eq!(
                    with(kind, &wrong),
                    "SIGNATURE_INVALID",
                    "{kind:?}: byte {i}"
                );
                let short = with(kind, &right[..i]);
                assert_ne!(short, "ok", "{kind:?}: {i} bytes");
            }
            let long = [&right[..], &[0]].concat();
            assert_eq!(with(kind, &long), "SIGNATURE_INVALID", "{kind:?}: too long");
            let twice = [&right[..], &right[..]].concat();
            assert_eq!(with(kind, &twice), "SIGNATURE_INVALID", "{kind:?}: twice");
        }
    }

    #[test]
    fn a_generic_signature_is_hexadecimal_or_base64() {
        let own = Secret::new(*b"It's a Secret to Everybody");
        let tag = tag(&own, &[BODY]);
        for value in [
            format!("sha256={}", hex(&tag)),
            hex(&tag),
            STANDARD.encode(&tag),
        ] {
            let headers = [(GENERIC_HEADER, value)];
            assert_eq!(
                verdict(WebhookKind::Generic, from_ref(&own), &headers),
                "ok"
            );
        }
        let headers = [("x-signature", hex(&tag))];
        assert_eq!(
            verdict(WebhookKind::Generic, &[own], &headers),
            "SIGNATURE_MISSING"
        );
    }
}
