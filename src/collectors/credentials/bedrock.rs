//! Keys of Bedrock: whether Bedrock takes one, and when it expires, which a short one says itself and IAM of
//! a long one.

use std::sync::atomic::AtomicU64;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::dates::Ends;
use super::expiry::Told;
use super::fixes;
use super::prove::{Issuer, Proof};
use super::{Looker, aws};
use crate::aws::{http, services};
use crate::say;
use crate::say::Message;
use crate::snapshot::{CollectError, ErrorClass};

/// A key of Bedrock. A short one is a signed request that tells its own end in Unix seconds; a long one
/// has the name by which IAM knows it.
/// Source: <https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html>
enum BedrockKey {
    Short(i64),
    Long(String),
}

impl BedrockKey {
    fn read(text: &str) -> Result<Self, &'static str> {
        if let Some(encoded) = text.strip_prefix("bedrock-api-key-") {
            return short_bedrock_key(encoded).map(Self::Short);
        }
        let named = text.strip_prefix("ABSK").and_then(|encoded| STANDARD.decode(encoded).ok()).map(Zeroizing::new);
        let named = named.and_then(|bytes| Some(std::str::from_utf8(&bytes).ok()?.split_once(':')?.0.to_owned()));
        named.map(Self::Long).ok_or("it is no key of Bedrock")
    }
}

/// The end of a presigned request, in Unix seconds.
fn short_bedrock_key(encoded: &str) -> Result<i64, &'static str> {
    let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).map(Zeroizing::new).ok_or("it is no key of Bedrock")?;
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let value = |name: &str| url::form_urlencoded::parse(query.as_bytes()).find(|(own, _)| own == name).map(|(_, value)| value.into_owned());
    let signed = value("X-Amz-Date").and_then(|date| jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &date).ok());
    let signed = signed.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok()).ok_or("it does not tell when it was made")?;
    let lasts: i64 = value("X-Amz-Expires").and_then(|seconds| seconds.parse().ok()).ok_or("it does not tell how long it lasts")?;
    Ok(signed.timestamp().as_second().saturating_add(lasts))
}

impl Looker {
    /// A key of Bedrock: proved by Bedrock, and its end from IAM where it does not tell that itself.
    pub(super) async fn bedrock(&self, key: &str, api: Option<&str>, calls: &AtomicU64) -> Result<Proof, CollectError> {
        let own = match BedrockKey::read(key) {
            Ok(own) => own,
            Err(why) => return Ok(Proof::Refused(why.into())),
        };
        let local = |why: Message| CollectError::new(ErrorClass::Local, why);
        let asked = self.credential.aws.as_ref().zip(self.caller.as_deref());
        let taken = match (api, asked) {
            (Some(api), _) => Issuer { client: &self.client, api, timeout: self.timeout, calls }.bedrock(key).await,
            (None, Some((_, caller))) => {
                let api = caller.endpoint(&services::BEDROCK).await.map_err(local)?;
                Issuer { client: http().await.map_err(local)?, api: &api, timeout: self.timeout, calls }.bedrock(key).await
            }
            (None, None) => Err(local(say!("ask Bedrock: it has no place"))),
        };
        let unproven = match taken {
            Ok(Ok(())) => None,
            Ok(Err(why)) => return Ok(Proof::Refused(why)),
            // It may call models and not list them: what else is known of it still holds.
            Err(error) if error.class == ErrorClass::Denied => Some(say!(
                "Bedrock was asked for its models and answered with status 403: whoever shows the key may not list them, which does not tell whether the key works"
            ).fixed_by(fixes::NOT_SHOWN)),
            Err(error) => return Err(error),
        };
        let told = match (own, asked) {
            (BedrockKey::Short(ends), _) => Told::of(Ends::At(ends)),
            (BedrockKey::Long(_), None) => Told::silent("only IAM tells when it expires, and aws is not configured"),
            (BedrockKey::Long(name), Some((place, caller))) => {
                match (aws::Issuer { place, caller, timeout: self.timeout, calls }).long_bedrock_key(&name).await {
                    Ok(Proof::Taken(told) | Proof::Unproven(told, _)) => told,
                    Ok(refused) => return Ok(refused),
                    Err(error) if unproven.is_none() => {
                        tracing::info!("look up the end of a key of Bedrock that works: {error}");
                        Told::silent("IAM could not be asked when it expires")
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(match unproven {
            Some(why) => Proof::Unproven(told, why),
            None => Proof::Taken(told),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_key_of_bedrock_tells_its_own_end() {
        let key = |query: &str| STANDARD.encode(format!("bedrock.amazonaws.com/?Action=CallWithBearerToken&{query}"));
        assert_eq!(short_bedrock_key(&key("X-Amz-Date=20260501T120000Z&X-Amz-Expires=43200&Version=1")), Ok(1_777_636_800 + 43_200));
        for query in ["", "X-Amz-Date=20260501T120000Z", "X-Amz-Date=now&X-Amz-Expires=1", "X-Amz-Expires=1"] {
            assert!(short_bedrock_key(&key(query)).is_err(), "{query}");
        }
        assert!(short_bedrock_key("!").is_err() && short_bedrock_key("").is_err());
    }

    #[test]
    fn fuzz_keys_of_bedrock() {
        let query = "bedrock.amazonaws.com/?X-Amz-Date=20260501T120000Z&X-Amz-Expires=43200";
        crate::fuzz::survive_text(&[query], |text| short_bedrock_key(&STANDARD.encode(text)));
    }
}
