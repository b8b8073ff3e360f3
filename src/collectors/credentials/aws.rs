//! Credentials of AWS: access keys, which never end but age, session credentials, and the keys of
//! Bedrock, which belong to a user of IAM.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sts::config::retry::RetryConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::config::AwsIssuer;
use super::dates::{self, Ends};
use super::expiry::Told;
use super::fixes;
use super::prove::Proof;
use crate::aws::{self, Api, Caller, Members, Question, services};
use crate::document;
use crate::say;
use crate::say::Message;
use crate::snapshot::{CollectError, ErrorClass};

/// An access key as far as it was found. Only its identifier is sure.
#[derive(Default)]
struct AccessKey {
    id: String,
    secret: Option<Zeroizing<String>>,
    session: Option<Zeroizing<String>>,
    ends: Option<Ends>,
}

impl AccessKey {
    /// Takes a field that is none of it yet; others mean nothing here.
    fn take(&mut self, name: &str, value: &str) {
        let secret = || Some(Zeroizing::new(value.to_owned()));
        match name.to_ascii_lowercase().replace('_', "").as_str() {
            _ if value.is_empty() => {}
            "awsaccesskeyid" | "accesskeyid" if self.id.is_empty() => value.clone_into(&mut self.id),
            "awssecretaccesskey" | "secretaccesskey" if self.secret.is_none() => self.secret = secret(),
            "awssessiontoken" | "sessiontoken" | "token" if self.session.is_none() => self.session = secret(),
            "expiration" if self.ends.is_none() => self.ends = dates::read(value),
            _ => {}
        }
    }

    /// The key of a credentials file: that of the default profile, which whoever names none takes, or of the first one that
    /// is whole. What stands before all profiles is one without a name.
    fn of_file(text: &str) -> Self {
        let mut profiles = vec![("", Self::default())];
        for line in text.lines().map(str::trim) {
            if let Some((name, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                profiles.push((name.trim(), Self::default()));
            } else if let (Some((name, value)), Some((_, key))) = (line.split_once('='), profiles.last_mut()) {
                key.take(name.trim(), value.trim());
            }
        }
        profiles.retain(|(_, key)| !key.id.is_empty());
        let is_default = |(name, _): &(&str, Self)| ["default", "profile default"].contains(name);
        let whole = |(_, key): &(&str, Self)| key.secret.is_some();
        let place = profiles.iter().position(is_default).or_else(|| profiles.iter().position(whole)).unwrap_or_default();
        profiles.into_iter().nth(place).map(|(_, key)| key).unwrap_or_default()
    }
}

/// Reads the forms in which people keep access keys: the identifier, whose secret half may stand at a
/// place of its own, a credentials file, or what STS, the instance or a credential process answers.
/// Sources: <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>,
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>
fn access_key(text: &str, half: Option<&str>) -> Result<AccessKey, &'static str> {
    let text = text.trim();
    let mut key = AccessKey::default();
    if text.starts_with('{') {
        let document = document::read(text.as_bytes()).ok_or("it is no JSON, or says something twice")?;
        let inner = document.get("Credentials").unwrap_or(&document);
        inner.as_object().into_iter().flatten().filter_map(|(name, value)| Some((name, value.as_str()?))).for_each(|(name, value)| key.take(name, value));
    } else if text.contains('=') {
        key = AccessKey::of_file(text);
    } else {
        text.clone_into(&mut key.id);
    }
    if let Some(half) = half {
        key.secret = Some(Zeroizing::new(half.trim().to_owned()));
    }
    let known = key.id.len() >= 16 && key.id.len() <= 128 && key.id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    // Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>
    if known && (key.id.starts_with("AKIA") || key.id.starts_with("ASIA")) { Ok(key) } else { Err("it holds no identifier of an access key") }
}

/// Asks AWS about its own credentials.
pub(super) struct Issuer<'a> {
    pub(super) place: &'a AwsIssuer,
    pub(super) caller: &'a Caller,
    pub(super) timeout: Duration,
    pub(super) calls: &'a AtomicU64,
}

