//! What a credential says about itself, by kind: pure. Nothing here keeps or quotes any of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::dates::{self, Ends};
use super::pair::Unpaired;
use crate::collectors::registry::{Ending, Identity, Life};
use crate::document;
use crate::jwt;

/// What a credential says about its own life. One that says nothing at all never ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The first end of any of its parts, in Unix seconds.
    pub(super) ends: Option<i64>,
    /// From when on all of its parts hold, in Unix seconds.
    pub(super) begins: Option<i64>,
    /// Why the end of a part cannot be known.
    pub(super) silent: Option<&'static str>,
    /// When the oldest of its parts was made, in Unix seconds, where one tells that itself.
    pub(super) made: Option<i64>,
    /// When its issuer made it, in Unix seconds, where the issuer tells.
    pub(super) created: Option<i64>,
    /// When it was last used, in Unix seconds, where the issuer tells.
    pub(super) used: Option<i64>,
    /// Why its private key is not seen to belong to it.
    pub(super) unpaired: Option<Unpaired>,
}

impl Told {
    pub(super) fn of(ends: Ends) -> Self {
        match ends {
            Ends::At(at) => Self { ends: Some(at), ..Self::default() },
            Ends::Never => Self::default(),
        }
    }

    pub(super) fn silent(why: &'static str) -> Self {
        Self { silent: Some(why), ..Self::default() }
    }

    /// Both together: the earlier end, the later beginning.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            ends: [self.ends, other.ends].into_iter().flatten().min(),
            begins: self.begins.max(other.begins),
            silent: self.silent.or(other.silent),
            made: [self.made, other.made].into_iter().flatten().min(),
            created: self.created.max(other.created),
            used: self.used.max(other.used),
            unpaired: self.unpaired.max(other.unpaired),
        }
    }

    /// With what was seen of its private key.
    pub(super) fn paired(self, seen: Result<(), Unpaired>) -> Self {
        Self { unpaired: self.unpaired.max(seen.err()), ..self }
    }
}

/// A JSON Web Token. Its signature is not checked: whoever takes it does that.
pub(super) fn jwt(text: &str) -> Result<Told, &'static str> {
    let claims = jwt::claims(text)?;
    // Numbers are seconds, and of whoever writes another unit nobody knows what he means.
    let moment = |value: &serde_json::Value| if value.is_number() { jwt::seconds(value) } else { dates::moment(value) };
    // Without the claim a token has no end. RFC 7519, section 4.1.4; null is not without.
    let mut told = match claims.get("exp") {
        None => Told::default(),
        Some(exp) => Told { ends: Some(moment(exp).ok_or("its exp is no moment")?), ..Told::default() },
    };
    // RFC 7519, section 4.1.6. One that cannot be read tells nothing.
    told.made = claims.get("iat").and_then(dates::moment);
    told.begins = claims.get("nbf").map(|nbf| moment(nbf).ok_or("its nbf is no moment")).transpose()?;
    Ok(told)
}

/// A docker config: tokens say when they end, passwords do not.
pub(super) fn docker_config(text: &str) -> Result<Told, &'static str> {
    let entries = Identity::entries(text).map_err(|_| "it is no docker config")?;
    let helped = Told::silent("a helper program keeps its passwords, and does not tell when they end");
    let told = entries.into_iter().map(|(_, identity)| match identity.map_err(|_| "an entry of it has no credential, or cannot be read")? {
        Identity::Anonymous => Ok(helped),
        Identity::User { password, .. } if password.expose().is_empty() => Err("an entry of it has no credential: its password is empty"),
        identity => {
            let Life { ends, begins, made } = identity.life();
            let told = match (ends, identity) {
                (Ending::At(ends), _) => Told::of(Ends::At(ends)),
                (Ending::Never, _) => Told::of(Ends::Never),
                (Ending::Short(why), _) => Told::silent(why),
                (Ending::Untold, Identity::Token(_) | Identity::Refresh(_)) => Told::silent("a token does not tell when it expires"),
                (Ending::Untold, _) => Told::silent("a password does not tell when it expires"),
            };
            Ok(Told { begins, made, ..told })
        }
    });
    let told = told.reduce(|one, other| Ok(one?.and(other?)));
    told.unwrap_or_else(|| if Identity::has_helpers(text) { Ok(helped) } else { Err("it is no docker config, or knows no registry") })
}

/// A token of Artifactory: a JWT, a reference token that says when it expires, or a key of the old kind,
/// which says nothing, and which newer versions take no longer, whatever its age.
/// Source: <https://jfrog.com/help/r/jfrog-platform-administration-documentation/api-key>
pub(super) fn artifactory(text: &str) -> Result<Told, &'static str> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("AKC") {
        let is_key = rest.len() >= 10 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return if is_key {
            Ok(Told::silent("an API key does not tell when it expires, and newer versions of Artifactory take none"))
        } else {
            Err("it is no API key of Artifactory")
        };
    }
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.strip_prefix("reftkn:")) {
        Some(rest) => {
            let parts: Vec<&str> = rest.split(':').collect();
            let &[_, at, reference] = parts.as_slice() else { return Err("it is no reference token of Artifactory") };
            // Such a token that has no end says 0.
            let ends = |at: i64| if at == 0 { Some(Ends::Never) } else { dates::number_of(at) };
            let at = at.parse().ok().filter(|_| !reference.is_empty()).and_then(ends);
            at.map(Told::of).ok_or("its reference token tells no moment")
        }
        None => jwt(text),
    }
}