impl Issuer<'_> {
    /// An access key: proved by the one call that any key may make, and its age from IAM. IAM knows the
    /// identifier, which is no secret: without the other half nothing proves that anybody may use it.
    pub(super) async fn access_key(&self, text: &str, half: Option<&str>) -> Result<Proof, CollectError> {
        let key = match access_key(text, half) {
            Ok(key) => key,
            Err(why) => return Ok(Proof::Refused(Message::from(why).fixed_by(fixes::BROKEN))),
        };
        let proved = match &key.secret {
            Some(secret) => match self.prove(&key, secret).await {
                Ok(()) => true,
                Err(error) if error.class == ErrorClass::Denied => return Ok(Proof::Refused(say!("AWS refuses the key"))),
                Err(error) => return Err(error),
            },
            None => false,
        };
        let unproven = |told: Told| Proof::Unproven(told, say!("only half of the key is here, and AWS proves no identifier alone").fixed_by(fixes::HALF));
        if key.id.starts_with("ASIA") {
            let told = key.ends.map_or_else(|| Told::silent("session credentials do not tell when they end"), Told::of);
            return Ok(if proved { Proof::Taken(told) } else { unproven(told) });
        }
        match self.of_user(&key.id).await {
            Ok(Proof::Taken(told)) if !proved => Ok(unproven(told)),
            Ok(proof) => Ok(proof),
            // What the key itself proved stands, even where nobody may look up its age.
            Err(error) if proved => {
                tracing::info!("look up the age of an access key that works: {error}");
                Ok(Proof::Taken(Told::default()))
            }
            Err(error) => Err(error),
        }
    }

    /// Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
    async fn prove(&self, key: &AccessKey, secret: &str) -> Result<(), CollectError> {
        let session = key.session.as_deref().map(String::to_owned);
        let own = Credentials::new(&key.id, secret, session, None, "watched");
        let settings = self.caller.settings().await.map_err(|why| CollectError::new(ErrorClass::Local, why))?;
        let config = aws_sdk_sts::config::Builder::from(settings).credentials_provider(own).retry_config(RetryConfig::disabled());
        let call = aws_sdk_sts::Client::from_conf(config.build()).get_caller_identity().send();
        self.calls.fetch_add(1, Ordering::Relaxed);
        let what = say!("ask STS whose the key is");
        let said = aws::within(&what, self.timeout, call).await?;
        // Whatever answers in the place of STS does not know whose key it is.
        if is_somebody(said.account().unwrap_or_default(), said.arn().unwrap_or_default()) && said.user_id().is_some_and(|id| !id.is_empty()) {
            Ok(())
        } else {
            Err(CollectError::new(ErrorClass::Malformed, say!("{}: the answer names nobody", what)))
        }
    }

    /// Sources: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccessKeyLastUsed.html>,
    /// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccessKeys.html>
    async fn of_user(&self, id: &str) -> Result<Proof, CollectError> {
        let gone = || Ok(Proof::Refused(say!("IAM does not know the key any more").fixed_by(fixes::OVER)));
        let used: LastUsed = match self.ask("GetAccessKeyLastUsed", &[("AccessKeyId", id)]).await {
            Err(error) if error.class == ErrorClass::NotFound => return gone(),
            other => other?,
        };
        let LastUsed { user_name: Some(user), access_key_last_used: used } = used else { return gone() };
        let listed: Listed = self.ask("ListAccessKeys", &[("UserName", &user)]).await?;
        let keys = listed.access_key_metadata.all;
        let Some(key) = keys.into_iter().find(|key| key.access_key_id == id) else { return gone() };
        match key.status.as_str() {
            "Active" => {}
            "Inactive" | "Expired" => return Ok(Proof::Refused(say!("IAM says that the key is not active").fixed_by(fixes::OVER))),
            _ => return Err(CollectError::new(ErrorClass::Malformed, say!("ask IAM for ListAccessKeys: it says something about the key that is not known"))),
        }
        let used = used.and_then(|used| moment(used.last_used_date.as_deref()));
        Ok(Proof::Taken(Told { created: moment(key.create_date.as_deref()), used, ..Told::default() }))
    }

    async fn ask<T: DeserializeOwned>(&self, action: &'static str, parameters: &[(&str, &str)]) -> Result<T, CollectError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let question = Question::new(action, say!("ask IAM for {}", action));
        let question = parameters.iter().fold(question, |question, (name, value)| question.with(name, *value));
        Api { caller: self.caller, service: &services::IAM, limit: self.timeout }.ask(&question).await
    }

    /// What IAM says about a long key of Bedrock, which is a credential of one of its users.
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_bedrock.html>
    pub(super) async fn long_bedrock_key(&self, name: &str) -> Result<Proof, CollectError> {
        let own = name.split_once("-at-").map_or(name, |(user, _)| user);
        let user = self.place.user.as_deref().unwrap_or(own);
        let asked = self.ask("ListServiceSpecificCredentials", &[("UserName", user), ("ServiceName", "bedrock.amazonaws.com")]).await;
        let listed: ServiceCredentials = match asked {
            Err(error) if error.class == ErrorClass::NotFound => return Ok(Proof::Refused(say!("IAM does not know the user of the key"))),
            other => other?,
        };
        let all = listed.service_specific_credentials.all;
        let is = |own: &ServiceCredential| own.service_user_name.as_deref() == Some(name) || own.alias.as_deref() == Some(name);
        let Some(found) = all.into_iter().find(is) else { return Ok(Proof::Refused(say!("IAM does not know the key any more").fixed_by(fixes::OVER))) };
        if found.status != "Active" {
            return Ok(Proof::Refused(say!("IAM says that the key is not active").fixed_by(fixes::OVER)));
        }
        let told = match found.expiration_date.as_deref().map(dates::read) {
            None => Told::default(),
            Some(Some(ends)) => Told::of(ends),
            Some(None) => Told::silent("IAM tells its end in a form that is not known"),
        };
        let why = say!("IAM lists the key as active, and was not shown the key itself").fixed_by(fixes::NOT_SHOWN);
        Ok(Proof::Unproven(Told { created: moment(found.create_date.as_deref()), ..told }, why))
    }
}

/// Whether an account and an ARN are those of one identity of AWS.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns>
fn is_somebody(account: &str, arn: &str) -> bool {
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    is_account
        && matches!(parts.as_slice(), ["arn", partition, "iam" | "sts", "", own, name] if partition.starts_with("aws") && *own == account && !name.is_empty())
}

fn moment(text: Option<&str>) -> Option<i64> {
    text.and_then(dates::read).and_then(Ends::at)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LastUsed {
    user_name: Option<String>,
    access_key_last_used: Option<Used>,
}

/// Without a date, or with `N/A` for one, where a key was never used.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Used {
    last_used_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    access_key_metadata: Members<KeyMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyMetadata {
    access_key_id: String,
    status: String,
    create_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceCredentials {
    service_specific_credentials: Members<ServiceCredential>,
}

/// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ServiceSpecificCredentialMetadata.html>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceCredential {
    status: String,
    service_user_name: Option<String>,
    #[serde(rename = "ServiceCredentialAlias")]
    alias: Option<String>,
    create_date: Option<String>,
    expiration_date: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_keys_are_read_in_the_forms_in_which_they_are_kept() {
        let process = r#"{"Version":1,"AccessKeyId":"ASIAEXAMPLEEXAMPLE11","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-05-01T12:00:00Z"}"#;
        let key = access_key(process, None).unwrap();
        assert_eq!((key.id.as_str(), key.ends), ("ASIAEXAMPLEEXAMPLE11", Some(Ends::At(1_777_636_800))));
        assert!(key.secret.is_some() && key.session.is_some());
        let file = "[default]\naws_access_key_id = AKIAEXAMPLEEXAMPLE11\naws_secret_access_key=abc/def\n[other]\naws_access_key_id=AKIAOTHER0000000000\n";
        let key = access_key(file, None).unwrap();
        assert_eq!((key.id.as_str(), key.secret.as_deref().map(String::as_str)), ("AKIAEXAMPLEEXAMPLE11", Some("abc/def")));
        assert!(access_key(r#"{"Credentials":{"AccessKeyId":"AKIAEXAMPLEEXAMPLE11"}}"#, None).is_ok());
        assert!(access_key("AKIAEXAMPLEEXAMPLE11\n", None).is_ok_and(|key| key.secret.is_none()));
        let pair = access_key("AKIAEXAMPLEEXAMPLE11\n", Some("abc/def\n")).unwrap();
        assert_eq!((pair.id.as_str(), pair.secret.as_deref().map(String::as_str)), ("AKIAEXAMPLEEXAMPLE11", Some("abc/def")));
        // Of two identifiers nobody knows which one its users take.
        assert!(access_key(r#"{"AccessKeyId":"AKIAEXAMPLEEXAMPLE11","AccessKeyId":"AKIAOTHER0000000000"}"#, None).is_err());
        for text in ["", "AKIA", "akiaexampleexample11", "{", "{}", "a=b", "AROAEXAMPLEEXAMPLE11"] {
            assert!(access_key(text, None).is_err(), "{text}");
        }
    }

    /// The identifier of one profile with the secret of another is a key that works nowhere.
    #[test]
    fn of_several_profiles_one_is_taken_as_a_whole() {
        let profile = |name: &str, last: u8, lines: &str| format!("[{name}]\naws_access_key_id = AKIAEXAMPLEEXAMPLE1{last}\n{lines}");
        let whole = |name: &str, last: u8| profile(name, last, &format!("aws_secret_access_key = s{last}\naws_session_token = t{last}\n"));
        for (text, taken) in [
            (whole("a", 1) + &whole("b", 2), 1),
            (whole("a", 1) + &whole("default", 2), 2),
            (whole("a", 1) + &whole("profile default", 2) + &whole("c", 3), 2),
            (profile("a", 1, "") + &whole("b", 2), 2),
            (profile("a", 1, "aws_secret_access_key =\n") + &whole("b", 2), 2),
            ("[default]\nrole_arn = arn:aws:iam::123456789012:role/a\n".to_owned() + &whole("b", 2), 2),
            (whole("", 1).replacen("[]", "", 1) + &whole("b", 2), 1),
            (profile("a", 1, "aws_secret_access_key = s1\naws_secret_access_key = s9\naws_session_token = t1\n"), 1),
        ] {
            let key = access_key(&text, None).unwrap();
            let halves = [&key.secret, &key.session].map(|half| half.as_deref().cloned().unwrap_or_default());
            assert_eq!((key.id, halves), (format!("AKIAEXAMPLEEXAMPLE1{taken}"), [format!("s{taken}"), format!("t{taken}")]), "{text}");
        }
        let halved = access_key(&(profile("default", 1, "") + &whole("b", 2)), None).unwrap();
        assert!(halved.id.ends_with('1') && halved.secret.is_none(), "which is what its users get");
    }

    #[test]
    fn an_identity_is_one_of_aws() {
        for arn in ["arn:aws:iam::123456789012:user/llm", "arn:aws-cn:sts::123456789012:assumed-role/a/b", "arn:aws:iam::123456789012:root"] {
            assert!(is_somebody("123456789012", arn), "{arn}");
        }
        let user = "arn:aws:iam::123456789012:user/llm";
        for (account, arn) in [
            ("12345678901x", user),
            ("210987654321", user),
            ("123456789012", "arn:"),
            ("123456789012", "arn:aws:s3:::bucket"),
            ("123456789012", "arn:aws:iam::123456789012:"),
            ("", ""),
        ] {
            assert!(!is_somebody(account, arn), "{account} {arn}");
        }
    }

    #[test]
    fn when_a_key_was_last_used_is_read_from_every_answer() {
        let date = |used: &str| {
            let text = format!("<GetAccessKeyLastUsedResult>{used}<UserName>llm</UserName></GetAccessKeyLastUsedResult>");
            let answer: LastUsed = quick_xml::de::from_str(&text).unwrap();
            moment(answer.access_key_last_used.and_then(|used| used.last_used_date).as_deref())
        };
        let used = |date: &str| format!("<AccessKeyLastUsed>{date}<Region>us-west-2</Region><ServiceName>s3</ServiceName></AccessKeyLastUsed>");
        assert_eq!(date(&used("<LastUsedDate>2026-05-01T12:00:00Z</LastUsedDate>")), Some(1_777_636_800));
        // A key that was never used.
        assert_eq!(date(&used("<LastUsedDate>N/A</LastUsedDate>")), None);
        assert_eq!(date(&used("")), None);
        assert_eq!(date(""), None);
    }

    #[test]
    fn fuzz_keys_of_aws() {
        let seeds = [
            "AKIAEXAMPLEEXAMPLE11",
            "aws_access_key_id = AKIAEXAMPLEEXAMPLE11\naws_secret_access_key=abc",
            r#"{"Credentials":{"AccessKeyId":"AKIAEXAMPLEEXAMPLE11","Expiration":"2026-05-01T12:00:00Z"}}"#,
        ];
        crate::fuzz::survive_text(&seeds, |text| access_key(text, None));
        let answer = "<ListAccessKeysResult><AccessKeyMetadata><member><AccessKeyId>a</AccessKeyId><Status>Active</Status></member></AccessKeyMetadata></ListAccessKeysResult>";
        crate::fuzz::survive_text(&[answer], |text| quick_xml::de::from_str::<Listed>(text));
    }
}