/// A date, which is the whole text or stands at a place of a JSON document.
pub(super) fn date(text: &str, pointer: Option<&str>) -> Result<Told, &'static str> {
    let ends = match pointer {
        None => dates::read(text),
        Some(pointer) => {
            let document = document::read(text.as_bytes()).ok_or("it is no JSON, or says something twice")?;
            dates::of_json(document.pointer(pointer).ok_or("its JSON has nothing at the configured place")?)
        }
    };
    ends.map(Told::of).ok_or("it should be a date, written as 2027-11-27 or 2027-11-27T12:00:00Z, and is none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::token;

    const NOW: i64 = 1_764_000_000;

    #[test]
    fn tokens_tell_their_life_or_why_they_are_none() {
        let good = r#"{"alg":"RS256"}"#;
        for (text, told) in [
            (token(good, &format!(r#"{{"exp":{NOW},"nbf":5}}"#)), Ok(Told { ends: Some(NOW), begins: Some(5), ..Told::default() })),
            (token(good, "{}").trim_end_matches("c2ln").to_owned(), Err("it is not signed")),
            (format!("{}not base64!", token(good, "{}").trim_end_matches("c2ln")), Err("its signature cannot be read")),
            (format!("{}====", token(good, "{}").trim_end_matches("c2ln")), Err("it is not signed")),
            (token(good, &format!(r#"{{"iat":{NOW}}}"#)), Ok(Told { made: Some(NOW), ..Told::default() })),
            (token(good, r#"{"iat":5}"#), Ok(Told::default())),
            (token(good, r#"{"iat":"then"}"#), Ok(Told::default())),
            (token(good, &format!(r#"{{"exp":{NOW}.5}}"#)), Ok(Told::of(Ends::At(NOW)))),
            (token(good, "{}"), Ok(Told::default())),
            (token(good, "{}"), Ok(Told::default())),
            (token(good, r#"{"exp":null}"#), Err("its exp is no moment")),
            (token(good, r#"{"exp":1,"exp":1893456000}"#), Err("its claims cannot be read")),
            (token(good, &format!(r#"{{"exp":{NOW},"nbf":"later"}}"#)), Err("its nbf is no moment")),
            (token(good, r#"{"exp":"soon"}"#), Err("its exp is no moment")),
            (token(good, &format!(r#"{{"exp":{NOW}000}}"#)), Err("its exp is no moment")),
            (token(good, &format!(r#"{{"exp":{NOW}000.5}}"#)), Err("its exp is no moment")),
            (token(good, r#"{"exp":1e300}"#), Err("its exp is no moment")),
            (token(good, r#"{"exp":0}"#), Ok(Told { ends: Some(0), ..Told::default() })),
            (token(good, &format!(r#"{{"exp":{NOW},"nbf":{NOW}000}}"#)), Err("its nbf is no moment")),
            (token(r#"{"alg":"none"}"#, "{}"), Err("it is not signed")),
            (token("{}", "{}"), Err("it is not signed")),
            ("no-dots".to_owned(), Err("it is no token of three parts")),
            ("a.b".to_owned(), Err("it is no token of three parts")),
            ("a.b.c".to_owned(), Err("its header cannot be read")),
            (token(good, "no json"), Err("its claims cannot be read")),
        ] {
            assert_eq!(jwt(&text), told, "{text}");
        }
    }

    #[test]
    fn a_docker_config_tells_what_ecr_tells_and_nothing_of_passwords() {
        let ecr = STANDARD.encode(format!("AWS:{}", STANDARD.encode(format!(r#"{{"payload":"x","expiration":{NOW}}}"#))));
        let config = |entries: &str| format!(r#"{{"auths":{{{entries}}}}}"#);
        let made = Some(NOW - 12 * 3600);
        assert_eq!(docker_config(&config(&format!(r#""a":{{"auth":"{ecr}"}}"#))), Ok(Told { made, ..Told::of(Ends::At(NOW)) }));
        let both = docker_config(&config(&format!(r#""a":{{"auth":"{ecr}"}},"b":{{"auth":"dTpw"}}"#))).unwrap();
        assert_eq!((both.ends, both.silent), (Some(NOW), Some("a password does not tell when it expires")));
        // Two paths of one registry, of which one has ended.
        let ended = STANDARD.encode(format!("AWS:{}", STANDARD.encode(format!(r#"{{"payload":"x","expiration":{}}}"#, NOW - 3600))));
        let paths = config(&format!(r#""r.io/team-a":{{"auth":"{ecr}"}},"r.io/team-b":{{"auth":"{ended}"}}"#));
        assert_eq!(docker_config(&paths), Ok(Told { made: Some(NOW - 13 * 3600), ..Told::of(Ends::At(NOW - 3600)) }));
        // The same token as a password, as what a token is given for, and as it is sent.
        let later = token(r#"{"alg":"RS256"}"#, &format!(r#"{{"nbf":5,"exp":{NOW}}}"#));
        let user = STANDARD.encode(format!("me:{later}"));
        for entry in [format!(r#"{{"auth":"{user}"}}"#), format!(r#"{{"identitytoken":"{later}"}}"#), format!(r#"{{"registrytoken":"{later}"}}"#)] {
            let told = docker_config(&config(&format!(r#""r.io":{entry}"#)));
            assert_eq!(told, Ok(Told { begins: Some(5), ..Told::of(Ends::At(NOW)) }), "{entry}");
        }
        let opaque = docker_config(&config(r#""r.io":{"registrytoken":"opaque"}"#)).map(|told| told.silent);
        assert_eq!(opaque, Ok(Some("a token does not tell when it expires")));
        let helped = Ok(Some("a helper program keeps its passwords, and does not tell when they end"));
        for text in [
            r#"{"auths":{"r.io":{}},"credsStore":"desktop"}"#,
            r#"{"auths":{"r.io":{}},"credHelpers":{"r.io":"ecr-login"}}"#,
            r#"{"credHelpers":{"r.io":"ecr-login"}}"#,
        ] {
            assert_eq!(docker_config(text).map(|told| told.silent), helped, "{text}");
        }
        assert!(docker_config(r#"{"auths":{"r.io":{}},"credHelpers":{"other.io":"ecr-login"}}"#).is_err());
        let empty = STANDARD.encode("user:");
        for text in [
            r#"{"credHelpers":{"r.io":""}}"#.to_owned(),
            r#"{"auths":{"r.io":{}},"credHelpers":{"r.io":""}}"#.to_owned(),
            config(&format!(r#""r.io":{{"auth":"{empty}"}}"#)),
            config(&format!(r#""r.io":{{"auth":"dTpw"}},"s.io":{{"auth":"{empty}"}}"#)),
        ] {
            assert!(docker_config(&text).is_err(), "nothing is in it: {text}");
        }
        assert!(docker_config("{}").is_err() && docker_config("nonsense").is_err() && docker_config(&config(r#""a":{"auth":"!"}"#)).is_err());
    }

    #[test]
    fn reference_tokens_and_dates_are_read_where_they_stand() {
        let reference = |at: &str| STANDARD.encode(format!("reftkn:01:{at}:abc"));
        assert_eq!(artifactory(&reference(&NOW.to_string())), Ok(Told::of(Ends::At(NOW))));
        assert_eq!(artifactory(&reference("0")), Ok(Told::default()));
        assert!(artifactory("AKCp8abcdefghijk").is_ok_and(|told| told.ends.is_none() && told.silent.is_some()), "what says nothing is not without an end");
        assert!(artifactory("AKC").is_err() && artifactory("AKC: see the vault").is_err() && artifactory(&STANDARD.encode("reftkn:01:0:")).is_err());
        assert!(artifactory(&reference("x")).is_err() && artifactory("nonsense").is_err());
        assert_eq!(date(&NOW.to_string(), None), Ok(Told::of(Ends::At(NOW))));
        assert_eq!(date(&format!(r#"{{"license":{{"exp":{NOW}}}}}"#), Some("/license/exp")), Ok(Told::of(Ends::At(NOW))));
        for (text, pointer) in [
            ("later", None),
            ("0", None),
            (r#"{"exp":0}"#, Some("/exp")),
            (r#"{"exp":"0"}"#, Some("/exp")),
            ("{}", Some("/exp")),
            ("no json", Some("/exp")),
            (r#"{"exp":true}"#, Some("/exp")),
            (r#"{"exp":null}"#, Some("/exp")),
        ] {
            assert!(date(text, pointer).is_err(), "{text}");
        }
    }

    #[test]
    fn fuzz_what_credentials_tell() {
        let signed = token(r#"{"alg":"RS256"}"#, r#"{"exp":1764000000,"nbf":5}"#);
        crate::fuzz::survive_text(&[&signed, "a.b.c"], jwt);
        // Whatever stands in the claims, and not only in their encoding.
        crate::fuzz::survive_text(&[r#"{"exp":1764000000,"nbf":5}"#], |claims| jwt(&token(r#"{"alg":"RS256"}"#, claims)));
        let auths = r#"{"auths":{"a":{"auth":"dTpw"},"b":{"username":"u","password":"p"}}}"#;
        crate::fuzz::survive_text(&[auths], docker_config);
        crate::fuzz::survive_text(&["reftkn:01:1764000000:abc"], |text| artifactory(&STANDARD.encode(text)));
        crate::fuzz::survive_text(&[r#"{"license":{"exp":1764000000}}"#], |text| date(text, Some("/license/exp")));
    }
}
